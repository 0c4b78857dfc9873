import Foundation

/// What a process holds at one moment, as the system tells it.
///
/// Isolation: value.
package struct DaemonUsage: Sendable, CustomStringConvertible {
  package let descriptors: Int
  package let threads: Int
  /// Its resident set, in KiB.
  package let residentKibibytes: Int

  /// That of the process `pid`.
  package init(of pid: Int32) throws {
    descriptors = try FileManager.default.contentsOfDirectory(atPath: "/proc/\(pid)/fd").count
    let status = try String(contentsOfFile: "/proc/\(pid)/status", encoding: .utf8)
    func number(_ name: String) -> Int {
      let line = status.split(separator: "\n").first { $0.hasPrefix(name) }
      return line.flatMap { Int($0.filter(\.isNumber)) } ?? 0
    }
    threads = number("Threads:")
    residentKibibytes = number("VmRSS:")
  }

  package var description: String {
    "\(descriptors) descriptors, \(threads) threads, \(residentKibibytes) KiB"
  }
}
