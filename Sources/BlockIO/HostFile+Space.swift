package import BlockCore
import CLinux
import Glibc
import Synchronization

// Holes, zeros and where the data is. Everything here has a slower way for systems that cannot.
extension HostFile {
  private static let punch = cl_FALLOC_FL_PUNCH_HOLE | cl_FALLOC_FL_KEEP_SIZE

  package func writeZeroes(_ range: ByteRange, deallocate: Bool) throws(BlockError) {
    let file = try writableFile()
    defer {
      noteChange(upTo: range.upper)
      forgetKnownData(in: range)
    }
    // A device's fallocate takes whole blocks only.
    let core = isDevice ? range.narrowed(to: blockSize) : range
    if core.isEmpty { return try writeZeroBytes(range) }
    let isDone = try besidePartialWrites(file, core) { () throws(BlockError) in
      try zero(file, core, deallocate: deallocate)
    }
    guard isDone else { return try writeZeroBytes(range) }
    try writeZeroBytes(ByteRange(from: range.lower, to: core.lower))
    try writeZeroBytes(ByteRange(from: core.upper, to: range.upper))
  }

  package func reserve(_ range: ByteRange) throws(BlockError) {
    let file = try writableFile()
    // A device has all its space; a file system that cannot promise any has to be taken as it is.
    if isDevice { return }
    defer { noteChange() }
    _ = try allocate(file, cl_FALLOC_FL_KEEP_SIZE, range)
  }

  package func discard(_ range: ByteRange) throws(BlockError) {
    let file = try writableFile()
    defer {
      noteChange()
      forgetKnownData(in: range)
    }
    let core = isDevice ? range.narrowed(to: blockSize) : range
    if core.isEmpty { return }
    try discards.count(core.length) { () throws(BlockError) in try giveBack(file, core) }
  }

  private func giveBack(_ file: OpenFile, _ core: ByteRange) throws(BlockError) {
    guard isDevice else {
      _ = try allocate(file, HostFile.punch, core)
      return
    }
    do {
      try SystemCall.run(on: name, at: core.lower) {
        cl_device_discard(file.descriptor, Int64(core.lower), Int64(core.length))
      }
    } catch let error where error.meansUnsupported {}
  }

  package func extent(in range: ByteRange) throws(BlockError) -> StorageExtent {
    let file = openFile()
    guard !range.isEmpty else { return StorageExtent(range: range, isData: false) }
    do {
      if let known = try knownData(at: range.lower, file) {
        return try data(in: range, upTo: known, file)
      }
      let start = try seek(file, range.lower, cl_SEEK_DATA)
      guard start == range.lower else {
        let hole = ByteRange(from: range.lower, to: min(start, range.upper))
        return StorageExtent(range: hole, isData: false)
      }
      let hole = try seek(file, range.lower, cl_SEEK_HOLE)
      if hole > range.lower {
        // It is no farther than the end of the file.
        let data = ByteRange(from: range.lower, to: min(hole, range.upper))
        return StorageExtent(range: data, isData: true)
      }
      // The data has become a hole between the two calls.
      return try data(in: range, upTo: range.upper, file)
    } catch let error where error.errno == ENXIO {
      return StorageExtent(range: range, isData: false)
    } catch let error where error.meansUnsupported {
      return try data(in: range, upTo: range.upper, file)
    }
  }

  /// The front of `range` up to `end` as data, as far as it lies in the file.
  private func data(
    in range: ByteRange, upTo end: Int, _ file: OpenFile
  ) throws(BlockError) -> StorageExtent {
    let end = min(end, range.upper, try size(of: file))
    guard range.lower < end else { return StorageExtent(range: range, isData: false) }
    return StorageExtent(range: ByteRange(from: range.lower, to: end), isData: true)
  }

