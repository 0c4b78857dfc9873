package import BlockCore

/// The names that jobs may have.
package enum JobID {
  /// Every client gets the id with every event: a long one would fill what waits for each of them.
  private static let mostBytes = 1024

  /// Checks an id against QEMU's rule: a letter, then letters, digits, `-`, `.` and `_`; and
  /// against its length.
  package static func check(_ id: String) throws(BlockError) {
    let bytes = id.utf8
    guard bytes.count <= mostBytes else {
      throw BlockError(
        .invalidArgument, "Invalid job ID: it has \(bytes.count) bytes, more than \(mostBytes)")
    }
    guard let first = bytes.first, isLetter(first),
      bytes.allSatisfy({ isLetter($0) || isDigit($0) || "-._".utf8.contains($0) })
    else { throw BlockError(.invalidArgument, "Invalid job ID '\(id)'") }
  }

  /// The error of an id that another job has.
  package static func inUse(_ id: String) -> BlockError {
    var error = BlockError(.invalidArgument, "Job ID '\(id)' already in use")
    error.job = id
    return error
  }

  private static func isLetter(_ byte: UInt8) -> Bool {
    (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte | 0x20)
  }
  private static func isDigit(_ byte: UInt8) -> Bool {
    (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
  }
}
