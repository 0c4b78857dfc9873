import Foundation
import JSONValue
import QMP
import QMPClient
import TestSupport
import Testing

/// Options of a qcow2 image, and what `qemu-img info` has to say of the image made with them.
private struct CreateCase: CustomTestStringConvertible, Sendable {
  var fill: @Sendable (inout Qcow2CreateOptions) -> Void
  var info: [String: JSONValue] = [:]
  var data: [String: JSONValue] = [:]
  var testDescription: String

  init(
    _ description: String, info: [String: JSONValue] = [:], data: [String: JSONValue] = [:],
    _ fill: @escaping @Sendable (inout Qcow2CreateOptions) -> Void
  ) {
    testDescription = description
    self.info = info
    self.data = data
    self.fill = fill
  }
}

private let createCases = [
  CreateCase("nothing but the size", info: ["cluster-size": 65536], data: ["compat": "1.1"]) { _ in
  },
  CreateCase("version 2", data: ["compat": "0.10", "refcount-bits": 16]) { $0.version = .v2 },
  CreateCase("lazy refcounts", data: ["lazy-refcounts": true]) { $0.lazyRefcounts = true },
  CreateCase("smallest clusters", info: ["cluster-size": 512]) { $0.clusterSize = 512 },
  CreateCase("largest clusters", info: ["cluster-size": 2_097_152]) {
    $0.clusterSize = 2_097_152
  },
  CreateCase("refcounts of one bit", data: ["refcount-bits": 1]) { $0.refcountBits = 1 },
  CreateCase("refcounts of 64 bits", data: ["refcount-bits": 64]) { $0.refcountBits = 64 },
  CreateCase("metadata") { $0.preallocation = .metadata },
  CreateCase("clusters with space", data: ["corrupt": false]) { $0.preallocation = .falloc },
  CreateCase("clusters of zeros", data: ["corrupt": false]) { $0.preallocation = .full },
  CreateCase("zstd", data: ["compression-type": "zstd"]) { $0.compression = .zstd },
  CreateCase("nothing at all", info: ["virtual-size": 0]) { $0.size = 0 },
  CreateCase("an odd number of sectors", info: ["virtual-size": 4_194_816]) {
    $0.size = 4_194_816
  },
  CreateCase(
    "a backing file",
    info: ["backing-filename": "base.qcow2", "backing-filename-format": "qcow2"]
  ) { ($0.backingFile, $0.backingFormat) = ("base.qcow2", .qcow2) },
]

@Test("blockdev-create makes what qemu-img calls the same, and finds without a fault")
func createImages() throws {
  let stage = try DaemonStage()
  for (index, test) in createCases.enumerated() {
    let path = stage.images.directory.file("new\(index).qcow2")
    try stage.create(
      .file(
        FileCreateOptions { ($0.filename, $0.size) = (path, 0) }))
    let file = BlockdevOptions(.file(FileOptions(filename: path)))
    try stage.create(
      .qcow2(
        Qcow2CreateOptions {
          ($0.file, $0.size) = (.options(file), 4_194_304)
          test.fill(&$0)
        }))
    let check = try QemuTools.img("check", "-q", path)
    #expect(check.status == 0, "\(test.testDescription): \(check.output)")
    let info = try JSONValue.parse(QemuTools.img("info", "--output=json", path).output)
    var options = Qcow2CreateOptions()
    test.fill(&options)
    if [.falloc, .full].contains(options.preallocation) {
      var status = stat()
      #expect(stat(path, &status) == 0 && status.st_blocks * 512 >= 4_194_304)
    }
    for (name, value) in test.info { #expect(info[name] == value, "\(test.testDescription)") }
    let data = info["format-specific"]?["data"]
    for (name, value) in test.data { #expect(data?[name] == value, "\(test.testDescription)") }
  }
  #expect(try stage.client.execute(QueryNamedBlockNodes()).isEmpty)
  try stage.stop()
}

@Test("blockdev-create makes files of a length, with the space they ask for")
func createFiles() throws {
  let stage = try DaemonStage()
  let path = stage.images.directory.file("new.raw")
  for (preallocation, hasSpace) in [
    (FileCreateOptions.Preallocation.off, false), (.falloc, true), (.full, true), (.off, false),
  ] {
    // Every time but the first the file is there already, and full.
    try stage.create(
      .file(
        FileCreateOptions {
          ($0.filename, $0.size, $0.preallocation) = (path, 1 << 20, preallocation)
        }))
    var status = stat()
    #expect(stat(path, &status) == 0 && status.st_size == 1 << 20)
    #expect((status.st_blocks * 512 >= 1 << 20) == hasSpace, "\(preallocation)")
  }
  try stage.stop()
}

@Test("blockdev-create refuses what no image can be, and leaves no node open")
func createRefusals() throws {
  let stage = try DaemonStage()
  let file = BlockdevReference.options(
    BlockdevOptions(.file(FileOptions(filename: stage.images.directory.file("disk.raw")))))
  let cases: [(String, @Sendable (inout Qcow2CreateOptions) -> Void)] = [
    ("Image size must be a multiple of 512 bytes", { $0.size = 513 }),
    (
      "Parameter 'options.backing-fmt' is missing: formats are never guessed",
      { $0.backingFile = "b" }
    ),
    (
      "Backing format cannot be used without backing file",
      { $0.backingFormat = .qcow2 }
    ),
  ]
  for (sentence, fill) in cases {
    let options = Qcow2CreateOptions {
      $0.file = file
      fill(&$0)
    }
    let command = BlockdevCreate {
      ($0.jobID, $0.options) = ("j", BlockdevCreateOptions(.qcow2(options)))
    }
    #expect(try stage.refusal(of: command).message == sentence)
  }
  for fill in [
    { $0.clusterSize = 1000 }, { $0.clusterSize = 4 << 20 }, { $0.refcountBits = 3 },
    { ($0.version, $0.compression) = (.v2, .zstd) }, { ($0.version, $0.refcountBits) = (.v2, 8) },
    { ($0.version, $0.lazyRefcounts) = (.v2, true) },
  ] as [@Sendable (inout Qcow2CreateOptions) -> Void] {
    let options = Qcow2CreateOptions {
      ($0.file, $0.size) = (file, 1 << 20)
      fill(&$0)
    }
    try stage.client.execute(
      BlockdevCreate {
        ($0.jobID, $0.options) = ("j", BlockdevCreateOptions(.qcow2(options)))
      })
    #expect(try stage.wait("j").error != nil)
    try stage.client.execute(JobDismiss { $0.id = "j" })
  }
  #expect(try stage.client.execute(QueryNamedBlockNodes()).isEmpty)
  try stage.stop()
}

extension DaemonStage {
  /// Makes what `format` says, and dismisses the job.
  fileprivate func create(_ format: CreateFormat) throws {
    try client.execute(
      BlockdevCreate { ($0.jobID, $0.options) = ("create", BlockdevCreateOptions(format)) })
    #expect(try wait("create").error == nil)
    // QEMU's job of this kind does not dismiss itself either.
    #expect(try job("create").status == .concluded)
    try client.execute(JobDismiss { $0.id = "create" })
  }
}
