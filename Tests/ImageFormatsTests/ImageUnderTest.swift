import BlockCore
import BlockIO
import ImageFormats
import TestSupport
import Testing

/// A qcow2 image in memory beside a plain array that says what a guest must see.
///
/// Isolation: one test.
final class ImageUnderTest {
  let storage: MemoryStorage
  var image: Qcow2Image
  /// What lies underneath; also what the model began as.
  let backing: BytesView?
  var model: [UInt8]

  init(_ options: Qcow2CreateOptions, backing: [UInt8]? = nil) throws {
    storage = MemoryStorage(name: "image")
    try Qcow2Create.create(options, on: storage)
    image = try Qcow2Image.open(on: storage, readOnly: false)
    self.backing = backing.map(BytesView.init)
    model = [UInt8](repeating: 0, count: options.size)
    if let backing {
      let count = min(backing.count, model.count)
      model.replaceSubrange(0..<count, with: backing[0..<count])
    }
  }

  func write(_ bytes: [UInt8], at offset: Int) throws {
    try bytes.withBytes { (source) throws(BlockError) in
      try image.write(source, at: offset, over: backing)
    }
    model.replaceSubrange(offset..<offset + bytes.count, with: bytes)
  }

  func writeZeroes(_ range: ByteRange, deallocate: Bool) throws {
    try image.writeZeroes(range, deallocate: deallocate, over: backing)
    model.replaceSubrange(
      range.lower..<range.upper, with: repeatElement(0, count: range.length))
  }

  /// Full discard of whole clusters.
  func dropClusters(_ range: ByteRange) throws {
    try image.discard(range, .fallsThrough)
    let end =
      range.upper == model.count ? range.upper : range.upper.roundedDown(to: image.clusterSize)
    let start = range.lower.roundedUp(to: image.clusterSize)
    if start < end { showBacking(ByteRange(from: start, to: end)) }
  }

  func resize(to size: Int) throws {
    try image.resize(to: size, over: backing)
    model += [UInt8](repeating: 0, count: size - model.count)
  }

  func reopen() throws {
    try image.close()
    image = try Qcow2Image.open(on: storage, readOnly: false)
  }

  /// Runs a make-empty to its end; the model is what is underneath.
  func makeEmpty(_ mode: EmptyMode) throws {
    let operation = try image.makeEmpty(mode)
    while try !operation.step() {}
    showBacking(ByteRange(at: 0, length: model.count))
  }

  private func showBacking(_ range: ByteRange) {
    let below = backing?.bytes ?? []
    let seen = range.intersection(ByteRange(at: 0, length: below.count))
    model.replaceSubrange(
      range.lower..<range.upper, with: repeatElement(0, count: range.length))
    if !seen.isEmpty {
      model.replaceSubrange(seen.lower..<seen.upper, with: below[seen.lower..<seen.upper])
    }
  }

  /// What a guest sees.
  func view() throws -> [UInt8] {
    var bytes = [UInt8](repeating: 0xee, count: model.count)
    try bytes.withMutableBytes { (target) throws(BlockError) in
      var rest = ByteRange(at: 0, length: target.byteCount)
      while !rest.isEmpty {
        for run in try image.mappings(in: rest, limit: 16) {
          try target.withPart(run.range.lower..<run.range.upper) { (part) throws(BlockError) in
            if run.content != .unallocated {
              try image.read(into: &part, at: run.range.lower)
            } else if let backing {
              try backing.read(into: &part, at: run.range.lower)
            } else {
              part.zero()
            }
          }
          rest = rest.dropping(run.range.length)
        }
      }
    }
    return bytes
  }

  /// Flushes, and lets `qemu-img` check the image and compare it with the model.
  func judge(_ directory: TemporaryDirectory, allowLeaks: Bool = false) throws {
    try image.flush()
    try storage.save(to: directory.file("image.qcow2"))
    let check = try QemuTools.img("check", "-f", "qcow2", directory.file("image.qcow2"))
    #expect(check.status == 0 || (allowLeaks && check.status == 3), "\(check.output)")
    guard backing == nil else { return }
    try directory.write(model, to: "model.raw")
    let compare = try QemuTools.img(
      "compare", "-f", "qcow2", "-F", "raw", directory.file("image.qcow2"),
      directory.file("model.raw"))
    #expect(compare.status == 0, "\(compare.output)")
  }
}

/// Plain bytes as what lies under an image.
struct BytesView: BackingView {
  let bytes: [UInt8]

  init(_ bytes: [UInt8]) { self.bytes = bytes }

  func read(into target: inout MutableRawSpan, at offset: Int) throws(BlockError) {
    target.zero()
    if offset >= bytes.count { return }
    let count = min(target.byteCount, bytes.count - offset)
    bytes.withBytes { target.copy($0.extracting(offset..<offset + count)) }
  }

  func readsZero(_ range: ByteRange) throws(BlockError) -> Bool { range.lower >= bytes.count }
}

extension MemoryStorage {
  /// Writes all bytes to the file `path`.
  func save(to path: String) throws {
    let file = try HostFile.create(try FileName(path), .init(locking: .off))
    var bytes = [UInt8](repeating: 0, count: try size())
    _ = try bytes.withMutableBytes { (target) throws(BlockError) in
      try read(into: &target, at: 0)
    }
    try file.truncate(to: 0)
    try bytes.withBytes { (source) throws(BlockError) in try file.write(source, at: 0) }
    try file.close()
  }
}
