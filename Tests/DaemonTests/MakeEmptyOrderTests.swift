import QMP
import QMPClient
import TestSupport
import Testing

@Suite("the order of make-empty")
struct MakeEmptyOrderTests {
  @Test("what will show through is durable before the overlay changes, whoever wrote it")
  func makeEmptyOrder() throws {
    let disk = try TemporaryDirectory(in: "/tmp")
    let aside = try TemporaryDirectory(in: "/tmp")
    let (base, top) = (disk.file("base"), disk.file("top"))
    for arguments in [
      ["create", "-q", "-f", "raw", base, "4M"],
      ["create", "-q", "-f", "qcow2", "-b", "base", "-F", "raw", top],
    ] {
      try #require(QemuTools.run("qemu-img", arguments).status == 0)
    }
    let written = try QemuTools.run("qemu-io", ["-f", "raw", "-c", "write -P 5 0 1M", base])
    try #require(written.status == 0)
    try #require(QemuTools.io(top, "write -P 5 0 1M").status == 0)

    let recorder = TraceRecorder(disk, output: aside.file("trace"))
    let stage = try DaemonStage(launcher: recorder.launcher)
    try stage.client.add("top", top)
    try stage.client.execute(
      BlockMakeEmpty {
        $0.node = "top"
        $0.job.id = "j"
      })
    #expect(try stage.wait("j").error == nil)
    #expect(stage.daemon.stop() == 0)

    let trace = try ProgramTrace(String(decoding: try aside.read("trace"), as: UTF8.self)).entries
    let change = try #require(
      trace.firstIndex { entry in
        guard entry.storage == "top" else { return false }
        return switch entry.event {
        case .write, .writeZeroes, .discard, .truncate: true
        case .flushBegan, .flushed, .note: false
        }
      })
    let flushes = trace[..<change].filter { entry in
      if case .flushed = entry.event { entry.storage == "base" } else { false }
    }
    #expect(!flushes.isEmpty)
    #expect(try QemuTools.io(top, "read -P 5 0 1M").status == 0)
  }
}
