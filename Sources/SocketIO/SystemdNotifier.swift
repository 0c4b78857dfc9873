package import BlockCore
import CLinux
import Glibc

/// Tells the service manager how we are (sd_notify(3)); says nothing where there is none.
///
/// No call waits: a manager that does not read must not hold up the daemon. What it is too busy to
/// take is dropped, and the call returns false.
///
/// Isolation: any thread.
package struct SystemdNotifier: Sendable {
  private let address: String?

  /// A notifier for `address`, a path or an abstract name after '@'; anything else is no manager.
  package init(address: String?) {
    self.address = address.flatMap { $0.first == "/" || $0.first == "@" ? $0 : nil }
  }

  /// The notifier of this process: the address stands in NOTIFY_SOCKET.
  package static func fromEnvironment() -> SystemdNotifier {
    SystemdNotifier(address: environmentVariable("NOTIFY_SOCKET"))
  }

  /// Whether there is anybody to tell.
  package var hasManager: Bool { address != nil }

  /// After what time without `alive` the manager ends process `processID`; nil where it does not
  /// look. A value that is no such time is refused with `invalidArgument`.
  package static func watchdog(
    in environment: (String) -> String?, for processID: Int32
  ) throws(BlockError) -> Duration? {
    guard let text = environment("WATCHDOG_USEC") else { return nil }
    if let owner = environment("WATCHDOG_PID"), Int32(owner) != processID { return nil }
    guard let microseconds = Int64(text), microseconds > 0 else {
      throw BlockError(.invalidArgument, "WATCHDOG_USEC is '\(text)', which is no time")
    }
    return .microseconds(microseconds)
  }

  /// The watchdog of this process.
  package static func watchdogFromEnvironment() throws(BlockError) -> Duration? {
    try watchdog(in: environmentVariable, for: getpid())
  }

  /// We are alive.
  @discardableResult
  package func alive() -> Bool { send("WATCHDOG=1") }

  /// We serve now. `status` is a line for people.
  @discardableResult
  package func ready(status: String) -> Bool {
    send("READY=1\nSTATUS=\(SystemdNotifier.line(status))")
  }

  /// We have begun to stop.
  @discardableResult
  package func stopping(status: String) -> Bool {
    send("STOPPING=1\nSTATUS=\(SystemdNotifier.line(status))")
  }

  /// A line for people.
  @discardableResult
  package func status(_ status: String) -> Bool {
    send("STATUS=\(SystemdNotifier.line(status))")
  }

  /// Stopping takes time: do not give up on us before `microseconds` have passed.
  @discardableResult
  package func extendTimeout(microseconds: Int) -> Bool {
    send("EXTEND_TIMEOUT_USEC=\(microseconds)")
  }

  /// True when the manager has the message.
  private func send(_ message: String) -> Bool {
    guard let address else { return false }
    let bytes = Array(message.utf8)
    return unsafe cl_send_datagram(address, address.utf8.count, bytes, bytes.count) == 0
  }

  /// `text` on one line, so that it cannot become a variable of its own.
  private static func line(_ text: String) -> String {
    String(text.map { $0.isNewline ? " " : $0 })
  }
}
