package import BlockCore

/// One header extension (specification, "Header extensions").
///
/// Isolation: value.
package struct HeaderExtension: Hashable, Sendable {
  /// "Header extension type."
  package var type: UInt32
  /// The data without its padding.
  package var data: [UInt8]

  package init(type: UInt32, data: [UInt8]) {
    self.type = type
    self.data = data
  }

  package static let end: UInt32 = 0
  package static let backingFormat: UInt32 = 0xe279_2aca
  package static let featureNames: UInt32 = 0x6803_f857
  package static let bitmaps: UInt32 = 0x2385_2875
  package static let encryption: UInt32 = 0x0537_be77
  package static let externalData: UInt32 = 0x4441_5441

  /// Its length on disk: type, length, data, padding "to the next multiple of 8".
  package var encodedLength: Int { 8 + data.count.roundedUp(to: 8) }

  /// Reads the list that begins at `start`, up to the end marker or to `end`, where the first
  /// cluster or the backing file's name begins. The list without an end marker is legal.
  package static func decodeAll(
    _ bytes: [UInt8], from start: Int, to end: Int, file: String
  ) throws(BlockError) -> [HeaderExtension] {
    var list: [HeaderExtension] = []
    var offset = start
    while offset + 8 <= end {
      let (type, length) = bytes.withBytes {
        ($0.bigEndian(UInt32.self, at: offset), Int($0.bigEndian(UInt32.self, at: offset + 4)))
      }
      if type == HeaderExtension.end { break }
      offset += 8
      guard length <= end - offset else {
        throw BlockError(
          .invalidImage,
          "Header extension 0x\(String(type, radix: 16)) has length \(length), but only "
            + "\(end - offset) bytes are left",
          file: file, offset: offset - 4)
      }
      if list.contains(where: { $0.type == type }) {
        throw BlockError(
          .invalidImage, "Header extension 0x\(String(type, radix: 16)) stands twice",
          file: file, offset: offset - 8)
      }
      list.append(
        HeaderExtension(type: type, data: Array(bytes[offset..<offset + length])))
      offset += length.roundedUp(to: 8)
    }
    return list
  }

  /// The bytes of `list` with an end marker.
  package static func encodeAll(_ list: [HeaderExtension]) -> [UInt8] {
    let count = list.reduce(8) { $0 + $1.encodedLength }
    var bytes = [UInt8](repeating: 0, count: count)
    bytes.withMutableBytes { (target) in
      var offset = 0
      for element in list {
        target.setBigEndian(element.type, at: offset)
        target.setBigEndian(UInt32(element.data.count), at: offset + 4)
        element.data.withBytes { target.copy($0, at: offset + 8) }
        offset += element.encodedLength
      }
    }
    return bytes
  }
}
