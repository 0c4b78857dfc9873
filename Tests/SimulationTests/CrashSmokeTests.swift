import CrashSimulation
import ImageFormats
import TestSupport
import Testing

@Suite("Power loss")
struct CrashSmokeTests {
  /// A few shapes; `scripts/crash-report` runs all of them.
  static let layouts = [
    CrashLayout(512, version: 2, .movedL1), CrashLayout(512, .snapshot),
    CrashLayout(512, .bitmap),
    CrashLayout(1024, refcountBits: 2, depth: 3, .oddSize), CrashLayout(512, .noCache),
    CrashLayout(512, refcountBits: 64, depth: 3, .rawBase, .shortBase, .smallCache),
    CrashLayout(512, depth: 3, .fileCopy), CrashLayout(512, depth: 4, .baseSnapshot),
    CrashLayout(512, refcountBits: 64, .crowded, .device),
  ]

  @Test(
    "whatever is lost, guests see what was flushed or what was written later",
    arguments: layouts, CrashOperation.allCases)
  func states(layout: CrashLayout, operation: CrashOperation) async throws {
    guard operation.fits(layout) else { return }
    var trial = CrashTrial(layout, operation)
    trial.effort = .smoke
    let outcome = try await trial.run()
    #expect(outcome.failure == nil)
    #expect(outcome.states.count > 1)
    #expect(outcome.faults == [])
    #expect(outcome.badViews + outcome.checkErrors == 0)
    #expect(outcome.answers.values.allSatisfy { $0.good == $0.all })
  }

  @Test("each event of a job stands in the log where it went out")
  func events() async throws {
    let scene = CrashScene(try CrashLayout(512).build())
    try await CrashOperation.commitActive.run(in: scene, seed: 1)
    let events = scene.log.entries.compactMap { entry -> String? in
      if case .note(let name) = entry.event { name } else { nil }
    }
    let change = "JOB_STATUS_CHANGE"
    #expect(
      events == [
        change, change, change, "BLOCK_JOB_READY", change, change, "BLOCK_JOB_COMPLETED", change,
        change,
      ])
  }

  @Test(
    "what a commit copies from file to file is in the log",
    arguments: [CrashLayout(512, .fileCopy), CrashLayout(4096, .longRuns)])
  func copies(layout: CrashLayout) async throws {
    let scene = CrashScene(
      try layout.build(), budget: layout.makeBudget(), fileRunBytes: layout.fileRunBytes)
    try await CrashOperation.commitActive.run(in: scene, seed: 1)
    #expect(scene.copiedBytes > 0)
    let end = try scene.oracle.images.map(\.hash)
    let trace = ProgramTrace(scene.log.entries)
    #expect(
      trace.replayed(over: Array(zip(scene.names, scene.initial).map { ($0, $1) })).map(\.hash)
        == end)
  }

  @Test(
    "in a crowded image the refcount table moves, whatever is done",
    arguments: [CrashOperation.fill, .write, .resize, .commitActive, .streamAll, .repairAll])
  func crowded(operation: CrashOperation) async throws {
    let layout = CrashLayout(512, refcountBits: 64, .crowded)
    let scene = CrashScene(try operation.prepare(layout.build()))
    try await operation.run(in: scene, seed: 1)
    let tables = try scene.oracle.images.map { $0.number(at: 48, width: 8) }
    #expect(tables != scene.initial.map { $0.number(at: 48, width: 8) })
  }

  @Test("with hardly any memory for tables, work is written out in its midst")
  func memory() async throws {
    let usual = CrashLayout(512)
    var (small, none) = (usual, usual)
    small.traits.insert(.smallCache)
    none.traits.insert(.noCache)
    var flushes: [Int] = []
    for layout in [usual, small, none] {
      flushes.append(try await CrashTrial(layout, .write).flushes())
    }
    #expect(flushes == flushes.sorted() && Set(flushes).count == 3, "\(flushes)")
  }

  @Test("a flush that is left out is missed", arguments: FlushWitness.all)
  func flushes(witness: FlushWitness) async throws {
    let outcome = try await witness.trial.run()
    #expect(outcome.hasBadState)
    #expect(outcome.failure == nil)
  }

  @Test("every flush has a witness, at each place that asks for it", arguments: FlushPoint.allCases)
  func witnesses(flush: FlushPoint) throws {
    let functions = try #require(try FlushSource.functions()[flush])
    #expect(FlushWitness.functions(of: flush) == functions)
  }
}
