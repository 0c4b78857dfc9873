import BlockCore
import BlockIO
import ImageFormats
import ImageTrials
import TestSupport
import Testing

/// What stays of a header when a part of it changes.
@Suite("rewriting the header")
struct HeaderRewriteTests {
  /// The extensions that stand in a stored image.
  private func extensions(_ storage: MemoryStorage) throws -> [HeaderExtension] {
    let bytes = try storage.bytes()
    return try Qcow2Header(decoding: bytes, fileSize: bytes.count, file: "image").extensions
  }

  private func name(_ count: Int, _ letter: Character = "n") -> String {
    String(repeating: letter, count: count)
  }

  /// An image with header bytes and extensions of a later version.
  private func future(_ extensions: [HeaderExtension], clusterSize: Int = 4096) throws
    -> MemoryStorage
  {
    var image = try HostileImage(clusterSize: clusterSize)
    image.put32(120, at: 100)
    image.replaceExtensions(extensions)
    image.put64(0x0123_4567_89ab_cdef, at: 112)
    return try image.storage()
  }

  @Test("unknown header bytes and extensions outlive another backing name, writes and growth")
  func unknown() throws {
    let unknown = [
      HeaderExtension(type: 0x1111, data: [1, 2, 3]),
      HeaderExtension(type: 0x2222, data: []),
      HeaderExtension(type: 0xffff_ffff, data: Array(0..<100)),
    ]
    let storage = try future(unknown)
    let test = try ImageUnderTest(
      on: storage, through: storage, model: [UInt8](repeating: 0, count: 1 << 20), backing: nil)
    try test.write([1, 2, 3], at: 500_000)
    for link in [
      BackingLink(name: name(600), format: "qcow2"), BackingLink(name: "b", format: nil), nil,
      BackingLink(name: name(20), format: "raw"),
    ] {
      try test.image.setBackingLink(link)
      let format = link?.format.map {
        HeaderExtension(type: HeaderExtension.backingFormat, data: Array($0.utf8))
      }
      #expect(try extensions(storage) == [format].compactMap { $0 } + unknown)
      #expect(try HostileImage(storage.bytes()).word(at: 112) == 0x0123_4567_89ab_cdef)
    }
    try test.resize(to: 2 << 20)
    try test.makeEmpty(.discard)
    try test.image.close()
    #expect(try extensions(storage).suffix(3) == unknown[...])
    #expect(try HostileImage(storage.bytes()).word(at: 112) == 0x0123_4567_89ab_cdef)
    #expect(try Qcow2Image.open(on: storage, readOnly: true).backingLink?.name == name(20))
  }

  @Test("feature names are dropped when they would have to move past the first sector, else kept")
  func featureNames() throws {
    for entries in [1, 5, 7] {
      let table = HeaderExtension(
        type: HeaderExtension.featureNames,
        data: [UInt8](repeating: 0x61, count: 48 * entries))
      let storage = try future([table])
      let image = try Qcow2Image.open(on: storage, readOnly: false)
      try image.setBackingLink(BackingLink(name: name(700), format: "qcow2"))
      // 120 bytes of header, 16 of backing format, 8 of the table's head, 8 of the end marker.
      let fits = 120 + 16 + 8 + 48 * entries + 8 <= 512
      #expect(try extensions(storage).contains(table) == fits, "\(entries)")
      #expect(try Qcow2Image.open(on: storage, readOnly: true).backingLink == image.backingLink)
    }
  }

  @Test("extensions that are not known and would have to move are refused before any write")
  func unmovable() throws {
    let unknown = HeaderExtension(type: 0x1111, data: [UInt8](repeating: 7, count: 500))
    let storage = try future([unknown])
    let before = try storage.bytes()
    let image = try Qcow2Image.open(on: storage, readOnly: false)
    let error = #expect(throws: BlockError.self) {
      try image.setBackingLink(BackingLink(name: "b", format: "raw"))
    }
    #expect(error?.code == .unsupported)
    #expect(try storage.bytes().isSame(as: before))
    // Without another format nothing moves.
    try image.setBackingLink(BackingLink(name: "b", format: nil))
    #expect(try extensions(storage) == [unknown])
  }

  @Test("a header longer than a sector is refused, not cut")
  func longHeader() throws {
    var hostile = try HostileImage()
    hostile.put32(1024, at: 100)
    hostile.replaceExtensions([])
    let storage = try hostile.storage()
    let image = try Qcow2Image.open(on: storage, readOnly: false)
    let error = #expect(throws: BlockError.self) {
      try image.setBackingLink(BackingLink(name: "b", format: "raw"))
    }
    #expect(error?.code == .unsupported)
    #expect(try storage.bytes().isSame(as: hostile.bytes))
  }

  @Test(
    "a name of any length stands whole in the header, or is refused before any write",
    arguments: [512, 1024, 4096])
  func everyLength(clusterSize: Int) throws {
    var options = Qcow2CreateOptions(size: 1 << 20)
    options.clusterSize = clusterSize
    let fresh = MemoryStorage(name: "image")
    try Qcow2Create.create(options, on: fresh)
    let empty = try fresh.bytes()
    // Header, backing format and end marker.
    let room = min(1023, clusterSize - 112 - 16 - 8)
    for count in 1...1023 {
      let storage = try MemoryStorage(empty, name: "image")
      let image = try Qcow2Image.open(on: storage, readOnly: false)
      let link = BackingLink(name: name(count), format: "raw")
      if count <= room {
        try image.setBackingLink(link)
        let again = try Qcow2Image.open(on: storage, readOnly: true)
        #expect(again.backingLink == link, "\(count)")
      } else {
        let error = #expect(throws: BlockError.self) { try image.setBackingLink(link) }
        #expect(error?.code == .outOfRange)
        #expect(try storage.bytes().isSame(as: empty), "\(count)")
      }
    }
  }

  @Test(
    "from name to name, a crash at any write leaves the old link or the new one",
    arguments: [512, 1024, 4096])
  func crashBetweenNames(clusterSize: Int) throws {
    let lengths = [1, 300, 376, 377, 500, 888, 1023]
    for old in lengths {
      var options = Qcow2CreateOptions(size: 1 << 20)
      options.clusterSize = clusterSize
      options.backing = BackingLink(name: name(old, "o"), format: "raw")
      let start = MemoryStorage(name: "image")
      guard (try? Qcow2Create.create(options, on: start)) != nil else { continue }
      for new in lengths {
        let link = BackingLink(name: name(new, "n"), format: "qcow2")
        let bytes = try start.bytes()
        let log = StorageLog()
        let storage = RecordingStorage(try MemoryStorage(bytes, name: "image"), log: log)
        let image = try Qcow2Image.open(on: storage, readOnly: false)
        let isSet = (try? image.setBackingLink(link)) != nil
        try CrashStates(of: log, from: bytes).visit { state in
          let found = try Qcow2Image.open(on: MemoryStorage(state.bytes), readOnly: true)
          let isOld = found.backingLink == options.backing
          #expect(isOld || (isSet && found.backingLink == link), "\(old) to \(new)")
        }
        if isSet { #expect(image.backingLink == link) }
      }
    }
  }
}
