import BlockCore
import TestSupport
import Testing

@Suite("qblockctl on images")
struct ClientImageTests {
  private func stage(_ sizes: [String] = ["6M", "5M", "8M"]) throws -> ClientStage {
    let stage = try ClientStage()
    try stage.makeChain(sizes)
    try stage.write("base", "write -P 1 0 1M", "write -P 1 5500k 256k", "write -z 2M 256k")
    try stage.write("mid", "write -P 2 512k 1M", "write -z 3M 256k", "write -z 4864k 256k")
    try stage.write("top", "write -P 3 1M 1M", "write -z 4M 64k", "write -P 4 7M 512k")
    return stage
  }

  @Test("map prints what qemu-img prints, in both forms", arguments: ["top", "./mid", "base"])
  func map(image: String) throws {
    let stage = try stage()
    for form in ["human", "json"] {
      let theirs = try stage.img("map", "--output", form, image)
      #expect(try stage.done("map", "--output", form, image) == theirs.output)
    }
  }

  @Test(
    "map tells the holes of a preallocated image as qemu-img does",
    arguments: ["empty", "written"],
    ["human", "json"])
  func preallocatedMap(kind: String, form: String) throws {
    let stage = try stage()
    let made = try stage.img(
      "create", "-f", "qcow2", "-o", "preallocation=metadata", "made", "5M")
    #expect(made.status == 0)
    if kind == "written" { try stage.write("made", "write -P 5 1M 1M", "write -P 6 4M 64k") }
    let theirs = try stage.img("map", "--output", form, "made")
    #expect(try stage.done("map", "--output", form, "made") == theirs.output)
  }

  @Test("no name that an image gives moves the cursor or turns text round")
  func names() throws {
    let stage = try ClientStage()
    let name = "a\u{9b}2J\u{202e}b"
    _ = try stage.img("create", "-q", "-f", "qcow2", name, "1M")
    _ = try stage.img("create", "-q", "-f", "qcow2", "-b", "./\(name)", "-F", "qcow2", "top", "1M")
    _ = try stage.img("snapshot", "-c", "s\u{1b}[2J\u{2066}", "top")
    let shown = #"a\xc2\x9b2J\xe2\x80\xaeb"#
    let info = try stage.done("info", "top")
    #expect(info.contains("backing file: ./\(shown)"))
    #expect(info.contains(#"internal snapshots: s\x1b[2J\xe2\x81\xa6"#))
    _ = try stage.img("rebase", "-u", "-b", "./\(name)/x", "-F", "qcow2", "top")
    let refusal = try stage.ctl("info", "--backing-chain", "top")
    #expect(refusal.errors.contains(shown))
    try stage.done("open", "--name", "n", name)
    let others =
      try [stage.done("nodes"), stage.done("nodes", "--json"), stage.done("map", "-U", name)]
    for text in others + [info, refusal.errors, refusal.output] {
      let lines = text.replacing("\n", with: "")
      #expect(lines.printable == lines)
    }
    #expect(others[0].contains(shown))
  }

