import CLinux
import Glibc

/// Counts the system calls of this process and of those that it has started, by the kernel's
/// tracepoint `raw_syscalls:sys_enter` (perf_event_open(2)). That takes root, or a system that lets
/// everybody look.
///
/// Isolation: any thread.
struct SystemCallCounter: Sendable {
  /// The one of this process, from its first use on; nil where calls may not be counted.
  static let shared = SystemCallCounter()

  private let descriptor: Int32

  private init?() {
    let places = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"]
    let numbers = places.compactMap { place in
      UInt64(ProcessFile.text("\(place)/events/raw_syscalls/sys_enter/id").filter(\.isNumber))
    }
    guard let number = numbers.first else { return nil }
    descriptor = cl_count_tracepoint(number)
    if descriptor < 0 { return nil }
  }

  /// The calls until now; those of processes that have ended are among them.
  func count() -> Int? {
    var count: UInt64 = 0
    let size = unsafe withUnsafeMutableBytes(of: &count) {
      unsafe read(descriptor, $0.baseAddress, $0.count)
    }
    return size == 8 ? Int(count) : nil
  }
}
