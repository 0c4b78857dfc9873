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

  /// The file `image`.
  package var image: HostileImage
  /// The file's length where it ends in a hole.
  package var length: Int?
  /// The format that whoever opens the image names.
  package var format = "qcow2"
  /// The other files by name.
  package var others: [String: Companion] = ["base.raw": .bytes(HostileFiles.base)]

  package init(_ image: HostileImage) { self.image = image }

  /// The bytes of `base.raw`: 1 MiB that differ from zero.
  package static let base = [UInt8](repeating: 0x5a, count: 1 << 20)

  /// Makes all of it in the empty directory `path`; returns the image's path.
  package func save(in path: String) throws -> String {
    let target = "\(path)/image"
    try image.storage().save(to: target)
    if let length, truncate(target, length) != 0 { throw POSIXError.last }
    for (name, companion) in others { try save(companion, as: "\(path)/\(name)", target) }
    return target
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
