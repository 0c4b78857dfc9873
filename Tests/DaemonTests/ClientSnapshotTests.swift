import TestSupport
import Testing

@Suite("qblockctl on images with strange snapshots")
struct ClientSnapshotTests {
  @Test("of very many snapshots the first are named, and the others counted")
  func manySnapshots() throws {
    try MalformedImages.refuseRoot()
    let stage = try ClientStage()
    _ = try stage.img("create", "-q", "-f", "qcow2", "top", "1M")
    _ = try stage.img("snapshot", "-c", "first", "top")
    var bytes = try stage.directory.read("top")
    func number(_ range: Range<Int>) -> Int { bytes[range].reduce(0) { $0 << 8 | Int($1) } }
    let table = number(64..<72)
    let fixed = bytes[table..<table + 40]
    let extra = number(table + 36..<table + 40)
    // 5,000 entries like the first, without an id, with names of 200 bytes, at the end of the file.
    var entry = Array(fixed) + bytes[table + 40..<table + 40 + extra]
    entry.replaceSubrange(12..<16, with: [0, 0, 0, 200])
    entry += [UInt8](repeating: 1, count: 200)
    entry += [UInt8](repeating: 0, count: (8 - entry.count % 8) % 8)
    let place = (bytes.count + 65_535) / 65_536 * 65_536
    bytes += [UInt8](repeating: 0, count: place - bytes.count)
    for _ in 0..<5000 { bytes += entry }
    let words = [5000, 0, place].flatMap { word in
      stride(from: 24, through: 0, by: -8).map { UInt8(word >> $0 & 255) }
    }
    bytes.replaceSubrange(60..<72, with: words)
    try stage.directory.write(bytes, to: "top")
    let info = try stage.done("info", "top")
    // 216 bytes each, of 65,536.
    #expect(info.contains(" and 4697 more\n"), "\(info.suffix(400))")
    #expect(try stage.done("map", "top").isEmpty == false)
  }

  @Test("one damaged snapshot is named, and hides neither the others nor the image")
  func damagedSnapshot() throws {
    try MalformedImages.refuseRoot()
    let stage = try ClientStage()
    _ = try stage.img("create", "-q", "-f", "qcow2", "top", "1M")
    for name in ["first", "second", "third"] { _ = try stage.img("snapshot", "-c", name, "top") }
    var bytes = try stage.directory.read("top")
    let table = bytes[64..<72].reduce(0) { $0 << 8 | Int($1) }
    // Extra data, id and name of the first entry; then the second, with its extra data's length.
    let first = 40 + Int(bytes[table + 39]) + Int(bytes[table + 13]) + Int(bytes[table + 15])
    bytes[table + (first + 7) / 8 * 8 + 38] = 0x40
    try stage.directory.write(bytes, to: "top")
    let info = try stage.done("info", "top")
    #expect(info.contains("internal snapshots: first"), "\(info)")
    #expect(info.contains("damaged snapshot: Snapshot 1 has 16"), "\(info)")
    #expect(info.contains("Format specific information:"))
    #expect(try stage.done("compare", "top", "top").contains("identical"))
  }
}
