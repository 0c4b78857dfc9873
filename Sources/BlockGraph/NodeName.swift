package import BlockCore
import Synchronization

/// The rules for names of nodes.
package enum NodeName {
  /// Bytes in a name, as QEMU.
  package static let longest = 31

  /// Refuses what no user may call a node: a letter comes first, then letters, digits, `-`, `.` and
  /// `_`. Throws `invalidArgument`.
  package static func check(_ name: String) throws(BlockError) {
    let bytes = Array(name.utf8)
    guard let first = bytes.first, isLetter(first), bytes.allSatisfy(isAllowed) else {
      throw BlockError(.invalidArgument, "Invalid node-name: '\(name)'")
    }
    guard bytes.count <= longest else {
      throw BlockError(.invalidArgument, "Node name too long")
    }
  }

  /// A name that no user can give and no other node has: `#block` and a number.
  static func generate() -> String {
    "#block\(lastNumber.add(1, ordering: .relaxed).newValue)"
  }

  private static let lastNumber = Atomic<Int>(100)

  private static func isLetter(_ byte: UInt8) -> Bool {
    byte | 0x20 >= UInt8(ascii: "a") && byte | 0x20 <= UInt8(ascii: "z")
  }

  private static func isAllowed(_ byte: UInt8) -> Bool {
    isLetter(byte) || byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9")
      || byte == UInt8(ascii: "-") || byte == UInt8(ascii: ".") || byte == UInt8(ascii: "_")
  }
}
