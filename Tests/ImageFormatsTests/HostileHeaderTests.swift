import BlockCore
import BlockIO
import ImageFormats
import TestSupport
import Testing

/// Header fields with values that no header may have, or that few have.
@Suite("hostile headers")
struct HostileHeaderTests {
  /// What becomes of an image.
  enum Outcome: Equatable {
    /// Refused, with these words in the error.
    case refused(String)
    /// Opened for reading; refused for writing, with these words.
    case readOnly(String)
    case opens
  }

  struct Row: CustomTestStringConvertible, Sendable {
    let testDescription: String
    let outcome: Outcome
    let change: @Sendable (inout HostileImage) -> Void

    init(
      _ name: String, _ outcome: Outcome, _ change: @escaping @Sendable (inout HostileImage) -> Void
    ) {
      testDescription = name
      self.outcome = outcome
      self.change = change
    }

    /// One 32-bit field with each of these values.
    static func words(
      _ field: String, at offset: Int, _ values: [UInt32], _ outcome: Outcome? = nil
    ) -> [Row] {
      values.map { value in
        Row("\(field) = \(value)", outcome ?? .refused(field)) { $0.put32(value, at: offset) }
      }
    }
    /// One 64-bit field with each of these values.
    static func longs(
      _ field: String, at offset: Int, _ values: [UInt64], _ outcome: Outcome? = nil
    ) -> [Row] {
      values.map { value in
        Row("\(field) = 0x\(String(value, radix: 16))", outcome ?? .refused(field)) {
          $0.put64(value, at: offset)
        }
      }
    }
  }

  static let short: [Row] = [
    (0, "qcow2 format"), (4, "version"), (71, "incompatible_features"), (103, "header_length"),
    (512, "l1_table_offset"),
  ].map { (count: Int, field: String) in
    Row("only \(count) bytes", .refused(field)) { $0.bytes.removeLast($0.bytes.count - count) }
  }

  static let fields: [[Row]] = [
    Row.words("magic", at: 0, [0, 0x5146_49fa], .refused("qcow2 format")),
    Row.words("version", at: 4, [0, 1, 4, .max]),
    Row.words("cluster_bits", at: 20, [0, 8, 22, 31, 32, 63, .max]),
    Row.longs("size", at: 24, [1 << 63, .max]),
    Row.longs("size", at: 24, [1 << 56], .refused("l1_size")),
    Row.longs("size", at: 24, [0, 1, 1_000_001], .opens),
    Row.words("crypt_method", at: 32, [1], .refused("AES")),
    Row.words("crypt_method", at: 32, [2], .refused("LUKS")),
    Row.words("crypt_method", at: 32, [3, .max]),
    Row.words("l1_size", at: 36, [0, (4 << 20) + 1, .max]),
    Row.words("l1_size", at: 36, [4 << 20], .refused("l1_table_offset")),
    Row.longs("l1_table_offset", at: 40, [0, 1, 4097, 1 << 62, 1 << 63, .max, 1 << 40]),
    Row.words("refcount_table_clusters", at: 56, [0, (8 << 20) / 4096 + 1, .max]),
    Row.words("nb_snapshots", at: 60, [65_537, .max]),
    Row.words("nb_snapshots", at: 60, [1], .refused("snapshots_offset")),
    Row.words("refcount_order", at: 96, [7, 31, .max]),
    Row.words("header_length", at: 100, [0, 72, 103, 105, 65_544, .max]),
    Row.longs("compatible_features", at: 80, [.max], .opens),
    Row.longs("autoclear_features", at: 88, [.max], .opens),
  ]

  static let features: [[Row]] = [
    Row.longs("corrupt bit", at: 72, [2], .readOnly("corrupt")),
    Row.longs("external data file bit", at: 72, [4], .refused("external data file")),
    Row.longs("compression bit without a type", at: 72, [8], .refused("compression_type")),
    Row.longs("extended L2 bit", at: 72, [16], .refused("extended L2")),
    Row.longs("unknown bit", at: 72, [1 << 5, 1 << 63], .refused("feature")),
    [1, 255].map { (type: UInt8) in
      Row("compression_type = \(type)", .refused("compression_type")) { $0.put(type, at: 104) }
    },
  ]

  static let refcountTable: [Row] = Row.longs(
    "refcount_table_offset", at: 48, [0, 1, 4097, 1 << 63, .max, 1 << 40],
    .readOnly("refcount_table_offset"))

  static let snapshots: [Row] = [4097, 1 << 63, 1 << 40].map { (offset: UInt64) in
    Row("snapshots_offset = \(offset)", .refused("snapshots_offset")) {
      $0.put32(1, at: 60)
      $0.put64(offset, at: 64)
    }
  }

