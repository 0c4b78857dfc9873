import Glibc

/// Which file it is, whatever its name: two names of one file have equal identities.
///
/// Isolation: value.
package struct FileIdentity: Hashable, Sendable {
  /// The device that holds the file; for a block device, the device itself.
  package let device: UInt64
  /// The file's inode; 0 for a block device.
  package let inode: UInt64

  package init(device: UInt64, inode: UInt64) {
    self.device = device
    self.inode = inode
  }

  /// The identity that a file's status tells.
  init(_ status: stat) {
    let isDevice = FileKind(mode: status.st_mode) == .blockDevice
    device = UInt64(isDevice ? status.st_rdev : status.st_dev)
    inode = isDevice ? 0 : UInt64(status.st_ino)
  }
}
