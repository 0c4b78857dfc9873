import BlockCore
import BlockIO
import Foundation
import ImageFormats
import TestSupport
import Testing

/// An image file that `qemu-img` and our own check look at.
///
/// Isolation: one test.
struct CheckStage {
  let directory: TemporaryDirectory
  let path: String

  init() throws {
    try MalformedImages.refuseRoot()
    directory = try TemporaryDirectory()
    path = directory.file("image.qcow2")
  }

  /// The image that a test has put beside that of `stage`, under the name `theirs.qcow2`.
  init(copying stage: CheckStage) {
    directory = stage.directory
    path = directory.file("theirs.qcow2")
  }

  /// Makes the image with `qemu-img create`.
  func create(_ options: String, size: String) throws {
    let made = try QemuTools.img("create", "-q", "-f", "qcow2", "-o", options, path, size)
    try #require(made.status == 0, "\(made.output)")
  }

  /// Runs commands of `qemu-io` on it.
  func io(_ commands: String...) throws {
    let arguments = ["-f", "qcow2", path] + commands.flatMap { ["-c", $0] }
    let done = try QemuTools.run("qemu-io", arguments)
    try #require(done.status == 0, "\(done.output)")
  }

  /// Runs `qemu-img` with these arguments, which must succeed.
  func img(_ arguments: String...) throws {
    let done = try QemuTools.run("qemu-img", arguments)
    try #require(done.status == 0, "\(done.output)")
  }

  /// The image's bytes.
  func bytes() throws -> [UInt8] { try directory.read("image.qcow2") }

  /// Changes the image's bytes behind everybody's back.
  func poke(_ change: (inout DamagedImage) throws -> Void) throws {
    var image = DamagedImage(bytes: try bytes())
    try change(&image)
    try directory.write(image.bytes, to: "image.qcow2")
  }

  /// Our check of the image.
  func check(_ repair: CheckRepair = .none) throws -> CheckResult {
    let file = try HostFile.open(path, HostFileOptions(isReadOnly: repair == .none))
    let image = try Qcow2Image.open(on: file, readOnly: true)
    let operation = try image.check(repair)
    while try !operation.step() {}
    try file.close()
    return operation.result
  }

  /// The numbers of `qemu-img check`.
  func oracle() throws -> [String: Int] {
    let process = try ChildProcess(
      ["qemu-img", "check", "-f", "qcow2", "--output=json", path], errors: .null)
    let bytes = Data(process.readToEnd())
    let object = try JSONSerialization.jsonObject(with: bytes) as? [String: Any]
    return try #require(object).compactMapValues { $0 as? Int }
  }

  /// Holds our numbers against QEMU's.
  func expectSameNumbers(_ comment: Comment? = nil) throws {
    let result = try check()
    let expected = try oracle()
    let numbers = result.numbers
    #expect(expected == numbers, comment)
    if expected != numbers { Issue.record("\(result.findings.prefix(8))") }
  }
}

extension CheckResult {
  /// The numbers as `qemu-img check` prints them: what need not be said is left out.
  var numbers: [String: Int] {
    var numbers = [
      "check-errors": checkErrors, "image-end-offset": imageEndOffset,
    ]
    let others = [
      "total-clusters": totalClusters, "corruptions": corruptions, "leaks": leaks,
      "allocated-clusters": allocatedClusters,
      "fragmented-clusters": fragmentedClusters, "compressed-clusters": compressedClusters,
    ]
    for (name, number) in others where number != 0 { numbers[name] = number }
    return numbers
  }
}

/// The bytes of an image, to be damaged field by field.
///
/// Isolation: value.
struct DamagedImage {
  var bytes: [UInt8]

  func word(_ offset: Int) -> UInt64 { bytes.withBytes { $0.bigEndian(at: offset) } }
  mutating func set(_ word: UInt64, at offset: Int) {
    bytes.withMutableBytes { $0.setBigEndian(word, at: offset) }
  }
  func half(_ offset: Int) -> UInt32 { bytes.withBytes { $0.bigEndian(at: offset) } }

  var clusterBits: Int { Int(half(20)) }
  var clusterSize: Int { 1 << clusterBits }
  var l1: Int { Int(word(40)) }
  var refcountTable: Int { Int(word(48)) }
  /// Where the L2 table of L1 entry `index` lies.
  func table(_ index: Int) -> Int { Int(word(l1 + index * 8) & 0x00ff_ffff_ffff_fe00) }
  /// Where entry `index` of the first L2 table lies.
  func entry(_ index: Int) -> Int { table(0) + index * 8 }
  /// The cluster of entry `index` of the first L2 table.
  func cluster(_ index: Int) -> Int {
    Int(word(entry(index)) & 0x00ff_ffff_ffff_fe00) >> clusterBits
  }
  /// Sets a 16-bit refcount.
  mutating func setRefcount(_ value: UInt16, of cluster: Int) {
    let perBlock = clusterSize / 2
    let block = Int(word(refcountTable + cluster / perBlock * 8))
    bytes.withMutableBytes { $0.setBigEndian(value, at: block + cluster % perBlock * 2) }
  }
}
