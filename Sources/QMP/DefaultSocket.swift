/// Where a daemon listens, and a client looks for it, when nobody says otherwise.
///
/// Isolation: value.
package enum DefaultSocket {
  /// The path: in the directory that systemd made for the service, else the system's place for
  /// root, else the user's own. Nil for a user whose session has no `XDG_RUNTIME_DIR`.
  package static func path(isRoot: Bool, environment: (String) -> String?) -> String? {
    // systemd lists several directories with colons between them.
    if let directory = environment("RUNTIME_DIRECTORY")?.split(separator: ":").first {
      return "\(directory)/qmp.sock"
    }
    if isRoot { return "/run/qblockd/qmp.sock" }
    guard let directory = environment("XDG_RUNTIME_DIR"), !directory.isEmpty else { return nil }
    return "\(directory)/qblockd.sock"
  }
}
