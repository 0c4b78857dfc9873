import Foundation
import TestSupport
import Testing

@Suite("qblockctl commit")
struct ClientCommitTests {
  private func stage() throws -> ClientStage {
    let stage = try ClientStage()
    try stage.makeChain()
    try stage.write("base", "write -P 1 0 2M")
    try stage.write("mid", "write -P 2 1M 2M")
    try stage.write("top", "write -P 3 2M 2M", "write -z 10M 64k")
    return stage
  }

  @Test("commits into the backing file, empties the overlay, and closes all")
  func plain() throws {
    let stage = try stage()
    let before = try stage.digest("top")
    #expect(try stage.done("commit", "top") == "Image committed.\n")
    #expect(try stage.digest("top") == before)
    #expect(try stage.digest("mid") == before)
    for image in ["top", "mid", "base"] {
      #expect(try stage.img("check", image).status == 0)
    }
    let held = try stage.img("map", "top").output.split(separator: "\n")
    #expect(!held.contains { $0.hasSuffix("top") })
    #expect(try stage.done("nodes", "--json") == "[]\n")
    #expect(try stage.done("jobs", "--json") == "[]\n")
  }

  @Test("a short option takes its value with or without a space, as qemu-img's do")
  func joinedValues() throws {
    let stage = try stage()
    let digest = try stage.digest("top")
    #expect(
      try stage.done("commit", "-dq", "-fqcow2", "-tnone", "-r100M", "-bbase", "top") == "")
    #expect(try stage.digest("base") == digest)
  }

  @Test(
    "zeros over data take the space away from the base, as with qemu-img",
    arguments: ["raw", "qcow2"])
  func givesSpaceBack(format: String) throws {
    let stage = try ClientStage()
    for who in ["ours", "theirs"] {
      let (base, over) = ("base-\(who)", "over-\(who)")
      #expect(try stage.img("create", "-q", "-f", format, base, "64M").status == 0)
      let data = try QemuTools.run(
        "qemu-io", ["-f", format, "-c", "write -P 1 8M 16M", stage.directory.file(base)])
      #expect(data.status == 0, "\(data.output)")
      let made = try stage.img("create", "-q", "-f", "qcow2", "-b", base, "-F", format, over)
      #expect(made.status == 0, "\(made.output)")
      try stage.write(over, "write -z 10M 8M", "write -P 5 40M 64k")
    }
    try stage.done("commit", "over-ours")
    #expect(try stage.img("commit", "over-theirs").status == 0)
    func kibibytes(_ name: String) throws -> Int {
      let told = try QemuTools.run("du", ["-k", stage.directory.file(name)]).output
      return try #require(Int(told.prefix { $0.isNumber }))
    }
    // Eight MiB go. What the file system takes for itself, and where clusters were free at that
    // moment, may make a few clusters of difference.
    let (ours, theirs) = (try kibibytes("base-ours"), try kibibytes("base-theirs"))
    #expect(ours <= theirs + 4 * 64, "\(ours) KiB, with qemu-img \(theirs)")
    #expect(try stage.img("compare", "base-ours", "base-theirs").status == 0)
  }

  @Test("-d leaves the overlay as it is, to the last byte")
  func drop() throws {
    let stage = try stage()
    let bytes = try stage.directory.read("top")
    #expect(try stage.done("commit", "-d", "top") == "Image committed.\n")
    #expect(try stage.directory.read("top") == bytes)
    #expect(try stage.digest("mid") == stage.digest("top"))
  }

  @Test(
    "-b commits into any image of the chain, however it is named, and leaves the overlay",
    arguments: ["header", "absolute", "current directory"])
  func base(by name: String) throws {
    let stage = try stage()
    let top = try stage.directory.read("top")
    let digest = try stage.digest("top")
    // From here the header's names lead nowhere.
    let elsewhere = try TemporaryDirectory(in: stage.directory.path)
    let (base, file, place) =
      switch name {
      case "header": ("base", "top", stage.directory)
      case "absolute": (stage.directory.file("base"), "../top", elsewhere)
      default: ("../base", "../top", elsewhere)
      }
    let outcome = try ClientProgram.run(
      ["--socket", stage.daemon.socket, "commit", "-b", base, file], in: place)
    #expect(outcome.status == 0)
    #expect(outcome.output == "Image committed.\n")
    // What lies between is no longer what it was.
    #expect(outcome.errors.hasSuffix("/mid\n"))
    #expect(try stage.directory.read("top") == top)
    #expect(try stage.digest("base") == digest)
  }

  @Test("-p shows progress as qemu-img does, and -q wins over it")
  func progress() throws {
    let stage = try stage()
    let shown = try stage.done("commit", "-d", "-p", "top")
    #expect(shown.hasSuffix("    (100.00/100%)\r\nImage committed.\n"))
    #expect(try stage.done("commit", "-d", "-q", "-p", "top") == "")
  }

  @Test("--json says each state of the job, and its result in the end")
  func json() throws {
    let stage = try stage()
    let lines = try stage.done("commit", "--json", "top").split(separator: "\n")
    let end = try #require(lines.last)
    #expect(end.contains(#""status": "concluded""#))
    #expect(end.contains(#""bytes-copied": "#))
  }

  @Test(
    "what cannot be done is refused with status 1, and nothing stays open",
    arguments: [
      (["none"], "Could not open 'none': No such file or directory"),
      (["base"], "Image does not have a backing file"),
      (["-b", "zz", "top"], "Did not find 'zz' in the backing chain of 'top'"),
      (["-t", "zz", "top"], "Invalid cache option: zz"),
      (["-f", "zz", "top"], "Could not open 'top': Unknown driver 'zz'"),
      (["-f", "raw", "top"], "Image does not have a backing file"),
      (["-r", "zz", "top"], "Invalid rate limit specified: 'zz'. You may use"),
      (["--zz", "top"], "Unknown option '--zz'"),
      ([], "Missing expected argument '<file>'"),
    ])
  func refused(arguments: [String], sentence: String) throws {
    let stage = try stage()
    let bytes = try stage.directory.read("base")
    let outcome = try ClientProgram.run(
      ["--socket", stage.daemon.socket, "commit"] + arguments, in: stage.directory)
    #expect(outcome.status == 1)
    #expect(outcome.output == "")
    #expect(outcome.errors.hasPrefix("qblockctl: \(sentence)"), "\(outcome.errors)")
    #expect(try stage.done("nodes", "--json") == "[]\n")
    #expect(try stage.directory.read("base") == bytes)
  }

  @Test("an image that somebody else uses is refused, with who it is")
  func locked() throws {
    let stage = try stage()
    let holder = try ImageHolder("-f", "qcow2", stage.directory.file("mid"))
    let outcome = try stage.ctl("commit", "top")
    #expect(outcome.status == 1)
    #expect(outcome.errors.contains("\(holder.pid)"), "\(outcome.errors)")
    holder.release()
    #expect(try stage.done("nodes", "--json") == "[]\n")
    try stage.done("commit", "top")
  }

  @Test("a backing file without a format needs one, and --backing-format gives it")
  func backingFormat() throws {
    let stage = try stage()
    // Only the format goes: its extension gets a type that nobody knows.
    var header = try stage.directory.read("top")
    let extensionType: [UInt8] = [0xe2, 0x79, 0x2a, 0xca]
    let place = try #require(
      (0..<1024).first { Array(header[$0..<$0 + 4]) == extensionType })
    header[place] = 0x11
    try stage.directory.write(header, to: "top")
    let refused = try stage.ctl("commit", "top")
    #expect(refused.status == 1)
    #expect(refused.errors.contains("--backing-format"))
    try stage.done("commit", "--backing-format", "qcow2", "top")
  }

  @Test("a base in another directory is written to only when it is named")
  func strangersBase() throws {
    let stage = try ClientStage()
    let other = try TemporaryDirectory(in: "/tmp")
    let victim = other.file("victim")
    #expect(try stage.img("create", "-q", "-f", "raw", victim, "1M").status == 0)
    let made = try stage.img("create", "-q", "-f", "qcow2", "-b", victim, "-F", "raw", "stranger")
    #expect(made.status == 0, "\(made.output)")
    try stage.write("stranger", "write -P 65 0 64k")
    let before = try other.read("victim")
    for words in [["commit", "stranger"], ["commit", "--private", "stranger"]] {
      let outcome = try ClientProgram.run(
        (words.contains("--private") ? [] : ["--socket", stage.daemon.socket]) + words,
        in: stage.directory)
      #expect(outcome.status == 1)
      #expect(outcome.errors.contains("'\(victim)' is named only by the image over it"))
      #expect(try other.read("victim") == before)
    }
    try stage.done("commit", "-q", "-b", victim, "stranger")
    #expect(try other.read("victim").prefix(64 << 10).allSatisfy { $0 == 65 })
  }

  @Test(
    "nor is one to which a link in the image's directory leads",
    arguments: ["link", "folder/victim", "folder/../victim"])
  func linkedBase(name: String) throws {
    let stage = try ClientStage()
    let other = try TemporaryDirectory(in: "/tmp")
    let places = [other.path + "/victim", other.path + "/inner/victim"]
    try FileManager.default.createDirectory(
      atPath: other.file("inner"), withIntermediateDirectories: true)
    for place in places {
      #expect(try stage.img("create", "-q", "-f", "raw", place, "1M").status == 0)
    }
    for (link, target) in [("link", places[0]), ("folder", other.file("inner"))] {
      try FileManager.default.createSymbolicLink(
        atPath: stage.directory.file(link), withDestinationPath: target)
    }
    let made = try stage.img("create", "-q", "-f", "qcow2", "-b", name, "-F", "raw", "stranger")
    #expect(made.status == 0, "\(made.output)")
    try stage.write("stranger", "write -P 65 0 64k")
    let outcome = try stage.ctl("commit", "stranger")
    #expect(outcome.status == 1)
    #expect(outcome.errors.contains("is named only by the image over it"), "\(outcome.errors)")
    for place in places {
      let bytes = try #require(FileManager.default.contents(atPath: place))
      #expect(bytes.allSatisfy { $0 == 0 })
    }
  }
}
