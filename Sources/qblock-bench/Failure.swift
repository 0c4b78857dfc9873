/// Why there are no figures.
///
/// Isolation: value.
enum Failure: Error, CustomStringConvertible {
  /// What is wrong, in a sentence for people.
  case sentence(String)
  /// The user has asked to end, by this signal.
  case stopped(Int32)

  var description: String {
    switch self {
    case .sentence(let text): text
    case .stopped(let number): "Ended by signal \(number)"
    }
  }
}
