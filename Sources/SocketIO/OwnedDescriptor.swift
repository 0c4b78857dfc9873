import Glibc

/// A file descriptor that is closed when nobody holds on to it.
///
/// Isolation: any thread; immutable.
package final class OwnedDescriptor: Sendable {
  /// Its number.
  package let number: Int32

  /// Takes over the descriptor `number`.
  package init(owning number: Int32) { self.number = number }

  deinit { close(number) }
}
