import Foundation

/// Counts what a program asks of the C library's allocator, by a library that is loaded into it.
///
/// Isolation: value; the counters change while the program runs.
package struct HeapCounter {
  /// What a program has asked for until now.
  package struct Count: Sendable {
    /// Requests for memory.
    package let requests: Int
    /// Bytes that it holds: asked for and not given back.
    package let liveBytes: Int
  }

  private let path: String

  /// A counter that keeps its numbers in a file of `directory`.
  package init(in directory: TemporaryDirectory) { path = directory.file("heap-counters") }

  /// What stands before the program and its arguments.
  package var launcher: [String] {
    [
      "env", "LD_PRELOAD=\(DaemonProcess.program("libAllocationCounter.so"))",
      "ALLOCATION_COUNTER_OUTPUT=\(path)",
    ]
  }

  /// The numbers at this moment.
  package func count() throws -> Count {
    let bytes = try Data(contentsOf: URL(fileURLWithPath: path))
    guard bytes.count == 16 else { throw CocoaError(.fileReadCorruptFile) }
    func number(_ index: Int) -> Int {
      bytes[index * 8..<index * 8 + 8].reversed().reduce(0) { $0 << 8 | Int($1) }
    }
    return Count(requests: number(0), liveBytes: number(1))
  }
}
