/// One of the two programs that are compared.
///
/// Isolation: value.
enum Contender: String, CaseIterable {
  case qemu = "qemu-img"
  case ours = "qblockctl"

  /// The command that commits `overlay` into its backing file and empties it.
  func commit(_ overlay: String) -> [String] {
    switch self {
    case .qemu: [rawValue, "commit", "-q", "-f", "qcow2", overlay]
    case .ours: [rawValue, "commit", "--private", "-q", "-f", "qcow2", overlay]
    }
  }
}
