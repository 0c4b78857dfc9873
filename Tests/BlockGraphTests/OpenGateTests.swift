import BlockCore
import BlockIO
import Glibc
import ImageFormats
import TestSupport
import Testing

@Suite struct OpenGateTests {
  @Test("names inside images that are no plain paths are refused, and shown escaped")
  func names() {
    for (name, part) in [
      ("json:{\"driver\":\"null-co\"}", "'json:' name"), ("nbd://host/x", "a protocol"),
      ("file:x", "a protocol"), ("", "an empty name"), ("a\0b", #"control byte \x00"#),
      ("a\u{1B}[2Jb", #"control byte \x1b"#), ("a\nb", #"'a\x0ab'"#), ("a\u{7F}", #"\x7f"#),
    ] {
      let error = #expect(throws: BlockError.self) {
        try OpenGate.path(ofBacking: Array(name.utf8), namedBy: try FileName("/d/top"))
      }
      #expect(error?.message.contains(part) == true, "\(error?.message ?? "")")
      #expect(error?.message.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7F } == true)
    }
  }

  @Test(
    "relative names start at the overlay's directory",
    arguments: [
      ("base", "/d/top", "/d/base"), ("../b", "/d/e/top", "/d/e/../b"), ("/x", "/d/top", "/x"),
      ("base", "top", "base"), ("./a:b", "/d/top", "/d/./a:b"), ("s/a:b", "top", "s/a:b"),
      ("base", "/d/\u{301}top", "/d/base"), ("/\u{301}x", "/d/top", "/\u{301}x"),
    ])
  func paths(name: String, image: String, path: String) throws {
    #expect(
      try OpenGate.path(ofBacking: Array(name.utf8), namedBy: try FileName(image)).bytes
        == Array(path.utf8))
  }

  @Test("a name that is not UTF-8 is a name like any other, and is shown escaped")
  func otherBytes() throws {
    let image = try FileName(bytes: Array("/d/".utf8) + [0xfe, 0x2f, 0x74])
    let path = try OpenGate.path(ofBacking: [0xff, 0x61], namedBy: image)
    #expect(path.bytes == Array("/d/".utf8) + [0xfe, 0x2f, 0xff, 0x61])
    #expect(path.text == #"/d/\xfe/\xffa"#)
    #expect(path.string == path.text)
  }

  @Test("a name that would be shown in another order, or move the cursor, is shown escaped")
  func unprintable() throws {
    let name = "a\u{202e}gpj.\u{9b}2Jexe"
    let path = try OpenGate.path(ofBacking: Array(name.utf8), namedBy: try FileName("/top"))
    #expect(path.text == #"/a\xe2\x80\xaegpj.\xc2\x9b2Jexe"#)
    #expect(path.string == "/" + name)
    let error = #expect(throws: BlockError.self) {
      try OpenGate.path(ofBacking: Array("json:\(name)".utf8), namedBy: try FileName("/top"))
    }
    #expect(error?.message.unicodeScalars.contains(where: \.isUnprintable) == false)
  }

  @Test("roots bind every name, wherever a link or a '..' leads")
  func roots() throws {
    let outside = try TemporaryDirectory()
    let secret = try outside.write([1], to: "secret")
    let inside = try TemporaryDirectory()
    try inside.write([2], to: "image")
    #expect(mkdir(inside.file("sub"), 0o700) == 0)
    #expect(symlink(secret, inside.file("out")) == 0)
    #expect(symlink("../image", inside.file("sub/in")) == 0)
    let gate = try OpenGate(roots: [inside.path + "/"])
    let readOnly = HostFileOptions(isReadOnly: true)
    for name in ["image", "sub/in", "sub/../image"] {
      let file = try gate.open(inside.file(name), .image, readOnly)
      #expect(try file.size() == 1)
      #expect(try gate.identity(of: FileName(inside.file(name))) == file.identity)
      try file.close()
    }
    let parent = outside.path.split(separator: "/").last ?? ""
    for name in [
      secret, inside.file("out"), inside.file("../\(parent)/secret"), inside.path + "x/image",
      "image", "/proc/self/exe", "/dev/null",
    ] {
      let error = #expect(throws: BlockError.self) { try gate.open(name, .client, readOnly) }
      #expect(error?.code == .permission, "\(name): \(error?.message ?? "")")
      #expect(throws: BlockError.self, "\(name)") { try gate.identity(of: FileName(name)) }
    }
    #expect(gate.allowsWriting(.image))
  }

  @Test("a new file is made inside a root only, wherever a link leads")
  func creates() throws {
    let outside = try TemporaryDirectory()
    let inside = try TemporaryDirectory()
    #expect(mkdir(inside.file("sub"), 0o700) == 0)
    #expect(symlink("sub", inside.file("in")) == 0)
    #expect(symlink(outside.path, inside.file("out")) == 0)
    #expect(symlink(outside.file("b"), inside.file("dangling")) == 0)
    let gate = try OpenGate(roots: [inside.path])
    for name in ["a", "sub/b", "in/c", "sub/../d"] {
      try gate.create(inside.file(name)).close()
      #expect(try inside.read(name).isEmpty)
    }
    #expect(try inside.read("sub/c").isEmpty)
    for name in [outside.file("a"), inside.file("out/a"), inside.file("dangling"), "a"] {
      #expect(throws: BlockError.self, "\(name)") { try gate.create(name) }
    }
    for name in ["a", "b"] { #expect(throws: (any Error).self) { try outside.read(name) } }
  }

  @Test("without roots any file opens, but one that only an image named never for writing")
  func noRoots() throws {
    let directory = try TemporaryDirectory()
    let path = try directory.write([1], to: "a")
    let gate = try OpenGate(roots: [])
    try gate.open(path, .client, HostFileOptions()).close()
    try gate.open(path, .image, HostFileOptions(isReadOnly: true)).close()
    let error = #expect(throws: BlockError.self) {
      try gate.open(path, .image, HostFileOptions())
    }
    #expect(error?.code == .permission)
    #expect(!gate.allowsWriting(.image))
  }

  @Test("a root must be a directory that is there, by its absolute path")
  func badRoots() throws {
    let directory = try TemporaryDirectory()
    let file = try directory.write([], to: "file")
    for root in [file, directory.file("none"), "relative", ""] {
      #expect(throws: BlockError.self) { try OpenGate(roots: [root]) }
    }
  }
}
