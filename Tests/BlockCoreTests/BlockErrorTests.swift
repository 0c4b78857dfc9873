import BlockCore
import Testing

@Suite("errors")
struct BlockErrorTests {
  @Test("the sentence tells file and byte where they are known")
  func description() {
    let error = BlockError(.io, "Input/output error", errno: 5)
    #expect("\(error)" == "Input/output error")
    #expect("\(error.on(file: "a.qcow2"))" == "Input/output error [a.qcow2]")
    var placed = error
    placed.offset = 4096
    #expect("\(placed)" == "Input/output error at byte 4096")
    let onDisk = BlockError(.outOfRange, "too far", file: "a.qcow2", guestOffset: 512)
    #expect("\(onDisk)" == "too far [a.qcow2] at guest offset 512")
    let told = BlockError(.corrupt, "The entry for guest offset 512 lies", guestOffset: 512)
    #expect("\(told)" == "The entry for guest offset 512 lies")
    let named = BlockError(.notFound, "Could not open 'a.qcow2'", file: "a.qcow2")
    #expect("\(named)" == "Could not open 'a.qcow2'")
  }

  @Test("the file that an error happened on stays the first one named")
  func file() {
    let error = BlockError(.corrupt, "bad").on(file: "base").on(file: "overlay")
    #expect(error.file == "base")
  }

  @Test("a prefix changes the sentence and nothing else")
  func prefix() {
    let error = BlockError(.noSpace, "full", errno: 28, file: "f", offset: 1)
    var expected = error
    expected.message = "Could not write: full"
    #expect(error.prefixed("Could not write") == expected)
  }

  @Test("codes have distinct stable names")
  func codes() {
    let names = Set(BlockError.Code.allCases.map(\.rawValue))
    #expect(names.count == BlockError.Code.allCases.count)
    #expect(names.allSatisfy { $0.allSatisfy { $0.isLowercase || $0 == "-" } })
    #expect(BlockError.Code(rawValue: "no-space") == .noSpace)
  }
}
