/// What a trial has measured, and what is not as it should be.
///
/// Isolation: value.
package struct LoadFigures: Sendable {
  /// For people, line by line.
  package var lines: [String] = []
  /// What is wrong.
  package var complaints: [String] = []

  /// Notes `value`, of `unit`, which is to be at most `limit`.
  mutating func note(_ what: String, _ value: Double, _ unit: String, atMost limit: Double) {
    let shown = (value * 1000).rounded() / 1000
    lines.append("\(what): \(shown) \(unit) (at most \(limit))")
    if value > limit { complaints.append("\(what): \(shown) \(unit) is more than \(limit)") }
  }

  /// Notes that something is wrong unless `isRight`.
  mutating func expect(_ isRight: Bool, _ complaint: String) {
    if !isRight { complaints.append(complaint) }
  }
}

extension [Double] {
  /// The value that so much of the others, from 0 to 1, do not exceed.
  func quantile(_ share: Double) -> Double {
    let sorted = sorted()
    guard let last = sorted.indices.last else { return 0 }
    return sorted[Int((Double(last) * share).rounded(.up))]
  }
}
