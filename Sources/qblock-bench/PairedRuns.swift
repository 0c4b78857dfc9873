import Glibc

/// The runs of both programs on one workload, in turn.
///
/// Isolation: the main thread.
struct PairedRuns {
  private let plan: WorkloadPlan
  private let source: SourceImages
  private let directory: WorkDirectory

  /// Runs on copies of `source`, which holds `plan`, in `directory`.
  init(_ plan: WorkloadPlan, _ source: SourceImages, in directory: WorkDirectory) {
    self.plan = plan
    self.source = source
    self.directory = directory
  }

  /// Refuses where there is not the room for the source images in `images`, and for an overlay and
  /// the base that it is committed into in `directory`.
  static func checkSpace(
    for plan: WorkloadPlan, runningIn directory: WorkDirectory, imagesIn images: WorkDirectory
  ) throws(Failure) {
    if try directory.sharesSpace(with: images) {
      try directory.require(freeBytes: 3 * plan.footprint)
    } else {
      try directory.require(freeBytes: 2 * plan.footprint)
      try images.require(freeBytes: plan.footprint)
    }
  }

  /// Runs each program `count` times. The first to run changes from pair to pair, because the
  /// second finds the machine as the first has left it.
  func measure(pairs count: Int, _ report: any Report) throws(Failure) -> WorkloadResult {
    var pairs: [[Contender: Sample]] = []
    for number in 1...count {
      var pair: [Contender: Sample] = [:]
      let order = number.isMultiple(of: 2) ? plan.contenders.reversed() : plan.contenders
      for contender in order {
        if plan.changesImages || number == 1 { try copyImages() }
        let sample = try run(contender)
        report.run(plan.workload, pair: number, contender, sample)
        if contender != .copy { try judge(contender, isFirst: number == 1) }
        pair[contender] = sample
      }
      pairs.append(pair)
    }
    return WorkloadResult(
      plan, pairs, on: try directory.fileSystem(), switching: try traceSwitch())
  }

  /// Checks what a run has left: the first time whether the base shows the right bytes, and each
  /// time, where the overlay was emptied, that it is empty.
  private func judge(_ contender: Contender, isFirst: Bool) throws(Failure) {
    let overlay = directory.path(of: .overlay)
    if plan.commits, isFirst || !plan.emptiesCommitted {
      try source.compare(with: directory, after: contender)
    }
    if plan.emptiesCommitted {
      // Whatever lies in it itself is at depth 0.
      try require("\"depth\": 0", false, in: ["map", "--output=json", overlay], after: contender)
    }
    if plan.empties {
      let check = ["check", "--output=json", overlay]
      try require("\"check-errors\": 0", true, in: check, after: contender)
      // A count of 0 is left out.
      try require("\"allocated-clusters\"", false, in: check, after: contender)
    }
  }

  /// Checks whether what `qemu-img` says, asked by `words`, has `text` in it. That may be much, and
  /// what this process holds counts as the first moment of each program that it starts.
  private func require(
    _ text: String, _ isThere: Bool, in words: [String], after contender: Contender
  ) throws(Failure) {
    let output = directory.path(of: .trace)
    defer { directory.remove([.trace]) }
    try ChildProcess.run(["qemu-img"] + words, output: output)
    let search = (isThere ? "" : "! ") + #"grep -qF "$1" "$2""#
    do throws(Failure) {
      try ChildProcess.run(["sh", "-c", search, "sh", text, output])
    } catch {
      throw .sentence(
        "After \(contender.name(in: plan.workload)) the overlay is not empty: qemu-img "
          + words.joined(separator: " "))
    }
  }

  private func copyImages() throws(Failure) {
    try source.copy(to: directory)
    if plan.isFilled { try directory.fill(.overlay) }
  }

  /// One more run of ours, looked at call by call, where an overlay is emptied by new tables.
  private func traceSwitch() throws(Failure) -> SwitchTrace? {
    guard [.empty, .emptyLarge].contains(plan.workload) else { return nil }
    try copyImages()
    return try SwitchTrace.ofEmptying(in: directory)
  }

  private func run(_ contender: Contender) throws(Failure) -> Sample {
    try touchMemory()
    let errand = contender.errand(plan, in: directory)
    let result = try errand.run(sayingInto: directory.path(of: .trace))
    directory.remove([.copy, .trace])
    let base = plan.files.isEmpty ? 0 : try directory.allocatedBytes(of: .base)
    return Sample(usage: result.usage, roundTrips: result.roundTrips, baseBytes: base)
  }

  /// Takes the memory that a run will need, and gives it back: the first use of a page of a virtual
  /// machine costs several times more than a later one, and a machine that reports its free pages
  /// to its host has them taken away within seconds. Never more than what is free, so that nothing
  /// else has to go.
  private func touchMemory() throws(Failure) {
    let free = sysconf(Int32(_SC_AVPHYS_PAGES)) * sysconf(Int32(_SC_PAGESIZE))
    let megabytes = min(plan.footprint / 4 * 5, free / 4 * 3) >> 20
    try ChildProcess.run([
      "dd", "if=/dev/zero", "of=/dev/null", "bs=\(max(1, megabytes))M", "count=1",
      "iflag=fullblock", "status=none",
    ])
  }
}
