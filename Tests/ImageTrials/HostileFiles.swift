import BlockCore
import BlockIO
import Foundation
import TestSupport

/// A malformed image and the files that lie beside it.
///
/// Isolation: value.
package struct HostileFiles: Sendable {
  /// What lies beside the image.
  package enum Companion: Sendable {
    case bytes([UInt8])
    case directory
    case fifo
    case socket
    /// A symbolic link to a name.
    case link(String)
    /// Another name of the image itself.
    case sameFile
  }

  /// The directory in which they are going to lie.
  package let directory: String
  /// Whether that is the only root of whoever opens them; else there are no roots.
  package var isRooted = true
  /// The file `image`.
  package var image: HostileImage
  /// Whether all is known of the image that a comparison asks for; else its checksum is taken.
  package var isComparable = true
  /// The name of `base.raw`, where it is another one.
  package var baseName = Array("base.raw".utf8)
  /// The file's length where it ends in a hole.
  package var length: Int?
  /// The format that whoever opens the image names.
  package var format = "qcow2"
  /// The other files by name.
  package var others: [String: Companion] = ["base.raw": .bytes(HostileFiles.base)]

  package init(_ image: HostileImage, in directory: String) {
    self.image = image
    self.directory = directory
  }

  /// Whether the image names a backing file.
  package var hasBacking: Bool {
    format == "qcow2" && image.bytes.count >= 16 && image.word(at: 8) != 0
  }

  /// The version that the image says it has.
  var version: Int { image.bytes.count >= 8 ? image.field(at: 4) : 0 }

  /// The length of a cluster, where the image says one that can be.
  var clusterSize: Int {
    let bits = image.bytes.count >= 24 ? image.field(at: 20) : 0
    return (9...21).contains(bits) ? 1 << bits : 4096
  }

  /// What lies in `base.raw`, which is what a valid image names, if any.
  private var backing: [UInt8] {
    if hasBacking, case .bytes(let bytes)? = others["base.raw"] { bytes } else { [] }
  }

  /// What the image's guest must see; nil of a disk that is too large to be looked at as a whole.
  package var view: [UInt8]? {
    if format == "raw" { return image.bytes }
    guard image.bytes.count >= 32, image.virtualSize <= 64 << 20 else { return nil }
    let size = Int(image.virtualSize)
    let cluster = clusterSize
    var view = [UInt8](repeating: 0, count: size.roundedUp(to: cluster))
    view.put(Array(backing.prefix(view.count)), at: 0)
    for (index, content) in image.owned where index * cluster < size {
      view.put(content, at: index * cluster)
    }
    return Array(view.prefix(size))
  }

  /// How the image's file, `now`, differs from what it was made with.
  func change(of now: [UInt8]) -> HostileAnswer.Change {
    if now.isSame(as: image.bytes) { return .none }
    guard now.count == image.bytes.count, now.count >= 80 else { return .more }
    var marked = image
    marked.put64(image.word(at: 72) | 2, at: 72)
    return now.isSame(as: marked.bytes) ? .corruptBit : .more
  }

  /// The bytes of `base.raw`: 1 MiB that differ from zero.
  package static let base = [UInt8](repeating: 0x5a, count: 1 << 20)

  /// Makes all of it in `directory`, which is empty; returns the image's path.
  package func save() throws -> String {
    let path = directory
    let target = "\(path)/image"
    try image.storage().save(to: target)
    if let length, truncate(target, length) != 0 { throw POSIXError.last }
    for (name, companion) in others { try save(companion, as: "\(path)/\(name)", target) }
    try rename(base: Array("base.raw".utf8), to: baseName)
    return target
  }

  /// Removes the base, whose name nobody else may be able to say.
  func removeBase() { _ = unlink(inDirectory(baseName)) }

  private func rename(base old: [UInt8], to new: [UInt8]) throws {
    if old == new { return }
    let (old, new) = (inDirectory(old), inDirectory(new))
    if Foundation.rename(old, new) != 0 { throw POSIXError.last }
  }

  /// The path of a file of this name, as C wants it.
  private func inDirectory(_ name: [UInt8]) -> [CChar] {
    (Array("\(directory)/".utf8) + name + [0]).map { CChar(bitPattern: $0) }
  }

  /// The bytes of the file `name` now.
  func bytes(of name: [UInt8]) throws -> [UInt8] {
    let file = try HostFile.open(
      FileName(bytes: Array("\(directory)/".utf8) + name),
      HostFileOptions(isReadOnly: true, locking: .off))
    defer { try? file.close() }
    var bytes = [UInt8](repeating: 0, count: try file.size())
    _ = try bytes.withMutableBytes { (target) throws(BlockError) in
      try file.read(into: &target, at: 0)
    }
    return bytes
  }

  private func save(_ companion: Companion, as path: String, _ image: String) throws {
    let files = FileManager.default
    switch companion {
    case .bytes(let bytes): try Data(bytes).write(to: URL(fileURLWithPath: path))
    case .directory: try files.createDirectory(atPath: path, withIntermediateDirectories: false)
    case .link(let name): try files.createSymbolicLink(atPath: path, withDestinationPath: name)
    case .sameFile: try files.linkItem(atPath: image, toPath: path)
    case .fifo: if mkfifo(path, 0o600) != 0 { throw POSIXError.last }
    case .socket: if mknod(path, S_IFSOCK | 0o600, 0) != 0 { throw POSIXError.last }
    }
  }
}

extension POSIXError {
  /// The failure of the system call made last.
  static var last: POSIXError { POSIXError(POSIXErrorCode(rawValue: errno) ?? .EIO) }
}
