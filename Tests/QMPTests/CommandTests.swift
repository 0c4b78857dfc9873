import JSONValue
import QMP
import Testing

/// What the server understands of what a client means.
private func received<Command: QMPCommand>(_ command: Command) throws -> Command {
  let text = QMPRequest(command).message.utf8
  let message = try #require(try JSONValue.parse(text).objectValue)
  let request = try QMPRequest(message)
  #expect(request.execute == Command.name)
  return try Command(arguments: request.arguments)
}

private let overlay = BlockdevOptions(
  .qcow2(
    Qcow2Options(
      file: .options(BlockdevOptions(.file(FileOptions(filename: "/o")))),
      backing: .reference(
        .options(
          BlockdevOptions(.raw(RawOptions(file: .node("base-file"))), nodeName: "base"))))),
  nodeName: "overlay")

@Test("A tree of nodes arrives as it was meant")
func blockdevAdd() throws {
  var options = overlay
  options.readOnly = true
  options.autoReadOnly = false
  options.forceShare = true
  options.discard = .unmap
  options.detectZeroes = .on
  options.cache = CacheOptions {
    $0.direct = true
    $0.noFlush = false
  }
  #expect(try received(BlockdevAdd(options)).options == options)
  #expect(
    QMPRequest(BlockdevAdd(overlay)).arguments
      == [
        "driver": "qcow2",
        "file": ["driver": "file", "filename": "/o"],
        "backing": ["driver": "raw", "file": "base-file", "node-name": "base"],
        "node-name": "overlay",
      ])
}

@Test("Backing is by node, none, or whatever the header says")
func backing() throws {
  let cases: [(JSONObject, BackingReference?)] = [
    (["driver": "qcow2", "file": "f"], nil),
    (["driver": "qcow2", "file": "f", "backing": nil], BackingReference.none),
    (["driver": "qcow2", "file": "f", "backing": "b"], .reference(.node("b"))),
  ]
  for (arguments, backing) in cases {
    let command = try BlockdevAdd(arguments: arguments)
    #expect(command.options.driver == .qcow2(Qcow2Options(file: .node("f"), backing: backing)))
    #expect(command.options.driver.driver == .qcow2)
    #expect(command.object == arguments)
  }
}

@Test("Images to make arrive as they were meant")
func blockdevCreate() throws {
  let file = FileCreateOptions {
    $0.filename = "/f"
    $0.size = 5
    $0.preallocation = .falloc
  }
  let qcow2 = Qcow2CreateOptions {
    $0.file = .node("f")
    $0.size = 1 << 40
    $0.version = .v2
    $0.backingFile = "b"
    $0.backingFormat = .raw
    $0.clusterSize = 512
    $0.refcountBits = 1
    $0.preallocation = .metadata
  }
  for format in [CreateFormat.file(file), .qcow2(qcow2)] {
    let command = BlockdevCreate {
      $0.jobID = "j"
      $0.options = BlockdevCreateOptions(format)
    }
    #expect(try received(command) == command)
  }
}

@Test("A commit has QEMU's defaults, and says only what differs from them")
func blockCommit() throws {
  let plain = try BlockCommit(arguments: ["device": "d"])
  #expect(plain.onError == .report && plain.speed == 0)
  #expect(plain.autoFinalize && plain.autoDismiss)
  #expect(!plain.autoComplete && !plain.makeEmpty && !plain.backingMaskProtocol)
  #expect(plain.object == ["device": "d"])
  let full = BlockCommit {
    $0.jobID = "j"
    $0.device = "d"
    $0.baseNode = "b"
    $0.base = "bf"
    $0.baseDepth = 1
    $0.topNode = "t"
    $0.top = "tf"
    $0.backingFile = "x"
    $0.backingMaskProtocol = true
    $0.speed = 1
    $0.onError = .enospc
    $0.filterNodeName = "f"
    $0.autoFinalize = false
    $0.autoDismiss = false
    $0.autoComplete = true
    $0.makeEmpty = true
    $0.skipIdentical = true
    $0.ownNodes = ["d", "b"]
  }
  #expect(try received(full) == full)
  #expect(full.object.members.count == BlockCommit.members.count)
}

@Test("Answers are read back, also when a newer server says more")
func replies() throws {
  let job = JobInfo {
    $0.id = "j"
    $0.type = .makeEmpty
    $0.status = .running
    $0.totalProgress = 9
    $0.progress = JobProgress {
      $0.phase = "copy"
      $0.etaSeconds = 3
    }
    $0.result = ["digest": "00"]
  }
  #expect(try JobInfo(wire: job.wire, at: .reply) == job)
  var newer = job.object
  newer.append("brand-new", 1)
  #expect(try [JobInfo](wire: [.object(newer)], at: .reply) == [job])
  #expect(throws: QMPError("Parameter 'return[0].id' is missing")) {
    try [JobInfo](wire: [[:]], at: .reply)
  }

  let node = BlockNodeInfo {
    $0.nodeName = "n"
    $0.image.below = [NodeImageInfo { $0.filename = "b" }]
  }
  #expect(try BlockNodeInfo(wire: node.wire, at: .reply) == node)
  #expect(node.wire["image"]?["backing-image"]?["filename"] == "b")
  #expect(node.wire["bps_wr"] == 0)
}

@Test("A block job is told in QEMU's members")
func blockJobInfo() throws {
  // What qemu-storage-daemon 7.2 answers for a commit that is ready.
  let answer: JSONValue = [
    "type": "commit", "device": "j", "len": 0, "offset": 0, "busy": false, "paused": false,
    "speed": 0, "io-status": "ok", "ready": true, "status": "ready", "auto-finalize": true,
    "auto-dismiss": false,
  ]
  #expect(try BlockJobInfo(wire: answer, at: .arguments).wire == answer)
}
