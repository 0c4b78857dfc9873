package import BlockCore
import CLinux
import Glibc

/// The path that a Unix socket is bound to, and the care that binding to it takes.
///
/// Isolation: value.
package struct SocketAddress: Hashable, Sendable {
  /// The path.
  package let path: String

  /// The longest path that a Unix socket's address can hold, in bytes: `sun_path` less its NUL.
  package static let longestPath = 107

  /// `path`, unless the system could not use it.
  package init(path: String) throws(BlockError) {
    guard !path.isEmpty, !path.utf8.contains(0) else {
      throw BlockError(.invalidArgument, "The socket path is empty or contains a NUL byte")
    }
    guard path.utf8.count <= SocketAddress.longestPath else {
      throw BlockError(
        .invalidArgument,
        "The socket path has \(path.utf8.count) bytes, but a Unix socket's path may have at most "
          + "\(SocketAddress.longestPath)", file: path)
    }
    self.path = path
  }

  /// Binds `descriptor` to the path and makes it listen. A socket that nobody listens on any more
  /// is replaced; one with a live listener is refused with `locked`, naming the process; anything
  /// that is not a socket is refused with `invalidArgument`.
  ///
  /// Until it has its owner and mode nobody else can connect. Daemons that start at the same time
  /// take turns by a lock on the directory, so that none removes what the other has just made.
  func listen(
    on descriptor: Int32, mode: UInt32, group: UInt32?, backlog: Int32
  ) throws(BlockError) -> FileIdentity {
    let turn = try lockDirectory()
    defer { close(turn) }
    try removeStale()
    // The kernel gives the file the mode of the socket: the umask of all threads can stay.
    guard fchmod(descriptor, 0o600) == 0,
      unsafe cl_unix_bind(descriptor, path, path.utf8.count) == 0
    else { throw .socket("Cannot bind to the socket", file: path) }
    guard let identity = FileIdentity(path: path) else {
      throw .socket("Cannot find the socket again", file: path)
    }
    do throws(BlockError) {
      if let group, unsafe lchown(path, .max, group) != 0 {
        throw BlockError.socket("Cannot give the socket to group \(group)", file: path)
      }
      guard unsafe chmod(path, mode) == 0 else {
        throw BlockError.socket("Cannot set the socket's mode", file: path)
      }
      guard Glibc.listen(descriptor, backlog) == 0 else {
        throw BlockError.socket("Cannot listen on the socket", file: path)
      }
    } catch {
      unsafe unlink(path)
      throw error
    }
    return identity
  }

  /// Removes the path if it still is the file `identity`, and not what someone else put there.
  func remove(_ identity: FileIdentity) {
    guard let turn = try? lockDirectory() else { return }
    defer { close(turn) }
    if FileIdentity(path: path) == identity { unsafe unlink(path) }
  }

  /// An open, locked descriptor of the directory; closing it gives the lock up.
  private func lockDirectory() throws(BlockError) -> Int32 {
    let slash = path.utf8.lastIndex(of: UInt8(ascii: "/"))
    let directory = slash.map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
    let descriptor = unsafe open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard descriptor >= 0 else {
      throw .socket("Cannot open the socket's directory", file: directory)
    }
    // A file system without locks leaves only the race between two starts.
    while flock(descriptor, LOCK_EX) != 0 && errno == EINTR {}
    return descriptor
  }

  private func removeStale() throws(BlockError) {
    var status = stat()
    guard unsafe lstat(path, &status) == 0 else {
      if errno == ENOENT { return }
      throw .socket("Cannot look at the socket path", file: path)
    }
    guard status.st_mode & S_IFMT == S_IFSOCK else {
      throw BlockError(.invalidArgument, "The socket path exists and is not a socket", file: path)
    }
    let probe = cl_unix_socket(1)
    guard probe >= 0 else { throw .socket("Cannot create a socket") }
    defer { close(probe) }
    let connected = unsafe cl_unix_connect(probe, path, path.utf8.count) == 0
    let failure = errno
    // A full backlog (EAGAIN) is a listener too.
    if connected || failure == EAGAIN {
      throw BlockError(
        .locked, "The socket is in use by \(SocketAddress.describe(connected ? probe : nil))",
        file: path)
    }
    guard failure == ECONNREFUSED else {
      throw .socket("Cannot tell whether the socket is in use", file: path, errno: failure)
    }
    guard unsafe unlink(path) == 0 || errno == ENOENT else {
      throw .socket("Cannot remove the stale socket", file: path)
    }
  }

  /// The listener that `probe` is connected to, in words.
  private static func describe(_ probe: Int32?) -> String {
    guard let peer = probe.flatMap(PeerCredentials.init(of:)), peer.processID > 0 else {
      return "another process"
    }
    return "process \(peer.processID)" + (peer.processName.map { " (\($0))" } ?? "")
  }
}

/// Which file a name stands for, whatever it is called.
///
/// Isolation: value.
struct FileIdentity: Hashable, Sendable {
  private let device: UInt64
  private let inode: UInt64

  /// The file at `path` itself, not what a symbolic link there points to; nil without one.
  init?(path: String) {
    var status = stat()
    guard unsafe lstat(path, &status) == 0 else { return nil }
    device = UInt64(status.st_dev)
    inode = UInt64(status.st_ino)
  }
}
