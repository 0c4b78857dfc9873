import TestSupport
import Testing

@Suite("qblockctl --image-opts")
struct ClientOptionsTests {
  private func stage() throws -> ClientStage {
    let stage = try ClientStage()
    try stage.makeChain(["6M", "6M", "6M"])
    try stage.write("base", "write -P 1 0 1M")
    try stage.write("mid", "write -P 2 1M 1M")
    try stage.write("top", "write -P 3 2M 1M")
    return stage
  }

  @Test(
    "an image that is described by options is what qemu-img takes it for",
    arguments: [
      "driver=qcow2,file.filename=top", "driver=qcow2,file.driver=file,file.filename=./top",
      "driver=qcow2,file.filename=top,backing.driver=qcow2,backing.file.filename=base",
      "driver=raw,file.filename=top", "driver=qcow2,file.filename=a,,b",
    ])
  func sameAsQemu(options: String) throws {
    let stage = try stage()
    _ = try stage.img("convert", "-O", "qcow2", "top", "a,b")
    let theirs = try stage.img("map", "--output=json", "--image-opts", options)
    #expect(try stage.done("map", "--output", "json", "--image-opts", options) == theirs.output)
    let same = try stage.img("compare", "--image-opts", options, options)
    #expect(try stage.done("compare", "--image-opts", options, options) == same.output)
  }

  @Test("info, check, checksum, write and commit take options; the file is named, not the options")
  func commands() throws {
    let stage = try stage()
    let top = "driver=qcow2,file.filename=top"
    let info = try stage.done("info", "--image-opts", top)
    #expect(info.hasPrefix("image: top\n") && info.contains("backing file: mid"))
    #expect(try stage.done("check", "--image-opts", top).contains("No errors were found"))
    let sum = try stage.done("checksum", "--image-opts", top)
    #expect(sum == "\(try stage.digest("top"))  \(top)\n")
    try stage.done("write", "--image-opts", top, "3M", "64k", "--pattern", "9")
    #expect(try stage.done("commit", "--image-opts", top).contains("Image committed."))
    let read = try QemuTools.io(stage.directory.file("mid"), "read -P 9 3M 64k")
    #expect(read.status == 0, "\(read.output)")
    #expect(try stage.done("nodes", "--json") == "[]\n")
  }

  @Test(
    "what is wrong with options is said by its key",
    arguments: [
      ("top", "Expected '=' after parameter 'top'"),
      ("file.filename=top", "Parameter 'driver' is missing"),
      ("driver=qcow2,file.filename=top,file.zz=1", "Parameter 'file.zz' is unexpected"),
      ("driver=qcow2,file.filename=top,read-only=x", "Parameter 'read-only' expects 'on' or 'off'"),
      ("driver=file,filename=top", "'file' is no format"),
      ("driver=qcow2,file.filename=no", "No such file or directory"),
    ])
  func refused(options: String, sentence: String) throws {
    let outcome = try stage().ctl("info", "--image-opts", options)
    #expect(outcome.status == 1)
    #expect(outcome.errors.hasPrefix("qblockctl: Could not open '\(options)': "))
    #expect(outcome.errors.contains(sentence), "\(outcome.errors)")
  }

  @Test("options and -f contradict each other")
  func format() throws {
    let stage = try stage()
    for command in ["info", "check"] {
      let outcome = try stage.ctl(
        command, "-f", "qcow2", "--image-opts", "driver=qcow2,file.filename=top")
      #expect(outcome.status == 1)
      #expect(outcome.errors.contains("--image-opts and --format are mutually exclusive"))
    }
  }
}
