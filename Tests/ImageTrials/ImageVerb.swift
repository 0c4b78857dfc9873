package import BlockCore
import ImageFormats
import TestSupport

/// What one may want of an image.
package enum ImageVerb: String, CaseIterable, Sendable {
  case open, check, map, read, write, commit

  /// Does it to an image of these bytes in memory: all of it, but no more than a few MiB of guest
  /// data. Whatever the bytes say, this ends, with an answer or a typed error.
  ///
  /// - Throws: the error; a fault of the engine ends the process.
  package func run(on bytes: [UInt8]) throws(BlockError) {
    let storage = try MemoryStorage(bytes, name: "image")
    let changes = self == .write || self == .commit
    let image = try Qcow2Image.open(on: storage, readOnly: !changes)
    switch self {
    case .open: _ = try image.info()
    case .check:
      try ImageVerb.finish(try image.check(.none))
      try ImageVerb.finish(try image.check(.all))
    case .map: try ImageVerb.walk(image) { (_) throws(BlockError) in }
    case .read: try ImageVerb.readAll(image) { (_, _) throws(BlockError) in }
    case .write: try ImageVerb.change(image)
    case .commit: try ImageVerb.commit(image)
    }
    try image.close()
  }

  private static func finish(_ operation: any ImageOperation) throws(BlockError) {
    while try !operation.step() {}
  }

  /// Guest bytes that are read of one image.
  private static let mostBytes = 4 << 20
  /// Calls for mappings of one image; a disk may have 2^54 clusters.
  private static let mostCalls = 2000

  private static func walk(
    _ image: Qcow2Image, _ body: (ImageMapping) throws(BlockError) -> Void
  ) throws(BlockError) {
    var rest = ByteRange(at: 0, length: image.virtualSize)
    for _ in 0..<mostCalls where !rest.isEmpty {
      for run in try image.mappings(in: rest, limit: 64) {
        try body(run)
        rest = rest.dropping(run.range.length)
      }
    }
  }

  private static func readAll(
    _ image: Qcow2Image, _ body: (ByteRange, RawSpan) throws(BlockError) -> Void
  ) throws(BlockError) {
    var left = mostBytes
    try walk(image) { (run) throws(BlockError) in
      switch run.content {
      case .unallocated, .zero: return
      case .data, .compressed: break
      }
      let range = run.range.prefix(min(left, run.range.length))
      if range.isEmpty { return }
      left -= range.length
      var bytes = [UInt8](repeating: 0, count: range.length)
      try bytes.withMutableBytes { (target) throws(BlockError) in
        try image.read(into: &target, at: range.lower)
      }
      try bytes.withBytes { (span) throws(BlockError) in try body(range, span) }
    }
  }

  /// What a guest, and those who look after its disk, do to it.
  private static func change(_ image: Qcow2Image) throws(BlockError) {
    let size = image.virtualSize
    let data = [UInt8](repeating: 0xaa, count: 3000)
    for offset in [0, 700, 9000, size / 2, size - 3000] where offset >= 0 {
      let count = min(data.count, size - offset)
      if count <= 0 { continue }
      try data.withBytes { (span) throws(BlockError) in
        try image.write(span.extracting(0..<count), at: offset, over: nil)
      }
    }
    let front = ByteRange(at: 0, length: min(size, 20_000))
    if !front.isEmpty {
      try image.writeZeroes(front.dropping(front.length / 2), deallocate: true, over: nil)
      try image.discard(front, .fallsThrough)
    }
    try image.flush()
    if size < Limits.diskBytes - 70_000 { try image.resize(to: size + 70_000, over: nil) }
    try image.setBackingLink(BackingLink(name: "other", format: "qcow2"))
  }

  /// Copies all data into a base, and empties the image.
  private static func commit(_ image: Qcow2Image) throws(BlockError) {
    let base = MemoryStorage(name: "base")
    try readAll(image) { (range, bytes) throws(BlockError) in
      try base.write(bytes, at: range.lower)
    }
    try image.flush()
    try finish(try image.makeEmpty(.auto))
  }
}

extension BlockError {
  /// Whether a sentence about damage says what it found: a number, or the one value of a field that
  /// gives this error.
  package var namesWhatItFound: Bool {
    guard [.invalidImage, .corrupt].contains(code) else { return !message.isEmpty }
    let named = [
      "Image is not in qcow2 format", "AES-encrypted", "LUKS-encrypted", "external data files",
      "extended L2", "marked corrupt", "The bitmaps are damaged", "persistent bitmaps",
    ]
    return message.contains(where: \.isNumber) || named.contains(where: message.contains)
  }
}
