import Foundation
import JSONValue
import QMP
import QMPClient
import TestSupport
import Testing

@Test("A socket that nobody listens on any more is replaced")
func staleSocket() throws {
  let dead = try DaemonProcess.start()
  dead.kill()
  #expect(FileManager.default.fileExists(atPath: dead.socket))
  let daemon = try DaemonProcess.start(socket: dead.socket)
  #expect(try daemon.client().execute(QueryJobs()).isEmpty)
  #expect(daemon.stop() == 0)
  #expect(!FileManager.default.fileExists(atPath: dead.socket))
}

@Test("Where a daemon serves, another refuses to start and says who is there")
func liveSocket() throws {
  let directory = try TemporaryDirectory()
  let pidFile = directory.file("pid")
  let daemon = try DaemonProcess.start(arguments: ["--pid-file", pidFile])
  let failure = try #require(throws: DaemonProcess.StartFailure.self) {
    try DaemonProcess.start(arguments: ["--pid-file", pidFile], socket: daemon.socket)
  }
  #expect(failure.status == 1)
  #expect(failure.output.contains("The socket is in use by"))
  #expect(failure.output.contains("\(daemon.pid)"))
  // The first one does not notice, and what is its own stays so.
  #expect(try String(contentsOfFile: pidFile, encoding: .utf8) == "\(daemon.pid)\n")
  #expect(try daemon.client().execute(QueryJobs()).isEmpty)
  #expect(daemon.stop() == 0)
  #expect(!FileManager.default.fileExists(atPath: pidFile))
}

@Test("A living daemon's pid file is not taken over by one that serves elsewhere")
func livePIDFile() throws {
  let directory = try TemporaryDirectory()
  let pidFile = directory.file("pid")
  let daemon = try DaemonProcess.start(arguments: ["--pid-file", pidFile])
  let failure = try #require(throws: DaemonProcess.StartFailure.self) {
    try DaemonProcess.start(arguments: ["--pid-file", pidFile])
  }
  #expect(failure.status == 1)
  #expect(failure.output.contains("--pid-file '\(pidFile)'"))
  #expect(failure.output.contains("process \(daemon.pid) (qblockd)"))
  #expect(try String(contentsOfFile: pidFile, encoding: .utf8) == "\(daemon.pid)\n")
  // What a daemon that crashed has left is no hindrance.
  daemon.kill()
  let next = try DaemonProcess.start(arguments: ["--pid-file", pidFile])
  #expect(try String(contentsOfFile: pidFile, encoding: .utf8) == "\(next.pid)\n")
  #expect(next.stop() == 0)
}

@Test("A file that is no socket is left alone")
func noSocket() throws {
  let directory = try TemporaryDirectory(in: "/tmp")
  let path = try directory.write([1, 2, 3], to: "file")
  let failure = try #require(throws: DaemonProcess.StartFailure.self) {
    try DaemonProcess.start(socket: path)
  }
  #expect(failure.status == 1 && failure.output.contains("is not a socket"))
  #expect(try directory.read("file") == [1, 2, 3])
}

@Test("--blockdev opens nodes before the first client; a wrong one ends the start")
func configuredNodes() throws {
  let images = try ExampleImages()
  func blockdev(_ name: String) -> [String] {
    let path = images.directory.file("\(name).qcow2")
    let file = #"{"driver": "file", "filename": "\#(path)"}"#
    return [
      "--blockdev",
      #"{"driver": "qcow2", "node-name": "\#(name)", "backing": null, "file": \#(file)}"#,
    ]
  }
  let daemon = try DaemonProcess.start(arguments: blockdev("overlay") + blockdev("base"))
  let nodes = try daemon.client().execute(QueryNamedBlockNodes())
  #expect(nodes.map(\.nodeName).filter { !$0.hasPrefix("#") } == ["overlay", "base"])
  #expect(daemon.stop() == 0)
  let cases = [
    (blockdev("absent"), "No such file or directory"),
    (["--blockdev", #"{"driver": "zz"}"#], "Parameter 'driver' does not accept value 'zz'"),
    (["--blockdev", "{"], "JSON parse error"),
    (["--socket-mode", "999"], "not an octal number"),
    (["--image-root", "relative"], "is not an absolute path"),
    (["--max-clients", "many"], "The value 'many' is invalid"),
    (["--cache-size", "much"], "'much' is not a number of bytes"),
    (["--nope"], "Unknown option '--nope'"),
  ]
  for (arguments, sentence) in cases {
    let failure = try #require(throws: DaemonProcess.StartFailure.self) {
      try DaemonProcess.start(arguments: arguments)
    }
    #expect(failure.status == 1 && failure.output.contains(sentence), "\(failure)")
    #expect(failure.output.split(separator: "\n").count == 1, "\(failure)")
  }
}

@Test("The socket has the permission bits that were asked for")
func socketMode() throws {
  let usual = try DaemonProcess.start()
  let open = try DaemonProcess.start(arguments: ["--socket-mode", "0666"])
  for (daemon, mode) in [(usual, 0o660 as mode_t), (open, 0o666)] {
    var status = stat()
    #expect(stat(daemon.socket, &status) == 0)
    #expect(status.st_mode & 0o777 == mode)
  }
}

@Test("With --image-root only images inside are opened")
func imageRoot() throws {
  let images = try ExampleImages()
  let outside = try TemporaryDirectory()
  let path = try outside.write([UInt8](repeating: 0, count: 512), to: "disk.raw")
  let daemon = try DaemonProcess.start(arguments: ["--image-root", images.directory.path])
  let client = try daemon.client()
  let inside = FileOptions(filename: images.directory.file("disk.raw"))
  try client.execute(BlockdevAdd(BlockdevOptions(.file(inside), nodeName: "in")))
  #expect(throws: QMPClientError.self) {
    try client.execute(
      BlockdevAdd(BlockdevOptions(.file(FileOptions(filename: path)), nodeName: "out")))
  }
}

@Test(
  "A socket from systemd is served as it is, and left to systemd")
func socketActivation() throws {
  let directory = try TemporaryDirectory(in: "/tmp")
  let socket = directory.file("qmp.sock")
  let daemon = try DaemonProcess.start(
    socket: socket,
    launcher: [try #require(Python.path), Python.script("activate.py"), socket])
  #expect(daemon.output.contains("1 inherited socket"))
  #expect(try daemon.client().execute(QueryJobs()).isEmpty)
  #expect(daemon.stop() == 0)
  #expect(FileManager.default.fileExists(atPath: socket))
}
