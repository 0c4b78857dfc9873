import BlockCore
import BlockIO

extension Qcow2Check {
  /// Blocks that the clusters of the file need.
  var blocks: Int { counts.clusters.dividedRoundingUp(by: geometry.refcountsPerBlock) }

  /// The clusters that block `index` counts.
  func clusters(ofBlock index: Int) -> Range<Int> {
    let first = index * geometry.refcountsPerBlock
    return first..<min(first + geometry.refcountsPerBlock, counts.clusters)
  }

  /// The first block from `index` on that there is, or, with `orCounted`, which would count
  /// something; nil where no more follow.
  mutating func nextBlock(from index: Int, orCounted: Bool = false) throws(BlockError) -> Int? {
    var next: Int?
    if orCounted {
      next = counts.nextCounted(from: index * geometry.refcountsPerBlock)
        .map { $0 / geometry.refcountsPerBlock }
    }
    // The table is looked at once, up to where something is counted.
    let end = min(next ?? blocks, blocks, header.refcountTableBytes / 8)
    var first = index
    while first < end {
      _ = try block(first)
      let words = refcountTable.words.dropFirst(first - refcountTable.first)
      if let found = words.firstIndex(where: { $0 != 0 }) {
        let place = refcountTable.first + found
        return place < end ? place : next
      }
      first = refcountTable.range.upperBound
    }
    return next
  }

  /// Where block `index` lies; nil where there is none, so that all its refcounts are 0.
  mutating func block(_ index: Int) throws(BlockError) -> Int? {
    guard index < header.refcountTableBytes / 8 else { return nil }
    let window = refcountTable.range
    if !window.contains(index) {
      let first = index.roundedDown(to: TableWindow.entries)
      let count = min(TableWindow.entries, header.refcountTableBytes / 8 - first)
      refcountTable = TableWindow(
        first: first, words: try words(at: header.refcountTableOffset + first * 8, count: count))
    }
    let word = refcountTable.words[index - refcountTable.first]
    let offset = RefcountTableEntry(word: word).blockOffset
    return offset == 0 ? nil : offset
  }

  /// The stored refcount of a cluster; nil where it cannot be read.
  mutating func storedRefcount(_ cluster: Int) throws(BlockError) -> UInt64? {
    let host = HostCluster(index: cluster)
    guard let block = try block(geometry.refcountBlockIndex(host)) else { return 0 }
    guard geometry.offsetInCluster(block) == 0 else { return nil }
    let index = geometry.refcountIndexInBlock(host)
    let perWord = 64 >> geometry.refcountOrder
    let word = try words(at: block + index / perWord * 8, count: 1)
    return RefcountWords(geometry).get(word, index % perWord)
  }

  /// Notes which stored refcounts of block `index` are exactly 1.
  mutating func readStored(block index: Int) throws(BlockError) {
    guard let offset = try block(index) else { return }
    guard geometry.offsetInCluster(offset) == 0 else {
      badBlocks.insert(index)
      return
    }
    try dataBudget.take(geometry.clusterSize)
    try forEachStored(clusters(ofBlock: index), in: offset) { (check, first, stored) in
      check.counts.noteStoredOnes(of: stored, from: first)
    }
  }

  /// Holds the references to the clusters of block `index` against their stored refcounts; `differ`
  /// gets the differences too.
  mutating func compare(
    block index: Int,
    differ: (_ cluster: Int, _ stored: UInt64, _ counted: UInt64) -> Void = { (_, _, _) in }
  ) throws(BlockError) {
    let range = clusters(ofBlock: index)
    if badBlocks.contains(index) {
      return result.note(
        \.checkErrors, times: range.count,
        "Can't get refcount for cluster \(range.lowerBound): Input/output error")
    }
    // Most of a sound image: what is stored was read already.
    if counts.areOnes(range) {
      highestCluster = range.upperBound - 1
      return
    }
    guard let offset = try block(index) else {
      var counted: [Int] = []
      counts.forEachCounted(in: range) { (cluster, _) in counted.append(cluster) }
      var rest = counted[...]
      while result.wantsFindings, let cluster = rest.popFirst() {
        compare(cluster, stored: 0, differ)
      }
      return noteForgotten(rest)
    }
    try forEachStored(range, in: offset) { (check, first, stored) in
      check.compare(stored, from: first, differ)
    }
  }

