import Foundation
import TestSupport
import Testing

@Suite("qblockctl without a daemon")
struct ClientPrivateTests {
  @Test("says that nobody listens, and names --private")
  func nobody() throws {
    let directory = try TemporaryDirectory()
    try directory.write([0x51, 0x46, 0x49, 0xfb], to: "top")
    for command in ["commit", "make-empty", "info"] {
      let outcome = try ClientProgram.run(
        ["--socket", directory.file("none"), command, "top"], in: directory)
      #expect(outcome.status == 1)
      #expect(outcome.errors.hasPrefix("qblockctl: No qblockd listens on \(directory.path)/none"))
      #expect(outcome.errors.contains("--private"))
    }
  }

  @Test("--private runs a daemon for one command, which leaves nothing behind")
  func own() throws {
    let directory = try TemporaryDirectory(in: "/tmp")
    let runtime = try TemporaryDirectory(in: "/tmp")
    func ctl(_ arguments: String...) throws -> ClientProgram.Outcome {
      try ClientProgram.run(
        ["--private"] + arguments, in: directory,
        variables: ["XDG_RUNTIME_DIR": runtime.path])
    }
    for arguments in [["base", "1M"], ["-b", "base", "-F", "qcow2", "top"]] {
      let made = try ClientProgram.run(["create", "--private"] + arguments, in: directory)
      #expect(made.status == 0, "\(made.errors)")
    }
    #expect(try ctl("write", "top", "0", "64k", "--pattern", "5").status == 0)
    let committed = try ctl("commit", "top")
    #expect(committed == .init(status: 0, output: "Image committed.\n", errors: ""))
    // The daemon is gone: nobody holds the images any more.
    #expect(try QemuTools.img("check", directory.file("base")).status == 0)
    #expect(try ctl("compare", "top", "base").output == "Images are identical.\n")
    #expect(try FileManager.default.contentsOfDirectory(atPath: runtime.path) == [])
  }

  @Test("a private daemon finishes the job of a client that is killed, and ends")
  func killed() throws {
    let directory = try TemporaryDirectory(in: "/tmp")
    for arguments in [["base", "64M"], ["-b", "base", "-F", "qcow2", "top"]] {
      let made = try ClientProgram.run(["create", "--private"] + arguments, in: directory)
      #expect(made.status == 0, "\(made.errors)")
    }
    _ = try QemuTools.io(directory.file("top"), "write -P 3 0 60M")
    let client = try ClientProgram.start(
      ["--private", "commit", "--json", "-r", "40M", "top"], in: directory)
    #expect(try #require(client.nextLine()).contains(#""status": "running""#))
    client.signal(SIGKILL)
    // The daemon holds the other end of this pipe: it is gone when the pipe ends.
    #expect(try client.end().status == 128 + SIGKILL)
    let read = try QemuTools.io(directory.file("base"), "read -P 3 0 60M")
    #expect(read.status == 0 && !read.output.contains("failed"), "\(read.output)")
    #expect(try QemuTools.img("check", directory.file("base")).status == 0)
    #expect(try directory.read("top").count < 1 << 20)
  }
}
