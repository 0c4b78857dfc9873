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
  case reopen
  case link
  case commitActive = "commit (active)"
  case commitWritten = "commit (active, written to)"
  case commitUnflushed = "commit (over what is not flushed)"
  case commitIntermediate = "commit (intermediate)"
  case stream = "stream (to the base)"
  case streamAll = "stream (all)"
  case streamPart = "stream (to a middle layer)"
  case streamMiddle = "stream (into a middle layer)"
  case streamNamed = "stream (other name of the base)"
  case repairLeaks = "repair (leaks)"
  case repairAll = "repair (all)"
  case repairAtOpen = "repair (at open)"
  case repairZeros = "repair (zeros)"
  case repairShared = "repair (shared)"
  case refuse = "refuse (corrupt)"

  private var isRepair: Bool {
    switch self {
    case .repairLeaks, .repairAll, .repairAtOpen, .repairZeros, .repairShared: true
    default: false
    }
  }

  /// Whether it makes sense with `layout`.
  package func fits(_ layout: CrashLayout) -> Bool {
    // Thousands of clusters, one by one, would take all the time there is.
    if layout.isLarge { return [.fill, .write, .resize, .reset, .link].contains(self) }
    if layout.isVast {
      return [.resize, .reset, .commitActive, .streamAll, .repairAll].contains(self)
        || self == .fill && layout.refcountBits > 1
    }
    if layout.isForCopies { return fits(copiesOf: layout) }
    // A repair does not look at the base, and the other names of `link` are a qcow2 image's.
    if layout.traits.contains(.rawBase),
      self == .link || isRepair
    {
      return false
    }
    return switch self {
    case .fill, .write, .resize, .discard, .reopen: true
    case .create: layout.traits.isSubset(of: [.device]) && layout.depth < 3
    case .reset: layout.traits.isDisjoint(with: [.snapshot])
    case .link: layout.depth > 1
    case .commitActive, .streamAll: layout.depth > 1
    case .commitWritten: layout.depth == 2
    case .commitIntermediate, .commitUnflushed, .stream, .streamMiddle, .streamNamed:
      layout.depth > 2
    case .streamPart: layout.depth > 3
    // Where all leaks of a crowded image are mended, nothing moves.
    case .repairLeaks: layout.depth < 3 && !layout.traits.contains(.crowded)
    case .repairAll: layout.depth < 3
    case .repairAtOpen: layout.depth < 3 && layout.version == 3
    // An offset is a multiple of 512, which all small clusters' are; no table ends behind a disk
    // that is made to have many.
    // Bitmaps say that nobody has changed what a guest sees: after such a repair they are still
    // right, and stay.
    case .repairZeros:
      layout.version == 3 && layout.clusterSize > 512 && !layout.isShortOfMemory
        && !layout.traits.contains(.bitmap)
    case .repairShared: layout.traits.contains(.snapshot) && layout.version == 3
    // A disk of a few large clusters has none left to be taken.
    case .refuse:
      layout.depth < 3 && layout.version == 3 && layout.traits.isEmpty
        && layout.clusterSize < 65_536
    }
  }

  /// The same for a layout of which only copies make use.
  private func fits(copiesOf layout: CrashLayout) -> Bool {
    switch self {
    case .commitActive: true
    case .commitWritten: layout.depth == 2
    case .commitIntermediate: layout.depth > 2
    case .stream: layout.depth > 2 && layout.traits.contains(.longRuns)
    default: false
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
    case .repairZeros:
      damage.misalignZero()
      damage.mark(CrashDamage.corrupt)
    case .repairShared:
      damage.lower()
      damage.mark(CrashDamage.corrupt)
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
    case .reopen: try reopen(CrashGuest(scene), &generator)
    case .link: try link(CrashGuest(scene))
    case .commitActive: try await CommitRun(scene).active()
    case .commitWritten: try await CommitRun(scene).active(guestSteps(scene, &generator))
    case .commitUnflushed: try await CommitRun(scene).activeOverUnflushed()
    case .commitIntermediate: try await CommitRun(scene).intermediate()
    case .stream, .streamAll, .streamPart, .streamMiddle, .streamNamed:
      try await stream(CommitRun(scene))
    case .repairLeaks, .repairAll, .repairAtOpen, .repairZeros, .repairShared: try repair(scene)
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
    none.anew = [scene.top]
    scene.expect(none)
    var options = Qcow2CreateOptions(size: info.virtualSize)
    options.clusterSize = old.clusterSize
    options.version = info.qcow2?.version ?? 3
    options.refcountBits = info.qcow2?.refcountBits ?? 16
    try Qcow2Create.create(options, on: scene.storage(scene.names.count - 1), eliding: scene.elided)
    let zeros = CrashView(CrashImage()).resized(to: options.size)
    var expected = CrashExpectation(views: [scene.top: [zeros]])
    expected.empty = [scene.top]
    expected.anew = [scene.top]
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
    // So far that the L1 table has to move.
    let perTable = guest.image.clusterSize * guest.image.clusterSize / 8
    try guest.resize(to: (guest.view.size / perTable + 2) * perTable)
    try writeSomething(guest, &generator)
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

  /// Takes a written image for reading only, which has to keep what nobody will flush any more, and
  /// goes on.
  private func reopen(_ guest: CrashGuest, _ generator: inout SeededGenerator) throws {
    for _ in 0..<4 { try writeSomething(guest, &generator) }
    try guest.reopen(readOnly: true)
    try guest.reopen(readOnly: false)
    try write(guest, &generator, rounds: 1)
  }

  private func stream(_ run: CommitRun) async throws {
    let top = run.scene.names.count - 1
    switch self {
    case .streamAll: try await run.stream(into: top, downTo: nil)
    case .streamPart: try await run.stream(into: top, downTo: 1)
    case .streamMiddle: try await run.stream(into: top - 1, downTo: top > 2 ? 0 : nil)
    case .streamNamed:
      let cluster = try run.scene.openReadOnly(top).clusterSize
      try await run.stream(
        into: top, downTo: 0,
        backingFile: CrashOperation.longName(of: "base", clusterSize: cluster))
    default: try await run.stream(into: top, downTo: 0)
    }
  }

  private func link(_ guest: CrashGuest) throws {
    let cluster = guest.image.clusterSize
    guard let old = guest.image.backingLink else { return }
    // The same file by other names: the chain stays, wherever the power fails. The format goes with
    // the name.
    let longer = CrashOperation.longName(of: old.name, clusterSize: cluster)
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

  /// The same file by a name for which a header has no room where the old one stands.
  private static func longName(of name: String, clusterSize: Int) -> String {
    String(repeating: "./", count: clusterSize > 512 ? 250 : 20) + name
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
