import BlockCore
import BlockIO
import ImageFormats
import TestSupport
import Testing

/// After a flush that failed, what is on the disk is not known until the file is opened anew.
@Suite("an image whose flush failed")
struct PoisonedImageTests {
  private static let size = 4 << 20
  private let memory = MemoryStorage(name: "image")
  private let disk: FaultyStorage

  init() { disk = FaultyStorage(memory) }

  private func open(_ format: String, on storage: any Storage) throws -> any ImageDriver {
    format == "raw"
      ? try RawImage.open(on: storage, readOnly: false)
      : try Qcow2Image.open(on: storage, readOnly: false)
  }

  private func write(_ byte: UInt8, to image: any ImageDriver, at offset: Int) throws {
    let bytes = [UInt8](repeating: byte, count: 70_000)
    try bytes.withBytes { (span) throws(BlockError) in
      try image.write(span, at: offset, over: nil)
    }
  }

  /// Whether `call` fails because of the flush, and with its number.
  private func expectPoisoned(_ what: String, _ call: () throws -> Void) {
    let error = #expect(throws: BlockError.self, "\(what)") { try call() }
    #expect(error?.code == .poisoned && error?.errno == 5, "\(what): \(String(describing: error))")
  }

  @Test("it changes nothing and promises nothing any more", arguments: ["raw", "qcow2"])
  func poisoned(format: String) throws {
    if format == "raw" {
      try memory.truncate(to: Self.size)
    } else {
      try Qcow2Create.create(Qcow2CreateOptions(size: Self.size), on: memory)
    }
    let image = try open(format, on: disk)
    try write(1, to: image, at: 0)
    try image.flush()
    try write(2, to: image, at: 1 << 20)
    disk.set(.init(.flush))
    let first = #expect(throws: BlockError.self) { try image.flush() }
    #expect(first?.message == "Input/output error" && first?.errno == 5)

    let cluster = ByteRange(at: 0, length: 65_536)
    expectPoisoned("write in place") { try write(3, to: image, at: 0) }
    expectPoisoned("write elsewhere") { try write(3, to: image, at: 2 << 20) }
    expectPoisoned("zeros") { try image.writeZeroes(cluster, deallocate: false, over: nil) }
    expectPoisoned("deallocated") { try image.writeZeroes(cluster, deallocate: true, over: nil) }
    expectPoisoned("discard") { try image.discard(cluster, .readsZero) }
    expectPoisoned("resize") { try image.resize(to: 2 * Self.size, over: nil) }
    if format == "qcow2" {
      expectPoisoned("empty") { _ = try image.makeEmpty(.auto).step() }
      expectPoisoned("link") {
        try image.setBackingLink(BackingLink(name: "other", format: "raw"))
      }
    }
    for _ in 0..<2 { expectPoisoned("flush") { try image.flush() } }
    expectPoisoned("read-only") { try image.reopen(readOnly: true) }
    expectPoisoned("close") { try image.close() }
    var byte: [UInt8] = [0]
    try byte.withMutableBytes { (span) throws(BlockError) in try image.read(into: &span, at: 0) }
    #expect(byte == [1], "what can be read can be saved")

    let again = try open(format, on: memory)
    try write(3, to: again, at: 0)
    try again.close()
  }
}
