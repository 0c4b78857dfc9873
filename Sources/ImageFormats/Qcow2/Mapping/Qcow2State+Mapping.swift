import BlockCore
import BlockIO

/// What one call of `mappings` knows and has done: nobody else changes the file meanwhile.
///
/// Isolation: value.
private struct MappingWalk {
  /// Whether the call asks for so much that what lies behind a table is worth a look, and a table
  /// of a single slice no place in the cache.
  let isLong: Bool
  /// The last hole of the file that was met.
  var hole = ByteRange(at: 0, length: 0)
  /// L2 tables in the file's data, or pages of the L1 table without any, that were looked at.
  var looks = 0
  /// L2 tables that lie in a hole that was known.
  var passed = 0

  /// So many bound the time that the call holds the lock: some milliseconds.
  private static let mostLooks = 64
  private static let mostPassed = 8192

  /// Whether the call has done its part.
  var isDone: Bool { looks >= MappingWalk.mostLooks || passed >= MappingWalk.mostPassed }
}

extension Qcow2State {
  /// See `ImageDriver.mappings`.
  mutating func mappings(in range: ByteRange, limit: Int) throws(BlockError) -> [ImageMapping] {
    try boundSharing()
    var list = MappingList(limit: limit)
    var position = range.lower
    var walk = MappingWalk(isLong: range.length / 4 > geometry.bytesPerL2Table)
    while position < range.upper, !list.isFull, !walk.isDone {
      let index = geometry.l1Index(position)
      // The last table's range may end past Int.max.
      let tableStart = geometry.guestOffset(l1Index: index, l2Index: 0)
      let length = min(range.upper - tableStart, geometry.bytesPerL2Table)
      var part = ByteRange(from: position, to: tableStart + length)
      if let table = try tableOffset(l1Index: index) {
        // What is dirty is not what the file holds.
        if l2.dirty.isEmpty,
          walk.hole.contains(ByteRange(at: table, length: geometry.clusterSize))
        {
          list.append(ImageMapping(range: part, content: .unallocated))
          walk.passed += 1
        } else {
          try appendMappings(of: table, in: part, to: &list, &walk)
          walk.looks += 1
        }
      } else {
        part.length = min(range.upper - position, try emptyBytes(from: position))
        list.append(ImageMapping(range: part, content: .unallocated))
        walk.looks += 1
      }
      position = part.upper
    }
    return list.runs
  }

  /// How many bytes from `position` on have no L2 table, as far as one page of the L1 table tells;
  /// the entry for `position` is zero.
  private func emptyBytes(from position: Int) throws(BlockError) -> Int {
    let index = geometry.l1Index(position)
    let end = index + (try l1.zeros(from: index, io))
    return geometry.bytesPerL2Table * (end - index) - position % geometry.bytesPerL2Table
  }

  /// Appends what the table at `table` says of `range`, which it maps: slice by slice through the
  /// cache where it is short, else read in large pieces that drive no other table out of the cache.
  private mutating func appendMappings(
    of table: Int, in range: ByteRange, to list: inout MappingList, _ walk: inout MappingWalk
  ) throws(BlockError) {
    let bytesPerSlice = l2.sliceWords << geometry.clusterBits
    let tableStart = range.lower.roundedDown(to: geometry.bytesPerL2Table)
    let slices = ByteRange(
      from: (range.lower - tableStart) / bytesPerSlice,
      to: (range.upper - tableStart).dividedRoundingUp(by: bytesPerSlice))
    var slice = slices.lower
    while slice < slices.upper, !list.isFull {
      let count = min(slices.upper - slice, max(1, Qcow2State.scanBytes / geometry.sliceBytes))
      let guest = tableStart + slice * bytesPerSlice
      let offset = table + slice * geometry.sliceBytes
      if slices.length == 1, !walk.isLong {
        let words = try l2.slice(at: offset, io).words
        try appendEntries(words.count, from: guest, in: range, to: &list) { words[$0] }
      } else {
        try scan(count, at: offset, from: guest, in: range, to: &list, &walk)
      }
      slice += count
    }
  }

  /// What one read of a scan takes.
  static var scanBytes: Int { 64 << 10 }

