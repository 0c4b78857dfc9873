import QMP
import QMPClient
package import TestSupport

/// A job of a program of its own, recorded from outside, and all the states that a power loss can
/// leave of it: the same for QEMU's programs and for our daemon.
///
/// Isolation: value.
package struct RecordedTrial: Sendable, CustomStringConvertible {
  /// Whose programs.
  package enum Maker: String, CaseIterable, Sendable {
    case qemu = "QEMU"
    case qblockd
  }

  /// Which commit or stream.
  package enum Work: String, CaseIterable, Sendable {
    case active = "active, emptied"
    case resized = "active, emptied, overlay resized"
    case intermediate
    case stream = "stream to the base"
    case streamAll = "stream of all"

    /// The shapes on which it is tried.
    package var layouts: [CrashLayout] {
      switch self {
      case .active:
        [
          CrashLayout(512), CrashLayout(4096), CrashLayout(65_536), CrashLayout(4096, .shortBase),
          CrashLayout(4096, .rawBase, .shortBase), CrashLayout(65_536, .longRuns),
        ]
      case .resized:
        [512, 1024, 4096, 16_384, 65_536].map { CrashLayout($0, .movedL1) }
      case .intermediate:
        [
          CrashLayout(512, depth: 3), CrashLayout(4096, depth: 4), CrashLayout(65_536, depth: 3),
          CrashLayout(4096, depth: 3, .movedL1, .oddSize), CrashLayout(512, depth: 3, .rawBase),
          CrashLayout(65_536, depth: 3, .longRuns),
        ]
      case .stream:
        [
          CrashLayout(512, depth: 3), CrashLayout(4096, depth: 4, .shortBase),
          CrashLayout(65_536, depth: 3), CrashLayout(4096, version: 2, depth: 3, .rawBase),
        ]
      case .streamAll:
        [
          CrashLayout(512), CrashLayout(4096, depth: 3, .movedL1, .oddSize),
          CrashLayout(65_536, .longBase), CrashLayout(512, depth: 4, .rawBase),
        ]
      }
    }
  }

  /// What came of it.
  package struct Outcome: Sendable {
    /// Different states.
    package var states = 0
    package var badViews = 0
    /// Those of them in which somebody had been told already that the job has completed.
    package var badAfterCompletion = 0
    package var checkErrors = 0
    /// The first faults, in words.
    package var faults: [String] = []
    /// States that `qemu-img` judged too.
    package var judgedByQemu = 0
    /// Bytes that went from file to file inside the kernel.
    package var copiedBytes = 0
  }

  package let maker: Maker
  package let work: Work
  package let layout: CrashLayout
  package var effort = CrashSimulator.Effort()

  /// A trial with all defaults.
  package init(_ maker: Maker, _ work: Work, _ layout: CrashLayout) {
    self.maker = maker
    self.work = work
    self.layout = layout
  }

  package var description: String { "\(maker.rawValue), \(work.rawValue), \(layout)" }

  /// Runs it.
  package func run() throws -> Outcome {
    let scene = CrashScene(try layout.build())
    let initial = Array(zip(scene.names, scene.initial).map { (name: $0, image: $1) })
    let view = try scene.view(scene.top)
    scene.expect(CrashExpectation(views: [scene.top: [view]]))
    let after =
      switch work {
      case .active, .resized: try scene.afterActiveCommit()
      case .intermediate, .stream: try scene.afterIntermediateCommit()
      case .streamAll: try scene.afterStreamOfAll()
      }

    let files = try SceneFiles(initial)
    let trace = try record(files)
    guard trace.replayed(over: initial).map(\.hash) == (try files.chain.map(\.image.hash)) else {
      throw ErrandFailure(description: "\(self): the recorder has missed something")
    }
    for entry in trace.entries { scene.log.append(entry.event, on: entry.storage) }
    // qemu-img tells nobody before its end.
    let completion = scene.completion ?? trace.entries.count
    scene.expect(after, from: completion)
    var outcome = judge(scene, completion: completion)
    outcome.copiedBytes = trace.copiedBytes
    return outcome
  }

  private func judge(_ scene: CrashScene, completion: Int) -> Outcome {
    var outcome = Outcome()
    var judged = CrashTrial.Outcome()
    let judge = CrashJudge(scene, qemuShare: 100)
    var simulator = CrashSimulator(
      zip(scene.names, scene.initial).map { ($0, $1) }, scene.log.entries, effort
    ) { state in
      do throws(CrashOracle.Fault) {
        try judge.judge(state, &judged)
      } catch {
        if case .view = error {
          outcome.badViews += 1
          outcome.badAfterCompletion += state.position >= completion ? 1 : 0
        } else {
          outcome.checkErrors += 1
        }
        if outcome.faults.count < 3 {
          outcome.faults.append("\(self): after \(state.position): \(error)")
        }
      }
      return true
    }
    simulator.run(borders: Set(scene.expectations.map(\.position)))
    outcome.states = simulator.distinct.count
    outcome.judgedByQemu = judged.judgedByQemu
    return outcome
  }

  /// The events that our daemon's client got, and those in the recording, both in their order.
  package func events() throws -> (told: [String], recorded: [String]) {
    let scene = CrashScene(try layout.build())
    let files = try SceneFiles(Array(zip(scene.names, scene.initial).map { ($0, $1) }))
    let recorder = TraceRecorder(files.directory, output: files.aside.file("trace"))
    let daemon = try DaemonProcess.start(launcher: recorder.launcher)
    let client = try daemon.client()
    try errand.run(client, on: files)
    daemon.stop()
    var told: [String] = []
    // Until there is nothing left that was sent before the end.
    while let event = try? client.nextEvent() { told.append(event.name) }
    let trace = try ProgramTrace(String(decoding: try files.aside.read("trace"), as: UTF8.self))
    let recorded = trace.entries.compactMap { entry -> String? in
      if case .note(let name) = entry.event { name } else { nil }
    }
    return (told, recorded)
  }

  private var errand: Errand {
    switch work {
    case .active, .resized: .commitActive
    case .intermediate: .commitIntermediate
    case .stream: .stream
    case .streamAll: .streamAll
    }
  }

  // MARK: The programs

  private func record(_ files: SceneFiles) throws -> ProgramTrace {
    let recorder = TraceRecorder(files.directory, output: files.aside.file("trace"))
    switch (maker, work) {
    case (.qblockd, _):
      let daemon = try DaemonProcess.start(launcher: recorder.launcher)
      try errand.run(try daemon.client(), on: files)
      daemon.stop()
    case (.qemu, .intermediate):
      try QemuStorageDaemon(recorder.launcher, chain: files).commitIntermediate()
    case (.qemu, .stream):
      try QemuStorageDaemon(recorder.launcher, chain: files).stream(toBase: true)
    case (.qemu, .streamAll):
      try QemuStorageDaemon(recorder.launcher, chain: files).stream(toBase: false)
    case (.qemu, .active), (.qemu, .resized):
      let words = recorder.launcher + ["qemu-img", "commit", "-f", "qcow2", files.path(-1)]
      let outcome = try QemuTools.run(words[0], Array(words.dropFirst()))
      guard outcome.status == 0 else { throw ErrandFailure(description: outcome.output) }
    }
    return try ProgramTrace(String(decoding: try files.aside.read("trace"), as: UTF8.self))
  }
}
