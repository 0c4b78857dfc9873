/// What a process and all those that it has waited for have moved (proc(5), `/proc/[pid]/io`), and
/// how often they called the kernel.
///
/// Isolation: value.
struct TransferCount {
  /// Whether a disk or the page cache gave them.
  var bytesRead = 0
  var bytesWritten = 0
  /// System calls of every kind; nil where they may not be counted.
  var calls: Int?

  /// This process until now; no bytes where the kernel does not count them.
  static func ofThisProcess() -> TransferCount {
    var count = TransferCount(calls: SystemCallCounter.shared?.count())
    for line in ProcessFile.text("/proc/self/io").split(separator: "\n") {
      let words = line.split(separator: " ")
      guard words.count == 2, let number = Int(words[1]) else { continue }
      switch words[0] {
      case "rchar:": count.bytesRead = number
      case "wchar:": count.bytesWritten = number
      default: break
      }
    }
    return count
  }

  static func - (one: TransferCount, other: TransferCount) -> TransferCount {
    var calls: Int?
    if let end = one.calls, let start = other.calls { calls = end - start }
    return TransferCount(
      bytesRead: one.bytesRead - other.bytesRead,
      bytesWritten: one.bytesWritten - other.bytesWritten, calls: calls)
  }
}
