import BlockCore
import BlockIO
import Foundation
import ImageFormats
import TestSupport

/// A valid image of random shape and content, made by QEMU's tools, by this engine, or by both in
/// turn, and what a guest must see of it.
///
/// Isolation: one owner.
struct RandomImage {
  /// Who carries out changes.
  enum Maker: CaseIterable { case qemu, ours }

  /// One change of the guest's disk.
  private enum Change {
    case write(ByteRange, UInt8)
    case writeCompressed(ByteRange, UInt8)
    case zero(ByteRange)
    case discard(ByteRange)

    var packs: Bool {
      if case .writeCompressed = self { true } else { false }
    }
  }

  /// What it is, for people.
  private(set) var story = ""
  /// What a guest sees.
  private(set) var model: [UInt8]
  /// The file, and the one under it.
  let path: String
  let base: String?
  let baseFormat: String

  private let directory: TemporaryDirectory
  private let version: Int
  private let clusterSize: Int
  private let refcountBits: Int
  private let usesZstd: Bool
  private var random: SeededGenerator
  private var snapshots = 0
  /// Clusters that a change has named: QEMU packs a cluster only where there is none yet.
  private var named: Set<Int> = []
  private var hasPacked = false

  /// Makes the image of `seed` in `directory`, over what was there.
  init(seed: UInt64, in directory: TemporaryDirectory) throws {
    var random = SeededGenerator(seed: seed)
    self.directory = directory
    path = directory.file("image")
    version = Int.random(in: 0..<4, using: &random) == 0 ? 2 : 3
    clusterSize = 512 << Int.random(in: 0...7, using: &random)
    refcountBits = version == 2 ? 16 : 1 << Int.random(in: 0...6, using: &random)
    usesZstd = version == 3 && Int.random(in: 0..<4, using: &random) == 0
    let clusters = Int.random(in: 1...(clusterSize < 4096 ? 200 : 24), using: &random)
    let size = max(512, clusters * clusterSize - 512 * Int.random(in: 0...3, using: &random))
    model = [UInt8](repeating: 0, count: size)
    let kind = Int.random(in: 0..<3, using: &random)
    base = kind == 0 ? nil : directory.file("base")
    baseFormat = kind == 1 ? "raw" : "qcow2"
    self.random = random
    for name in ["image", "base"] {
      try? FileManager.default.removeItem(atPath: directory.file(name))
    }
    if base != nil { try makeBase() }
    try create()
    for _ in 0..<Int.random(in: 1...3, using: &self.random) { try change() }
    // Where the file itself has holes, `qemu-img map` may look for them inside clusters.
    for name in base != nil && baseFormat == "qcow2" ? ["image", "base"] : ["image"] {
      try directory.write(try directory.read(name), to: name)
    }
  }

  /// The file underneath: shorter, as long or longer, with data here and there.
  private mutating func makeBase() throws {
    guard let base else { return }
    let factor = [1, 2, 3, 4, 5].randomElement(using: &random) ?? 4
    let size = max(512, (model.count * factor / 4).roundedUp(to: 512))
    try succeed("qemu-img", "create", "-q", "-f", baseFormat, base, "\(size)")
    var bytes = [UInt8](repeating: 0, count: size)
    var commands: [String] = []
    for _ in 0..<Int.random(in: 0...4, using: &random) {
      let range = anyRange(in: size, unit: 512)
      let value = UInt8.random(in: 1...255, using: &random)
      commands.append("write -P \(value) \(range.lower) \(range.length)")
      bytes.put([UInt8](repeating: value, count: range.length), at: range.lower)
    }
    try io(base, baseFormat, commands)
    let shown = min(size, model.count)
    model.put(Array(bytes[..<shown]), at: 0)
    story += "over \(baseFormat) of \(size); "
  }

  private mutating func create() throws {
    // A compression type other than zlib is QEMU's to choose.
    let maker = usesZstd ? .qemu : Maker.allCases.randomElement(using: &random) ?? .qemu
    story +=
      "v\(version), clusters of \(clusterSize), refcounts of \(refcountBits), \(model.count) bytes"
      + "\(usesZstd ? ", zstd" : ""), created by \(maker)"
    switch maker {
    case .qemu:
      var options =
        "compat=\(version == 2 ? "0.10" : "1.1"),cluster_size=\(clusterSize),"
        + "refcount_bits=\(refcountBits)"
      if usesZstd { options += ",compression_type=zstd" }
      let link = base.map { ["-b", $0, "-F", baseFormat] } ?? []
      try succeed(
        "qemu-img",
        ["create", "-q", "-f", "qcow2", "-o", options] + link + [path, "\(model.count)"])
    case .ours:
      var options = Qcow2CreateOptions(size: model.count)
      options.version = version
      options.clusterSize = clusterSize
      options.refcountBits = refcountBits
      options.backing = base.map { BackingLink(name: $0, format: baseFormat) }
      let file = try HostFile.create(try FileName(path))
      try Qcow2Create.create(options, on: file)
      try file.close()
    }
  }

  // MARK: - Changes

