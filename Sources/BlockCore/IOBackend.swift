/// By what the kernel is asked for many places of a file at once.
///
/// Isolation: value.
package enum IOBackend: String, CaseIterable, Sendable {
  /// One call after the other, on each thread that works.
  case threads
  /// io_uring where it is faster, and an error where the kernel refuses it.
  case ring = "io_uring"
  /// io_uring where it is faster, and threads where the kernel refuses it.
  case automatic = "auto"
}
