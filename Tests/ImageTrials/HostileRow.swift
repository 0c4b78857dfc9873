import BlockCore

/// One way in which an image can be wrong, by its number in the list of hostile inputs, and what
/// becomes of it.
///
/// Isolation: value.
package struct HostileRow: Sendable, CustomStringConvertible {
  /// The number in the list, 1 to 86.
  package let number: Int
  package let description: String
  package let outcome: HostileOutcome
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
    _ number: Int, _ name: String, _ outcome: HostileOutcome, _ shape: Shape = Shape(),
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
    _ number: Int, _ name: String, _ outcome: HostileOutcome, _ shape: Shape = Shape(),
    needsFiles: Bool = true, files change: @escaping @Sendable (inout HostileFiles) -> Void
  ) {
    self.number = number
    self.outcome = outcome
    self.shape = shape
    description = "\(number): \(name)"
    self.needsFiles = needsFiles
    self.change = change
  }

  /// One 32-bit field with each of these values; refused by name and value unless told otherwise.
  static func words(
    _ number: Int, _ field: String, at offset: Int, _ values: [UInt32],
    _ outcome: HostileOutcome? = nil
  ) -> [HostileRow] {
    values.map { value in
      HostileRow(number, "\(field) = \(value)", outcome ?? .refused([field, "\(value)"])) {
        $0.put32(value, at: offset)
      }
    }
  }

  /// One 64-bit field with each of these values; refused by name and value unless told otherwise.
  static func longs(
    _ number: Int, _ field: String, at offset: Int, _ values: [UInt64],
    _ outcome: HostileOutcome? = nil
  ) -> [HostileRow] {
    values.map { value in
      HostileRow(
        number, "\(field) = 0x\(String(value, radix: 16))",
        outcome ?? .refused([field, "\(value)"])
      ) { $0.put64(value, at: offset) }
    }
  }

  /// The files, which are going to lie in `directory`.
  package func make(in directory: String = "/images") throws -> HostileFiles {
    var files = HostileFiles(
      try HostileImage(
        version: shape.version, clusterSize: shape.clusterSize, size: shape.size,
        isFilled: shape.isFilled), in: directory)
    change(&files)
    return files
  }

  /// The rows of the list that are about images.
  package static let numbers = 1...86

  /// All of them.
  package static let all: [HostileRow] =
    headers + extensions + chains + tables + snapshotTables + contents
}
