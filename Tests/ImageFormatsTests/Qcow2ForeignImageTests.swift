import BlockCore
import BlockIO
import Foundation
import ImageFormats
import TestSupport
import Testing

/// Images that qemu-img made: read as qemu-img reads them, changed so that it finds them clean.
@Suite("qcow2 images made by QEMU")
struct Qcow2ForeignImageTests {
  let directory: TemporaryDirectory

  init() throws { directory = try TemporaryDirectory() }

  private func run(_ outcome: QemuTools.Outcome) {
    #expect(outcome.status == 0, "\(outcome.output)")
  }

  /// Text-like data that compresses, with holes.
  private func makeSource(_ bytes: Int) throws -> [UInt8] {
    var random = SeededGenerator(seed: 7)
    var data: [UInt8] = []
    while data.count < bytes {
      let word = random.bytes(24).map { 0x61 + $0 % 16 }
      for _ in 0..<40 { data += word }
      if Int.random(in: 0..<20, using: &random) == 0 {
        data += [UInt8](repeating: 0, count: 150_000)
      }
    }
    data.removeLast(data.count - bytes)
    try directory.write(data, to: "source.raw")
    return data
  }

  private func read(_ image: Qcow2Image) throws -> [UInt8] {
    try image.view(ByteRange(at: 0, length: image.virtualSize))
  }

  @Test("compressed clusters read as they were and are written over", arguments: ["zlib", "zstd"])
  func compressed(type: String) throws {
    var model = try makeSource(3 << 20)
    let path = directory.file("c.qcow2")
    run(
      try QemuTools.img(
        "convert", "-c", "-O", "qcow2", "-o", "compression_type=\(type)",
        directory.file("source.raw"), path))
    let file = try HostFile.open(path)
    let image = try Qcow2Image.open(on: file, readOnly: false)
    #expect(try image.info().qcow2?.compressionType == type)
    #expect(try read(image) == model)
    var random = SeededGenerator(seed: 3)
    for _ in 0..<30 {
      let offset = Int.random(in: 0..<model.count - 200_000, using: &random)
      let bytes = random.bytes(Int.random(in: 1...200_000, using: &random))
      try bytes.withBytes { (source) throws(BlockError) in
        try image.write(source, at: offset, over: nil)
      }
      model.replaceSubrange(offset..<offset + bytes.count, with: bytes)
    }
    #expect(try read(image) == model)
    try image.close()
    try file.close()
    try directory.write(model, to: "model.raw")
    run(try QemuTools.img("check", path))
    run(try QemuTools.img("compare", path, directory.file("model.raw")))
  }

  @Test("an internal snapshot keeps its data through writes, discards and emptying")
  func snapshot() throws {
    let model = try makeSource(2 << 20)
    let path = directory.file("s.qcow2")
    run(
      try QemuTools.img(
        "convert", "-O", "qcow2", "-o", "cluster_size=4096", directory.file("source.raw"), path))
    run(try QemuTools.img("snapshot", "-c", "before", path))
    let file = try HostFile.open(path)
    let image = try Qcow2Image.open(on: file, readOnly: false)
    #expect(try image.info().snapshots == ["before"])
    var random = SeededGenerator(seed: 11)
    for _ in 0..<20 {
      let offset = Int.random(in: 0..<model.count - 20_000, using: &random)
      let bytes = random.bytes(Int.random(in: 1...20_000, using: &random))
      try bytes.withBytes { (source) throws(BlockError) in
        try image.write(source, at: offset, over: nil)
      }
      try image.writeZeroes(ByteRange(at: offset / 2, length: 9000), deallocate: true, over: nil)
      try image.discard(ByteRange(at: offset / 3, length: 20_000), .fallsThrough)
    }
    #expect(throws: BlockError.self) { try image.makeEmpty(.reset) }
    let operation = try image.makeEmpty(.auto)
    while try !operation.step() {}
    try image.close()
    try file.close()
    run(try QemuTools.img("check", path))
    run(
      try QemuTools.img(
        "convert", "-l", "snapshot.name=before", "-O", "raw", path, directory.file("old.raw")))
    #expect(try directory.read("old.raw") == model)
    run(try QemuTools.img("snapshot", "-d", "before", path))
    run(try QemuTools.img("check", path))
  }

