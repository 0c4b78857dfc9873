import BlockCore
import BlockIO
import ImageFormats
import TestSupport
import Testing

/// A qcow2 image in memory beside a plain array that says what a guest must see.
///
/// Isolation: one test.
final class ImageUnderTest {
  /// The image file.
  let storage: MemoryStorage
  /// What the image was opened on: `storage`, or something that passes its calls on.
  let access: any Storage
  var image: Qcow2Image
  /// What lies underneath; also what the model began as.
  let backing: BytesView?
  var model: [UInt8]

  /// A new image.
  init(
    _ options: Qcow2CreateOptions, backing: [UInt8]? = nil,
    on storage: MemoryStorage = MemoryStorage(name: "image")
  ) throws {
    self.storage = storage
    access = storage
    try Qcow2Create.create(options, on: access)
    image = try Qcow2Image.open(on: access, readOnly: false)
    self.backing = backing.map(BytesView.init)
    model = [UInt8](repeating: 0, count: options.size)
    showBacking(ByteRange(at: 0, length: model.count))
  }

  /// An image that exists, with what a guest must see of it.
  convenience init(
    _ bytes: [UInt8], model: [UInt8], backing: BytesView? = nil, readOnly: Bool = false
  ) throws {
    let storage = try MemoryStorage(bytes, name: "image")
    try self.init(
      on: storage, through: storage, model: model, backing: backing, readOnly: readOnly)
  }

  /// The image that `storage` holds, opened on `access`.
  init(
    on storage: MemoryStorage, through access: any Storage, model: [UInt8], backing: BytesView?,
    readOnly: Bool = false
  ) throws {
    self.storage = storage
    self.access = access
    image = try Qcow2Image.open(on: access, readOnly: readOnly)
    self.backing = backing
    self.model = model
  }

  func write(_ bytes: [UInt8], at offset: Int) throws {
    try bytes.withBytes { (source) throws(BlockError) in
      try image.write(source, at: offset, over: backing)
    }
    model.put(bytes, at: offset)
  }

  /// Writes `bytes` to the ranges, which do not overlap and together are as long, in one call.
  func write(_ bytes: [UInt8], apart ranges: [ByteRange]) throws {
    var pieces: [GuestPiece] = []
    var place = 0
    for range in ranges {
      pieces.append(GuestPiece(range, at: place))
      place += range.length
    }
    try bytes.withBytes { (source) throws(BlockError) in
      try image.write(pieces, of: source, over: backing)
    }
    for piece in pieces {
      model.put(Array(bytes[piece.place..<piece.place + piece.range.length]), at: piece.range.lower)
    }
  }

  func writeZeroes(_ range: ByteRange, deallocate: Bool) throws {
    try image.writeZeroes(range, deallocate: deallocate, over: backing)
    model.zero(range)
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
    image = try Qcow2Image.open(on: access, readOnly: false)
  }

  /// Runs a make-empty to its end; the model is what is underneath.
  func makeEmpty(_ mode: EmptyMode) throws {
    let operation = try image.makeEmpty(mode)
    while try !operation.step() {}
    showBacking(ByteRange(at: 0, length: model.count))
  }

  private func showBacking(_ range: ByteRange) {
    model.zero(range)
    guard let below = backing?.bytes else { return }
    let seen = range.intersection(ByteRange(at: 0, length: below.count))
    if !seen.isEmpty { model.put(Array(below[seen.lower..<seen.upper]), at: seen.lower) }
  }

  /// What a guest sees.
  func view() throws -> [UInt8] { try view(ByteRange(at: 0, length: image.virtualSize)) }

  /// What a guest sees of `range`.
  func view(_ range: ByteRange) throws -> [UInt8] { try image.view(range, over: backing) }

  /// Flushes, and lets `qemu-img` check the image and compare it with the model.
  func judge(_ directory: TemporaryDirectory, allowLeaks: Bool = false) throws {
    try image.flush()
    try storage.check(directory, allowLeaks: allowLeaks)
    guard backing == nil else { return }
    try directory.write(model, to: "model.raw")
    let compare = try QemuTools.img(
      "compare", "-f", "qcow2", "-F", "raw", directory.file("image.qcow2"),
      directory.file("model.raw"))
    #expect(compare.status == 0, "\(compare.output)")
  }
}
