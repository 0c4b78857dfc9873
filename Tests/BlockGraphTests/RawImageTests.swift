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

  @Test("a window shows and changes its part of the storage alone, and grows only at the end")
  func window() throws {
    let memory = MemoryStorage(size: 16384)
    try [UInt8](repeating: 6, count: 16384).withBytes { (span) throws(BlockError) in
      try memory.write(span, at: 0)
    }
    let part = try RawImage.open(
      on: memory, window: RawWindow(offset: 4096, size: 8192), readOnly: false)
    #expect(part.virtualSize == 8192)
    try [UInt8](repeating: 7, count: 4096).withBytes { (span) throws(BlockError) in
      try part.write(span, at: 0, over: nil)
    }
    try part.writeZeroes(ByteRange(at: 4096, length: 4096), deallocate: true, over: nil)
    #expect(
      try part.mappings(in: ByteRange(at: 0, length: 8192), limit: 10) == [
        ImageMapping(range: ByteRange(from: 0, to: 4096), content: .data(at: 4096)),
        ImageMapping(range: ByteRange(from: 4096, to: 8192), content: .zero(reservedAt: 8192)),
      ])
    let whole = try RawImage.open(on: memory, readOnly: true)
    let expected = [6, 7, 0, 6].flatMap { [UInt8](repeating: $0, count: 4096) }
    #expect(
      try guestBytes(BackingChain([node(whole)]), ByteRange(at: 0, length: 16384)) == expected)
    #expect(
      try guestBytes(BackingChain([node(part)]), ByteRange(at: 0, length: 8192))
        == Array(expected[4096..<12288]))
    let fixed = #expect(throws: BlockError.self) { try part.resize(to: 16384, over: nil) }
    #expect(fixed?.message == "Cannot resize fixed-size raw disks")

    let rest = try RawImage.open(on: memory, window: RawWindow(offset: 12288), readOnly: false)
    #expect(rest.virtualSize == 4096)
    try rest.resize(to: 8192, over: nil)
    #expect(try rest.virtualSize == 8192 && memory.size() == 20480)
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