  /// Appends what `count` slices from `offset` on say. Most of a large disk's tables is zeros,
  /// often holes in the file: these are not read, and slices of zeros are passed over as a whole.
  private mutating func scan(
    _ count: Int, at offset: Int, from guest: Int, in range: ByteRange,
    to list: inout MappingList, _ walk: inout MappingWalk
  ) throws(BlockError) {
    let sliceBytes = geometry.sliceBytes
    let bytesPerSlice = l2.sliceWords << geometry.clusterBits
    var index = 0
    while index < count, !list.isFull {
      let rest = ByteRange(at: offset + index * sliceBytes, length: (count - index) * sliceBytes)
      let extent = try extent(in: rest, &walk)
      let isHole = !extent.isData && extent.range.length >= sliceBytes
      let slices =
        isHole
        ? extent.range.length / sliceBytes : extent.range.length.dividedRoundingUp(by: sliceBytes)
      let buffer = scanBuffer ?? IOBuffer(count: Qcow2State.scanBytes)
      scanBuffer = buffer
      if !isHole {
        try io.read(.l2Table, at: rest.lower, into: buffer, count: slices * sliceBytes)
      }
      for number in 0..<slices where !list.isFull {
        let start = guest + (index + number) * bytesPerSlice
        let cached = l2.cached(at: rest.lower + number * sliceBytes)
        if let words = cached?.words {
          try appendEntries(words.count, from: start, in: range, to: &list) { words[$0] }
          continue
        }
        try buffer.withBytes(number * sliceBytes..<(number + 1) * sliceBytes) {
          (bytes) throws(BlockError) in
          if isHole || bytes.isAllZero {
            let part = ByteRange(at: start, length: bytesPerSlice).intersection(range)
            list.append(ImageMapping(range: part, content: .unallocated))
          } else {
            try appendEntries(l2.sliceWords, from: start, in: range, to: &list) {
              bytes.bigEndian(at: $0 * 8)
            }
          }
        }
      }
      index += slices
    }
  }

  /// The first extent of `range`; in a long walk a hole is looked at for the tables behind it too.
  private func extent(
    in range: ByteRange, _ walk: inout MappingWalk
  ) throws(BlockError) -> StorageExtent {
    if walk.hole.contains(range.lower) {
      return StorageExtent(range: range.intersection(walk.hole), isData: false)
    }
    guard walk.isLong else { return try io.storage.extent(in: range) }
    let end = min(fileEnd, range.lower + Qcow2State.holeBytes)
    let wide = ByteRange(from: range.lower, to: max(range.upper, end))
    let found = try io.storage.extent(in: wide)
    if !found.isData { walk.hole = found.range }
    return StorageExtent(range: found.range.intersection(range), isData: found.isData)
  }

  /// So far ahead a hole is looked at: a thousand tables of 64 KiB.
  private static var holeBytes: Int { 64 << 20 }

  /// Appends what `count` entries say, of which the first maps the guest offset `start`.
  private func appendEntries(
    _ count: Int, from start: Int, in range: ByteRange, to list: inout MappingList,
    _ word: (Int) -> UInt64
  ) throws(BlockError) {
    let bits = geometry.clusterBits
    var index = max(0, (range.lower - start) >> bits)
    let last = min(count, geometry.clusters(for: range.upper - start))
    while index < last, !list.isFull {
      let entry = word(index)
      let end = index + runLength(from: index, below: last, word)
      let guest = start + index << bits
      let part = ByteRange(at: guest, length: (end - index) << bits).intersection(range)
      let skipped = part.lower - guest
      let content: ImageContent =
        switch try meaning(of: entry, guest: guest) {
        case .unallocated: .unallocated
        case .zero(let reserved): .zero(reservedAt: reserved.map { $0 + skipped })
        case .data(let offset): .data(at: offset + skipped)
        case .compressed: .compressed
        }
      list.append(ImageMapping(range: part, content: content))
      index = end
    }
  }
}

/// Runs in order, neighbours of one kind merged, up to a limit.
///
/// Isolation: value.
private struct MappingList {
  private let limit: Int
  private var list: [ImageMapping] = []

  init(limit: Int) { self.limit = max(1, limit) }

  /// Whether nothing more that is appended would be kept. One run more than the limit is taken,
  /// because only the next one tells where the last one ends.
  var isFull: Bool { list.count > limit }
  var runs: [ImageMapping] { Array(list.prefix(limit)) }

  mutating func append(_ run: ImageMapping) { ImageMapping.append(run, to: &list) }
}
