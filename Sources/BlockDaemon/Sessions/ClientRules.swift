import SocketIO

/// Who may connect, and how many.
///
/// Isolation: value.
package struct ClientRules: Sendable {
  /// The most clients at one time.
  package var maximum = 2048
  /// Of their places, those that clients who may only query do not get: an eighth, at least one.
  package var reserved: Int { max(1, maximum / 8) }
  /// The users and groups that may connect. Where both are empty, everybody may whom the socket's
  /// permission bits let in.
  package var users: Set<UInt32> = []
  package var groups: Set<UInt32> = []
  /// How long a client may take from a message's first byte to its last; and to negotiate, where
  /// others want its place.
  package var messageTime = Duration.seconds(10)

  package init() {}

  /// Whether `peer` is one of those who may connect; nil is somebody of whom nothing is known.
  func admit(_ peer: PeerCredentials?) -> Bool {
    if users.isEmpty && groups.isEmpty { return true }
    return peer.map { users.contains($0.userID) || groups.contains($0.groupID) } ?? false
  }
}
