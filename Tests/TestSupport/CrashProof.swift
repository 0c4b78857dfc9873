import BlockCore
import ImageFormats

/// What is known of the states that were judged already, so that neighbours are judged by what they
/// have not in common.
///
/// Isolation: one thread.
package final class CrashProof {
  /// A run of guest bytes inside one page of a file.
  struct Piece: Hashable {
    /// The image whose disk it is a part of, and which of the disks that it may be.
    var image: Int
    var view: Int
    var guest: Int
    var length: Int
    /// The page's bytes, by their hash, and where in it the run begins; 0 for zeros.
    var page: UInt64
    var start: Int
  }
  /// Pieces that are as they may be.
  var pieces: Set<Piece> = []
  /// Hashes of images whose refcounts are right.
  var sound: Set<UInt64> = []
  /// Pages of an image, by their hash, in which its snapshots lie as they did. What is expected of
  /// them never changes.
  var snapshots: Set<UInt64> = []
  private var drivers: [UInt64: any ImageDriver] = [:]

  /// So many images are kept open: those under the top change little.
  private static let mostDrivers = 16

  package init() {}

  /// Forgets which pieces are as they may be: from now on something else is expected.
  package func expectOther() { pieces.removeAll(keepingCapacity: true) }

  /// The image that was opened for reading only as `key`, or a new one by `open`.
  func driver<E: Error>(
    _ key: UInt64, _ open: () throws(E) -> any ImageDriver
  ) throws(E) -> any ImageDriver {
    if let known = drivers[key] { return known }
    let driver = try open()
    if drivers.count >= CrashProof.mostDrivers { drivers.removeAll() }
    drivers[key] = driver
    return driver
  }
}
