import Glibc

/// The end of a command whose user has pressed Ctrl-C.
///
/// Isolation: value.
struct Interruption: Error {
  /// What became of what the command was doing.
  let message: String

  /// Ends the process by the signal, as it would have ended without us: a shell then knows that it
  /// was not the command which ended, and ends its script or loop, too.
  static func endProcess() -> Never {
    signal(SIGINT, SIG_DFL)
    raise(SIGINT)
    // The shell's number for it, where the signal is blocked.
    exit(128 + SIGINT)
  }
}
