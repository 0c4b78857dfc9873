import BlockRuntime
import QMP
import SocketIO

/// What handlers know of one client: what it may ask for, and its descriptors: those that came
/// with its bytes, and those that it has given names. They are closed with its session.
///
/// Isolation: control plane.
@ControlPlane
final class ClientDescriptors {
  /// The most names: nothing here needs even one.
  private static let most = 16

  /// The most bytes of a name, or of what a client says of a descriptor.
  static let longestName = 1024

  private let connection: Connection?
  /// What the client may ask for.
  let access: SessionAccess
  private var named: [String: OwnedDescriptor] = [:]
  /// Where the command that is at work stands in the client's stream.
  var message = 0..<0

  /// The descriptors that come by `connection`; none come without.
  init(_ connection: Connection?, _ access: SessionAccess = .full) {
    self.connection = connection
    self.access = access
  }

  /// The descriptor that came with the command. Throws where none came.
  func take() throws(QMPError) -> OwnedDescriptor {
    guard let descriptor = connection?.takeDescriptor(for: message) else {
      throw QMPError("No file descriptor supplied via SCM_RIGHTS")
    }
    return descriptor
  }

  /// Keeps what came with the command under `name`, in place of what had that name.
  func keep(as name: String) throws(QMPError) {
    let descriptor = try take()
    guard name.utf8.first.map({ !(UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }) ?? true
    else { throw QMPError("Parameter 'fdname' expects a name not starting with a digit") }
    try ClientDescriptors.check(name, "fdname")
    guard named[name] != nil || named.count < ClientDescriptors.most else {
      throw QMPError("This client keeps \(named.count) file descriptors already")
    }
    named[name] = descriptor
  }

  /// Closes what is kept under `name`.
  func close(_ name: String) throws(QMPError) {
    guard named.removeValue(forKey: name) != nil else {
      throw QMPError("File descriptor named '\(QMPError.quoted(name))' not found")
    }
  }

  /// Refuses a text that the daemon is to remember, and that is too long for it.
  static func check(_ text: String, _ argument: String) throws(QMPError) {
    guard text.utf8.count <= longestName else {
      throw QMPError("Parameter '\(argument)' expects at most \(longestName) bytes")
    }
  }

  /// Closes everything.
  func closeAll() { named = [:] }
}
