import BlockCore
import BlockGraph
import BlockIO
import ImageFormats
import TestSupport
import Testing

@Suite struct RawImageTests {
  @Test("the disk is the storage's length rounded up to sectors, and reads zero past its end")
  func roundsUp() throws {
    let memory = MemoryStorage()
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
    let memory = MemoryStorage(size: 16384)
    let raw = try RawImage.open(on: memory, readOnly: false)
    try [UInt8](repeating: 6, count: 4096).withBytes { (span) throws(BlockError) in
      try raw.write(span, at: 4096, over: nil)
    }
    func runs() throws(BlockError) -> [ImageMapping] {
      try raw.mappings(in: ByteRange(at: 0, length: 16384), limit: 100)
    }
    #expect(
      try runs() == [
        ImageMapping(range: ByteRange(from: 0, to: 4096), content: .zero(reservedAt: 0)),
        ImageMapping(range: ByteRange(from: 4096, to: 8192), content: .data(at: 4096)),
        ImageMapping(range: ByteRange(from: 8192, to: 16384), content: .zero(reservedAt: 8192)),
      ])
    try raw.writeZeroes(ByteRange(at: 4096, length: 4096), deallocate: true, over: nil)
    #expect(
      try runs() == [
        ImageMapping(range: ByteRange(from: 0, to: 16384), content: .zero(reservedAt: 0))
      ])
  }

  @Test("it grows, and refuses to shrink, to be emptied and to name a backing file")
  func refusals() throws {
    let raw = try RawImage.open(on: MemoryStorage(size: 1024), readOnly: false)
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
