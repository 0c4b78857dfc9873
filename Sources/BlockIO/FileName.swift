package import BlockCore
import Glibc

/// A file's name as the kernel takes it: up to 4095 bytes, any except NUL, valid UTF-8 or not.
///
/// Isolation: value.
package struct FileName: Hashable, Sendable {
  /// The name, without a final NUL.
  package let bytes: [UInt8]

  /// The most bytes that the kernel takes.
  package static let longest = Int(PATH_MAX) - 1

  /// The name `bytes`. An empty one, one that is too long, and one with a NUL, where the kernel
  /// would stop reading and open another file, are refused with `invalidArgument`.
  package init(bytes: [UInt8]) throws(BlockError) {
    guard !bytes.isEmpty else {
      throw BlockError(.invalidArgument, "The 'file' block driver requires a file name")
    }
    guard bytes.count <= FileName.longest else {
      let beginning = PrintableText.of(Array(bytes.prefix(64)))
      throw BlockError(
        .invalidArgument,
        "Could not open '\(beginning)...': File name too long: \(bytes.count) bytes, of which the "
          + "kernel takes \(FileName.longest)", errno: ENAMETOOLONG)
    }
    guard !bytes.contains(0) else {
      throw BlockError(
        .invalidArgument, "The file name '\(PrintableText.of(bytes))' contains a NUL")
    }
    self.bytes = bytes
  }

  /// The name `text`, under the same conditions.
  package init(_ text: String) throws(BlockError) {
    try self.init(bytes: Array(text.utf8))
  }

  /// `error` of this name, with its length where the system has found that too large.
  func withLength(_ error: BlockError) -> BlockError {
    guard error.errno == ENAMETOOLONG else { return error }
    var error = error
    let longest = bytes.split(separator: UInt8(ascii: "/")).map(\.count).max() ?? 0
    error.message += ": one part of it has \(longest) bytes"
    return error
  }

  /// The name for people: what is unprintable and bytes that are not UTF-8 stand as `\xNN`.
  package var text: String { PrintableText.of(bytes) }

  /// The name for programs, which read text only: as it is where it is UTF-8, else as for people.
  package var string: String { PrintableText.forPrograms(bytes) }

  /// The directory that the name stands in.
  var directory: FileName {
    let slash = UInt8(ascii: "/")
    let parent = bytes.lastIndex(of: slash).map { $0 == 0 ? [slash] : Array(bytes[..<$0]) }
    return FileName(known: parent ?? [UInt8(ascii: ".")])
  }

  /// What follows the last slash.
  var lastComponent: ArraySlice<UInt8> {
    let slash = bytes.lastIndex(of: UInt8(ascii: "/"))
    return bytes[(slash.map { $0 + 1 } ?? 0)...]
  }

  private init(known bytes: [UInt8]) { self.bytes = bytes }

  /// Calls `body` with the name as C wants it.
  func withCString<R, E: Error>(_ body: (UnsafePointer<CChar>) throws(E) -> R) throws(E) -> R {
    let terminated = bytes.map { CChar(bitPattern: $0) } + [0]
    // An array with elements always has an address; without one the name would be empty.
    return try unsafe terminated.withUnsafeBufferPointer { (buffer) throws(E) in
      guard let start = buffer.baseAddress else { preconditionFailure("an array has an address") }
      return try unsafe body(start)
    }
  }
}
