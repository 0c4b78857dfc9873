import BlockCore
import BlockIO
import ImageFormats
import ImageTrials
import TestSupport
import Testing

/// Headers of which some can be opened and some cannot.
@Suite("hostile headers")
struct HostileHeaderTests {
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
