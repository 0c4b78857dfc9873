import BlockCore

/// Compressed data made by hand, so that no compressor is needed and any mistake can be made.
///
/// Isolation: value.
package struct PackedBytes {
  private(set) var bytes: [UInt8] = []
  private var bitCount = 0

  /// A raw deflate stream of `count` bytes `byte`, at most 143, in one block of fixed codes.
  package static func deflate(_ byte: UInt8, count: Int) -> [UInt8] {
    var stream = PackedBytes()
    stream.append(0b011, bits: 3)
    func literal() { stream.appendReversed(0x30 + Int(byte), bits: 8) }
    literal()
    var rest = count - 1
    while rest >= 258 {
      // Length 258 is code 285, distance 1 is code 0.
      stream.appendReversed(0b1100_0101, bits: 8)
      stream.append(0, bits: 5)
      rest -= 258
    }
    for _ in 0..<rest { literal() }
    stream.append(0, bits: 7)
    return stream.bytes
  }

  /// A zstd frame of `count` bytes `byte`, at least 256 and below 64 KiB, that asks for
  /// `window` as its window descriptor; nil for a frame in one segment.
  package static func zstd(_ byte: UInt8, count: Int, window: UInt8? = nil) -> [UInt8] {
    var frame: [UInt8] = [0x28, 0xb5, 0x2f, 0xfd, window == nil ? 0x60 : 0x40]
    if let window { frame.append(window) }
    let size = UInt16(count - 256)
    frame += [UInt8(size & 0xff), UInt8(size >> 8)]
    // The last block, of one byte repeated.
    let header = count << 3 | 0b011
    return frame + [UInt8(header & 0xff), UInt8(header >> 8 & 0xff), UInt8(header >> 16), byte]
  }

  /// Appends the lowest bits of `value`, the lowest first.
  private mutating func append(_ value: Int, bits: Int) {
    for index in 0..<bits {
      if bitCount % 8 == 0 { bytes.append(0) }
      bytes[bytes.count - 1] |= UInt8(value >> index & 1) << UInt8(bitCount % 8)
      bitCount += 1
    }
  }

  /// Appends a Huffman code, which goes the highest bit first.
  private mutating func appendReversed(_ code: Int, bits: Int) {
    for index in (0..<bits).reversed() { append(code >> index, bits: 1) }
  }
}
