package import BlockCore
import CLinux
import Synchronization

/// A way of copying that keeps the bytes in the kernel.
///
/// Isolation: value.
enum CopyMethod: Hashable, Sendable {
  /// Both files share the blocks.
  case clone
  /// The kernel copies, or asks the server to.
  case copyRange
}

extension HostFile {
  /// The most that one call copies, so that a job that is told to stop does so soon.
  private static let copySlice = 8 << 20

  package func copy(
    from source: any Storage, _ range: ByteRange, to offset: Int
  ) throws(BlockError) -> Int {
    guard let source = source as? HostFile, !source.isDevice && !isDevice else { return 0 }
    let end = min(range.upper, try source.size())
    guard range.lower < end else { return 0 }
    let slice = ByteRange(from: range.lower, to: end).prefix(HostFile.copySlice)
    let extent = try source.extent(in: slice)
    let target = ByteRange(at: offset, length: extent.range.length)
    guard source.identity != identity || !target.overlaps(extent.range) else { return 0 }
    guard extent.isData else {
      try writeZeroes(target, deallocate: true)
      return target.length
    }
    let into = try writableFile()
    defer { noteChange(upTo: target.upper) }
    return try besidePartialWrites(into, target) { () throws(BlockError) in
      let cloned = try clone(source, extent.range, into, target)
      return try cloned > 0 ? cloned : copyRange(source, extent.range, into, target)
    }
  }

  package func mayShare(with source: any Storage) -> Bool {
    guard let source = source as? HostFile, !source.isDevice && !isDevice else { return false }
    return source.identity.device == identity.device && !isRefused(.clone, from: source)
  }

  /// Whether it is known that the system cannot copy this way from `source`'s device.
  private func isRefused(_ method: CopyMethod, from source: HostFile) -> Bool {
    state.withLock { state in
      state.refusedCopies[source.identity.device]?.contains(method) ?? false
    }
  }

  /// Clones the whole blocks that `range` begins with; 0 when that cannot be.
  private func clone(
    _ source: HostFile, _ range: ByteRange, _ file: OpenFile, _ target: ByteRange
  ) throws(BlockError) -> Int {
    let blocks = range.length - range.length % blockSize
    guard blocks > 0, range.lower % blockSize == 0, target.lower % blockSize == 0 else { return 0 }
    return try attempt(.clone, from: source, at: target.lower) { from in
      let result = cl_clone_range(
        from.descriptor, Int64(range.lower), file.descriptor, Int64(target.lower), Int64(blocks))
      return result == 0 ? blocks : -1
    }
  }

  private func copyRange(
    _ source: HostFile, _ range: ByteRange, _ file: OpenFile, _ target: ByteRange
  ) throws(BlockError) -> Int {
    // It would go through the page cache, which direct I/O is to pass by.
    guard alignment == 1 && source.alignment == 1 else { return 0 }
    return try inTurn(file, target) { () throws(BlockError) in
      try attempt(.copyRange, from: source, at: target.lower) { from in
        Int(
          cl_copy_file_range(
            from.descriptor, Int64(range.lower), file.descriptor, Int64(target.lower),
            Int64(range.length)))
      }
    }
  }

  /// Calls `body` unless it is known that the system cannot copy this way from `source`'s device;
  /// 0 when it cannot.
  private func attempt(
    _ method: CopyMethod, from source: HostFile, at offset: Int, _ body: (OpenFile) -> Int
  ) throws(BlockError) -> Int {
    if isRefused(method, from: source) { return 0 }
    let device = source.identity.device
    let from = source.openFile()
    do {
      return try SystemCall.run(on: name, at: offset) { body(from) }
    } catch let error where error.meansUnsupported {
      state.withLock { _ = $0.refusedCopies[device, default: []].insert(method) }
      return 0
    }
  }
}
