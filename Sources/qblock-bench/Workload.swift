import ArgumentParser

/// What an overlay holds, and over what.
///
/// Isolation: value.
enum Workload: String, CaseIterable, ExpressibleByArgument {
  /// 2 GiB, written from the first byte to the last.
  case contiguous
  /// 60,000 clusters of 64 KiB in 64 GiB, in random order.
  case random
  /// 16,384 writes of 4 KiB in 8 TiB, in random order.
  case scattered
  /// 1 GiB of text in compressed clusters, about 3 to 1, by deflate.
  case zlib
  /// The same by zstd.
  case zstd
  /// 2 GiB of zeros that take no bytes, written or discarded, over an empty base.
  case zeros
  /// The same over a base that holds as much.
  case zerosOverData = "zeros-over-data"
  /// 2 GiB in pieces of 1 MiB, over a raw base with as many holes.
  case raw
  /// Ten layers of 100 MiB each, their clusters in turn, into the base below them.
  case chain
  /// 2 GiB in a layer between a base and an empty overlay that is in use: by the daemons' monitors.
  case intermediate
  /// An overlay of 1 GiB that is emptied.
  case empty
  /// An overlay that is emptied whose tables describe 16 GiB; the file takes as much where there is
  /// room for it, though nobody has written there.
  case emptyLarge = "empty-large"
  /// An overlay that is emptied cluster by cluster. Its tables describe 256 GiB, of which the file
  /// has no bytes: giving them up takes both programs as long.
  case emptyDiscard = "empty-discard"
  /// The check of an image with a million clusters.
  case check
  /// The start of a daemon until it has answered `query-version`, and its end.
  case start
  /// A client that asks a daemon, with a commit that is ready, for its version and its jobs.
  case questions

  /// With more, there would be nothing left of the smallest workload.
  static let largestScale = 1024
}