  /// Where the data around `offset` ends, if that is known; looks on from the last that is. A look
  /// that fails says what `lseek` says, past the last data `ENXIO`.
  private func knownData(at offset: Int, _ file: OpenFile) throws(BlockError) -> Int? {
    let known = state.withLock { $0.knownData }
    guard known.isWanting(offset) else { return known.end(ofDataAt: offset) }
    return try dataLook.withLock { () throws(BlockError) in
      try lookForData(upTo: offset, file)
      return state.withLock { $0.knownData.end(ofDataAt: offset) }
    }
  }

  private func lookForData(upTo offset: Int, _ file: OpenFile) throws(BlockError) {
    var known = state.withLock { $0.knownData }
    // What has become a hole meanwhile is taken for data.
    defer { state.withLock { $0.knownData = known } }
    if known.isForgotten(offset) { known.restart(at: offset) }
    for _ in 0..<known.looks where known.isWanting(offset) {
      guard try look(file, &known) else { return }
    }
    guard known.hasForgotten, known.isWanting(offset) else { return }
    known.restart(at: offset)
    _ = try look(file, &known)
  }

  /// Looks for the next run of data. Returns false where it has become a hole meanwhile.
  private func look(_ file: OpenFile, _ known: inout KnownData) throws(BlockError) -> Bool {
    let data = try seek(file, known.frontier, cl_SEEK_DATA)
    let hole = try seek(file, data, cl_SEEK_HOLE)
    guard hole > data else { return false }
    known.append(ByteRange(from: data, to: hole))
    return true
  }

  /// After a change that may have made holes of `range`.
  func forgetKnownData(in range: ByteRange) {
    state.withLock { $0.knownData.remove(range) }
  }

  // The position that this moves is used by nobody.
  private func seek(_ file: OpenFile, _ offset: Int, _ whence: Int32) throws(BlockError) -> Int {
    try SystemCall.run(on: name, at: offset) { lseek(file.descriptor, offset, whence) }
  }

  /// Zeros `range` without writing bytes; false when the system cannot.
  private func zero(
    _ file: OpenFile, _ range: ByteRange, deallocate: Bool
  ) throws(BlockError) -> Bool {
    if deallocate, try allocate(file, HostFile.punch, range) {
      if isDevice { return true }
      let size = try size(of: file)
      return try range.upper <= size ? true : grow(file, to: range.upper)
    }
    if try allocate(file, cl_FALLOC_FL_ZERO_RANGE, range) { return true }
    // Where zeroing in place is unknown (tmpfs), a hole that gets its space back does the same.
    if isDevice { return false }
    guard try allocate(file, HostFile.punch, range) else { return false }
    return try allocate(file, 0, range)
  }

  /// Makes the file at least `size` bytes long without cutting off what somebody else may append at
  /// this moment: by reserving the last byte, where `ftruncate` would set an absolute length.
  private func grow(_ file: OpenFile, to size: Int) throws(BlockError) -> Bool {
    try allocate(file, 0, ByteRange(at: size - 1, length: 1))
  }

  /// fallocate; false when the system cannot.
  private func allocate(
    _ file: OpenFile, _ mode: Int32, _ range: ByteRange
  ) throws(BlockError) -> Bool {
    if state.withLock({ $0.refusedModes.contains(mode) }) { return false }
    do {
      try SystemCall.run(on: name, at: range.lower) {
        cl_fallocate(file.descriptor, mode, Int64(range.lower), Int64(range.length))
      }
      return true
    } catch let error where error.meansUnsupported {
      // EINVAL may be about this range only.
      if error.errno != EINVAL { state.withLock { _ = $0.refusedModes.insert(mode) } }
      return false
    }
  }

  /// Zeros to write from, shared by all files.
  private static let zeroes = IOBuffer(count: 256 << 10)

  private func writeZeroBytes(_ range: ByteRange) throws(BlockError) {
    var rest = range
    while !rest.isEmpty {
      let piece = rest.prefix(HostFile.zeroes.count)
      try HostFile.zeroes.withBytes(0..<piece.length) { (bytes) throws(BlockError) in
        try write(bytes, at: piece.lower)
      }
      rest = rest.dropping(piece.length)
    }
  }
}
