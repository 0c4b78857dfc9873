import BlockCore
import Foundation
package import ImageFormats
package import TestSupport

/// A chain of images of one shape, made ready for an operation.
///
/// Isolation: value.
package struct CrashLayout: Sendable, CustomStringConvertible {
  /// What is special about it.
  package enum Trait: String, Hashable, Sendable {
    /// The top's L1 table has moved, and data lie where it was.
    case movedL1 = "moved-l1"
    /// The top's refcount table has moved, and data lie where it was.
    case movedRefcountTable = "moved-reftable"
    /// The top's refcount table is about to be too short.
    case fullRefcountTable = "full-reftable"
    /// The top holds compressed clusters.
    case compressed
    /// The top has an internal snapshot.
    case snapshot
    /// The top has another one, of a later state, with which the first shares what is as it was.
    case laterSnapshot = "later-snapshot"
    /// The base has one.
    case baseSnapshot = "base-snapshot"
    /// The top has a persistent bitmap.
    case bitmap
    /// The top says something of its data by a feature bit that nobody here knows.
    case autoclear
    /// The base is shorter than the others.
    case shortBase = "short-base"
    /// The base is longer than the others.
    case longBase = "long-base"
    /// The disk ends inside a cluster.
    case oddSize = "odd-size"
    /// The base is a raw file with holes.
    case rawBase = "raw-base"
    /// There is memory for a page or two of the tables, so that all of them go and come back.
    case smallCache = "small-cache"
    /// There is none: every change is written out before the next.
    case noCache = "no-cache"
    /// Whatever a commit copies goes from file to file.
    case fileCopy = "file-copy"
    /// The layer over the base holds so much in one piece that it goes from file to file by itself.
    case longRuns = "long-runs"
    /// All images lie on block devices.
    case device
    /// All but a few clusters that the refcount tables can count are taken, though by nobody.
    case crowded
  }

  package var version = 3
  package var clusterSize: Int
  package var refcountBits = 16
  /// Images in the chain.
  package var depth = 2
  package var traits: Set<Trait> = []
  /// What makes its data others.
  package var seed: UInt64 = 0

  /// A layout with these traits.
  package init(
    _ clusterSize: Int, version: Int = 3, refcountBits: Int = 16, depth: Int = 2, _ traits: Trait...
  ) {
    self.clusterSize = clusterSize
    self.version = version
    self.refcountBits = refcountBits
    self.depth = depth
    self.traits = Set(traits)
  }

  package var description: String {
    (["v\(version)", "\(clusterSize)", "refcount\(refcountBits)", "depth\(depth)"]
      + traits.map(\.rawValue).sorted()).joined(separator: "-")
  }

  /// Whether it has thousands of clusters.
  var isLarge: Bool { traits.contains(.movedRefcountTable) || traits.contains(.fullRefcountTable) }

  /// Whether it is about how bytes are copied, and nothing else.
  var isForCopies: Bool { !traits.isDisjoint(with: [.fileCopy, .longRuns]) }

  /// Whether its files have very many clusters that nobody uses.
  var isVast: Bool { traits.contains(.crowded) && refcountBits < 64 }

  /// The disk's length: some L2 tables with small clusters, some clusters with large ones.
  var diskSize: Int {
    if isLarge { return clusterSize * 4400 }
    // Many tables, between which there is something to choose.
    if isShortOfMemory { return clusterSize * (clusterSize / 8 * 7 + 3) }
    if traits.contains(.longRuns) { return CrashLayout.longRun + 3 * clusterSize }
    let size = max(
      40 << 10, min(clusterSize * clusterSize / 8 * 2 + clusterSize, max(clusterSize * 6, 56 << 10))
    )
    return traits.contains(.oddSize) ? size + 512 : size
  }

  var isShortOfMemory: Bool { !traits.isDisjoint(with: [.smallCache, .noCache]) }

  /// The memory for the tables of all its images.
  package func makeBudget() -> CacheBudget {
    if traits.contains(.noCache) { return CacheBudget(bytes: 0, leastPages: 0) }
    return traits.contains(.smallCache) ? CacheBudget(bytes: 2048, leastPages: 1) : CacheBudget()
  }

  /// The least run that a commit copies from file to file; nil for what the engine says.
  package var fileRunBytes: Int? { traits.contains(.fileCopy) ? 1 : nil }

  /// What the engine copies from file to file, and a little more.
  private static let longRun = (1 << 20) + (64 << 10)

  /// Guests write to so many bytes of a disk, and to its end.
  static let busyBytes = 400 << 10

  /// Makes the files, the base first.
  package func build() throws -> [(name: String, image: CrashImage)] {
    var chain: [(name: String, image: CrashImage)] = []
    var generator = SeededGenerator(seed: UInt64(clusterSize * 8 + depth) ^ seed)
    for index in 0..<depth {
      let name = index == 0 ? "base" : index == depth - 1 ? "top" : "middle\(index)"
      if index == 0, traits.contains(.rawBase) {
        chain.append((name, rawBase(&generator)))
        continue
      }
      let storage = CrashStorage(name: name)
      try create(storage, index, over: chain.last)
      let image = try Qcow2Image.open(on: storage, readOnly: false)
      let layers = try chain.reversed().map { file in
        try CrashStorage(file.image, name: file.name).openToRead(isQcow2: file.image.isQcow2)
      }
      let beneath = layers.isEmpty ? nil : LayeredView(layers[...])
      if index == 1, traits.contains(.longRuns) {
        try write(generator.bytes(CrashLayout.longRun), to: image, beneath, at: clusterSize)
        try image.flush()
      }
      try fill(image, beneath, &generator, isTop: index == depth - 1)
      try image.close()
      chain.append((name, storage.image))
      let isTop = index == depth - 1
      if isTop && traits.contains(.snapshot) || index == 0 && traits.contains(.baseSnapshot) {
        chain[index].image = try changed(chain, by: "snapshot", "-c", "before", name)
      }
      if isTop, traits.contains(.laterSnapshot) {
        let storage = CrashStorage(chain[index].image, name: name)
        let image = try Qcow2Image.open(on: storage, readOnly: false)
        try fill(image, beneath, &generator, isTop: false)
        try image.close()
        chain[index].image = storage.image
        chain[index].image = try changed(chain, by: "snapshot", "-c", "later", name)
      }
      if isTop, traits.contains(.bitmap) {
        chain[index].image = try changed(chain, by: "bitmap", "--add", "-f", "qcow2", name, "b")
      }
      if isTop, traits.contains(.autoclear) {
        chain[index].image.write([0x20], at: 95)
      }
    }
    return chain.map { (name: $0.name, image: finished($0.image)) }
  }

  /// What the traits want of every image.
  private func finished(_ image: CrashImage) -> CrashImage {
    var image = image
    if traits.contains(.crowded), image.isQcow2 {
      var damage = CrashDamage(image)
      damage.crowd(leaving: refcountBits == 64 ? 0 : 2)
      image = damage.image
    }
    guard traits.contains(.device) else { return image }
    // A raw image is all of its device.
    return image.asDevice(longerBy: image.isQcow2 ? diskSize + max(1 << 20, 16 * clusterSize) : 0)
  }

  private var baseSize: Int {
    var size = diskSize
    if depth > 1, traits.contains(.shortBase) { size -= 5 * 512 + clusterSize }
    if depth > 1, traits.contains(.longBase) { size += 3 * clusterSize + 1024 }
    return size
  }

  /// Bytes here and there, holes between them.
  private func rawBase(_ generator: inout SeededGenerator) -> CrashImage {
    var image = CrashImage()
    // A disk is a whole number of sectors; the file need not be.
    image.truncate(to: baseSize - (traits.contains(.oddSize) ? 300 : 0))
    for part in stride(from: 0, to: image.size, by: 24 << 10) {
      let offset = part + Int.random(in: 0..<16 << 10, using: &generator)
      let length = min(Int.random(in: 1..<8 << 10, using: &generator), image.size - offset)
      if length > 0 { image.write(generator.bytes(length)[...], at: offset) }
    }
    return image
  }

  private func create(
    _ storage: CrashStorage, _ index: Int, over backing: (name: String, image: CrashImage)?
  ) throws {
    var options = Qcow2CreateOptions(size: index == 0 ? baseSize : diskSize)
    options.version = version
    options.clusterSize = clusterSize
    options.refcountBits = refcountBits
    let link = backing.map {
      BackingLink(name: $0.name, format: $0.image.isQcow2 ? "qcow2" : "raw")
    }
    if index == depth - 1, traits.contains(.compressed) {
      let bytes = try compressedImage(options)
      try bytes.withBytes { (span) throws(BlockError) in try storage.write(span, at: 0) }
      let image = try Qcow2Image.open(on: storage, readOnly: false)
      try image.setBackingLink(link)
      return try image.close()
    }
    options.backing = link
    if index == depth - 1, traits.contains(.movedL1) {
      options.size = clusterSize
    }
    try Qcow2Create.create(options, on: storage)
  }

  /// Data here and there, and what the traits want.
  private func fill(
    _ image: Qcow2Image, _ beneath: LayeredView?, _ generator: inout SeededGenerator, isTop: Bool
  ) throws {
    if isTop, traits.contains(.movedL1) {
      try write(generator.bytes(clusterSize), to: image, beneath, at: 0)
      let perTable = clusterSize * clusterSize / 8
      try image.resize(to: max(diskSize, perTable + clusterSize), over: beneath)
      try image.flush()
    }
    let size = min(image.virtualSize, CrashLayout.busyBytes)
    if isTop, isLarge {
      // 64 entries of 64 clusters each: 4096 clusters with 512 bytes and 64 bits. The disk's
      // beginning stays free, so that writes there take new ones.
      let clusters = traits.contains(.fullRefcountTable) ? 3950 : 4200
      let first = diskSize / clusterSize - clusters
      for start in stride(from: 0, to: clusters, by: 100) {
        let count = min(100, clusters - start) * clusterSize
        try write(generator.bytes(count), to: image, beneath, at: (first + start) * clusterSize)
      }
      return try image.flush()
    }
    for _ in 0..<(isTop ? 5 : 4) {
      let length = [clusterSize, 1024, clusterSize * 3].randomElement(using: &generator) ?? 512
      let offset = Int.random(in: 0...max(0, (size - length) / 512), using: &generator) * 512
      try write(generator.bytes(min(length, size - offset)), to: image, beneath, at: offset)
      try image.flush()
    }
    // The end of the disk, where resizing looks.
    try write(generator.bytes(1024), to: image, beneath, at: image.virtualSize - 1024)
    try image.flush()
  }

  private func write(
    _ bytes: [UInt8], to image: Qcow2Image, _ beneath: LayeredView?, at offset: Int
  ) throws {
    try bytes.withBytes { (span) throws(BlockError) in
      try image.write(span, at: offset, over: beneath)
    }
  }

  // MARK: What only qemu-img makes

  /// The last image of the chain after `qemu-img` has run on it.
  private func changed(
    _ chain: [(name: String, image: CrashImage)], by command: String, _ arguments: String...
  ) throws -> CrashImage {
    let directory = try TemporaryDirectory()
    for file in chain { try directory.write(file.image.bytes, to: file.name) }
    let last = chain[chain.count - 1].name
    let words = arguments.map { $0 == last ? directory.file(last) : $0 }
    let made = try QemuTools.run("qemu-img", [command] + words)
    guard made.status == 0 else { throw CrashLayoutError.tool(made.output) }
    return CrashImage(try directory.read(last))
  }

  private func compressedImage(_ options: Qcow2CreateOptions) throws -> [UInt8] {
    let directory = try TemporaryDirectory()
    var bytes = [UInt8](repeating: 0, count: options.size)
    for index in stride(from: 0, to: bytes.count, by: 3) { bytes[index] = UInt8(index / 999 % 251) }
    let path = try directory.write(bytes, to: "raw")
    let compat = options.version == 3 ? "1.1" : "0.10"
    let made = try QemuTools.img(
      "convert", "-c", "-f", "raw", "-O", "qcow2", "-o",
      "compat=\(compat),cluster_size=\(clusterSize),refcount_bits=\(refcountBits)",
      path, directory.file("top"))
    guard made.status == 0 else { throw CrashLayoutError.tool(made.output) }
    return try directory.read("top")
  }
}

/// Why a layout could not be made.
package enum CrashLayoutError: Error {
  /// What a tool said.
  case tool(String)
}
