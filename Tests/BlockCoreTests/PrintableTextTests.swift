import BlockCore
import Testing

@Suite("text that may reach a person")
struct PrintableTextTests {
  @Test(
    "what moves a cursor, ends a line or turns text round is shown byte for byte",
    arguments: [
      ("a\u{1b}[2Jb", #"a\x1b[2Jb"#), ("\n\t\0\u{7f}", #"\x0a\x09\x00\x7f"#),
      ("\u{9b}2J", #"\xc2\x9b2J"#), ("\u{85}", #"\xc2\x85"#),
      ("a\u{202e}gpj", #"a\xe2\x80\xaegpj"#), ("\u{2066}\u{2069}", #"\xe2\x81\xa6\xe2\x81\xa9"#),
      ("\u{61c}\u{200f}\u{2028}", #"\xd8\x9c\xe2\x80\x8f\xe2\x80\xa8"#),
    ])
  func unprintable(text: String, shown: String) {
    #expect(text.printable == shown)
    #expect(PrintableText.of(Array(text.utf8)) == shown)
  }

  @Test(
    "everything else is shown as it is",
    arguments: ["", "base.qcow2", #"a\x1b"#, "é\u{a0}\u{301}", "שלום", "👩‍👩‍👧", "\u{200c}\u{feff}"])
  func printable(text: String) {
    #expect(text.printable == text)
    #expect(PrintableText.of(Array(text.utf8)) == text)
  }

  @Test("bytes that are not UTF-8 are escaped, and what stands between them is not")
  func bytes() {
    let bytes: [UInt8] = [0x61, 0xff, 0xc3, 0xa9, 0xc3, 0xe2, 0x82, 0xc2, 0x9b, 0x7a]
    #expect(PrintableText.of(bytes) == #"a\xffé\xc3\xe2\x82\xc2\x9bz"#)
  }

  @Test("programs get text as it is, and neither a NUL nor what is no text")
  func forPrograms() {
    let cases: [(String.UTF8View, String)] = [
      ("a\u{9b}b".utf8, "a\u{9b}b"), ("a\0b".utf8, #"a\x00b"#),
    ]
    for (bytes, text) in cases { #expect(PrintableText.forPrograms(Array(bytes)) == text) }
    #expect(PrintableText.forPrograms([0x61, 0xff]) == #"a\xff"#)
  }

  @Test("lines of a table keep their ends")
  func lines() {
    #expect("a\tb\u{9b}\n".printable(keeping: ["\n", "\t"]) == "a\tb\\xc2\\x9b\n")
  }
}
