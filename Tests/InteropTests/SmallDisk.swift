import Foundation
import TestSupport
import Testing

/// A place for a base that is too small for what is to be committed into it, until it is told to
/// have room.
///
/// Isolation: one test.
final class SmallDisk {
  /// What makes it small.
  enum Kind: String, CaseIterable {
    /// A file system of its own; takes the right to mount one.
    case fileSystem = "a full file system"
    /// The largest file that the daemon may write.
    case fileSize = "a limit on the size of files"

    /// Those that can be set up here. The limit on files is there for everybody.
    static let available: [Kind] = canMount() ? allCases : [.fileSize]

    /// Whether this user may mount a file system: not every root may.
    private static func canMount() -> Bool {
      guard let directory = try? TemporaryDirectory(),
        (try? SmallDisk.mount(on: directory.path)) != nil
      else { return false }
      SmallDisk.unmount(directory.path)
      return true
    }

    /// The error that a write meets there.
    var sentence: String { String(cString: strerror(self == .fileSystem ? ENOSPC : EFBIG)) }
  }

  static let bytes = 8 << 20

  let kind: Kind
  /// Where the base goes.
  let directory: TemporaryDirectory
  /// What the daemon has to be started with.
  var launcher: [String] {
    kind == .fileSize ? ["prlimit", "--fsize=\(SmallDisk.bytes):unlimited"] : []
  }

  init(_ kind: Kind) throws {
    self.kind = kind
    directory = try TemporaryDirectory()
    if kind == .fileSystem { try SmallDisk.mount(on: directory.path) }
  }

  /// Makes room while `daemon` runs.
  func grow(for daemon: DaemonProcess) throws {
    let grown =
      switch kind {
      case .fileSystem: try QemuTools.run("mount", ["-o", "remount,size=64m", directory.path])
      case .fileSize:
        try QemuTools.run("prlimit", ["--pid", "\(daemon.pid)", "--fsize=unlimited:unlimited"])
      }
    try #require(grown.status == 0, "\(grown.output)")
  }

  deinit { if kind == .fileSystem { SmallDisk.unmount(directory.path) } }

  private static func mount(on path: String) throws {
    let mounted = try QemuTools.run(
      "mount", ["-t", "tmpfs", "-o", "size=\(bytes)", "qblockd-test", path])
    guard mounted.status == 0 else { throw CocoaError(.fileWriteUnknown) }
  }

  private static func unmount(_ path: String) {
    _ = try? QemuTools.run("umount", ["-l", path])
  }
}
