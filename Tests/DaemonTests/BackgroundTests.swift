import Foundation
import QMP
import QMPClient
import TestSupport
import Testing

/// A qblockd that went into the background, and its directory. It is killed when the test lets go
/// of it, if it has left its number in the file `pid`.
///
/// Isolation: one test.
private final class BackgroundDaemon {
  let directory: TemporaryDirectory
  let outcome: QemuTools.Outcome

  /// Runs `qblockd --daemonize` in the directory until the command ends, and its output too: a
  /// daemon that kept the streams would keep us. A shell starts it, with these `redirections`.
  init(
    _ arguments: [String], in directory: TemporaryDirectory? = nil, redirections: String = ""
  ) throws {
    let directory = try directory ?? TemporaryDirectory(in: "/tmp")
    self.directory = directory
    let script = #"cd "$0" && exec "$@" "# + redirections
    outcome = try QemuTools.run(
      "sh",
      ["-c", script, directory.path, DaemonProcess.program("qblockd"), "--daemonize"] + arguments)
  }

  deinit {
    if let pid = try? pid() { kill(pid, SIGKILL) }
  }

  /// Its process number, as it has written it down.
  func pid() throws -> pid_t {
    let text = try String(contentsOfFile: directory.file("pid"), encoding: .utf8)
    return try #require(pid_t(text.trimmingCharacters(in: .newlines)))
  }
}

@Test("--daemonize returns when the socket listens, without terminal, streams and directory")
func daemonized() throws {
  let daemon = try BackgroundDaemon(["--socket", "q.sock", "--pid-file", "pid"])
  #expect(daemon.outcome.status == 0, "\(daemon.outcome.output)")
  #expect(daemon.outcome.output.contains("Serving QMP on"))
  let pid = try daemon.pid()
  let client = try QMPClient(connectingTo: daemon.directory.file("q.sock"))
  #expect(try client.execute(QueryJobs()).isEmpty)
  let files = FileManager.default
  for stream in 0..<3 {
    #expect(try files.destinationOfSymbolicLink(atPath: "/proc/\(pid)/fd/\(stream)") == "/dev/null")
  }
  #expect(try files.destinationOfSymbolicLink(atPath: "/proc/\(pid)/cwd") == "/")
  // A session that it does not lead, so that it can get no terminal by opening one.
  #expect(getsid(pid) != getsid(0) && getsid(pid) != pid)
  try client.execute(Quit())
  client.close()
  // Nobody's child any more; tail waits for it all the same.
  _ = try QemuTools.run("timeout", ["20", "tail", "-f", "-s", "0.05", "--pid=\(pid)", "/dev/null"])
  // What it has made goes, though it was named from another directory.
  #expect(!files.fileExists(atPath: daemon.directory.file("q.sock")))
  #expect(!files.fileExists(atPath: daemon.directory.file("pid")))
}

@Test(
  "--daemonize works though standard streams are closed",
  arguments: [
    "<&-", ">&-", "2>&-", "<&- >&-", "<&- 2>&-", ">&- 2>&-", "<&- >&- 2>&-",
  ])
func daemonizedWithoutStreams(redirections: String) throws {
  let daemon = try BackgroundDaemon(
    ["--socket", "q.sock", "--pid-file", "pid"], redirections: redirections)
  #expect(daemon.outcome.status == 0, "\(daemon.outcome.output)")
  let pid = try daemon.pid()
  for stream in 0..<3 {
    let target = try FileManager.default.destinationOfSymbolicLink(
      atPath: "/proc/\(pid)/fd/\(stream)")
    #expect(target == "/dev/null")
  }
  let nodes = try QemuTools.run(
    "sh",
    ["-c", #"exec "$0" --socket "$1" nodes "# + redirections]
      + [DaemonProcess.program("qblockctl"), daemon.directory.file("q.sock")])
  #expect(nodes.status == 0)
  kill(pid, SIGTERM)
  // Nobody's child any more; tail waits for it all the same.
  let end = try QemuTools.run(
    "timeout", ["20", "tail", "-f", "-s", "0.05", "--pid=\(pid)", "/dev/null"])
  #expect(end.status == 0)
}

@Test("--daemonize ends with status 1 and the reason where the daemon cannot serve")
func notDaemonized() throws {
  let cases = [
    (["--pid-file", "pid", "--socket", "no/such/q.sock"], "No such file or directory"),
    (
      ["--pid-file", "pid", "--socket", "q.sock", "--blockdev"]
        + ["raw,node-name=a,file.driver=file,file.filename=no"], "Could not open"
    ),
    (["--socket", "q.sock", "--pid-file", "no/such/pid"], "No such file or directory"),
  ]
  for (arguments, sentence) in cases {
    let daemon = try BackgroundDaemon(arguments)
    #expect(daemon.outcome.status == 1, "\(arguments)")
    #expect(daemon.outcome.output.contains(sentence), "\(daemon.outcome.output)")
    #expect(try FileManager.default.contentsOfDirectory(atPath: daemon.directory.path).isEmpty)
  }
}

@Test("A daemon in the background has the images of its command line by their whole names")
func daemonizedNodes() throws {
  let images = try ExampleImages()
  let daemon = try BackgroundDaemon(
    ["--socket", "q.sock", "--pid-file", "pid", "--blockdev"]
      + ["raw,node-name=a,file.driver=file,file.filename=disk.raw"], in: images.directory)
  #expect(daemon.outcome.status == 0, "\(daemon.outcome.output)")
  let client = try QMPClient(connectingTo: images.directory.file("q.sock"))
  let node = try #require(try client.execute(QueryNamedBlockNodes()).first { $0.nodeName == "a" })
  #expect(node.file == images.directory.file("disk.raw"))
  try client.execute(Quit())
}
