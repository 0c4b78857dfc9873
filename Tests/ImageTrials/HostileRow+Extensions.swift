import BlockCore
import ImageFormats

// Rows 33 to 40 and 53: header extensions, and where the backing file's name stands.

extension HostileRow {
  static let extensions: [HostileRow] =
    extensionLists + featureTables + backingPlaces.joined()

  private static let extensionLists: [HostileRow] = [
    HostileRow(33, "an extension of 2 GiB", .refused(["extension", "\(0x7fff_ffff)"])) {
      $0.put32(0x7fff_ffff, at: 116)
    },
    HostileRow(34, "no end marker", .opens) {
      let count = $0.clusterSize - 112 - 8
      $0.replaceExtensions(
        [HeaderExtension(type: 0x1234, data: [UInt8](repeating: 7, count: count))],
        endMarker: false)
    },
    HostileRow(35, "the backing format twice", .refused(["twice"])) {
      let format = HeaderExtension(type: HeaderExtension.backingFormat, data: Array("raw".utf8))
      $0.replaceExtensions([format, format])
    },
    HostileRow(53, "an empty backing format", .refused(["backing format", "0"])) {
      $0.replaceExtensions([HeaderExtension(type: HeaderExtension.backingFormat, data: [])])
    },
    HostileRow(53, "a backing format of 900 bytes", .refused(["backing format", "900"])) {
      let name = [UInt8](repeating: 0x61, count: 900)
      $0.replaceExtensions([HeaderExtension(type: HeaderExtension.backingFormat, data: name)])
    },
    HostileRow(36, "a bitmaps extension of one byte", .refused(["bitmaps", "1 bytes"])) {
      $0.replaceExtensions([HeaderExtension(type: HeaderExtension.bitmaps, data: [1])])
    },
    HostileRow(36, "four milliard bitmaps", .refused(["bitmaps", "\(UInt32.max)"])) {
      let data = [UInt8](repeating: 0xff, count: 4) + [UInt8](repeating: 0, count: 20)
      $0.replaceExtensions([HeaderExtension(type: HeaderExtension.bitmaps, data: data)])
    },
    HostileRow(37, "LUKS with a header far away", .refused(["LUKS"])) {
      $0.put32(2, at: 32)
      let pointer = [UInt8](repeating: 0xff, count: 16)
      $0.replaceExtensions([HeaderExtension(type: HeaderExtension.encryption, data: pointer)])
    },
  ]

  /// Nearly 60 KiB of names, one of which would move a terminal's cursor.
  private static func nameTable() -> HeaderExtension {
    var table: [UInt8] = []
    for index in 0..<1250 {
      let isEvil = index == 700
      var entry: [UInt8] = [isEvil ? 0 : 1, isEvil ? 63 : UInt8(index % 64)]
      entry += Array((isEvil ? "evil\u{1b}[2J\n" : "feature \(index)").utf8)
      table += entry + [UInt8](repeating: 0, count: 48 - entry.count)
    }
    return HeaderExtension(type: HeaderExtension.featureNames, data: table)
  }

  private static let featureTables: [HostileRow] = [
    HostileRow(38, "60 KB of feature names", .opens, Shape(clusterSize: 65_536)) {
      $0.replaceExtensions([nameTable()])
    },
    HostileRow(
      38, "an unknown feature whose name holds escape bytes", .refused(["evil?[2J?"]),
      Shape(clusterSize: 65_536)
    ) {
      $0.replaceExtensions([nameTable()])
      $0.put64(1 << 63, at: 72)
    },
  ]

  private static let backingPlaces: [[HostileRow]] = [
    longs(
      39, "backing_file_offset", at: 8, [1, 100, 4097, 4096, 1 << 32, 1 << 63, .max]),
    words(40, "backing_file_size", at: 16, [1024, .max]),
  ]
}
