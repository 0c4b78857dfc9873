import ArgumentParser

/// What an overlay holds.
///
/// Isolation: value.
enum Workload: String, CaseIterable, ExpressibleByArgument {
  /// 2 GiB, written from the first byte to the last.
  case contiguous
  /// 60,000 clusters of 64 KiB in 64 GiB, in random order.
  case random
  /// 16,384 writes of 4 KiB in 8 TiB, in random order.
  case scattered

  /// With more, there would be nothing left of the smallest workload.
  static let largestScale = 1024
}
