import Foundation
import QMP
import QMPClient
import TestSupport
import Testing

@Suite("Images that cannot be opened")
struct BadInputTests {
  private let chain: ImageChain
  private let daemon: DaemonProcess
  private let client: QMPClient

  init() throws {
    try MalformedImages.refuseRoot()
    chain = try ImageChain()
    try chain.add("base", ImageShape(size: 1 << 20), "write -P 1 0 64k")
    try chain.add("good", ImageShape(size: 1 << 20), "write -P 2 0 64k")
    daemon = try DaemonProcess.start()
    client = try daemon.client()
  }

  /// Expects that opening `name` is refused with a sentence that has `words`, that nothing stays
  /// behind and nothing was written, and that the daemon goes on.
  private func expectRefusal(_ name: String, _ words: String, format: String = "qcow2") throws {
    let files = try files()
    let sentence = refusal { try client.add("n", chain.path(name), format: format) }
    #expect(sentence?.contains(words) == true, "\(sentence ?? "")")
    #expect(try client.execute(QueryNamedBlockNodes()).isEmpty)
    #expect(try self.files() == files)
    try client.add("good", chain.path("good"))
    #expect(try client.commit("good") { $0.base = chain.path("base") }.error == nil)
  }

  /// Every regular file of the test with its bytes.
  private func files() throws -> [String: Data] {
    let manager = FileManager.default
    let paths = try manager.contentsOfDirectory(atPath: chain.directory.path)
      .map { chain.directory.file($0) }
    return Dictionary(
      uniqueKeysWithValues: paths.compactMap { path in
        let type = try? manager.attributesOfItem(atPath: path)[.type] as? FileAttributeType
        return type == .typeRegular ? manager.contents(atPath: path).map { (path, $0) } : nil
      })
  }

  /// Makes the overlay `bad` whose header calls its backing file `link`; nothing is looked for.
  private func overlay(link: String, format: String = "qcow2") throws {
    try chain.succeed(
      "qemu-img",
      ["create", "-q", "-u", "-f", "qcow2", "-b", link, "-F", format, chain.path("bad"), "1M"])
  }

  @Test("a file that is not there")
  func missing() throws {
    try expectRefusal("bad", "Could not open '\(chain.path("bad"))': No such file or directory")
  }

  @Test("a raw file named as qcow2")
  func rawAsQcow2() throws {
    var generator = SeededGenerator(seed: 1)
    try chain.directory.write(generator.bytes(100_000), to: "bad.img")
    try expectRefusal("bad", "Image is not in qcow2 format")
  }

  @Test("a qcow2 file that ends in its header")
  func cutShort() throws {
    try chain.directory.write([UInt8](try chain.bytes("base").prefix(50)), to: "bad.img")
    try expectRefusal("bad", "inside the qcow2 header")
  }

  @Test("an empty file")
  func emptyFile() throws {
    try chain.directory.write([], to: "bad.img")
    try expectRefusal("bad", "Image is not in qcow2 format")
  }

  @Test("what is no file", arguments: ["qcow2", "raw"])
  func directory(format: String) throws {
    try FileManager.default.createDirectory(
      atPath: chain.path("bad"), withIntermediateDirectories: false)
    try expectRefusal("bad", "is a directory, not a regular file", format: format)
  }

  @Test("a backing file that is not there")
  func missingBacking() throws {
    try overlay(link: "gone.img")
    try expectRefusal("bad", "Could not open backing file: Could not open")
  }

  @Test("a raw backing file declared as qcow2")
  func rawBackingAsQcow2() throws {
    try chain.directory.write([UInt8](repeating: 7, count: 4096), to: "raw.img")
    try overlay(link: "raw.img")
    try expectRefusal("bad", "Could not open backing file: Image is not in qcow2 format")
  }

  @Test("a backing file of a format that is not supported")
  func foreignFormat() throws {
    try overlay(link: "base.img", format: "vmdk")
    try expectRefusal("bad", "has the format 'vmdk', which is not supported")
  }

  @Test("a backing file without a format", arguments: [2, 3])
  func noFormat(version: Int) throws {
    try chain.add("bad", ImageShape(size: 1 << 20, version: version), over: "base")
    // The first header extension holds the format; QEMU no longer leaves it out by itself.
    var bytes = [UInt8](try chain.bytes("bad"))
    let extensions = version == 2 ? 72 : Int(bytes[103])
    try #require(Array(bytes[extensions..<extensions + 4]) == [0xe2, 0x79, 0x2a, 0xca])
    bytes.replaceSubrange(extensions..<extensions + 4, with: [0, 0, 0, 0])
    try chain.directory.write(bytes, to: "bad.img")
    try expectRefusal("bad", "without a format")
  }

  @Test(
    "a backing file that is no plain path",
    arguments: [
      "json:{\"driver\":\"qcow2\",\"file\":{\"driver\":\"file\",\"filename\":\"base.img\"}}",
      "nbd://localhost/disk", "file:base.img", "base.img\u{1}",
    ])
  func noPlainPath(link: String) throws {
    try overlay(link: link)
    try expectRefusal("bad", "names its backing file")
  }

  @Test("a FIFO as backing file, without waiting for its writer")
  func fifo() throws {
    try chain.succeed("mkfifo", [chain.directory.file("pipe")])
    try overlay(link: "pipe", format: "raw")
    try expectRefusal("bad", "is a FIFO, not a regular file")
  }

  @Test("an image that is its own backing file")
  func ownBacking() throws {
    try overlay(link: "./bad.img")
    try expectRefusal("bad", "creates an infinite loop")
  }

  @Test("a chain that bites its tail")
  func loop() throws {
    try chain.succeed(
      "qemu-img",
      [
        "create", "-q", "-u", "-f", "qcow2", "-b", "bad.img", "-F", "qcow2",
        chain.path("other"), "1M",
      ])
    try overlay(link: "other.img")
    try expectRefusal("bad", "creates an infinite loop")
  }

  @Test("a chain of more than 64 images")
  func tooLong() throws {
    for index in 0..<64 {
      try chain.add("n\(index)", ImageShape(size: 1 << 20), over: index > 0 ? "n\(index - 1)" : nil)
    }
    try overlay(link: "n63.img")
    try expectRefusal("bad", "more than 64 images")
  }
}
