import QMP

/// What the clients of one socket may ask for.
///
/// Isolation: value.
enum SessionAccess {
  /// All commands.
  case full
  /// Queries: nothing that changes, opens or starts anything.
  case queries

  private static let prefixes = ["query-", "x-query-", "x-debug-query-"]

  /// Whether the command `name` may be asked for, at any time of a session.
  func allows(_ name: String) -> Bool {
    name == QMPCapabilities.name || refusal(of: name) == nil
  }

  /// Whether the command `name` only asks for something.
  static func isQuery(_ name: String) -> Bool { prefixes.contains { name.hasPrefix($0) } }

  /// The error for the command `name`, unless it may be asked for.
  func refusal(of name: String) -> QMPError? {
    switch self {
    case .full: nil
    case .queries where SessionAccess.isQuery(name): nil
    case .queries:
      QMPError(
        .commandNotFound,
        "The command \(QMPError.quoted(name)) is not available on the read-only socket")
    }
  }
}
