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
    /// Runs that ended with an error.
    package var refused = 0
    /// The sentences about what went wrong.
    package var complaints: [String] = []
    /// The longest run in seconds, and what it was.
    package var slowest = (seconds: 0.0, name: "")
    /// The most memory that the daemon held in KiB, and for what.
    package var largest = (kibibytes: 0, name: "")
  }

  package private(set) var figures = Figures()
  private let directory: TemporaryDirectory
  private let root: String
  private let canary: [UInt8]
  private var daemon: DaemonProcess
  private let measures: Bool

  /// Limits of one run, which count where the trial measures.
  private static let mostSeconds = 1.0
  private static let mostKibibytes = 64 << 10
  /// The largest disk that is read whole; of a larger one what it holds is compared with zeros.
  private static let readWhole = 64 << 20

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
    daemon = try MalformedTrial.start(root)
  }

  private static func start(_ root: String) throws -> DaemonProcess {
    try DaemonProcess.start(arguments: ["--image-root", root])
  }

  /// Tries every row.
  package func runRows() throws {
    for row in HostileRow.all { try run(MalformedCase(row)) }
  }

  /// Tries the images that `count` seeds from `seed` on make.
  package func runMutants(_ count: Int, from seed: UInt64) throws {
    let bases = try SeedImages.all()
    for seed in seed..<seed + UInt64(count) { try run(MalformedCase(mutant: seed, of: bases)) }
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
    let files = try trial.make()
    figures.images += 1
    if measures {
      // Memory that one image took stays with the process, and would count for the next.
      stopDaemon()
      daemon = try MalformedTrial.start(root)
    }
    for verb in ImageVerb.allCases {
      var run = try run(verb, files)
      // On a busy machine a run may wait for its turn: the engine is slow if it is slow each time.
      for _ in 0..<2 where measures && run.seconds > MalformedTrial.mostSeconds {
        let again = try self.run(verb, files)
        if again.seconds < run.seconds { run = again }
      }
      try judge(trial, verb, run, files)
    }
  }

  /// Does `verb` to the image, made anew.
  private func run(_ verb: ImageVerb, _ files: HostileFiles) throws -> ProgramRun {
    let manager = FileManager.default
    for name in try manager.contentsOfDirectory(atPath: root) {
      try manager.removeItem(atPath: "\(root)/\(name)")
    }
    let words = try arguments(verb, files, try files.save(in: root))
    resetPeak()
    let run = try ProgramRun.of("qblockctl", ["--socket", daemon.socket] + words)
    // Images that compare as different have been read.
    return words[0] == "compare" && run.status == 1 ? run.succeeded : run
  }

  private func arguments(
    _ verb: ImageVerb, _ files: HostileFiles, _ image: String
  ) throws -> [String] {
    let named = ["-f", files.format, image]
    switch verb {
    case .open: return ["info", "--backing-chain"] + named
    case .check: return ["check"] + named
    case .map: return ["map", "--output", "json"] + named
    case .write: return ["write", "--pattern", "7"] + named + ["0", "4096"]
    case .commit: return ["commit"] + named
    case .read:
      let size = files.image.bytes.count >= 32 ? files.image.virtualSize : 0
      if size <= UInt64(MalformedTrial.readWhole) { return ["checksum"] + named }
      let zeros = try "\(root)/zeros".withCString { name in
        let file = creat(name, 0o600)
        if file < 0 { throw POSIXError.last }
        close(file)
        return String(cString: name)
      }
      return ["compare", "-F", "raw"] + named + [zeros]
    }
  }

  private func judge(
    _ trial: MalformedCase, _ verb: ImageVerb, _ run: ProgramRun, _ files: HostileFiles
  ) throws {
    let name = "\(trial.name), \(verb.rawValue)"
    figures.runs += 1
    if run.status != 0 { figures.refused += 1 }
    let isSame = try filesAreSame(files)
    if let complaint = trial.complaint(verb, run, filesAreSame: isSame) {
      figures.complaints.append("\(name): \(complaint): \(run.output)")
    }
    if run.seconds > figures.slowest.seconds { figures.slowest = (run.seconds, name) }
    if measures, run.seconds > MalformedTrial.mostSeconds {
      figures.complaints.append("\(name): takes \(run.seconds) s")
    }
    guard let peak = peak() else {
      figures.complaints.append("\(name): qblockd is gone: \(daemon.output)")
      daemon = try MalformedTrial.start(root)
      return
    }
    if peak > figures.largest.kibibytes { figures.largest = (peak, name) }
    if measures, peak > MalformedTrial.mostKibibytes {
      figures.complaints.append("\(name): takes \(peak) KiB")
    }
  }

  /// Whether the image and the plain files beside it have the bytes that they were made with.
  private func filesAreSame(_ files: HostileFiles) throws -> Bool {
    if files.length == nil {
      let image = [UInt8](try Data(contentsOf: URL(fileURLWithPath: "\(root)/image")))
      if !image.isSame(as: files.image.bytes) { return false }
    }
    for case (let name, .bytes(let bytes)) in files.others {
      let now = [UInt8](try Data(contentsOf: URL(fileURLWithPath: "\(root)/\(name)")))
      if !now.isSame(as: bytes) { return false }
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
