import BlockCore
import BlockIO
import ImageFormats
import ImageTrials
import TestSupport
import Testing

/// Images that no header, extension or table of which allows to be opened, or to be written.
@Suite("hostile headers")
struct HostileHeaderTests {
  static let rows = HostileRow.all.filter { row in
    switch row.outcome {
    case .refused, .readOnly, .opens: !row.needsFiles
    default: false
    }
  }

  @Test(
    "an image is refused by field and value, or opened; nothing is written either way",
    arguments: rows)
  func outcome(row: HostileRow) throws {
    let image = try row.make().image
    let storage = try image.storage()
    let forReading = try outcome(storage, readOnly: true)
    let forWriting = try outcome(storage, readOnly: false)
    func expectRefusal(_ message: String?, _ words: [String]) {
      #expect(words.allSatisfy { message?.contains($0) == true }, "\(message ?? "opened")")
    }
    switch row.outcome {
    case .refused(let words):
      expectRefusal(forReading, words)
      expectRefusal(forWriting, words)
    case .readOnly(let words):
      #expect(throws: Never.self) { try Qcow2Image.open(on: storage, readOnly: true) }
      expectRefusal(forWriting, words)
    default:
      #expect(forReading == nil && forWriting == nil, "\(forWriting ?? "")")
    }
    // Opening for writing repairs a dirty image, and that is all.
    if row.number == 24 { return }
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
