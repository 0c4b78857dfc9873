import QMP
import QMPClient
import TestSupport
import Testing

@Suite("A commit against qemu-img, over versions, clusters, refcounts, layers and sizes")
struct CommitMatrixTests {
  @Test("random chains keep every guest's view, and every file sound", arguments: 0..<64)
  func random(seed: UInt64) throws {
    var plan = MatrixPlan(seed: seed)
    let chain = try ImageChain()
    for layer in 0..<plan.layers { try plan.make(layer, in: chain) }
    let (top, base) = (chain.names[plan.top], chain.names[plan.base])
    let watched = Array(chain.names[plan.top...])
    let views = try watched.map { ($0, try chain.view($0)) }
    let baseSize = try chain.info(base).virtualSize
    let snapshots = try plan.snapshots.map { ($0, try chain.snapshot("s", of: $0)) }

    // With a root, images that only headers name may be written to.
    let daemon = try DaemonProcess.start(arguments: ["--image-root", chain.directory.path])
    let client = try daemon.client()
    try open(chain, with: client, named: plan.namesNodes)
    let outcome = try client.commit(chain.names.last ?? "") {
      if plan.namesNodes {
        ($0.topNode, $0.baseNode) = (top, base)
      } else {
        ($0.top, $0.base) = (chain.path(top), chain.path(base))
      }
    }
    if plan.cannotGrow(chain.shapes[base], base) {
      #expect(outcome.error == "Can't resize a v2 image which has snapshots")
      for (name, view) in views { #expect(try chain.shows(name, view), "\(name) after refusal") }
      return try chain.checkSound()
    }
    #expect(outcome.error == nil)
    for (name, view) in views { #expect(try chain.shows(name, view), "\(name) after commit") }
    try chain.checkSound()
    #expect(try chain.info(base).virtualSize == max(baseSize, plan.sizes[plan.top]))
    let isActive = plan.top == plan.layers - 1
    if !isActive {
      #expect(try chain.info(chain.names[plan.top + 1]).backingName == chain.path(base))
    }

    try empty(chain, views.last?.1 ?? "", client, under: isActive ? plan.top - 1 : plan.base)
    for (name, view) in views { #expect(try chain.shows(name, view), "\(name) at the end") }
    for (name, view) in snapshots {
      // Of an image that has grown since, QEMU shows more than the snapshot ever had.
      let size = String(chain.shapes[name]?.size ?? 0)
      let same = try QemuTools.run(
        "cmp", ["-n", size, view, try chain.snapshot("s", of: name)])
      #expect(same.status == 0, "snapshot of \(name): \(same.output)")
    }
    #expect(daemon.stop() == 0)
    for (name, view) in views { #expect(try chain.shows(name, view), "\(name) after the daemon") }
    try chain.checkSound()
  }

  /// Opens the chain through its headers, or each image as a node of its own.
  private func open(_ chain: ImageChain, with client: QMPClient, named: Bool) throws {
    guard named else {
      return try client.add(chain.names.last ?? "", chain.path(chain.names.last ?? ""))
    }
    var below: String?
    for name in chain.names {
      let backing = below.map { BackingReference.reference(.node($0)) } ?? BackingReference.none
      let format = chain.shapes[name]?.format ?? ""
      try client.add(name, chain.path(name), format: format, backing: backing) {
        $0.readOnly = name != chain.names.last
      }
      below = name
    }
  }

  /// Empties the last image where no guest would notice, and finds it empty then.
  private func empty(
    _ chain: ImageChain, _ view: String, _ client: QMPClient, under index: Int
  ) throws {
    let last = chain.names.last ?? ""
    let changesNothing = try chain.shows(chain.names[index], view)
    let size = try chain.info(last).virtualSize
    let isLonger = try chain.info(chain.names[index]).virtualSize > size
    let outcome = try client.makeEmpty(last)
    // A longer image underneath compares as different although its end is out of sight.
    if changesNothing || !isLonger { #expect((outcome.error == nil) == changesNothing) }
    guard outcome.error == nil else { return }
    #expect(try chain.map(last).allSatisfy { $0.depth > 0 || !$0.present })
  }
}

/// One chain of the matrix, and what to commit in it.
///
/// Isolation: value.
struct MatrixPlan {
  let layers: Int
  let top: Int
  let base: Int
  /// Whether every image is a node of its own, or the chain comes from the headers.
  let namesNodes: Bool
  let sizes: [Int]
  /// Images that have the internal snapshot `s`.
  private(set) var snapshots: [String] = []
  private var generator: SeededGenerator

  init(seed: UInt64) {
    var generator = SeededGenerator(seed: seed)
    layers = Int.random(in: 2...4, using: &generator)
    // Every other commit is of the active layer.
    let top =
      Bool.random(using: &generator) ? layers - 1 : Int.random(in: 1..<layers, using: &generator)
    self.top = top
    base = Int.random(in: 0..<top, using: &generator)
    namesNodes = Bool.random(using: &generator)
    sizes = (0..<layers).map { _ in 512 * Int.random(in: 1...6000, using: &generator) }
    self.generator = generator
  }

  /// Whether the base would have to grow, but has snapshots that this would harm, as QEMU has it.
  func cannotGrow(_ shape: ImageShape?, _ name: String) -> Bool {
    shape?.version == 2 && snapshots.contains(name) && sizes[base] < sizes[top]
  }

  /// Makes the image of one layer.
  mutating func make(_ layer: Int, in chain: ImageChain) throws {
    let shape = shape(of: layer)
    let count = Int.random(in: 0...10, using: &generator)
    let name = "n\(layer)"
    let writes = packing(of: shape) + (0..<count).map { _ in command(on: shape) }
    try chain.add(name, shape, over: chain.names.last, commands: writes)
    // A refcount of one bit cannot count a snapshot.
    guard shape.format == "qcow2", shape.refcountBits > 1,
      Int.random(in: 0..<3, using: &generator) == 0
    else { return }
    try chain.succeed("qemu-img", ["snapshot", "-c", "s", chain.path(name)])
    snapshots.append(name)
    try chain.io(name, (0..<count / 2).map { _ in command(on: shape) })
  }

  private mutating func shape(of layer: Int) -> ImageShape {
    guard layer > 0 || Int.random(in: 0..<4, using: &generator) > 0 else {
      return .raw(sizes[layer])
    }
    var shape = ImageShape(size: sizes[layer])
    shape.version = Int.random(in: 2...3, using: &generator)
    // The extremes, the default, and what lies between.
    shape.clusterSize = pick([512, 512, 4096, 65_536, 65_536, 1 << 19, 2 << 20])
    if shape.version == 3 { shape.refcountBits = pick([1, 2, 4, 8, 16, 32, 64]) }
    shape.compression = pick(["zlib", "zstd"])
    return shape
  }

  private mutating func command(on shape: ImageShape) -> String {
    let offset = 512 * Int.random(in: 0..<shape.size / 512, using: &generator)
    let longest = min(shape.size - offset, 300_032) / 512
    let length = 512 * Int.random(in: 1...longest, using: &generator)
    let pattern = Int.random(in: 1...255, using: &generator)
    switch Int.random(in: 0..<8, using: &generator) {
    case 0: return "write -z \(offset) \(length)"
    case 1: return "write -z -u \(offset) \(length)"
    case 2: return "discard \(offset) \(length)"
    default: return "write -P \(pattern) \(offset) \(length)"
    }
  }

  /// Packs some clusters, among them perhaps a partial last one. QEMU packs only where nothing has
  /// been written before.
  private mutating func packing(of shape: ImageShape) -> [String] {
    guard shape.format == "qcow2" else { return [] }
    let last = (shape.size - 1) / shape.clusterSize
    let clusters = Set(
      (0..<Int.random(in: 0...4, using: &generator)).map { _ in
        Bool.random(using: &generator) ? last : Int.random(in: 0...last, using: &generator)
      })
    return clusters.sorted().map { cluster in
      let start = cluster * shape.clusterSize
      let pattern = Int.random(in: 1...255, using: &generator)
      return "write -c -P \(pattern) \(start) \(min(shape.clusterSize, shape.size - start))"
    }
  }

  private mutating func pick<Element>(_ elements: [Element]) -> Element {
    elements[Int.random(in: elements.indices, using: &generator)]
  }
}
