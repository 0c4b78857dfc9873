import TestSupport
import Testing

@Suite("qblockctl on wrong command lines")
struct ClientWordsTests {
  @Test(
    "numbers are refused with qemu-img's first words and its status",
    arguments: [
      ["commit", "-r", "abc", "top"], ["commit", "-r", "-1", "top"],
      ["commit", "-r", "99999999999T", "top"], ["commit", "-t", "abc", "top"],
      ["create", "-f", "qcow2", "new", "abc"], ["create", "-f", "qcow2", "new", "8E"],
      ["create", "-f", "qcow2", "-o", "cluster_size=abc", "new", "1M"],
      ["create", "-f", "qcow2", "-o", "cluster_size=100", "new", "1M"],
      ["create", "-f", "qcow2", "-o", "refcount_bits=abc", "new", "1M"],
      ["create", "-f", "qcow2", "-o", "refcount_bits=7", "new", "1M"],
      ["create", "-f", "qcow2", "-o", "lazy_refcounts=abc", "new", "1M"],
      ["create", "-f", "qcow2", "-o", "preallocation=abc", "new", "1M"],
      ["create", "-f", "qcow2", "-o", "abc=1", "new", "1M"],
      ["create", "-f", "abc", "new", "1M"], ["create", "-f", "qcow2", "new"],
    ])
  func numbers(arguments: [String]) throws {
    let stage = try ClientStage()
    try stage.makeChain()
    let theirs = try QemuTools.run(
      "sh", ["-c", "cd \"$0\" && exec qemu-img \"$@\"", stage.directory.path] + arguments)
    let ours = try ClientProgram.run(
      ["--socket", stage.daemon.socket] + arguments, in: stage.directory)
    #expect(ours.status == theirs.status)
    #expect(start(ours.errors) == start(theirs.output), "\(ours.errors)\(theirs.output)")
  }

  /// What a complaint says, up to where newer versions of qemu-img go on differently.
  private func start(_ complaint: String) -> Substring {
    let words = complaint.split(separator: ": ", maxSplits: 1).last ?? ""
    return ["specified", "expects a non-negative number"].lazy
      .compactMap { words.firstRange(of: $0) }.first.map { words[..<$0.upperBound] }
      ?? words.split(separator: "\n").first ?? ""
  }

  @Test("a wrong command is named, and help that fits is offered")
  func help() throws {
    let stage = try ClientStage()
    let wrong = try stage.ctl("comit", "top")
    #expect(wrong.status == 1)
    #expect(
      wrong.errors
        == "qblockctl: Command not found: comit\nTry 'qblockctl --help' for more information\n")
    #expect(
      try stage.ctl("commit").errors.hasSuffix(
        "Try 'qblockctl commit --help' for more "
          + "information\n"))
    #expect(try stage.done("--version").hasPrefix("qblockctl "))
  }

  @Test("a name that is not UTF-8 is refused, and no other file is made instead")
  func notText() throws {
    let stage = try ClientStage()
    let script = "cd \"$0\" && \"$1\" --socket \"$2\" create \"$(printf 'a\\377')\" 1M; echo $?; ls"
    let outcome = try QemuTools.run(
      "sh",
      [
        "-c", script, stage.directory.path, DaemonProcess.program("qblockctl"),
        stage.daemon.socket,
      ])
    #expect(outcome.output.contains("is not UTF-8"))
    #expect(outcome.output.hasSuffix("1\n"), "\(outcome.output)")
  }
}
