import BlockCore

/// One way in which an image can be wrong, by its number in the list of hostile inputs, and what
/// becomes of it.
///
/// Isolation: value.
package struct HostileRow: Sendable, CustomStringConvertible {
  /// What a request gives that meets the lie.
  package enum Request: Sendable {
    case works
    /// Refused as corrupt.
    case corrupt
    /// Refused as corrupt, and the image is marked so before anything is destroyed.
    case marksCorrupt
  }

  /// What becomes of an image.
  package enum Outcome: Sendable {
    /// Never opened; all these words stand in the error.
    case refused([String])
    /// Opened for reading; refused for writing, with all these words in the error.
    case readOnly([String])
    /// Opened; reading and writing guest cluster 0 end so.
    case requests(read: Request, write: Request)
    /// Opened; guest cluster 0 cannot be read, nor written in part, but written anew.
    case unreadable
    /// Opened and read.
    case opens
    /// An answer, or an error with these words: whichever the command reaches.
    case answered([String])
  }

  /// The number in the list, 1 to 85.
  package let number: Int
  package let description: String
  package let outcome: Outcome
  /// Whether it needs files beside the image.
  package let needsFiles: Bool
  private let shape: Shape
  private let change: @Sendable (inout HostileFiles) -> Void

  /// The valid image that it begins as.
  struct Shape: Sendable {
    var version = 3
    var clusterSize = 4096
    var size = 1 << 20
    var isFilled = true
  }

  /// A row that changes nothing but the image's bytes.
  init(
    _ number: Int, _ name: String, _ outcome: Outcome, _ shape: Shape = Shape(),
    image change: @escaping @Sendable (inout HostileImage) -> Void
  ) {
    self.number = number
    self.outcome = outcome
    self.shape = shape
    description = "\(number): \(name)"
    needsFiles = false
    self.change = { change(&$0.image) }
  }

  /// A row that changes the files beside the image too.
  init(
    _ number: Int, _ name: String, _ outcome: Outcome, _ shape: Shape = Shape(),
    files change: @escaping @Sendable (inout HostileFiles) -> Void
  ) {
    self.number = number
    self.outcome = outcome
    self.shape = shape
    description = "\(number): \(name)"
    needsFiles = true
    self.change = change
  }

  /// One 32-bit field with each of these values; refused by name and value unless told otherwise.
  static func words(
    _ number: Int, _ field: String, at offset: Int, _ values: [UInt32], _ outcome: Outcome? = nil
  ) -> [HostileRow] {
    values.map { value in
      HostileRow(number, "\(field) = \(value)", outcome ?? .refused([field, "\(value)"])) {
        $0.put32(value, at: offset)
      }
    }
  }

  /// One 64-bit field with each of these values; refused by name and value unless told otherwise.
  static func longs(
    _ number: Int, _ field: String, at offset: Int, _ values: [UInt64], _ outcome: Outcome? = nil
  ) -> [HostileRow] {
    values.map { value in
      HostileRow(
        number, "\(field) = 0x\(String(value, radix: 16))",
        outcome ?? .refused([field, "\(value)"])
      ) { $0.put64(value, at: offset) }
    }
  }

  /// The files.
  package func make() throws -> HostileFiles {
    var files = HostileFiles(
      try HostileImage(
        version: shape.version, clusterSize: shape.clusterSize, size: shape.size,
        isFilled: shape.isFilled))
    change(&files)
    return files
  }

  /// The rows of the list that are about images.
  package static let numbers = 1...85

  /// All of them.
  package static let all: [HostileRow] = headers + extensions + chains + tables + contents
}
