import Foundation
import TestSupport
import Testing

/// An image as qemu-img is to make it.
///
/// Isolation: value.
struct ImageShape {
  /// Bytes on the guest's disk, a multiple of 512.
  var size: Int
  var format = "qcow2"
  var version = 3
  var clusterSize = 65_536
  var refcountBits = 16
  var compression = "zlib"

  static func raw(_ size: Int) -> ImageShape { ImageShape(size: size, format: "raw") }

  fileprivate var options: String {
    var options = [
      "compat=\(version == 2 ? "0.10" : "1.1")", "cluster_size=\(clusterSize)",
      "refcount_bits=\(refcountBits)",
    ]
    // Only version 3 can say how clusters are packed.
    if version == 3 { options.append("compression_type=\(compression)") }
    return options.joined(separator: ",")
  }
}

/// Images over one another in a directory of one test, made and read by QEMU's tools.
///
/// Isolation: one test.
final class ImageChain {
  let directory: TemporaryDirectory
  /// The images' names, the lowest first; each lies in the file `NAME.img`.
  private(set) var names: [String] = []
  private(set) var shapes: [String: ImageShape] = [:]
  private var rawViews = 0

  init(in parent: String? = nil) throws { directory = try TemporaryDirectory(in: parent) }

  /// The path of the image `name`.
  func path(_ name: String) -> String { directory.file("\(name).img") }

  /// Makes an image over `backing`, by default the last one made; `link` is what its header says of
  /// it, by default the absolute path. Then does `commands` with qemu-io.
  func add(
    _ name: String, _ shape: ImageShape, over backing: String? = nil, link: String? = nil,
    _ commands: String...
  ) throws {
    try add(name, shape, over: backing ?? names.last, link: link, commands: commands)
  }

  func add(
    _ name: String, _ shape: ImageShape, over backing: String?, link: String? = nil,
    commands: [String]
  ) throws {
    var arguments = ["create", "-q", "-f", shape.format]
    if shape.format == "qcow2" { arguments += ["-o", shape.options] }
    if let backing {
      arguments += ["-b", link ?? path(backing), "-F", shapes[backing]?.format ?? ""]
    }
    try succeed("qemu-img", arguments + [path(name), String(shape.size)])
    names.append(name)
    shapes[name] = shape
    try io(name, commands)
  }

  /// Does `commands` on the image `name` with qemu-io.
  func io(_ name: String, _ commands: [String]) throws {
    guard !commands.isEmpty else { return }
    let format = shapes[name]?.format ?? ""
    try succeed("qemu-io", ["-f", format, path(name)] + commands.flatMap { ["-c", $0] })
  }

  /// What a guest sees through the image `name` now, as a raw file.
  func view(_ name: String) throws -> String {
    try view(["-f", shapes[name]?.format ?? "", path(name)])
  }

  /// What the snapshot of `name` holds by itself, as a raw file.
  func snapshot(_ snapshot: String, of name: String) throws -> String {
    try view([
      "-l", "snapshot.name=\(snapshot)",
      "json:{\"driver\":\"qcow2\",\"backing\":null,"
        + "\"file\":{\"driver\":\"file\",\"filename\":\"\(path(name))\"}}",
    ])
  }

  private func view(_ source: [String]) throws -> String {
    rawViews += 1
    let raw = directory.file("view-\(rawViews).raw")
    try succeed("qemu-img", ["convert", "-U", "-O", "raw"] + source + [raw])
    return raw
  }

  /// Whether a guest of `name` sees `raw`, and zeros behind its end.
  func shows(_ name: String, _ raw: String) throws -> Bool {
    let outcome = try QemuTools.img(
      "compare", "-U", "-q", "-f", shapes[name]?.format ?? "", "-F", "raw", path(name), raw)
    try #require(outcome.status <= 1, "\(outcome.output)")
    return outcome.status == 0
  }

  /// Expects that `qemu-img check` finds nothing to complain about in any of these images.
  func checkSound(_ names: [String]? = nil) throws {
    for name in names ?? self.names where shapes[name]?.format == "qcow2" {
      let outcome = try QemuTools.img("check", "-U", "-f", "qcow2", path(name))
      #expect(outcome.status == 0, "\(name): \(outcome.output)")
    }
  }

  /// What `qemu-img map` says of the image `name`.
  func map(_ name: String) throws -> [MapEntry] {
    let format = shapes[name]?.format ?? ""
    let text = try succeed("qemu-img", ["map", "-U", "--output=json", "-f", format, path(name)])
    return try JSONDecoder().decode([MapEntry].self, from: Data(text.utf8))
  }

  /// What `qemu-img info` says of the file of the image `name`.
  func info(_ name: String) throws -> ImageFacts {
    let format = shapes[name]?.format ?? ""
    let text = try succeed("qemu-img", ["info", "-U", "--output=json", "-f", format, path(name)])
    return try JSONDecoder().decode(ImageFacts.self, from: Data(text.utf8))
  }

  /// The bytes of the file of `name`.
  func bytes(_ name: String) throws -> Data {
    try Data(contentsOf: URL(fileURLWithPath: path(name)))
  }

  /// The same images again in another directory, for what would change these. Their headers must
  /// name each other without a directory.
  func copy() throws -> ImageChain {
    let copy = try ImageChain()
    for name in names {
      try succeed("cp", ["--sparse=always", path(name), copy.path(name)])
    }
    copy.names = names
    copy.shapes = shapes
    return copy
  }

  /// Runs a tool that must succeed; returns what it wrote.
  @discardableResult
  func succeed(_ tool: String, _ arguments: [String]) throws -> String {
    let outcome = try QemuTools.run(tool, arguments)
    try #require(
      outcome.status == 0, "\(tool) \(arguments.joined(separator: " ")): \(outcome.output)")
    return outcome.output
  }
}

/// A run of bytes as `qemu-img map` tells it, apart from where it lies in a file.
///
/// Isolation: value.
struct MapEntry: Decodable, Equatable {
  var start: Int
  var length: Int
  var depth: Int
  var present: Bool
  var zero: Bool
  var data: Bool
}

/// What `qemu-img info` tells of a file.
///
/// Isolation: value.
struct ImageFacts: Decodable {
  enum CodingKeys: String, CodingKey {
    case virtualSize = "virtual-size"
    case backingName = "backing-filename"
    case backingFormat = "backing-filename-format"
  }

  var virtualSize: Int
  var backingName: String?
  var backingFormat: String?
}
