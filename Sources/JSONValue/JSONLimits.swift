/// How large one JSON text may be.
///
/// Isolation: value.
package struct JSONLimits: Hashable, Sendable {
  /// Containers that may be open at once.
  package var depth: Int
  /// Brackets, commas, colons, strings, numbers and words.
  package var tokens: Int
  /// Bytes from the first of the value to its last.
  package var bytes: Int

  /// What a server takes from anybody who may connect: far above what a command needs.
  package static let request = JSONLimits(depth: 32, tokens: 10_000, bytes: 1 << 20)

  /// What a client takes from the server it trusts: lists over thousands of jobs or extents.
  package static let answer = JSONLimits(depth: 64, tokens: 16 << 20, bytes: 256 << 20)

  /// Limits of `depth` containers, `tokens` tokens and `bytes` bytes.
  package init(depth: Int, tokens: Int, bytes: Int) {
    self.depth = depth
    self.tokens = tokens
    self.bytes = bytes
  }
}
