import Foundation
import QMPClient
import TestSupport
import Testing

@Suite("sizes as people write and read them")
struct ByteCountTests {
  static let texts = [
    "0", "512", "1k", "1K", "2m", "3M", "1G", "1g", "512b", "512B", "1.5M", "1.25k", "0.5k",
    "0x200", "0X400", "1.5", "1.5b", "k", "", "1kk", "12q", "-1", "0x", ".5M",
    "99999999999999999999", "8E", "16E", "1..5k", "1.5.5k", "one",
  ]

  @Test("qemu-img reads and refuses the same texts", arguments: texts)
  func asQemu(text: String) throws {
    let directory = try TemporaryDirectory()
    let path = directory.file("disk")
    let made = try QemuTools.img("create", "-q", "-f", "raw", "--", path, text)
    let size = try? FileManager.default.attributesOfItem(atPath: path)[.size] as? Int
    // qemu-img rounds up to sectors, and the file system has a limit of its own.
    let ours = try? ByteCount.parse(text)
    if made.status == 0 {
      #expect(ours.map { ($0 + 511) / 512 * 512 } == size)
    } else {
      #expect(ours == nil, "\(made.output)")
    }
  }

  @Test("what no Int holds is told from what is no number")
  func overflow() throws {
    #expect(try ByteCount.parse("7E") == 7 << 60)
    #expect(try ByteCount.parse("7.5E") == 15 << 59)
    #expect(try ByteCount.parse("9223372036854775807") == .max)
    for text in ["8E", "9223372036854775808", "0x8000000000000000"] {
      #expect(throws: ByteCount.Fault.tooLarge) { try ByteCount.parse(text) }
    }
    for text in ["-1", "0x", "", "k", "1x"] {
      #expect(throws: ByteCount.Fault.malformed) { try ByteCount.parse(text) }
    }
  }

  @Test(
    "sizes read as qemu-img info shows them",
    arguments: [
      (0, "0 B"), (1, "1 B"), (999, "999 B"), (1000, "0.98 KiB"), (1024, "1 KiB"),
      (1536, "1.5 KiB"), (65_536, "64 KiB"), (262_144, "256 KiB"), (3_276_800, "3.13 MiB"),
      (67_108_864, "64 MiB"), (1 << 40, "1 TiB"), (.max, "8 EiB"),
    ])
  func shown(bytes: Int, text: String) {
    #expect(ByteCount.text(bytes) == text)
  }
}
