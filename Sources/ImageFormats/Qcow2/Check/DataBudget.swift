import BlockCore
import BlockIO

/// How many bytes of tables a check may still read: as many as the file holds, and some more for
/// small images whose tables overlap. Holes do not count, so that tables in holes cannot be named
/// without end.
///
/// Looks for the file's data only as far as they are needed.
///
/// Isolation: value of one owner.
struct DataBudget {
  private let storage: any Storage
  private var left = Limits.checkTableBytes
  /// Up to here the file's data are counted.
  private var position = 0

  init(_ storage: any Storage) { self.storage = storage }

  /// Takes `count` bytes.
  ///
  /// - Throws: `corrupt` where more is to be read than the file holds.
  mutating func take(_ count: Int) throws(BlockError) {
    left -= count
    while left < 0 {
      let end = try storage.size()
      guard position < end else {
        throw BlockError(
          .corrupt,
          "The tables overlap: more than \(Limits.checkTableBytes >> 20) MiB would be read beyond "
            + "what the file holds", file: storage.name)
      }
      let extent = try storage.extent(in: ByteRange(from: position, to: end))
      if extent.isData { left += extent.range.length }
      position = extent.range.upper
    }
  }
}