  @Test("a backing link moves from name to name and format to format")
  func backingLink() throws {
    for name in ["a.qcow2", "b.raw"] {
      run(
        try QemuTools.img(
          "create", "-q", "-f", name.hasSuffix("raw") ? "raw" : "qcow2", directory.file(name), "1M")
      )
    }
    for clusterSize in [512, 4096, 65536] {
      let path = directory.file("o\(clusterSize).qcow2")
      run(
        try QemuTools.img(
          "create", "-q", "-f", "qcow2", "-o", "cluster_size=\(clusterSize)", "-b", "a.qcow2", "-F",
          "qcow2", path, "1M"))
      let file = try HostFile.open(path)
      let image = try Qcow2Image.open(on: file, readOnly: false)
      for link in [
        BackingLink(name: "b.raw", format: "raw"),
        BackingLink(name: directory.file("a.qcow2"), format: "qcow2"),
        nil,
        BackingLink(name: "./b.raw", format: "raw"),
      ] {
        try image.setBackingLink(link)
        #expect(image.backingLink == link)
        let info = try QemuTools.img("info", "-U", "--output=json", path)
        #expect(info.status == 0, "\(info.output)")
        let object =
          try JSONSerialization.jsonObject(with: Data(info.output.utf8)) as? [String: Any]
        #expect(object?["backing-filename"] as? String == link?.name)
        #expect(object?["backing-filename-format"] as? String == link?.format)
      }
      try image.close()
      try file.close()
      run(try QemuTools.img("check", path))
    }
  }

  @Test("a name that does not fit is refused before anything is written")
  func longName() throws {
    let path = directory.file("o.qcow2")
    run(try QemuTools.img("create", "-q", "-f", "qcow2", "-o", "cluster_size=512", path, "1M"))
    let before = try directory.read("o.qcow2")
    let file = try HostFile.open(path)
    let image = try Qcow2Image.open(on: file, readOnly: false)
    for count in [500, 1024] {
      let link = BackingLink(name: String(repeating: "x", count: count), format: "raw")
      #expect(throws: BlockError.self) { try image.checkBackingLink(link) }
      #expect(throws: BlockError.self) { try image.setBackingLink(link) }
    }
    try file.close()
    #expect(try directory.read("o.qcow2") == before)
  }

  @Test("persistent bitmaps: refused for writing, dropped when told so")
  func bitmaps() throws {
    let path = directory.file("b.qcow2")
    run(try QemuTools.img("create", "-q", "-f", "qcow2", path, "10M"))
    run(try QemuTools.img("bitmap", "--add", path, "b0"))
    run(try QemuTools.io(path, "write -P 3 0 5M"))
    run(try QemuTools.img("bitmap", "--add", "-g", "4096", path, "b1"))
    let file = try HostFile.open(path)
    #expect(throws: BlockError.self) { try Qcow2Image.open(on: file, readOnly: false) }
    #expect(try Qcow2Image.open(on: file, readOnly: true).info().qcow2?.bitmapCount == 2)
    let image = try Qcow2Image.open(on: file, readOnly: false, dropBitmaps: true)
    #expect(try image.info().qcow2?.bitmapCount == 2)
    try [7].withBytes { (byte) throws(BlockError) in try image.write(byte, at: 0, over: nil) }
    #expect(try image.info().qcow2?.bitmapCount == 0)
    try image.close()
    try file.close()
    run(try QemuTools.img("check", path))
    #expect(try !QemuTools.img("info", path).output.contains("bitmaps"))
  }
}
