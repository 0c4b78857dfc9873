import BlockCore

extension Qcow2State {
  /// L2 tables that one call of `mappings` looks at: bounds the time that it holds the lock.
  private static var tablesPerCall: Int { 64 }

  /// See `ImageDriver.mappings`.
  mutating func mappings(in range: ByteRange, limit: Int) throws(BlockError) -> [ImageMapping] {
    var list: [ImageMapping] = []
    var position = range.lower
    var tables = 0
    while position < range.upper, list.count <= limit, tables < Qcow2State.tablesPerCall {
      let index = geometry.l1Index(position)
      // The last table's range may end past Int.max.
      let tableStart = geometry.guestOffset(l1Index: index, l2Index: 0)
      let length = min(range.upper - tableStart, geometry.bytesPerL2Table)
      let part = ByteRange(from: position, to: tableStart + length)
      if let table = try tableOffset(l1Index: index) {
        try appendMappings(of: table, in: part, to: &list)
        tables += 1
      } else {
        ImageMapping.append(ImageMapping(range: part, content: .unallocated), to: &list)
      }
      position = part.upper
    }
    return list
  }

  /// Appends what the table at `table` says of `range`, which it maps.
  private mutating func appendMappings(
    of table: Int, in range: ByteRange, to list: inout [ImageMapping]
  ) throws(BlockError) {
    let first = geometry.l2Index(range.lower)
    let last = geometry.l2Index(range.upper - 1)
    let words = try tableWords(table, first: first, last: last)
    let clusterStart = range.lower.roundedDown(to: geometry.clusterSize)
    var index = 0
    while index < words.count {
      let word = words[index]
      var end = index + 1
      if word == 0 {
        while end < words.count, words[end] == 0 { end += 1 }
      }
      let guest = clusterStart + index << geometry.clusterBits
      let cells = ByteRange(at: guest, length: (end - index) << geometry.clusterBits)
      let part = cells.intersection(range)
      let skipped = part.lower - guest
      let content: ImageContent =
        switch try meaning(of: word, guest: guest) {
        case .unallocated: .unallocated
        case .zero(let reserved): .zero(reservedAt: reserved.map { $0 + skipped })
        case .data(let offset): .data(at: offset + skipped)
        case .compressed: .compressed
        }
      ImageMapping.append(ImageMapping(range: part, content: content), to: &list)
      index = end
    }
  }

  /// The entries `first...last` of a table. A short stretch goes through the cache; a long one is
  /// read in one piece and does not drive other tables out of the cache.
  mutating func tableWords(
    _ table: Int, first: Int, last: Int
  ) throws(BlockError) -> [UInt64] {
    let perSlice = l2.sliceWords
    let firstSlice = first / perSlice
    let lastSlice = last / perSlice
    if firstSlice == lastSlice {
      let slice = try l2.slice(at: table + firstSlice * geometry.sliceBytes, io)
      return Array(slice.words[(first % perSlice)...(last % perSlice)])
    }
    let offset = table + firstSlice * geometry.sliceBytes
    var words = try io.readWords(
      .l2Table, at: offset, count: (lastSlice - firstSlice + 1) * perSlice)
    for slice in firstSlice...lastSlice {
      guard let cached = l2.cached(at: table + slice * geometry.sliceBytes), cached.isDirty
      else { continue }
      let start = (slice - firstSlice) * perSlice
      words.replaceSubrange(start..<start + perSlice, with: cached.words)
    }
    let start = first - firstSlice * perSlice
    return Array(words[start...(start + last - first)])
  }
}
