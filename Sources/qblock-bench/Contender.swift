/// One of the programs that are compared.
///
/// Isolation: value.
enum Contender: String, CaseIterable {
  case qemu
  case ours
  /// The yardstick: how long the bytes alone take, or to give them up.
  case copy

  /// Its name where `workload` is measured.
  func name(in workload: Workload) -> String {
    switch (self, workload) {
    case (.qemu, .intermediate), (.qemu, .start), (.qemu, .questions): "qemu-storage-daemon"
    case (.qemu, .empty), (.qemu, .emptyLarge), (.qemu, .emptyDiscard): "qemu-io discard"
    case (.qemu, _): "qemu-img"
    case (.ours, .intermediate), (.ours, .questions): "qblockd"
    case (.ours, _): "qblockctl"
    case (.copy, .empty), (.copy, .emptyLarge): "truncate"
    case (.copy, _): "cp"
    }
  }

  /// What qemu-io discards at a time.
  private static let mostDiscarded = 1 << 30

  /// What it has to do for `plan` with the files of `directory`.
  func errand(_ plan: WorkloadPlan, in directory: WorkDirectory) -> Errand {
    let (base, overlay) = (directory.path(of: .base), directory.path(of: .overlay))
    switch (plan.workload, self) {
    case (.start, .qemu): return .monitor(MonitorErrand(of: plan, for: self, in: directory))
    case (.start, .ours):
      return .program(["qblockctl", "--private", "qmp", "query-version"], says: "\"qemu\"")
    case (.intermediate, _), (.questions, _):
      return .monitor(MonitorErrand(of: plan, for: self, in: directory))
    case (.check, .qemu):
      return .program(["qemu-img", "check", "-f", "qcow2", base], says: "No errors were found")
    case (.check, _):
      return .program(["qblockctl", "check", "--private", base], says: "No errors were found")
    case (.empty, .qemu), (.emptyLarge, .qemu), (.emptyDiscard, .qemu):
      // qemu-img empties at the end of a commit only; this is the same walk through the clusters.
      let discards = stride(from: 0, to: plan.virtualSize, by: Self.mostDiscarded).flatMap {
        ["-c", "discard -q \($0) \(min(Self.mostDiscarded, plan.virtualSize - $0))"]
      }
      return .program(["qemu-io", "-f", "qcow2", "-d", "unmap"] + discards + [overlay])
    case (.empty, .ours), (.emptyLarge, .ours), (.emptyDiscard, .ours):
      // What it holds is in no base.
      let mode = plan.workload == .emptyDiscard ? "discard" : "auto"
      return .program(
        ["qblockctl", "make-empty", "--private", "--force", "-q", "--mode", mode, overlay])
    case (.empty, .copy), (.emptyLarge, .copy):
      return .program(["sh", "-c", #"truncate -s 0 "$1" && sync "$1""#, "sh", overlay])
    case (_, .copy):
      let script = #"cp --reflink=never "$1" "$2" && sync "$2""#
      return .program(["sh", "-c", script, "sh", overlay, directory.path(of: .copy)])
    case (let workload, _):
      let whole = workload == .chain ? ["-b", base] : []
      let words = ["commit"] + (self == .ours ? ["--private"] : []) + ["-q", "-f", "qcow2"]
      return .program([name(in: workload)] + words + whole + [overlay])
    }
  }
}

extension WorkloadPlan {
  /// Who is measured.
  var contenders: [Contender] {
    switch workload {
    case .contiguous, .random, .empty, .emptyLarge: [.qemu, .ours, .copy]
    default: [.qemu, .ours]
    }
  }
}

/// What a contender is to do.
///
/// Isolation: value.
enum Errand {
  /// A command that ends when it is done, and has said something then.
  case program([String], says: String = "")
  /// A daemon, spoken to.
  case monitor(MonitorErrand)

  /// Does it, and tells what it took, from the start of the first process to the end of the last.
  /// What a command says goes into the file `output`.
  func run(sayingInto output: String) throws(Failure) -> ErrandResult {
    switch self {
    case .program(let words, ""): return ErrandResult(usage: try ChildProcess.run(words))
    case .program(let words, let expected):
      let usage = try ChildProcess.run(words, output: output)
      guard ProcessFile.text(output).contains(expected) else {
        throw .sentence("'\(words.joined(separator: " "))' has not said '\(expected)'")
      }
      return ErrandResult(usage: usage)
    case .monitor(let errand): return try errand.run()
    }
  }
}
