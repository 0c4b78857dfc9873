import Glibc

/// A lock for what takes as long as a large write, or a look at tables: who has to wait sleeps.
/// (`Mutex` lets the kernel spin for as long as the owner runs, which takes the processor from
/// those who could use it.)
///
/// Isolation: any thread.
///
/// `@unchecked Sendable`: the only state is the system's mutex, at an address that stays.
@safe
package final class SleepingLock: @unchecked Sendable {
  private let mutex: UnsafeMutablePointer<pthread_mutex_t>

  package init() {
    unsafe mutex = .allocate(capacity: 1)
    unsafe mutex.initialize(to: pthread_mutex_t())
    let result = unsafe pthread_mutex_init(mutex, nil)
    precondition(result == 0, "a plain mutex can always be made")
  }

  deinit {
    unsafe pthread_mutex_destroy(mutex)
    unsafe mutex.deallocate()
  }

  /// Calls `body` while nobody else holds the lock. Not from inside another such call.
  package func withLock<R, E: Error>(_ body: () throws(E) -> sending R) throws(E) -> sending R {
    unsafe pthread_mutex_lock(mutex)
    defer { unsafe pthread_mutex_unlock(mutex) }
    return try body()
  }
}
