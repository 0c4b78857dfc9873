import Foundation
import JSONValue
import QMP
import QMPClient
import TestSupport
import Testing

/// A client that passes descriptors, beside a stage's own.
private final class PassingClient {
  let stage: DaemonStage
  let monitor: MonitorSocket

  init(_ stage: DaemonStage) throws {
    self.stage = stage
    monitor = try MonitorSocket.negotiated(stage.daemon.socket)
  }

  /// The sentence of the error that the answer to `text` is; nil where it is none.
  func error(_ text: String, passing numbers: [Int32] = []) throws -> String? {
    try numbers.isEmpty
      ? monitor.answer(to: text).errorSentence
      : monitor.answer(to: text, passing: numbers).errorSentence
  }

  /// Sends a message in two pieces: Dispatch makes a descriptor for the time of the first one that
  /// has not ended, and keeps it.
  func cutMessage(beside other: PassingClient) throws {
    try monitor.send(#"{"execute": "#)
    _ = try other.descriptors()
    #expect(try error(#""query-jobs"}"#) == nil)
  }

  /// How many descriptors the daemon has, once it has dealt with what was sent before.
  func descriptors() throws -> Int {
    // What came with a command and is not wanted goes after the answer, and before the next one.
    for _ in 0..<2 { _ = try monitor.answer(to: #"{"execute": "query-version"}"#) }
    return try stage.daemonDescriptors()
  }
}

extension MonitorSocket {
  /// Does `body` while the daemon stands still: all of it is there at once when it goes on.
  fileprivate func stopped(_ stage: DaemonStage, _ body: (MonitorSocket) throws -> Void) throws {
    #expect(kill(stage.daemon.pid, SIGSTOP) == 0)
    defer { #expect(kill(stage.daemon.pid, SIGCONT) == 0) }
    try body(self)
  }
}

extension DaemonStage {
  fileprivate func daemonDescriptors() throws -> Int {
    try FileManager.default.contentsOfDirectory(atPath: "/proc/\(daemon.pid)/fd").count
  }

  /// Opens the file of an example with `flags`, for the length of `body`.
  fileprivate func withFile<R>(_ path: String, _ flags: Int32, _ body: (Int32) throws -> R) throws
    -> R
  {
    let number = open(path, flags | O_CLOEXEC)
    try #require(number >= 0)
    defer { close(number) }
    return try body(number)
  }
}

@Test("getfd keeps one descriptor under a name, closefd closes it, and so does the client's end")
func keptDescriptors() throws {
  let stage = try DaemonStage()
  let atStart = try PassingClient(stage)
  let idle = try atStart.descriptors()
  let client = try PassingClient(stage)
  let before = try client.descriptors()
  let getfd = #"{"execute": "getfd", "arguments": {"fdname": "a"}}"#
  let closefd = #"{"execute": "closefd", "arguments": {"fdname": "a"}}"#
  #expect(try client.error(getfd) == "No file descriptor supplied via SCM_RIGHTS")
  #expect(try client.error(closefd) == "File descriptor named 'a' not found")
  try stage.withFile(stage.path("base"), O_RDONLY) { (file) throws in
    #expect(try client.error(getfd, passing: [file]) == nil)
    // The same name again: the new one in place of the old one.
    #expect(try client.error(getfd, passing: [file]) == nil)
    #expect(try client.descriptors() == before + 1)
    // Another client does not see it.
    #expect(try atStart.error(closefd) == "File descriptor named 'a' not found")
    #expect(try client.error(closefd) == nil)
    #expect(try client.descriptors() == before)
    let digit = #"{"execute": "getfd", "arguments": {"fdname": "1a"}}"#
    #expect(
      try client.error(digit, passing: [file])
        == "Parameter 'fdname' expects a name not starting with a digit")
    for index in 0..<16 {
      let named = #"{"execute": "getfd", "arguments": {"fdname": "n\#(index)"}}"#
      #expect(try client.error(named, passing: [file]) == nil)
    }
    #expect(
      try client.error(getfd, passing: [file]) == "This client keeps 16 file descriptors already")
    #expect(try client.descriptors() == before + 16)
    // As some clients do: the descriptor with a space, then the command.
    #expect(try client.error(#"{"execute": "closefd", "arguments": {"fdname": "n0"}}"#) == nil)
    try client.monitor.send(" ", passing: [file])
    #expect(try client.error(getfd) == nil)
  }
  client.monitor.endSending()
  #expect(throws: MonitorSocket.Failure.closed) { _ = try client.monitor.next() }
  // The daemon has closed its end, and with it all that was the client's.
  #expect(try atStart.descriptors() == idle)
  #expect(stage.daemon.stop() == 0)
}

@Test("114: descriptors that nobody asked for, too many at once, and of a wrong kind are closed")
func unwantedDescriptors() throws {
  let stage = try DaemonStage()
  let (client, other) = (try PassingClient(stage), try PassingClient(stage))
  try client.cutMessage(beside: other)
  let before = try client.descriptors()
  try stage.withFile(stage.path("base"), O_RDONLY) { (file) throws in
    // With a command that wants none, with no command, with a wrong message, 253 at once.
    let many = [Int32](repeating: file, count: 253)
    #expect(try client.error(#"{"execute": "query-jobs"}"#, passing: [file]) == nil)
    #expect(try client.error(#"{"execute": "query-jobs"}"#, passing: many) == nil)
    #expect(try client.error("{]\n", passing: many) != nil)
    for _ in 0..<100 { try client.monitor.send(" ", passing: many) }
    #expect(try client.descriptors() == before)
    // Of 253 the first is taken, as in QEMU.
    #expect(try client.error(#"{"execute": "add-fd"}"#, passing: many) == nil)
    #expect(try client.descriptors() == before + 1)
    let remove = #"{"execute": "remove-fd", "arguments": {"fdset-id": 0}}"#
    #expect(try client.error(remove) == nil)
    #expect(try client.error(remove) == "File descriptor named 'fdset-id:0' not found")
    // What came with one command is not left for the next.
    #expect(try client.error(#"{"execute": "query-jobs"}"#, passing: [file]) == nil)
    #expect(
      try client.error(#"{"execute": "add-fd"}"#) == "No file descriptor supplied via SCM_RIGHTS")
  }
  let socket = try openUnixSocket(stage.daemon.socket) { connect($0, $1, $2) }
  #expect(
    try client.error(#"{"execute": "add-fd"}"#, passing: [socket])
      == "'passed descriptor' is a socket, not a regular file or block device")
  close(socket)
  let long = String(repeating: "o", count: 1025)
  try stage.withFile(stage.path("base"), O_RDWR) { (file) throws in
    #expect(
      try client.error(
        #"{"execute": "add-fd", "arguments": {"opaque": "\#(long)"}}"#, passing: [file])
        == "Parameter 'opaque' expects at most 1024 bytes")
    #expect(
      try client.error(
        #"{"execute": "add-fd", "arguments": {"fdset-id": -1}}"#, passing: [file])
        == "Parameter 'fdset-id' expects a non-negative value")
  }
  #expect(try client.monitor.answer(to: #"{"execute": "query-fdsets"}"#)["return"] == [])
  #expect(try client.descriptors() == before)
  #expect(try other.descriptors() == before)
  #expect(stage.daemon.stop() == 0)
}

@Test("A daemon that may not open the images commits them by the descriptors that it was given")
func descriptorsWithoutRights() throws {
  let isRoot = geteuid() == 0
  let stage = try DaemonStage(
    launcher: isRoot ? ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] : [])
  let client = try PassingClient(stage)
  for (set, name) in [(1, "overlay"), (2, "middle")] {
    for flags in [O_RDWR, O_RDONLY] {
      let add = #"{"execute": "add-fd", "arguments": {"fdset-id": \#(set), "opaque": "\#(name)"}}"#
      try stage.withFile(stage.path(name), flags) { (file) throws in
        #expect(try client.error(add, passing: [file]) == nil)
      }
    }
    #expect(chmod(stage.path(name), 0) == 0)
  }
  let sets = try stage.client.execute(QueryFDSets())
  #expect(sets.map(\.set) == [1, 2])
  #expect(
    sets.map { $0.members.map(\.opaque) } == [["overlay", "overlay"], ["middle", "middle"]])

  let named = try stage.refusal(of: BlockdevAdd(stage.node("overlay", over: nil)))
  #expect(named.detail?.code == "permission")
  let middle = setOptions("middle", 2, over: .none)
  try stage.client.execute(
    BlockdevAdd(setOptions("overlay", 1, over: .reference(.options(middle)))))
  let busy = try stage.refusal(of: BlockdevAdd(setOptions("twice", 1, over: .none)))
  #expect(busy.detail?.code == "locked", "\(busy)")

  let outcome = try stage.client.commit("overlay") { $0.baseNode = "middle" }
  #expect(outcome.error == nil, "\(outcome)")
  // The sets go; what is open stays open until it is closed.
  for set in [1, 2] { try stage.client.execute(RemoveFD { $0.set = set }) }
  #expect(try stage.client.execute(QueryFDSets()).map(\.members.count) == [0, 0])
  try stage.client.remove("overlay")
  #expect(try stage.client.execute(QueryFDSets()).isEmpty)
  for name in ["overlay", "middle"] { #expect(chmod(stage.path(name), 0o600) == 0) }
  try stage.stop()
  let same = try QemuTools.io(
    stage.path("middle"), "read -P 0x33 128k 64k", "read -P 0x22 64k 64k")
  #expect(same.status == 0, "\(same.output)")
}

/// The qcow2 image in a set of descriptors.
private func setOptions(
  _ name: String, _ set: Int, over backing: BackingReference
) -> BlockdevOptions {
  let file = BlockdevOptions(.file(FileOptions(filename: "/dev/fdset/\(set)")))
  return BlockdevOptions(
    .qcow2(Qcow2Options(file: .options(file), backing: backing)), nodeName: name)
}

@Test("114: a descriptor is for the message that it came with, however the stream is cut")
func descriptorsOfCutMessages() throws {
  let stage = try DaemonStage()
  let (client, other) = (try PassingClient(stage), try PassingClient(stage))
  try client.cutMessage(beside: other)
  let before = try other.descriptors()
  func add(to set: Int) -> String {
    #"{"execute": "add-fd", "arguments": {"fdset-id": \#(set)}}"#
  }
  try stage.withFile(stage.path("base"), O_RDONLY) { (base) throws in
    try stage.withFile(stage.path("middle"), O_RDONLY) { (middle) throws in
      for first in [add(to: 1), #"{"execute": "query-jobs"}"# + "\r\n"] {
        try client.monitor.send(String(first.prefix(20)), passing: [base])
        while try other.descriptors() == before {}
        // The rest and the next message are there together.
        #expect(kill(stage.daemon.pid, SIGSTOP) == 0)
        try client.monitor.send(String(first.dropFirst(20)))
        try client.monitor.send(add(to: 2), passing: [middle])
        #expect(kill(stage.daemon.pid, SIGCONT) == 0)
        for _ in 0..<2 { #expect(try client.monitor.nextAnswer()["return"] != nil) }
        // Only another one of the same file can stand beside it.
        #expect(try client.error(add(to: 2), passing: [middle]) == nil)
        #expect(try client.error(add(to: 1), passing: [base]) == nil)
        for set in 1...2 { try stage.client.execute(RemoveFD { $0.set = set }) }
        #expect(try other.descriptors() == before)
      }
    }
  }
  #expect(stage.daemon.stop() == 0)
}

private let getsNone = "No file descriptor supplied via SCM_RIGHTS"

@Test(
  "114: a descriptor that came with whitespace alone is for the next command, else for its own",
  arguments: [#"{"execute": "query-jobs"}"#, #"{"execute": 01}"#, "\u{1}\n"])
func descriptorsWithWhitespace(message: String) throws {
  let stage = try DaemonStage()
  let (client, other) = (try PassingClient(stage), try PassingClient(stage))
  let add = #"{"execute": "add-fd", "arguments": {"fdset-id": 1}}"#
  try client.cutMessage(beside: other)
  let before = try other.descriptors()
  let base = open(stage.path("base"), O_RDONLY | O_CLOEXEC)
  let middle = open(stage.path("middle"), O_RDONLY | O_CLOEXEC)
  defer { for file in [base, middle] { close(file) } }
  for tail in ["", "\n", "\r\n", "\n\n", " ", "\t", " \n", "\n "] {
    // In one piece with the message.
    _ = try client.error(message + tail, passing: [base])
    #expect(try client.error(add) == getsNone)
    try client.monitor.stopped(stage) { (monitor) throws in
      try monitor.send(message + tail, passing: [base])
      try monitor.send(add)
    }
    _ = try client.monitor.nextAnswer()
    #expect(try client.monitor.nextAnswer().errorSentence == getsNone)
    // The command's own, all there at once.
    try client.monitor.stopped(stage) { (monitor) throws in
      try monitor.send(message + tail, passing: [base])
      for _ in 0..<2 { try monitor.send(add + tail, passing: [middle]) }
    }
    for _ in 0..<3 { _ = try client.monitor.nextAnswer() }
    #expect(try client.error(add, passing: [middle]) == nil)
    try stage.client.execute(RemoveFD { $0.set = 1 })
    guard !tail.isEmpty else { continue }

    // By itself, before the server has read the message, and after that.
    try client.monitor.stopped(stage) { (monitor) throws in
      try monitor.send(message)
      try monitor.send(tail, passing: [base])
      try monitor.send(add)
    }
    _ = try client.monitor.nextAnswer()
    #expect(try client.monitor.nextAnswer()["return"] != nil)
    _ = try client.error(message)
    try client.monitor.send(tail, passing: [base])
    while try other.descriptors() == before + 1 {}
    #expect(try client.error(add) == nil)
    // Only another one of the same file can stand beside both.
    #expect(try client.error(add, passing: [base]) == nil)
    // It is for none behind that.
    try client.monitor.send(tail, passing: [base])
    #expect(try client.error(#"{"execute": "query-jobs"}"#) == nil)
    #expect(try client.error(add) == getsNone)
    try stage.client.execute(RemoveFD { $0.set = 1 })
    #expect(try other.descriptors() == before)
  }
  #expect(stage.daemon.stop() == 0)
}

@Test("114: a descriptor that came with the rest of a bad message is for no command behind it")
func descriptorsOfBadMessages() throws {
  let stage = try DaemonStage()
  let (client, other) = (try PassingClient(stage), try PassingClient(stage))
  try client.cutMessage(beside: other)
  let before = try client.descriptors()
  let add = #"{"execute": "add-fd"}"#
  try stage.withFile(stage.path("base"), O_RDONLY) { (base) throws in
    for (begin, end) in [("GARBAGE", " x\n"), ("[01, ", "2]"), ("{\"a\": \"\n", "x\"}\n")] {
      try client.monitor.stopped(stage) { (monitor) throws in
        try monitor.send(begin)
        try monitor.send(end, passing: [base])
        try monitor.send(add)
      }
      #expect(try client.monitor.nextAnswer().errorSentence?.hasPrefix("JSON parse error") == true)
      #expect(try client.monitor.nextAnswer().errorSentence == getsNone)
      #expect(try client.error(begin)?.hasPrefix("JSON parse error") == true)
      try client.monitor.send(end, passing: [base])
      #expect(try client.error(add) == getsNone)
    }
  }
  #expect(try client.descriptors() == before)
  #expect(try other.descriptors() == before)
  #expect(stage.daemon.stop() == 0)
}

@Test("114: a descriptor with a space is for the command behind it, and none is for one before it")
func descriptorsWithSpaces() throws {
  let stage = try DaemonStage()
  let client = try PassingClient(stage)
  let names = ["base", "middle", "overlay"]
  func add(_ set: Int) -> String {
    #"{"execute": "add-fd", "arguments": {"fdset-id": \#(set)}}"#
  }
  let files = names.map { open(stage.path($0), O_RDONLY | O_CLOEXEC) }
  defer { files.forEach { close($0) } }
  for isSpace in [true, false] {
    // All of it is there at once.
    #expect(kill(stage.daemon.pid, SIGSTOP) == 0)
    try client.monitor.send(isSpace ? #"{"execute": "query-jobs"}"# : add(9))
    for (set, file) in files.enumerated() {
      if isSpace {
        try client.monitor.send(" ", passing: [file])
        try client.monitor.send(add(set))
      } else {
        try client.monitor.send(add(set), passing: [file])
      }
    }
    #expect(kill(stage.daemon.pid, SIGCONT) == 0)
    #expect((try client.monitor.nextAnswer()["return"] != nil) == isSpace)
    for _ in files { #expect(try client.monitor.nextAnswer()["return"] != nil) }
    // Only another one of the same file can stand beside each.
    for (set, file) in files.enumerated() {
      #expect(try client.error(add(set), passing: [file]) == nil)
      try stage.client.execute(RemoveFD { $0.set = set })
    }
  }
  #expect(stage.daemon.stop() == 0)
}

@Test("114: a descriptor that came with a command out of band is for none of those that wait")
func descriptorsOutOfBand() throws {
  let stage = try DaemonStage()
  try stage.openChain()
  try stage.slowCommit("j")
  let client = try MonitorSocket(stage.daemon.socket)
  _ = try client.next()
  let enable = #"{"execute": "qmp_capabilities", "arguments": {"enable": ["oob"]}}"#
  _ = try client.answer(to: enable)
  let add = #"{"execute": "add-fd", "arguments": {"fdset-id": 1}}"#
  try stage.withFile(stage.path("base"), O_RDONLY) { (base) throws in
    try stage.withFile(stage.path("middle"), O_RDONLY) { (middle) throws in
      try client.send(#"{"execute": "job-wait", "arguments": {"id": "j"}, "id": 1}"#)
      let unasked = try client.answer(
        to: #"{"exec-oob": "query-version", "id": 2}"#, passing: [base])
      #expect(unasked["id"] == 2)
      try client.send(add, passing: [middle])
      try stage.client.execute(JobCancel { $0.id = "j" })
      for _ in 0..<2 { #expect(try client.nextAnswer()["return"] != nil) }
      // Only another one of the same file can stand beside it.
      #expect(try client.answer(to: add, passing: [middle])["return"] != nil)
    }
  }
  try stage.stop()
}

@Test("A set is no name for an image's header: not there already, and not to be stored")
func setsInHeaders() throws {
  let stage = try DaemonStage()
  let client = try PassingClient(stage)
  for (set, name) in [(0, "base"), (1, "middle"), (2, "overlay")] {
    for flags in [O_RDWR, O_RDONLY] {
      let add = #"{"execute": "add-fd", "arguments": {"fdset-id": \#(set)}}"#
      try stage.withFile(stage.path(name), flags) { (file) throws in
        #expect(try client.error(add, passing: [file]) == nil)
      }
    }
  }
  let liar = stage.images.directory.file("liar.qcow2")
  let made = try QemuTools.img(
    "create", "-q", "-f", "qcow2", "-u", "-b", "/dev/fdset/0", "-F", "qcow2", liar, "4M")
  #expect(made.status == 0, "\(made.output)")
  let refusal = try stage.refusal(
    of: BlockdevAdd(
      BlockdevOptions(
        .qcow2(
          Qcow2Options(file: .options(BlockdevOptions(.file(FileOptions(filename: liar)))))),
        nodeName: "liar")))
  #expect(refusal.detail?.errno == Int(ENOENT), "\(refusal)")

  let base = setOptions("base", 0, over: .none)
  let middle = setOptions("middle", 1, over: .reference(.options(base)))
  try stage.client.execute(
    BlockdevAdd(setOptions("overlay", 2, over: .reference(.options(middle)))))
  let commit = BlockCommit {
    ($0.jobID, $0.device, $0.topNode, $0.baseNode) = ("j", "overlay", "middle", "base")
  }
  let stream = BlockStream { ($0.jobID, $0.device, $0.baseNode) = ("j", "overlay", "base") }
  for refused in [try stage.refusal(of: commit), try stage.refusal(of: stream)] {
    #expect(
      refused.message
        == "'/dev/fdset/0' is no name that an image can have for its backing file: "
        + "give 'backing-file'")
  }
  let outcome = try stage.client.commit("overlay") {
    ($0.topNode, $0.baseNode, $0.backingFile) = ("middle", "base", "base.qcow2")
  }
  #expect(outcome.error == nil, "\(outcome)")
  try stage.stop()
  let same = try QemuTools.io(stage.path("overlay"), "read -P 0x22 64k 64k")
  #expect(same.status == 0, "\(same.output)")
}

@Test("When the last client has gone, sets by which nothing is open go, too, as in QEMU")
func setsWithoutClients() throws {
  let stage = try DaemonStage()
  let client = try PassingClient(stage)
  for (set, name) in [(0, "base"), (1, "middle")] {
    for flags in [O_RDWR, O_RDONLY] {
      let add = #"{"execute": "add-fd", "arguments": {"fdset-id": \#(set)}}"#
      try stage.withFile(stage.path(name), flags) { (file) throws in
        #expect(try client.error(add, passing: [file]) == nil)
      }
    }
  }
  try stage.client.execute(BlockdevAdd(setOptions("base", 0, over: .none)))
  client.monitor.endSending()
  #expect(throws: MonitorSocket.Failure.closed) { _ = try client.monitor.next() }
  #expect(try stage.client.execute(QueryFDSets()).map(\.set) == [0, 1], "one client is left")
  stage.client.close()
  // The daemon hears of the end before it hears of a client that comes later, or soon after.
  var sets: [FDSetInfo] = []
  repeat {
    let later = try stage.daemon.client()
    sets = try later.execute(QueryFDSets())
    later.close()
  } while sets.count == 2
  #expect(sets.map(\.set) == [0])
  #expect(stage.daemon.stop() == 0)
}