  /// A few changes by one maker, and perhaps a snapshot after them.
  private mutating func change() throws {
    let maker = Maker.allCases.randomElement(using: &random) ?? .qemu
    var changes = (0..<Int.random(in: 1...6, using: &random)).map { _ in anyChange(by: maker) }
    story += "; \(changes.count) changes by \(maker)"
    switch maker {
    case .qemu:
      // One process by itself packs: QEMU 7.2 goes on packing into a cluster that it has freed and
      // given to other data meanwhile. Nothing else has named these clusters before.
      let packing = changes.filter(\.packs)
      hasPacked = hasPacked || !packing.isEmpty
      changes = packing + changes.filter { !$0.packs }
      try io(path, "qcow2", packing.map(command))
      try io(path, "qcow2", changes.dropFirst(packing.count).map(command))
    case .ours: try apply(changes)
    }
    for change in changes { note(change) }
    // A snapshot doubles refcounts, which are those of all that is packed into one cluster.
    if refcountBits > (hasPacked ? 4 : 1), snapshots < 2, Int.random(in: 0..<5, using: &random) == 0
    {
      snapshots += 1
      try succeed("qemu-img", "snapshot", "-c", "s\(snapshots)", path)
      story += "; snapshot"
    }
  }

  private mutating func anyRange(in size: Int, unit: Int) -> ByteRange {
    let units = (size + unit - 1) / unit
    let first = Int.random(in: 0..<units, using: &random)
    let count = min(units - first, Int.random(in: 1...max(1, min(units, 12)), using: &random))
    return ByteRange(from: first * unit, to: min(size, (first + count) * unit))
  }

  private mutating func anyChange(by maker: Maker) -> Change {
    let change = makeChange(by: maker)
    switch change {
    case .write(let range, _), .writeCompressed(let range, _), .zero(let range),
      .discard(let range):
      named.formUnion(range.lower / clusterSize...(range.upper - 1) / clusterSize)
    }
    return change
  }

  private mutating func makeChange(by maker: Maker) -> Change {
    let value = UInt8.random(in: 1...255, using: &random)
    let clusters = anyRange(in: model.count, unit: clusterSize)
    let canPack = maker == .qemu && !named.contains(clusters.lower / clusterSize)
    switch Int.random(in: 0..<10, using: &random) {
    case 0, 1: return .zero(anyRange(in: model.count, unit: 512))
    case 2: return .zero(clusters)
    // What falls through in version 2, which has no zero flag, is each program's choice.
    case 3 where version == 3 || base == nil: return .discard(clusters)
    case 4 where canPack, 5 where canPack:
      return .writeCompressed(clusters.prefix(min(clusters.length, clusterSize)), value)
    case 6: return .write(clusters, value)
    default: return .write(anyRange(in: model.count, unit: 512), value)
    }
  }

  private mutating func note(_ change: Change) {
    switch change {
    case .write(let range, let value), .writeCompressed(let range, let value):
      model.put([UInt8](repeating: value, count: range.length), at: range.lower)
    case .zero(let range), .discard(let range): model.zero(range)
    }
  }

  /// The change in the words of `qemu-io`.
  private func command(_ change: Change) -> String {
    switch change {
    case .write(let range, let value): "write -P \(value) \(range.lower) \(range.length)"
    case .writeCompressed(let range, let value):
      "write -c -P \(value) \(range.lower) \(range.length)"
    case .zero(let range): "write -z -u \(range.lower) \(range.length)"
    case .discard(let range): "discard \(range.lower) \(range.length)"
    }
  }

  private func apply(_ changes: [Change]) throws {
    let file = try HostFile.open(path)
    let image = try Qcow2Image.open(on: file, readOnly: false)
    let beneath = try RandomImage.layers(under: base, baseFormat).map { LayeredView($0[...]) }
    for change in changes {
      switch change {
      case .write(let range, let value), .writeCompressed(let range, let value):
        try [UInt8](repeating: value, count: range.length).withBytes {
          (span) throws(BlockError) in try image.write(span, at: range.lower, over: beneath)
        }
      case .zero(let range): try image.writeZeroes(range, deallocate: true, over: beneath)
      case .discard(let range): try image.discard(range, .readsZero)
      }
    }
    try image.close()
    try file.close()
  }

  /// What a guest sees through this engine.
  func contents() throws -> [UInt8] {
    let file = try HostFile.open(path, HostFileOptions(isReadOnly: true))
    let image = try Qcow2Image.open(on: file, readOnly: true)
    let layers = [image] + (try RandomImage.layers(under: base, baseFormat) ?? [])
    var bytes = [UInt8](repeating: 0xee, count: image.virtualSize)
    try bytes.withMutableBytes { (target) throws(BlockError) in
      try LayeredView(layers[...]).read(into: &target, at: 0)
    }
    try file.close()
    return bytes
  }

  private static func layers(
    under base: String?, _ format: String
  ) throws -> [any ImageDriver]? {
    guard let base else { return nil }
    let file = try HostFile.open(base, HostFileOptions(isReadOnly: true))
    return [
      format == "raw"
        ? try RawImage.open(on: file, readOnly: true)
        : try Qcow2Image.open(on: file, readOnly: true)
    ]
  }

  // MARK: - QEMU's tools

  private func io(_ path: String, _ format: String, _ commands: [String]) throws {
    if commands.isEmpty { return }
    try succeed("qemu-io", ["-f", format, path] + commands.flatMap { ["-c", $0] })
  }

  private func succeed(_ tool: String, _ arguments: String...) throws {
    try succeed(tool, arguments)
  }

  private func succeed(_ tool: String, _ arguments: [String]) throws {
    let run = try QemuTools.run(tool, arguments)
    guard run.status == 0 else {
      throw ToolFailure(description: "\(tool) \(arguments): \(run.output)")
    }
  }
}

/// A tool that should have succeeded.
struct ToolFailure: Error, CustomStringConvertible {
  let description: String
}
