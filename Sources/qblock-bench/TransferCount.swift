/// What a process and all those that it has waited for have moved (proc(5), `/proc/[pid]/io`).
///
/// Isolation: value.
struct TransferCount {
  var bytesRead = 0
  var bytesWritten = 0
  /// Calls that read or write, or copy from file to file.
  var calls = 0

  /// This process until now; all zero where the kernel does not count.
  static func ofThisProcess() -> TransferCount {
    var count = TransferCount()
    for line in ProcessFile.text("/proc/self/io").split(separator: "\n") {
      let words = line.split(separator: " ")
      guard words.count == 2, let number = Int(words[1]) else { continue }
      switch words[0] {
      case "rchar:": count.bytesRead = number
      case "wchar:": count.bytesWritten = number
      case "syscr:", "syscw:": count.calls += number
      default: break
      }
    }
    return count
  }

  static func - (one: TransferCount, other: TransferCount) -> TransferCount {
    TransferCount(
      bytesRead: one.bytesRead - other.bytesRead,
      bytesWritten: one.bytesWritten - other.bytesWritten, calls: one.calls - other.calls)
  }
}
