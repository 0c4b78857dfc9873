import Glibc
import TestSupport
import Testing

@Suite("a private daemon whose client is killed before they have met")
struct PrivateDaemonTests {
  /// The client dies at the first of these calls: on the way to its daemon, and when it waits for
  /// the daemon's first words.
  @Test(
    "ends, too", .enabled("where a process may look into others") { try CallTrace.isPermitted() },
    arguments: ["connect", "poll"])
  func ends(call: String) throws {
    let directory = try TemporaryDirectory(in: "/tmp")
    let client = try ChildProcess(
      [
        "strace", "-qq", "-o", directory.file("trace"), "-e", "trace=\(call)",
        "-e", "inject=\(call):signal=KILL:when=1", DaemonProcess.program("qblockctl"),
        "--private", "qmp", "query-version",
      ], errors: .output, variables: ["XDG_RUNTIME_DIR": directory.path], directory: directory.path)
    // A daemon holds the other end of this pipe: it is gone when the pipe ends.
    _ = client.readToEnd()
    #expect(client.wait() == .signal(SIGKILL))
  }
}
