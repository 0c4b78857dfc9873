import Foundation

/// A loop device over a temporary file, gone with this object.
///
/// Isolation: one test.
package final class LoopDevice {
  /// Its name under `/dev`.
  package let path: String
  private let directory: TemporaryDirectory

  /// Whether one can be made: only root can, and only where the kernel has them.
  package static var isAvailable: Bool {
    getuid() == 0 && FileManager.default.fileExists(atPath: "/dev/loop-control")
  }

  /// A device of `size` bytes, all zeros.
  /// - Throws: where `losetup` fails.
  package convenience init(size: Int) throws {
    try self.init([UInt8](repeating: 0, count: size))
  }

  /// A device with these bytes.
  /// - Throws: where `losetup` fails.
  package init(_ bytes: [UInt8]) throws {
    directory = try TemporaryDirectory()
    try directory.write(bytes, to: "disk")
    let made = try QemuTools.run("losetup", ["--find", "--show", directory.file("disk")])
    guard made.status == 0 else { throw POSIXError(.ENODEV) }
    path = made.output.trimmingCharacters(in: .whitespacesAndNewlines)
  }

  deinit { _ = try? QemuTools.run("losetup", ["--detach", path]) }
}
