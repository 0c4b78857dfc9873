import BlockCore
import ImageFormats
package import TestSupport

/// What is done to a scene while its power may fail.
///
/// Isolation: value.
package enum CrashOperation: String, CaseIterable, Sendable {
  case create
  case fill
  case write
  case resize
  case reset
  case discard
  case link
  case commitActive = "commit (active)"
  case commitWritten = "commit (active, written to)"
  case commitIntermediate = "commit (intermediate)"
  case stream
  case streamAll = "stream (all)"
  case repairLeaks = "repair (leaks)"
  case repairAll = "repair (all)"
  case repairAtOpen = "repair (at open)"
  case refuse = "refuse (corrupt)"

  /// Whether it makes sense with `layout`.
  package func fits(_ layout: CrashLayout) -> Bool {
    // Thousands of clusters, one by one, would take all the time there is.
    if layout.isLarge { return [.fill, .write, .resize, .reset, .link].contains(self) }
    // A repair does not look at the base, and the other names of `link` are a qcow2 image's.
    if layout.traits.contains(.rawBase),
      [.link, .repairLeaks, .repairAll, .repairAtOpen].contains(self)
    {
      return false
    }
    return switch self {
    case .fill, .write, .resize, .discard: true
    case .create: layout.traits.isEmpty && layout.depth < 3
    case .reset: layout.traits.isDisjoint(with: [.snapshot])
    case .link: layout.depth > 1
    case .commitActive, .streamAll: layout.depth > 1
    case .commitWritten: layout.depth == 2
    case .commitIntermediate, .stream: layout.depth > 2
    case .repairLeaks, .repairAll: layout.depth < 3
    case .repairAtOpen: layout.depth < 3 && layout.version == 3
    // A disk of a few large clusters has none left to be taken.
    case .refuse:
      layout.depth < 3 && layout.version == 3 && layout.traits.isEmpty
        && layout.clusterSize < 65_536
    }
  }

  /// The chain that it begins with, made of a sound one.
  package func prepare(
    _ chain: [(name: String, image: CrashImage)]
  ) -> [(name: String, image: CrashImage)] {
    var chain = chain
    var damage = CrashDamage(chain[chain.count - 1].image)
    switch self {
    case .repairLeaks: damage.leak()
    case .repairAll:
      damage.forget()
      damage.mark(CrashDamage.corrupt)
    case .repairAtOpen:
      damage.forget()
      damage.mark(CrashDamage.dirty)
    case .refuse: damage.freeTable()
    default: return chain
    }
    chain[chain.count - 1].image = damage.image
    return chain
  }

  /// Does it.
  package func run(in scene: CrashScene, seed: UInt64) async throws {
    var generator = SeededGenerator(seed: seed)
    switch self {
    case .create: try create(scene)
    case .fill: try fill(CrashGuest(scene), &generator)
    case .write: try write(CrashGuest(scene), &generator, rounds: 3)
    case .resize: try resize(CrashGuest(scene), &generator)
    case .reset, .discard: try empty(CrashGuest(scene), &generator)
    case .link: try link(CrashGuest(scene))
    case .commitActive: try await CommitRun(scene).active()
    case .commitWritten: try await CommitRun(scene).active(guestSteps(scene, &generator))
    case .commitIntermediate: try await CommitRun(scene).intermediate()
    case .stream: try await CommitRun(scene).stream()
    case .streamAll: try await CommitRun(scene).streamAll()
    case .repairLeaks, .repairAll, .repairAtOpen: try repair(scene)
    case .refuse:
      let damage = CrashRepair(nil, of: scene.initial[scene.names.count - 1])
      let guest = try CrashGuest(scene, damage: damage)
      try guest.writeUntilRefused { generator.bytes($0) }
    }
  }

  /// Makes the top anew. Until that is done nobody may rely on it.
  private func create(_ scene: CrashScene) throws {
    let old = try scene.openReadOnly(scene.names.count - 1)
    let info = try old.info()
    var none = CrashExpectation(views: [:])
    none.unneeded = [scene.top]
    scene.expect(none)
    var options = Qcow2CreateOptions(size: info.virtualSize)
    options.clusterSize = old.clusterSize
    options.version = info.qcow2?.version ?? 3
    options.refcountBits = info.qcow2?.refcountBits ?? 16
    try Qcow2Create.create(options, on: scene.storage(scene.names.count - 1), eliding: scene.elided)
    let zeros = CrashView(CrashImage()).resized(to: options.size)
    var expected = CrashExpectation(views: [scene.top: [zeros]])
    expected.empty = [scene.top]
    scene.expect(expected)
    scene.tell(.created)
  }

  /// Long writes one after the other, so that refcount blocks and their table have to grow.
  private func fill(_ guest: CrashGuest, _ generator: inout SeededGenerator) throws {
    let chunk = min(guest.image.clusterSize * 20, 24 << 10)
    let chunks = min(6, guest.busyBytes / chunk)
    for index in 0..<chunks {
      try guest.write(generator.bytes(chunk), at: index * chunk)
      if index % 2 == 1 { try guest.flush() }
    }
    try guest.flush()
  }

  /// Writes of all kinds, with a flush now and then.
  private func write(
    _ guest: CrashGuest, _ generator: inout SeededGenerator, rounds: Int
  ) throws {
    for _ in 0..<rounds {
      for _ in 0..<5 { try writeSomething(guest, &generator) }
      try guest.flush()
    }
  }

  private func writeSomething(_ guest: CrashGuest, _ generator: inout SeededGenerator) throws {
    let cluster = guest.image.clusterSize
    let end = guest.busyBytes
    // In whole sectors, as guests write: only those are said to be whole.
    let lengths = [512, 1024, cluster, cluster + 512, cluster / 2 * 5]
    let length = min(
      end, (lengths.randomElement(using: &generator) ?? 0).roundedUp(to: 512))
    let offset = Int.random(in: 0...(end - length) / 512, using: &generator) * 512
    let aligned = min(offset.roundedDown(to: cluster), end - length)
    switch Int.random(in: 0..<9, using: &generator) {
    case 0:
      try guest.writeZeroes(ByteRange(at: offset, length: length), deallocate: false)
    case 1:
      try guest.writeZeroes(ByteRange(at: aligned, length: length), deallocate: true)
    case 2, 3:
      try guest.write(generator.bytes(length), at: aligned)
    case 4: try guest.discard(ByteRange(at: aligned, length: length))
    default:
      try guest.write(generator.bytes(length), at: offset)
    }
  }

  /// Writes to data, to holes and over both, some of them flushed.
  private func guestSteps(
    _ scene: CrashScene, _ generator: inout SeededGenerator
  ) throws -> [CommitRun.GuestStep] {
    let top = try scene.openReadOnly(scene.names.count - 1)
    let end = min(top.virtualSize, CrashLayout.busyBytes)
    return (0..<7).map { index in
      if index == 3 { return .flush }
      let length = min(end, [512, 1536, top.clusterSize + 512][index % 3])
      let offset = Int.random(in: 0...(end - length) / 512, using: &generator) * 512
      return .write(generator.bytes(length), at: offset)
    }
  }

  private func resize(_ guest: CrashGuest, _ generator: inout SeededGenerator) throws {
    try guest.write(generator.bytes(1024), at: guest.view.size - 1024)
    try guest.resize(to: guest.view.size + 512)
    try guest.resize(to: guest.view.size + 3 * guest.image.clusterSize + 512)
    try writeSomething(guest, &generator)
    // So far that the L1 table has to move.
    let perTable = guest.image.clusterSize * guest.image.clusterSize / 8
    try guest.resize(to: (guest.view.size / perTable + 2) * perTable)
    try write(guest, &generator, rounds: 1)
  }

  private func empty(_ guest: CrashGuest, _ generator: inout SeededGenerator) throws {
    if self == .reset {
      try guest.makeEmpty(.reset, atOnce: true)
    } else {
      try guest.makeEmpty(.discard, atOnce: false)
    }
    try write(guest, &generator, rounds: 1)
  }

  private func link(_ guest: CrashGuest) throws {
    let cluster = guest.image.clusterSize
    guard let old = guest.image.backingLink else { return }
    // The same file by other names: the chain stays, wherever the power fails. The format goes with
    // the name.
    let longer = String(repeating: "./", count: cluster > 512 ? 250 : 20) + old.name
    var last = old
    for (name, format) in [(longer, "raw"), ("./" + old.name, "qcow2"), (longer, "qcow2")] {
      let next = BackingLink(name: name, format: format)
      var expected = CrashExpectation(views: [guest.scene.top: [guest.view]])
      expected.links = [guest.scene.top: [last, next]]
      guest.scene.expect(expected)
      try guest.image.setBackingLink(next)
      expected.links = [guest.scene.top: [next]]
      guest.scene.expect(expected)
      guest.scene.tell(.linked)
      last = next
    }
  }

  private func repair(_ scene: CrashScene) throws {
    let top = scene.names.count - 1
    let kind: CheckRepair = self == .repairLeaks ? .leaks : .all
    var expected = CrashExpectation(views: [scene.top: [try scene.view(scene.top)]])
    expected.repaired[scene.top] = CrashRepair(kind, of: scene.initial[top])
    scene.expect(expected)
    if self == .repairAtOpen {
      _ = try scene.open(top)
    } else {
      let operation = try scene.openReadOnly(top).check(kind)
      while try !operation.step() {}
    }
    expected.repaired = [:]
    scene.expect(expected)
    scene.tell(.repaired)
  }
}
