import ArgumentParser
import Glibc
import JSONValue
import QMP
import QMPClient

/// `watch`: events as they come.
struct Watch: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Prints what happens, one event a line, until it is interrupted.")

  @OptionGroup var connection: ConnectionOptions

  func run() throws {
    try connection.withSession { session in
      do {
        while let event = try session.client.nextEvent() {
          if session.isJSON {
            session.say(event.message)
          } else {
            StandardStream.output.line(line(event))
          }
        }
      } catch QMPClientError.interrupted {
        // That is how it ends.
      }
    }
  }

  private func line(_ event: QMPEvent) -> String {
    let data = event.data.members.map { member in
      "\(member.name)=\(member.value.stringValue ?? member.value.description)"
    }
    return ([time(event.timestamp), event.name] + data).joined(separator: " ")
  }

  /// The local time of day to the millisecond.
  private func time(_ timestamp: QMPEvent.Timestamp) -> String {
    var seconds = time_t(timestamp.seconds)
    var local = unsafe tm()
    unsafe localtime_r(&seconds, &local)
    let parts = unsafe [local.tm_hour, local.tm_min, local.tm_sec].map {
      $0 < 10 ? "0\($0)" : "\($0)"
    }
    let thousandths = String(1000 + timestamp.microseconds / 1000 % 1000).dropFirst()
    return "\(parts.joined(separator: ":")).\(thousandths)"
  }
}