  @Test("map refuses a table of compressed clusters as qemu-img does")
  func compressedMap() throws {
    let stage = try stage()
    _ = try stage.img("convert", "-c", "-O", "qcow2", "base", "packed")
    let ours = try stage.ctl("map", "packed")
    #expect(ours.status == 1)
    #expect(ours.errors.hasPrefix("qblockctl: File contains external, encrypted or compressed"))
    #expect(
      try stage.done("map", "--output", "json", "packed")
        == stage.img("map", "--output", "json", "packed").output)
  }

  @Test("checksum is that of the disk written out to a raw file")
  func checksum() throws {
    let stage = try stage()
    #expect(try stage.done("checksum", "top") == "\(stage.digest("top"))  top\n")
  }

  @Test(
    "compare says and returns what qemu-img does",
    arguments: [
      ["top", "top"], ["top", "mid"], ["mid", "longer"], ["mid", "other"], ["base", "none"],
    ])
  func compare(images: [String]) throws {
    let stage = try stage()
    _ = try stage.img("convert", "-O", "qcow2", "mid", "longer")
    _ = try stage.img("resize", "longer", "5632k")
    _ = try stage.img("convert", "-O", "qcow2", "longer", "other")
    try stage.write("other", "write -P 9 5300k 64k")
    let theirs = try stage.img("compare", images[0], images[1])
    let ours = try stage.ctl("compare", images[0], images[1])
    #expect(ours.status == theirs.status)
    // qemu-img's complaints come with its output here.
    if theirs.status < 2 { #expect(ours.output == theirs.output) }
    #expect(try stage.done("nodes", "--json") == "[]\n")
  }

  @Test("a raw disk needs -f raw: it is never taken for one")
  func raw() throws {
    let stage = try ClientStage()
    try stage.done("create", "-f", "raw", "disk", "1M")
    let refused = try stage.ctl("checksum", "disk")
    #expect(refused.status == 1)
    #expect(refused.errors.contains("give -f raw"))
    try stage.done("checksum", "-f", "raw", "disk")
  }

  @Test(
    "create makes what qemu-img finds good",
    arguments: [
      "cluster_size=64k", "cluster_size=512,compat=0.10", "compat=1.1,refcount_bits=1",
      "lazy_refcounts=on",
    ])
  func create(options: String) throws {
    let stage = try stage()
    try stage.done("create", "-o", options, "new", "10M")
    #expect(try stage.img("check", "new").status == 0)
    try stage.done("create", "-o", options, "-b", "top", "-F", "qcow2", "over")
    #expect(try stage.img("check", "over").status == 0)
    #expect(try stage.img("compare", "over", "top").output == "Images are identical.\n")
  }

  @Test("create sets up all tables where it is asked")
  func preallocated() throws {
    let stage = try ClientStage()
    try stage.done("create", "-o", "preallocation=metadata", "new", "10M")
    #expect(try stage.img("check", "new").output.contains("160/160 = 100.00% allocated"))
  }

  @Test(
    "create refuses what makes no sense, and says why",
    arguments: [
      (["new"], "new: Image creation needs a size parameter"),
      (["-b", "top", "new"], "new: Backing file specified without backing format"),
      (["-b", "none", "-F", "qcow2", "new"], "Could not open 'none'"),
      (["-o", "cluster_size=1000", "new", "1M"], "new: "),
      (["-o", "preallocation=metadata", "-b", "top", "-F", "qcow2", "new"], "Preallocated"),
      (["-o", "zz=1", "new", "1M"], "new: Invalid parameter 'zz'"),
    ])
  func createRefused(arguments: [String], sentence: String) throws {
    let stage = try stage()
    let outcome = try ClientProgram.run(
      ["--socket", stage.daemon.socket, "create"] + arguments, in: stage.directory)
    #expect(outcome.status == 1)
    #expect(outcome.errors.hasPrefix("qblockctl: \(sentence)"), "\(outcome.errors)")
    #expect(try stage.done("nodes", "--json") == "[]\n")
    #expect(try stage.done("jobs", "--json") == "[]\n")
  }

  @Test("write does what a guest's write does, with a pattern or with the bytes of a file")
  func write() throws {
    let stage = try stage()
    try stage.directory.write((0..<100_000).map { UInt8($0 % 251) }, to: "source")
    _ = try stage.img("convert", "-O", "qcow2", "top", "expected")
    try stage.write(
      "expected", "write -P 0xAA 1M 3k",
      "write -s \(stage.directory.file("source")) 6M 100000")
    try stage.done("write", "top", "1M", "3k", "--pattern", "0xAA")
    try stage.done("write", "top", "6M", "100000", "--from", "source")
    #expect(try stage.img("compare", "top", "expected").output == "Images are identical.\n")
    #expect(try stage.img("check", "top").status == 0)
    let past = try stage.ctl("write", "top", "7.5M", "1M", "--pattern", "1")
    #expect(past.status == 1)
  }

  @Test("make-empty refuses to lose what only the overlay has, and --force does not")
  func makeEmpty() throws {
    let stage = try stage()
    let bytes = try stage.directory.read("top")
    let refused = try stage.ctl("make-empty", "top")
    #expect(refused.status == 1)
    #expect(refused.errors.contains("/top' would change what a guest sees"))
    #expect(try stage.directory.read("top") == bytes)
    #expect(try stage.done("make-empty", "--force", "top") == "Image emptied.\n")
    #expect(try stage.img("check", "top").status == 0)
    // Nothing is lost now.
    try stage.done("make-empty", "--mode", "discard", "top")
    #expect(try stage.done("nodes", "--json") == "[]\n")
  }

  @Test("info tells sizes, backing file and features")
  func info() throws {
    let stage = try stage()
    let text = try stage.done("info", "top")
    for line in [
      "image: top", "file format: qcow2", "virtual size: 8 MiB (8388608 bytes)",
      "cluster_size: 65536", "backing file: mid", "backing file format: qcow2",
      "    compat: 1.1", "    refcount bits: 16", "    corrupt: false",
    ] {
      #expect(text.contains("\(line)\n"), "\(line)")
    }
  }

  @Test("open, nodes and close: a node that stays until it is closed")
  func nodes() throws {
    let stage = try stage()
    #expect(try stage.done("open", "--name", "disk", "top") == "disk\n")
    #expect(try stage.done("nodes").contains("disk"))
    try stage.done("close", "disk")
    #expect(try stage.done("nodes", "--json") == "[]\n")
    #expect(try stage.ctl("close", "disk").status == 1)
  }
}