  /// Notes clusters that are in use and have no block, in order, without words; a block that is not
  /// there is not corrected, so nobody else wants to know.
  private mutating func noteForgotten(_ clusters: ArraySlice<Int>) {
    guard let last = clusters.last else { return }
    missing += clusters.count
    forgotten += clusters.count
    result.corruptions += clusters.count
    highestCluster = last
  }

  private mutating func compare(
    _ stored: [UInt64], from first: Int, _ differ: (Int, UInt64, UInt64) -> Void
  ) {
    var counted = countedBuffer
    countedBuffer = []
    defer { countedBuffer = counted }
    guard counts.copy(first..<first + stored.count, to: &counted) else {
      for (place, refcount) in stored.enumerated() where refcount != 0 {
        compare(first + place, stored: refcount, differ)
      }
      return
    }
    for (place, refcount) in stored.enumerated() {
      if UInt64(counted[place]) != refcount {
        compare(first + place, stored: refcount, differ)
      } else if refcount != 0 {
        highestCluster = first + place
      }
    }
  }

  private mutating func compare(
    _ cluster: Int, stored: UInt64, _ differ: (Int, UInt64, UInt64) -> Void
  ) {
    let counted = UInt64(counts[cluster])
    if stored == 0 && counted == 0 { return }
    highestCluster = cluster
    if stored == counted { return }
    differ(cluster, stored, counted)
    func sentence() -> String { "cluster \(cluster) refcount=\(stored) reference=\(counted)" }
    if stored < counted {
      missing += 1
      if stored == 0 { forgotten += 1 }
      result.note(\.corruptions, "ERROR \(sentence())")
    } else {
      result.note(\.leaks, "Leaked \(sentence())")
    }
  }

  private func pageEnd(_ cluster: Int, _ end: Int) -> Int {
    min(
      end, cluster - cluster % ReferenceCounts.pageClusters + ReferenceCounts.pageClusters)
  }

  /// Calls `body` with the stored refcounts of `range` that the block at `offset` holds, a page of
  /// counters at a time.
  private mutating func forEachStored(
    _ range: Range<Int>, in offset: Int,
    _ body: (inout Qcow2Check, _ first: Int, _ stored: [UInt64]) -> Void
  ) throws(BlockError) {
    let order = geometry.refcountOrder
    let bytes = geometry.clusterSize
    let piece = min(bytes, Qcow2Check.readBytes)
    let perPiece = (piece * 8) >> order
    var stored: [UInt64] = []
    var start = range.lowerBound
    for part in stride(from: 0, to: bytes, by: piece) where start < range.upperBound {
      try read(offset + part, count: piece)
      let end = min(range.upperBound, start + perPiece)
      var cluster = start
      while cluster < end {
        let next = pageEnd(cluster, end)
        stored.removeAll(keepingCapacity: true)
        buffer.withBytes(0..<piece) {
          $0.appendRefcounts(cluster - start..<next - start, order: order, to: &stored)
        }
        body(&self, cluster, stored)
        cluster = next
      }
      start = end
    }
  }
}

extension RawSpan {
  /// Appends the refcounts `range` of a block: 1, 2 or 4 bits wide they begin at the least
  /// significant bit of a byte, wider ones are big-endian.
  fileprivate func appendRefcounts(_ range: Range<Int>, order: Int, to list: inout [UInt64]) {
    switch order {
    case 3: for index in range { list.append(UInt64(byte(at: index))) }
    case 4: for index in range { list.append(UInt64(bigEndian(UInt16.self, at: index * 2))) }
    case 5: for index in range { list.append(UInt64(bigEndian(UInt32.self, at: index * 4))) }
    case 6: for index in range { list.append(bigEndian(UInt64.self, at: index * 8)) }
    default:
      let (bits, perByte) = (1 << order, 8 >> order)
      let mask = UInt8(1 << bits) - 1
      for index in range {
        list.append(UInt64(byte(at: index / perByte) >> UInt8(index % perByte * bits) & mask))
      }
    }
  }
}
