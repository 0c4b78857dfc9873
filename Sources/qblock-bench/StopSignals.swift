import Glibc

/// The signals that ask this program to end. They are held back and asked for between and during
/// the runs of other programs, so that none is lost and every file is removed.
///
/// Isolation: the main thread.
enum StopSignals {
  private static let stopping = [SIGINT, SIGTERM, SIGHUP]

  /// Holds them back from now on, and the news of ended children with them.
  static func hold() {
    var set = heldSet()
    unsafe sigprocmask(SIG_BLOCK, &set, nil)
  }

  /// Waits until a child has ended or somebody has asked to end. Returns that signal, or nil for a
  /// child.
  static func wait() -> Int32? {
    var set = heldSet()
    var number: Int32 = 0
    unsafe sigwait(&set, &number)
    return stopping.contains(number) ? number : nil
  }

  private static func heldSet() -> sigset_t {
    var set = sigset_t()
    unsafe sigemptyset(&set)
    for number in stopping + [SIGCHLD] { unsafe sigaddset(&set, number) }
    return set
  }
}
