import BlockCore
import Foundation
import TestSupport

/// Malformed images given to a real qblockd by a real qblockctl: every row of the list and images
/// that seeds make, each opened, checked, mapped, read, written and committed afresh.
///
/// Nothing runs as root. The images lie in a directory that is the daemon's only root; beside it
/// lies a file that some of them name, which nobody may change.
///
/// Isolation: one owner.
package final class MalformedTrial {
  /// What is counted.
  package struct Figures: Sendable {
    package var images = 0
    package var runs = 0
    /// Runs of rows whose answer was held against the row, byte for byte.
    package var judged = 0
    /// Runs that ended with an error.
    package var refused = 0
    /// The sentences about what went wrong.
    package var complaints: [String] = []
    /// The longest run in seconds, and what it was.
    package var slowest = (seconds: 0.0, name: "")
    /// The most memory that the daemon held in KiB, and for what.
    package var largest = (kibibytes: 0, name: "")

    package init() {}

    /// Adds what another trial has counted.
    package mutating func add(_ other: Figures) {
      images += other.images
      runs += other.runs
      judged += other.judged
      refused += other.refused
      complaints += other.complaints
      slowest = slowest.seconds < other.slowest.seconds ? other.slowest : slowest
      largest = largest.kibibytes < other.largest.kibibytes ? other.largest : largest
    }
  }

  package private(set) var figures = Figures()
  private let directory: TemporaryDirectory
  private let root: String
  private let canary: [UInt8]
  private var daemon: DaemonProcess
  /// Whether the daemon has the root.
  private var isRooted = true
  private let measures: Bool

  /// Limits of one run, which count where the trial measures.
  private static let mostSeconds = 1.0
  private static let mostKibibytes = 64 << 10

  /// A trial that starts its daemon. With `measures` time and memory have limits.
  package init(measures: Bool) throws {
    precondition(getuid() != 0, "malformed images are no business of root's")
    self.measures = measures
    directory = try TemporaryDirectory(in: "/tmp")
    root = directory.file("images")
    var random = SeededGenerator(seed: 99)
    canary = random.bytes(1 << 20)
    try directory.write(canary, to: "canary")
    try FileManager.default.createDirectory(atPath: root, withIntermediateDirectories: false)
    daemon = try DaemonProcess.start(arguments: ["--image-root", root])
  }

  private func startDaemon() throws {
    daemon = try DaemonProcess.start(arguments: isRooted ? ["--image-root", root] : [])
  }

  /// Tries every row, and the images that `count` seeds from `seed` on make; of these, where
  /// `width` trials share the work, each `width`-th from `part` on.
  package func run(mutants count: Int, from seed: UInt64, part: Int = 0, of width: Int = 1) throws {
    let bases = try SeedImages.all()
    let cases =
      HostileRow.all.map { MalformedCase($0) }
      + (seed..<seed + UInt64(count)).map { MalformedCase(mutant: $0, of: bases) }
    for index in stride(from: part, to: cases.count, by: width) { try run(cases[index]) }
  }

  /// Ends the daemon, and looks whether the canary lives.
  package func finish() throws {
    stopDaemon()
    if try directory.read("canary") != canary {
      figures.complaints.append("the canary has changed")
    }
  }

  private func stopDaemon() {
    if daemon.stop() != 0 { figures.complaints.append("qblockd ended badly: \(daemon.output)") }
  }

  private func run(_ trial: MalformedCase) throws {
    let files = try trial.make(root)
    figures.images += 1
    // Memory that one image took stays with the process, and would count for the next.
    if measures || files.isRooted != isRooted {
      stopDaemon()
      isRooted = files.isRooted
      try startDaemon()
    }
    for verb in TrialVerb.allCases {
      guard let words = verb.words(files, in: root) else { continue }
      var run = try run(words, files)
      // On a busy machine a run may wait for its turn: the engine is slow if it is slow each time.
      for _ in 0..<2 where measures && run.seconds > MalformedTrial.mostSeconds {
        let again = try self.run(words, files)
        if again.seconds < run.seconds { run = again }
      }
      let name = "\(trial.name), \(verb.rawValue)"
      judge(run, name)
      if let complaint = try complaint(trial, verb, run, files) {
        figures.complaints.append("\(name): \(complaint): \(run.output)")
      }
    }
    files.removeBase()
  }

  /// Asks for `words` of the image, made anew.
  private func run(_ words: [String], _ files: HostileFiles) throws -> ProgramRun {
    let manager = FileManager.default
    files.removeBase()
    for name in try manager.contentsOfDirectory(atPath: root) {
      try manager.removeItem(atPath: "\(root)/\(name)")
    }
    _ = try files.save()
    try Data(files.view ?? []).write(to: URL(fileURLWithPath: TrialVerb.viewFile(in: root)))
    resetPeak()
    return try ask(words)
  }

  private func ask(_ words: [String]) throws -> ProgramRun {
    try ProgramRun.of("qblockctl", ["--socket", daemon.socket] + words)
  }

  /// Counts the run, and holds its time and the daemon's memory against the limits.
  private func judge(_ run: ProgramRun, _ name: String) {
    figures.runs += 1
    if run.status != 0 { figures.refused += 1 }
    if run.seconds > figures.slowest.seconds { figures.slowest = (run.seconds, name) }
    if measures, run.seconds > MalformedTrial.mostSeconds {
      figures.complaints.append("\(name): takes \(run.seconds) s")
    }
    guard let peak = peak() else {
      figures.complaints.append("\(name): qblockd is gone: \(daemon.output)")
      try? startDaemon()
      return
    }
    if peak > figures.largest.kibibytes { figures.largest = (peak, name) }
    if measures, peak > MalformedTrial.mostKibibytes {
      figures.complaints.append("\(name): takes \(peak) KiB")
    }
  }

  /// What is wrong with the answer; nil where nothing is.
  private func complaint(
    _ trial: MalformedCase, _ verb: TrialVerb, _ run: ProgramRun, _ files: HostileFiles
  ) throws -> String? {
    if let complaint = trial.complaint(verb, run) { return complaint }
    guard let row = trial.row, let status = run.status else { return nil }
    figures.judged += 1
    let image =
      files.length == nil ? try files.bytes(of: Array("image".utf8)) : files.image.bytes
    let companionsAreSame = try companionsAreSame(
      files, orCommitted: verb == .commit && row.outcome.startsCommit)
    guard let request = verb.request else {
      if !row.outcome.check.contains(status) { return "ends with \(status)" }
      return files.change(of: image) == .none && companionsAreSame ? nil : "a check wrote"
    }
    var answer = HostileAnswer(change: files.change(of: image))
    let isDone = status == 0 || (status == 1 && request == .read)
    if !isDone { answer.error = run.output }
    if !companionsAreSame, !isDone || request != .commit { answer.change = .more }
    if isDone, row.outcome.isReadable {
      answer.showsRightBytes = try showsRightBytes(request, status, files)
    }
    return row.outcome.complaint(
      request, answer, hasBacking: files.hasBacking, version: files.version)
  }

  /// Whether the guest sees what it must after `request`, and a base has what was committed to it;
  /// nil where nobody looked.
  private func showsRightBytes(
    _ request: HostileRequest, _ status: Int32, _ files: HostileFiles
  ) throws -> Bool? {
    guard var view = files.view, request != .open, request != .map else { return nil }
    // The read was a comparison, or a checksum.
    if request == .read, files.isComparable { return status == 0 }
    if let range = TrialVerb.written(request, files) {
      view.put([UInt8](repeating: TrialVerb.pattern, count: range.length), at: range.lower)
    }
    if request == .commit {
      let base = try files.bytes(of: files.baseName)
      let end = min(base.count, view.count)
      guard base.prefix(end).elementsEqual(view.prefix(end)),
        view[end...].allSatisfy({ $0 == 0 })
      else { return false }
    }
    let place = TrialVerb.viewFile(in: root)
    try Data(view).write(to: URL(fileURLWithPath: place))
    if files.isComparable { return try ask(TrialVerb.comparison(files, in: root)).status == 0 }
    let sums = try TrialVerb.checksums(files, in: root).map { try ask($0).output.prefix(64) }
    return sums[0] == sums[1]
  }

  /// Whether the plain files beside the image have the bytes that they were made with.
  /// A commit that met the damage on its way has `committed` part of the disk, which nobody sees
  /// through the image: those bytes may stand in the base.
  private func companionsAreSame(_ files: HostileFiles, orCommitted: Bool) throws -> Bool {
    for case (let name, .bytes(let made)) in files.others {
      let isBase = name == "base.raw"
      let now = try files.bytes(of: isBase ? files.baseName : Array(name.utf8))
      if now.isSame(as: made) { continue }
      guard isBase, orCommitted, let view = files.view, now.count == made.count else {
        return false
      }
      for (index, byte) in now.enumerated() where byte != made[index] {
        guard index < view.count, byte == view[index] else { return false }
      }
    }
    return true
  }

  // MARK: - The daemon's memory

  /// Forgets what the daemon held before.
  private func resetPeak() {
    try? Data("5".utf8).write(to: URL(fileURLWithPath: "/proc/\(daemon.pid)/clear_refs"))
  }

  /// The most that the daemon has held in KiB; nil where it is gone.
  private func peak() -> Int? {
    let status = try? String(contentsOfFile: "/proc/\(daemon.pid)/status", encoding: .utf8)
    let line = status?.split(separator: "\n").first { $0.hasPrefix("VmHWM:") }
    return line?.split(whereSeparator: { !$0.isNumber }).first.flatMap { Int($0) }
  }
}
