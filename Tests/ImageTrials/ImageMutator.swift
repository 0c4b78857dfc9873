import BlockCore
package import TestSupport

/// Changes images where it hurts: it knows where the fields of a qcow2 file stand, and puts
/// boundary values, references to itself, overlaps and huge counts there.
///
/// It looks at nothing but the bytes, so that it can go on with an image that is broken already.
///
/// Isolation: value.
package struct ImageMutator {
  /// A number in the file.
  struct Field {
    let offset: Int
    /// 1, 2, 4 or 8 bytes.
    let width: Int
  }

  private let bytes: [UInt8]
  private let clusterBits: Int
  private(set) var fields: [Field] = []
  /// Where structures begin.
  private(set) var places: [Int] = [0]

  /// Most fields of one kind of table: enough to reach each kind of entry, and few enough that the
  /// header's fields are not lost among them.
  private static let perTable = 24

  init(_ bytes: [UInt8]) {
    self.bytes = bytes
    let bits = bytes.count >= 24 ? bytes.withBytes { $0.bigEndian(UInt32.self, at: 20) } : 0
    clusterBits = (9...21).contains(bits) ? Int(bits) : 9
    findHeader()
    findExtensions()
    findTables()
    findSnapshots()
    findBitmaps()
  }

  /// Changes one to four things in `bytes`.
  package static func mutate(_ bytes: inout [UInt8], using random: inout SeededGenerator) {
    // What one change moves is not looked for again: a mutant of the mutant may find it.
    let mutator = ImageMutator(bytes)
    for _ in 0..<Int.random(in: 1...4, using: &random) { mutator.change(&bytes, &random) }
  }

  // MARK: - Where fields stand

  private func number(_ offset: Int, _ width: Int) -> UInt64? {
    guard offset >= 0, offset + width <= bytes.count else { return nil }
    return bytes.withBytes {
      switch width {
      case 8: $0.bigEndian(at: offset)
      case 4: UInt64($0.bigEndian(UInt32.self, at: offset))
      case 2: UInt64($0.bigEndian(UInt16.self, at: offset))
      default: UInt64($0.byte(at: offset))
      }
    }
  }

  /// The number as an offset in the file.
  private func pointer(_ offset: Int) -> Int? {
    guard let word = number(offset, 8) else { return nil }
    let target = Int(word & 0x00ff_ffff_ffff_fe00)
    return target > 0 && target < bytes.count ? target : nil
  }

  private mutating func add(_ offset: Int, _ width: Int) {
    if number(offset, width) != nil { fields.append(Field(offset: offset, width: width)) }
  }

  /// A table of words at `start`; returns where its entries stand. Filled ones come first.
  @discardableResult
  private mutating func addTable(_ start: Int, entries: Int, width: Int = 8) -> [Int] {
    places.append(start)
    var filled: [Int] = []
    for index in 0..<min(entries, 4096) where filled.count < ImageMutator.perTable {
      let offset = start + index * width
      guard let word = number(offset, width) else { break }
      if word != 0 { filled.append(offset) } else if index < 4 { add(offset, width) }
    }
    for offset in filled { add(offset, width) }
    return filled
  }

  private mutating func findHeader() {
    for offset in [4, 16, 20, 32, 36, 56, 60, 96, 100] { add(offset, 4) }
    for offset in [8, 24, 40, 48, 64, 72, 80, 88] { add(offset, 8) }
    for offset in [104, 105] { add(offset, 1) }
  }

  private mutating func findExtensions() {
    var offset = number(4, 4) == 2 ? 72 : Int(number(100, 4) ?? 104)
    for _ in 0..<8 {
      guard let type = number(offset, 4), let length = number(offset + 4, 4) else { return }
      add(offset, 4)
      add(offset + 4, 4)
      if type == 0 { return }
      for part in stride(from: 0, to: min(24, Int(length)), by: 4) { add(offset + 8 + part, 4) }
      offset += 8 + Int(length).roundedUp(to: 8)
    }
  }

  private mutating func findTables() {
    let cluster = 1 << clusterBits
    if let l1 = pointer(40) {
      for entry in addTable(l1, entries: Int(number(36, 4) ?? 0)).prefix(4) {
        if let l2 = pointer(entry) { addTable(l2, entries: cluster / 8) }
      }
    }
    if let table = pointer(48) {
      for entry in addTable(table, entries: cluster / 8).prefix(2) {
        if let block = pointer(entry) { addTable(block, entries: cluster / 2, width: 2) }
      }
    }
  }

  private mutating func findSnapshots() {
    guard var entry = pointer(64) else { return }
    places.append(entry)
    for _ in 0..<min(4, number(60, 4) ?? 0) {
      for (offset, width) in [(0, 8), (8, 4), (12, 2), (14, 2), (32, 4), (36, 4), (40, 8), (48, 8)]
      {
        add(entry + offset, width)
      }
      if let l1 = pointer(entry) { addTable(l1, entries: Int(number(entry + 8, 4) ?? 0)) }
      let lengths = [(12, 2), (14, 2), (36, 4)].compactMap { number(entry + $0, $1) }
      entry += 40 + Int(lengths.reduce(0, +)).roundedUp(to: 8)
    }
  }

  private mutating func findBitmaps() {
    let start = number(4, 4) == 2 ? 72 : Int(number(100, 4) ?? 104)
    guard number(start, 4) == 0x2385_2875, let directory = pointer(start + 24) else { return }
    places.append(directory)
    for (offset, width) in [(0, 8), (8, 4), (12, 4), (16, 1), (17, 1), (18, 2), (20, 4)] {
      add(directory + offset, width)
    }
    if let table = pointer(directory) { addTable(table, entries: 8) }
  }

  // MARK: - What is put there

  private func change(_ bytes: inout [UInt8], _ random: inout SeededGenerator) {
    if Int.random(in: 0..<24, using: &random) == 0 { return cut(&bytes, &random) }
    guard let field = fields.randomElement(using: &random),
      field.offset + field.width <= bytes.count
    else { return }
    let value = value(for: field, &random)
    bytes.withMutableBytes {
      switch field.width {
      case 8: $0.setBigEndian(value, at: field.offset)
      case 4: $0.setBigEndian(UInt32(truncatingIfNeeded: value), at: field.offset)
      case 2: $0.setBigEndian(UInt16(truncatingIfNeeded: value), at: field.offset)
      default: $0.setBigEndian(UInt8(truncatingIfNeeded: value), at: field.offset)
      }
    }
  }

  /// Ends the file at or around a structure, or lets it go on a little.
  private func cut(_ bytes: inout [UInt8], _ random: inout SeededGenerator) {
    let place =
      (places.randomElement(using: &random) ?? 0) + Int.random(in: -9...600, using: &random)
    if place > 0, place < bytes.count { return bytes.removeLast(bytes.count - place) }
    bytes += [UInt8](repeating: 0xff, count: Int.random(in: 1...1024, using: &random))
  }

  private func value(for field: Field, _ random: inout SeededGenerator) -> UInt64 {
    let old = number(field.offset, field.width) ?? 0
    let bit = UInt64(1) << UInt64.random(in: 0..<UInt64(field.width * 8), using: &random)
    let cluster = UInt64(1) << UInt64(clusterBits)
    let place = UInt64(places.randomElement(using: &random) ?? 0)
    let itself = UInt64(field.offset) & ~(cluster - 1)
    let end = UInt64(bytes.count)
    switch Int.random(in: 0..<16, using: &random) {
    case 0: return 0
    case 1: return .max
    case 2: return old ^ bit
    case 3: return bit
    case 4: return bit &- 1
    case 5: return old &+ 1
    case 6: return old &- 1
    case 7: return old &+ cluster
    case 8: return place
    case 9: return 1 << 63 | place
    case 10: return (Bool.random(using: &random) ? 1 << 63 : 0) | itself
    case 11: return 1 << 63 | (end & ~(cluster - 1))
    case 12: return 1 << 62 | UInt64.random(in: 0..<max(end, 1), using: &random)
    case 13: return 1 << 62 | random.next() >> 2
    case 14:
      guard let other = fields.randomElement(using: &random) else { return old }
      return number(other.offset, other.width) ?? old
    default: return random.next()
    }
  }
}
