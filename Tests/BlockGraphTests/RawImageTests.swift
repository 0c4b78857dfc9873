import BlockCore
import BlockGraph
import BlockIO
import ImageFormats
import Testing

@Suite struct RawImageTests {
  @Test("the disk is the storage's length rounded up to sectors, and reads zero past its end")
  func roundsUp() throws {
    let memory = PlainMemory()
    try [UInt8](repeating: 6, count: 1000).withBytes { (span) throws(BlockError) in
      try memory.write(span, at: 0)
    }
    let raw = try RawImage.open(on: memory, readOnly: false)
    #expect(raw.virtualSize == 1024)
    let seen = try guestBytes(BackingChain([node(raw)]), ByteRange(at: 990, length: 34))
    #expect(seen == Array(repeating: 6, count: 10) + Array(repeating: 0, count: 24))
  }

  @Test("holes are told as zeros at their place, and zeros that are written become holes")
  func holes() throws {
    let memory = PlainMemory(size: 8192)
    let raw = try RawImage.open(on: memory, readOnly: false)
    try [UInt8](repeating: 6, count: 2048).withBytes { (span) throws(BlockError) in
      try raw.write(span, at: 2048, over: nil)
    }
    func runs() throws(BlockError) -> [ImageMapping] {
      try raw.mappings(in: ByteRange(at: 0, length: 8192), limit: 100)
    }
    #expect(
      try runs() == [
        ImageMapping(range: ByteRange(from: 0, to: 2048), content: .zero(reservedAt: 0)),
        ImageMapping(range: ByteRange(from: 2048, to: 4096), content: .data(at: 2048)),
        ImageMapping(range: ByteRange(from: 4096, to: 8192), content: .zero(reservedAt: 4096)),
      ])
    try raw.writeZeroes(ByteRange(at: 2048, length: 2048), deallocate: true, over: nil)
    #expect(
      try runs() == [
        ImageMapping(range: ByteRange(from: 0, to: 8192), content: .zero(reservedAt: 0))
      ])
  }

  @Test("it grows, and refuses to shrink, to be emptied and to name a backing file")
  func refusals() throws {
    let raw = try RawImage.open(on: PlainMemory(size: 1024), readOnly: false)
    try raw.resize(to: 5000, over: nil)
    #expect(raw.virtualSize == 5120)
    #expect(try raw.dataStorage.size() == 5000)
    #expect(throws: BlockError.self) { try raw.resize(to: 512, over: nil) }
    #expect(throws: BlockError.self) { try raw.makeEmpty(.auto) }
    let link = BackingLink(name: "b", format: "raw")
    #expect(throws: BlockError.self) { try raw.checkBackingLink(link) }
    try raw.setBackingLink(nil)
  }
}
