import BlockCore
import TestSupport
import Testing

@Suite("big-endian bytes")
struct BigEndianTests {
  @Test("numbers of every width stand with their most significant byte first")
  func order() {
    let bytes: [UInt8] = [0x00, 0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 0x10]
    bytes.withBytes {
      #expect($0.byte(at: 9) == 0x10)
      #expect($0.bigEndian(UInt16.self, at: 1) == 0x0123)
      #expect($0.bigEndian(UInt32.self, at: 1) == 0x0123_4567)
      #expect($0.bigEndian(UInt64.self, at: 1) == 0x0123_4567_89ab_cdef)
    }
  }

  @Test("what is stored is read back, and nothing beside it changes")
  func roundTrip() {
    var bytes = [UInt8](repeating: 0xee, count: 16)
    bytes.withMutableBytes { $0.setBigEndian(UInt32(0x0102_0304), at: 5) }
    #expect(bytes[5..<9] == [1, 2, 3, 4])
    #expect((Array(bytes[..<5]) + Array(bytes[9...])).allSatisfy { $0 == 0xee })
    bytes.withMutableBytes { #expect($0.bigEndian(UInt32.self, at: 5) == 0x0102_0304) }
  }

  @Test("a number that does not fit ends the process")
  func bounds() async {
    await #expect(processExitsWith: .failure) {
      _ = [UInt8](repeating: 0, count: 7).withBytes { $0.bigEndian(UInt64.self, at: 0) }
    }
    await #expect(processExitsWith: .failure) {
      var bytes = [UInt8](repeating: 0, count: 8)
      bytes.withMutableBytes { $0.setBigEndian(UInt16(1), at: 7) }
    }
  }

  @Test("a single byte that is not zero, or differs, is found wherever it stands")
  func scans() {
    for count in [0, 1, 63, 64, 65, 200] {
      let zeros = [UInt8](repeating: 0, count: count)
      #expect(zeros.withBytes { $0.isAllZero })
      for position in 0..<count {
        var other = zeros
        other[position] = 0x80
        #expect(!other.withBytes { $0.isAllZero }, "\(position) of \(count)")
        let isEqual = zeros.withBytes { a in other.withBytes { a.isEqual(to: $0) } }
        #expect(!isEqual, "\(position) of \(count)")
      }
    }
    var random = SeededGenerator(seed: 1)
    let bytes = random.bytes(130)
    let shorter = Array(bytes.dropLast())
    #expect(bytes.withBytes { a in bytes.withBytes { a.isEqual(to: $0) } })
    #expect(!bytes.withBytes { a in shorter.withBytes { a.isEqual(to: $0) } })
  }

  @Test("parts are copied, zeroed and lent in place")
  func parts() {
    var bytes: [UInt8] = [1, 2, 3, 4, 5, 6]
    bytes.withMutableBytes { target in
      [UInt8]([9, 8]).withBytes { target.copy($0, at: 1) }
      target.withPart(3..<5) { (part: inout MutableRawSpan) in part.zero() }
    }
    #expect(bytes == [1, 9, 8, 0, 0, 6])
    #expect(bytes.withBytes { $0.copied() } == bytes)
  }
}
