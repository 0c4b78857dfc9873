/// The least, the middle and the greatest of some numbers.
///
/// Isolation: value.
struct Spread {
  let minimum: Double
  let median: Double
  let maximum: Double

  /// Of `values`, at least one.
  init(_ values: [Double]) {
    let sorted = values.sorted()
    minimum = sorted[0]
    maximum = sorted[sorted.count - 1]
    // The mean of both where two stand in the middle.
    median = (sorted[(sorted.count - 1) / 2] + sorted[sorted.count / 2]) / 2
  }
}
