import QMP
import QMPClient

/// How long a client waits for the answers to one command, that it asks for again and again.
///
/// Isolation: value.
struct RoundTrips {
  let command: String
  /// Of all answers, in seconds.
  let median: Double
  /// 99 of 100 answers took no longer, in seconds.
  let slow: Double

  /// Asks `client` for `command` so many times, each time when the answer before is there.
  init(of command: String, count: Int, by client: QMPClient) throws(QMPClientError) {
    let clock = ContinuousClock()
    var seconds: [Double] = []
    for _ in 0..<count {
      let start = clock.now
      try client.execute(command)
      seconds.append(start.duration(to: clock.now) / .seconds(1))
    }
    seconds.sort()
    self.command = command
    median = seconds[count / 2]
    slow = seconds[count * 99 / 100]
  }
}

/// What an errand has taken, and what it has measured itself.
///
/// Isolation: value.
struct ErrandResult {
  let usage: ChildProcess.Usage
  var roundTrips: [RoundTrips] = []
}