  static let extensions: [Row] = [
    Row("an extension of 2 GiB", .refused("extension")) { $0.put32(0x7fff_ffff, at: 116) },
    Row("no end marker", .opens) {
      let count = $0.clusterSize - 112 - 8
      $0.replaceExtensions(
        [HeaderExtension(type: 0x1234, data: [UInt8](repeating: 7, count: count))],
        endMarker: false)
    },
    Row("the backing format twice", .refused("twice")) {
      let format = HeaderExtension(type: HeaderExtension.backingFormat, data: Array("raw".utf8))
      $0.replaceExtensions([format, format])
    },
    Row("an empty backing format", .refused("backing format")) {
      $0.replaceExtensions([HeaderExtension(type: HeaderExtension.backingFormat, data: [])])
    },
    Row("a backing format of 900 bytes", .refused("backing format")) {
      let name = [UInt8](repeating: 0x61, count: 900)
      $0.replaceExtensions([HeaderExtension(type: HeaderExtension.backingFormat, data: name)])
    },
    Row("a bitmaps extension of one byte", .refused("bitmaps")) {
      $0.replaceExtensions([HeaderExtension(type: HeaderExtension.bitmaps, data: [1])])
    },
    Row("four milliard bitmaps", .refused("bitmaps")) {
      let data = [UInt8](repeating: 0xff, count: 4) + [UInt8](repeating: 0, count: 20)
      $0.replaceExtensions([HeaderExtension(type: HeaderExtension.bitmaps, data: data)])
    },
    Row("LUKS with a header far away", .refused("LUKS")) {
      $0.put32(2, at: 32)
      let pointer = [UInt8](repeating: 0xff, count: 16)
      $0.replaceExtensions([HeaderExtension(type: HeaderExtension.encryption, data: pointer)])
    },
  ]

  static let backing: [[Row]] = [
    Row.longs("backing_file_offset", at: 8, [1, 100, 4097, 4096, 1 << 32, 1 << 63, .max]),
    Row.words("backing_file_size", at: 16, [1024, .max]),
  ]

  static let rows: [Row] = Array(
    ([short, refcountTable, snapshots, extensions] + fields + features + backing).joined())

  @Test(
    "a header is refused by field and value, or opened; nothing is written either way",
    arguments: rows)
  func outcome(row: Row) throws {
    var image = try HostileImage()
    row.change(&image)
    let storage = try image.storage()
    let forReading = try outcome(storage, readOnly: true)
    let forWriting = try outcome(storage, readOnly: false)
    switch row.outcome {
    case .refused(let words):
      #expect(forReading?.contains(words) == true, "\(forReading ?? "opened")")
      #expect(forWriting?.contains(words) == true, "\(forWriting ?? "opened")")
    case .readOnly(let words):
      #expect(forReading == nil)
      #expect(forWriting?.contains(words) == true, "\(forWriting ?? "opened")")
    case .opens:
      #expect(forReading == nil && forWriting == nil, "\(forWriting ?? "")")
    }
    #expect(try storage.bytes().isSame(as: image.bytes))
  }

  /// The sentence of the error; nil where the image opens, and can be read.
  private func outcome(_ storage: MemoryStorage, readOnly: Bool) throws -> String? {
    do {
      let image = try Qcow2Image.open(on: storage, readOnly: readOnly)
      if image.virtualSize > 0 {
        _ = try image.mappings(in: ByteRange(at: 0, length: image.virtualSize), limit: 4)
      }
      return nil
    } catch {
      #expect([.invalidImage, .unsupported, .corrupt].contains(error.code), "\(error)")
      return error.message
    }
  }

  @Test("a backing name that is longer than the cluster is refused", arguments: [512, 1024])
  func smallCluster(clusterSize: Int) throws {
    for length: UInt32 in [1, 512, 513, 1023] {
      var image = try HostileImage(clusterSize: clusterSize)
      image.put32(length, at: 16)
      let offset = Int(image.word(at: 8))
      let storage = try image.storage()
      if offset + Int(length) <= clusterSize {
        _ = try Qcow2Image.open(on: storage, readOnly: true)
      } else {
        #expect(throws: BlockError.self) { try Qcow2Image.open(on: storage, readOnly: true) }
      }
    }
  }

  @Test("an unknown feature is named as the image names it, with nothing that moves a terminal")
  func featureNames() throws {
    var image = try HostileImage(clusterSize: 65_536)
    var table: [UInt8] = []
    // Nearly 60 KiB of names.
    for index in 0..<1250 {
      let isEvil = index == 700
      var entry: [UInt8] = [isEvil ? 0 : 1, isEvil ? 63 : UInt8(index % 64)]
      entry += Array((isEvil ? "evil\u{1b}[2J\n" : "feature \(index)").utf8)
      entry += [UInt8](repeating: 0, count: 48 - entry.count)
      table += entry
    }
    image.replaceExtensions([HeaderExtension(type: HeaderExtension.featureNames, data: table)])
    _ = try Qcow2Image.open(on: image.storage(), readOnly: false)
    image.put64(1 << 63, at: 72)
    let storage = try image.storage()
    let error = #expect(throws: BlockError.self) {
      try Qcow2Image.open(on: storage, readOnly: true)
    }
    #expect(error?.message.contains("evil?[2J?") == true, "\(String(describing: error))")
    #expect(error?.message.unicodeScalars.allSatisfy { $0.value >= 0x20 } == true)
  }

  @Test("all autoclear bits are cleared before the first write, and not before that")
  func autoclear() throws {
    var image = try HostileImage()
    image.put64(.max, at: 88)
    let storage = try image.storage()
    let test = try ImageUnderTest(
      on: storage, through: storage, model: [UInt8](repeating: 0, count: 1 << 20), backing: nil)
    _ = try test.view()
    #expect(try HostileImage(storage.bytes()).word(at: 88) == .max)
    try test.write([1], at: 0)
    #expect(try HostileImage(storage.bytes()).word(at: 88) == 0)
  }
}
