import BlockCore
import BlockIO
import Foundation
import ImageFormats
import TestSupport

/// Damaged images: a check of ours must find what `qemu-img check` finds, but for the differences
/// that `protocol.md` lists. So it must be with the numbers of a repair, and with what a repair of
/// ours leaves, too, and a guest must see the same as before.
///
/// Isolation: one owner.
package final class CheckTrial {
  private let directory: TemporaryDirectory
  /// Images that there were, those that both open, and checks that came out the same.
  package private(set) var images = 0
  package private(set) var compared = 0
  package private(set) var same = 0
  /// Checks that came out otherwise for a listed reason.
  package private(set) var listed = 0
  /// Repairs that QEMU does too, and those with the same numbers; the others have a listed reason.
  package private(set) var repairs = 0
  package private(set) var sameRepairs = 0
  private var hasRefcountTable = true
  /// Whether a repair by QEMU drops the snapshots: it opens an image with autoclear bits that it
  /// does not know without them, and writes such a header.
  private var dropsSnapshots = false
  /// What differs.
  package private(set) var complaints: [String] = []

  /// A trial with a directory of its own.
  package init() throws {
    directory = try TemporaryDirectory(in: "/tmp")
    try directory.write(HostileFiles.base, to: "base.raw")
  }

  /// How a check ended.
  private struct Ending: Equatable, CustomStringConvertible {
    var status: Int32
    var numbers: [Int]
    var findings: [String]
    /// Damage and leaks that are gone now.
    var fixed: [Int] = []
    /// Where the image ends.
    var end = 0

    var isOpened: Bool { !numbers.isEmpty }

    init(status: Int32, numbers: [Int] = [], findings: [String]) {
      (self.status, self.numbers, self.findings) = (status, numbers, findings)
    }

    init(_ found: CheckResult) {
      self.init(
        status: found.checkErrors > 0 ? 1 : found.corruptions > 0 ? 2 : found.leaks > 0 ? 3 : 0,
        numbers: [found.corruptions, found.leaks, found.checkErrors], findings: found.findings)
      fixed = [found.corruptionsFixed, found.leaksFixed]
      end = found.imageEndOffset
    }

    static func == (a: Ending, b: Ending) -> Bool {
      a.status == b.status && a.numbers == b.numbers
    }

    var description: String {
      "\(status) \(numbers) \(findings.prefix(6).joined(separator: " | "))"
    }
  }

  /// Damage, leaks, and what could not be checked.
  private static let names = ["corruptions", "leaks", "check-errors"]

  /// Compares the listed images that a check opens.
  package func runRows() throws {
    for row in HostileRow.all where !row.needsFiles {
      try run(row.description, row.make().image.bytes)
    }
  }

  /// Compares images that `count` seeds from `seed` on make.
  package func runMutants(_ count: Int, from seed: UInt64) throws {
    let bases = try SeedImages.all()
    for seed in seed..<seed + UInt64(count) {
      var bytes = bases[Int(seed % UInt64(bases.count))].bytes
      var random = SeededGenerator(seed: seed)
      ImageMutator.mutate(&bytes, using: &random)
      try run("seed \(seed)", bytes)
    }
  }

  /// Why `protocol.md` lets the numbers differ: what stands in a finding of ours, or of QEMU's.
  private static let known: [(ours: String, theirs: String)] = [
    // QEMU's check does not look for it; its reads refuse it as ours do.
    ("which version 2 does not know", ""),
    // The L2 table's own bytes are lost, and QEMU takes zeros for them.
    ("the file ends inside the table", ""),
    // QEMU takes such an entry for that of a table in the header.
    ("names no table", ""),
    // What is data, too, is not repaired by counting it.
    ("holds metadata, but has", ""),
    // QEMU reads what lies there, and zeros past the file's end, as its entries.
    ("L1 tables overlap", ""),
    // Blocks that lie nowhere: no refcount is changed in place.
    ("refcount block", "is outside image"), ("has reserved bits set", "is outside image"),
    // More references than a refcount can hold: none is counted up.
    ("overflow cluster offset", ""),
    // What a snapshot or bitmap holds that cannot be read may be what looks leaked.
    ("snapshot table entry corrupted", ""), ("bitmap directory entry", ""),
    // QEMU frees the snapshots' table itself where a name in it reaches past the end.
    ("", "snapshot table entry 0 is incomplete"),
    // An entry for what lies just past the end names new refcounts of ours, which lie there.
    ("counting reference for region exceeding the end", "Rebuilding refcount structure"),
    // The kernel refuses QEMU the read; here it is a block past the end as any other.
    ("", "Can't get refcount"),
  ]

  private func run(_ name: String, _ bytes: [UInt8]) throws {
    images += 1
    let ours = try check(bytes, .none)
    let theirs = try oracle(bytes)
    let header = try? Qcow2Header(
      decoding: bytes, fileSize: bytes.count, file: "image", forCheck: true)
    hasRefcountTable = header.map { $0.refcountFault == nil } ?? false
    dropsSnapshots =
      header.map { header in
        header.snapshotCount > 0
          && !header.autoclear.isSubset(of: [.bitmaps, .rawExternalData])
      } ?? false
    // What one of both does not open is a question of headers, not of checks.
    guard ours.ending.isOpened, theirs.isOpened else { return }
    compared += 1
    compare("\(name)", ours.ending, theirs)
    let view = try? HostileMemory.view(bytes)
    for repair in [CheckRepair.leaks, .all] {
      let repaired = try check(bytes, repair)
      let left = try check(repaired.bytes, .none).ending
      var told = repaired.ending
      told.findings += left.findings
      compareRepair(
        "\(name), repair (\(repair.rawValue))", told, try oracle(bytes, repair))
      compare("\(name), repaired (\(repair.rawValue))", left, try oracle(repaired.bytes))
      if left != repaired.ending {
        complaints.append("\(name): after a repair \(left), but it said \(repaired.ending)")
      }
      // A guest that sees a table sees it change.
      if left.findings.contains(where: { $0.contains("holds metadata") }) { continue }
      if let view, try HostileMemory.view(repaired.bytes) != view {
        complaints.append("\(name): a repair (\(repair.rawValue)) has changed what a guest sees")
      }
    }
  }

  private func compare(_ name: String, _ ours: Ending, _ theirs: Ending) {
    // Of more faults than are told the reasons are not known.
    let isTold = ours.findings.count < 100
    if ours == theirs {
      same += 1
    } else if !isTold, ours.status == theirs.status {
      listed += 1
    } else if !hasRefcountTable {
      // One that is not where the header says is none here; QEMU reads as it what lies there.
      listed += 1
    } else if CheckTrial.known.contains(where: { known in
      (known.ours.isEmpty || ours.findings.contains { $0.contains(known.ours) })
        && (known.theirs.isEmpty || theirs.findings.contains { $0.contains(known.theirs) })
    }) {
      listed += 1
    } else {
      complaints.append("\(name): \(ours) and not \(theirs)")
    }
  }

  /// Holds the numbers of a repair against those of QEMU's.
  private func compareRepair(_ name: String, _ ours: Ending, _ theirs: Ending) {
    // QEMU gives up: refcounts must be built anew, and that was not asked for.
    if theirs.findings.contains(where: { $0.contains("need to rebuild refcount") }) { return }
    guard theirs.isOpened, !dropsSnapshots else { return }
    repairs += 1
    // New refcounts of ours lie past the end, QEMU's in gaps, or far away.
    let isRebuilt = theirs.findings.contains { $0.contains("Rebuilding refcount structure") }
    if ours == theirs, ours.fixed == theirs.fixed, ours.end == theirs.end {
      sameRepairs += 1
    } else if ours == theirs, !hasRefcountTable || isRebuilt || ours.end == theirs.end {
      // Only what counts as one fault, and how often, is different.
    } else {
      let seen = same
      compare(name, ours, theirs)
      if same > seen {
        complaints.append(
          "\(name): ends at \(ours.end) and not at \(theirs.end): \(ours) and \(theirs)")
      }
    }
  }

  /// How our check ends, and the bytes that it leaves.
  private func check(
    _ bytes: [UInt8], _ repair: CheckRepair
  ) throws -> (ending: Ending, bytes: [UInt8]) {
    let storage = try MemoryStorage(bytes, name: "image")
    do {
      let image = try Qcow2Image.open(on: storage, readOnly: true, forCheck: true)
      let operation = try image.check(repair)
      while try !operation.step() {}
      return (Ending(operation.result), try storage.bytes())
    } catch let error as BlockError {
      return (Ending(status: 1, findings: [error.description]), bytes)
    }
  }

  private func oracle(_ bytes: [UInt8], _ repair: CheckRepair = .none) throws -> Ending {
    try directory.write(bytes, to: "image")
    let script =
      "cd \"$0\" && exec timeout 20 qemu-img check -f qcow2 --output=json $1 image 2>findings"
    let option = repair == .none ? "" : "-r\(repair.rawValue)"
    let outcome = try QemuTools.run("sh", ["-c", script, directory.path, option])
    let object = try? JSONSerialization.jsonObject(with: Data(outcome.output.utf8))
    let findings = String(decoding: try directory.read("findings"), as: UTF8.self)
    var ending = Ending(
      status: outcome.status, findings: findings.split(separator: "\n").map(String.init))
    if let numbers = object as? [String: Any] {
      func number(_ name: String) -> Int { numbers[name] as? Int ?? 0 }
      ending.numbers = CheckTrial.names.map(number)
      ending.fixed = ["corruptions-fixed", "leaks-fixed"].map(number)
      ending.end = number("image-end-offset")
    }
    return ending
  }
}
