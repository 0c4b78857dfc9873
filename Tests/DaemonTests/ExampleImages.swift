import Foundation
import JSONValue
import TestSupport

/// The files that the examples of `protocol.md` work on, in a directory of their own.
///
/// Isolation: one test.
final class ExampleImages {
  let directory: TemporaryDirectory

  init() throws {
    directory = try TemporaryDirectory()
    try chain([("base", 0, 0x11), ("middle", 64 << 10, 0x22), ("overlay", 128 << 10, 0x33)])
    try run("create", "-f", "raw", directory.file("disk.raw"), "4M")
    try layer("large", over: "disk.raw", format: "raw", size: "16M", offset: 12 << 20, byte: 0x44)
  }

  /// `text` with the directory in the place of `/images`.
  func inPlace(_ text: String) -> String {
    text.replacingOccurrences(of: "/images", with: directory.path)
  }

  /// qcow2 images, each over the one before, with 64 KiB of a byte at an offset in each.
  private func chain(_ layers: [(name: String, offset: Int, byte: UInt8)]) throws {
    var below: String?
    for (name, offset, byte) in layers {
      try layer(name, over: below, format: "qcow2", size: "4M", offset: offset, byte: byte)
      below = "\(name).qcow2"
    }
  }

  private func layer(
    _ name: String, over backing: String?, format: String, size: String, offset: Int, byte: UInt8
  ) throws {
    let path = directory.file("\(name).qcow2")
    let link = backing.map { ["-b", $0, "-F", format] } ?? []
    try run(["create", "-f", "qcow2"] + link + [path, size])
    let written = try QemuTools.io(path, "write -P \(byte) \(offset) 64k")
    guard written.status == 0 else { throw Failure(output: written.output) }
  }

  private func run(_ arguments: String...) throws { try run(arguments) }

  private func run(_ arguments: [String]) throws {
    let outcome = try QemuTools.run("qemu-img", arguments)
    guard outcome.status == 0 else { throw Failure(output: outcome.output) }
  }

  /// What a tool wrote when it could not make an image.
  struct Failure: Error {
    let output: String
  }
}
