import ImageFormats
import QMP
import QMPClient
import TestSupport

/// A real daemon that is killed (SIGKILL) somewhere in its work on a chain of images, and another
/// one that does the same work again. What the images show then, and after the second daemon, is
/// judged as after a power loss; but nothing that was written is lost.
///
/// Isolation: value.
package struct KillTrial: Sendable, CustomStringConvertible {
  /// What came of some points.
  package struct Outcome: Sendable {
    /// How often a daemon was killed.
    package var points = 0
    /// Where it had work left.
    package var midst = 0
    package var badViews = 0
    package var checkErrors = 0
    /// Work that was not done: the second daemon refused it, or failed.
    package var failures = 0
    /// All faults, in words.
    package var faults: [String] = []

    package var isBad: Bool { badViews + checkErrors + failures > 0 }
  }

  /// What the daemons do.
  package let errand: Errand
  /// The shape of the images; their data come from the seed, too.
  package var layout: CrashLayout
  /// Whether each daemon loses one of its writes, which is to be found.
  package var losesWrites = false
  private let seed: UInt64

  /// The trial of this number: `seed` gives everything but what the daemons do, which takes turns.
  package init(_ number: Int, seed: UInt64) {
    self.seed = CrashImage.mix(seed &+ UInt64(number) &* 0x9e37_79b9)
    var generator = SeededGenerator(seed: self.seed)
    let errand = Errand.allCases[number % Errand.allCases.count]
    // Of some the copies go from file to file: only long runs do so in a daemon.
    let hasLongRuns = errand.copiesDown && number / Errand.allCases.count % 4 == 1
    let shapes = CrashLayout.all.filter {
      errand.fits($0) && $0.traits.contains(.longRuns) == hasLongRuns
    }
    var layout = shapes.randomElement(using: &generator) ?? CrashLayout(512)
    layout.seed = generator.next()
    (self.errand, self.layout) = (errand, layout)
  }

  package var description: String { "\(errand.rawValue), \(layout)" }

  /// Kills daemons at `points` random points. `memory` is a directory where files are memory.
  package func run(points: Int, in memory: String) throws -> Outcome {
    var generator = SeededGenerator(seed: ~seed)
    let files = try SceneFiles(try layout.build(), in: memory)
    if errand == .makeEmpty { try commitFirst(files) }
    let initial = try files.chain
    var outcome = Outcome()
    let recorder = TraceRecorder(files.directory, output: files.aside.file("trace"))
    let writes = try writes(to: CrashScene(initial), &generator)
    _ = try runKilled(recorder, files, writes) { _, _ in }
    let trace = try ProgramTrace(String(decoding: try files.aside.read("trace"), as: UTF8.self))
    for _ in 0..<points {
      // One past the last: killed when it has said that all is done.
      let operation = Int.random(in: 1...trace.operations + 1, using: &generator)
      let end = TraceRecorder.End(
        at: operation, cut: Int.random(in: 0..<2 * layout.clusterSize, using: &generator),
        losing: losesWrites ? Int.random(in: 1...operation, using: &generator) : nil)
      try files.write(initial.map(\.image))
      outcome.points += 1
      do {
        try killAndRepeat(end, files, initial, writes, &outcome)
      } catch {
        switch error {
        case CrashOracle.Fault.view: outcome.badViews += 1
        case CrashOracle.Fault.check: outcome.checkErrors += 1
        default: outcome.failures += 1
        }
        outcome.faults.append("\(self), of \(trace.operations) killed at \(end): \(error)")
      }
    }
    return outcome
  }

  // MARK: One point

  private func killAndRepeat(
    _ end: TraceRecorder.End, _ files: SceneFiles, _ initial: [(name: String, image: CrashImage)],
    _ writes: [Errand.Write], _ outcome: inout Outcome
  ) throws {
    let scene = CrashScene(initial)
    var view = try scene.view(scene.top)
    func follow(_ write: Errand.Write, hasEnded: Bool) {
      if hasEnded { view.settle() } else { view.write(write.bytes, at: write.offset) }
    }
    let after = try afterwards(scene)
    let recorder = TraceRecorder(files.directory, end: end)
    let wasKilled = try runKilled(recorder, files, writes, tell: follow)
    outcome.midst += wasKilled ? 1 : 0
    scene.expect(CrashExpectation(views: [scene.top: [view]]), from: 0)
    try judge(scene, files, position: 0)

    let daemon = try DaemonProcess.start()
    if try !isDone(files) {
      try errand.run(try daemon.client(), on: files, writes: writes, tell: follow)
    }
    guard daemon.stop() == 0 else { throw ErrandFailure(description: daemon.output) }
    var expected = after
    expected.views[scene.top] = [view]
    scene.expect(expected, from: 1)
    try judge(scene, files, position: 1)
  }

  /// Has a daemon do its work under `recorder`, and kills it when it has; returns whether it was
  /// killed before.
  private func runKilled(
    _ recorder: TraceRecorder, _ files: SceneFiles, _ writes: [Errand.Write],
    tell: (Errand.Write, Bool) -> Void
  ) throws -> Bool {
    let daemon = try DaemonProcess.start(launcher: recorder.launcher)
    do {
      try errand.run(try daemon.client(), on: files, writes: writes, tell: tell)
      daemon.kill()
      return false
    } catch QMPClientError.connectionLost {
      let status = daemon.waitForExit()
      // A crash would look the same to its client.
      guard status == KillTrial.killed else {
        throw ErrandFailure(description: "ended with \(status): \(daemon.output)")
      }
      return true
    }
  }

  private static let killed: Int32 = 128 + 9

  private func judge(_ scene: CrashScene, _ files: SceneFiles, position: Int) throws {
    let state = CrashSimulator.State(try files.chain.map(\.image), position: position)
    var outcome = CrashTrial.Outcome()
    try CrashJudge(scene, qemuShare: 1).judge(state, &outcome)
  }

  // MARK: The work

  private func commitFirst(_ files: SceneFiles) throws {
    let daemon = try DaemonProcess.start()
    let client = try daemon.client()
    try client.add("top", files.path(-1), dropBitmaps: true)
    let outcome = try client.commit("top") { $0.base = files.path(-2) }
    if let error = outcome.error { throw ErrandFailure(description: error) }
    daemon.stop()
  }

  /// Whether there is nothing left to do: the top names the base already, or nothing.
  private func isDone(_ files: SceneFiles) throws -> Bool {
    let scene = CrashScene(try files.chain)
    let link = try scene.openReadOnly(scene.names.count - 1).backingLink
    return switch errand {
    case .commitIntermediate, .stream: link?.name == scene.names[0]
    case .streamAll: link == nil
    case .commitActive, .makeEmpty, .write: false
    }
  }

  private func afterwards(_ scene: CrashScene) throws -> CrashExpectation {
    switch errand {
    case .commitActive: return try scene.afterActiveCommit()
    case .commitIntermediate, .stream: return try scene.afterIntermediateCommit()
    case .streamAll: return try scene.afterStreamOfAll()
    case .write: return CrashExpectation(views: [:])
    case .makeEmpty:
      var after = CrashExpectation(views: [:])
      after.empty = [scene.top]
      return after
    }
  }

  /// Some writes of whole sectors, one after the other.
  private func writes(
    to scene: CrashScene, _ generator: inout SeededGenerator
  ) throws -> [Errand.Write] {
    guard errand == .write else { return [] }
    let size = min(try scene.view(scene.top).size, CrashLayout.busyBytes) / 512
    return (0..<3).map { _ in
      let most = min(size, 2 + 3 * layout.clusterSize / 512)
      let length = Int.random(in: 1...most, using: &generator)
      let offset = Int.random(in: 0...size - length, using: &generator)
      return Errand.Write(offset: offset * 512, bytes: generator.bytes(length * 512))
    }
  }
}

extension Errand {
  /// Whether it copies into a base.
  fileprivate var copiesDown: Bool { [.commitActive, .commitIntermediate].contains(self) }

  /// Whether it makes sense with `layout`.
  fileprivate func fits(_ layout: CrashLayout) -> Bool {
    // Each point writes all files anew, and what has grown far is stored in full in version 2.
    let isStored = layout.version == 2 && layout.traits.contains(.movedL1)
    if layout.isLarge || layout.isVast || isStored && layout.clusterSize > 4096 { return false }
    // A device is no file, and how long a run must be is said by the engine.
    if !layout.traits.isDisjoint(with: [.device, .fileCopy]) { return false }
    return switch self {
    case .commitActive, .makeEmpty, .streamAll: layout.depth > 1
    case .commitIntermediate, .stream: layout.depth > 2
    case .write: true
    }
  }
}
