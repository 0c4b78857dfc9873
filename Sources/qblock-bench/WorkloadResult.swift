/// All figures of one workload.
///
/// Isolation: value.
struct WorkloadResult {
  let plan: WorkloadPlan
  /// The kind of file system that the images were on.
  let fileSystem: String
  /// How our program empties an overlay; nil where it does not, or nobody could look.
  let switching: SwitchTrace?
  private let pairs: [[Contender: Sample]]

  /// The figures of `pairs`, each with a sample of every contender.
  init(
    _ plan: WorkloadPlan, _ pairs: [[Contender: Sample]], on fileSystem: String,
    switching: SwitchTrace?
  ) {
    self.plan = plan
    self.switching = switching
    self.fileSystem = fileSystem
    self.pairs = pairs
  }

  /// How often each program has run.
  var pairCount: Int { pairs.count }

  /// From the start of the process to its end.
  func seconds(_ contender: Contender) -> Spread {
    Spread(samples(contender).map(\.usage.seconds))
  }

  /// Of all processes of the program.
  func cpuSeconds(_ contender: Contender) -> Spread {
    Spread(samples(contender).map(\.usage.cpuSeconds))
  }

  /// The most that one process of the program ever held.
  func peakBytes(_ contender: Contender) -> Int {
    samples(contender).map(\.usage.peakBytes).max() ?? 0
  }

  /// System calls for each MiB of the workload's data; nil where none is committed, or calls may
  /// not be counted.
  func callsPerMebibyte(_ contender: Contender) -> Double? {
    guard plan.commits, plan.dataBytes > 0 else { return nil }
    let calls = samples(contender).compactMap(\.usage.io.calls)
    if calls.isEmpty { return nil }
    return Spread(calls.map(Double.init)).median / (Double(plan.dataBytes) / 1_048_576)
  }

  /// The median of the bytes that it read, and of those that it wrote.
  func bytes(_ contender: Contender) -> (read: Int, written: Int) {
    let counts = samples(contender).map(\.usage.io)
    return (
      Int(Spread(counts.map { Double($0.bytesRead) }).median),
      Int(Spread(counts.map { Double($0.bytesWritten) }).median)
    )
  }

  /// The most that the base took on its file system afterwards.
  func baseBytes(_ contender: Contender) -> Int {
    samples(contender).map(\.baseBytes).max() ?? 0
  }

  /// How many times longer than ours QEMU's program took, pair by pair.
  var ratio: Spread { quotient(.qemu, .ours) }

  /// How long a client waits for an answer, in the middle ("p50") and with 99 of 100 answers
  /// ("p99"); empty where none asked.
  var answers: [AnswerTimes] {
    (samples(.ours).first?.roundTrips ?? []).enumerated().flatMap { (index, trips) in
      [("p50", \RoundTrips.median), ("p99", \.slow)].map { (name, figure) in
        AnswerTimes(
          name: "\(trips.command) \(name)",
          qemu: Spread(samples(.qemu).map { $0.roundTrips[index][keyPath: figure] }),
          ours: Spread(samples(.ours).map { $0.roundTrips[index][keyPath: figure] }),
          ratio: quotient(.qemu, .ours) { $0.roundTrips[index][keyPath: figure] })
      }
    }
  }

  /// How many times longer than the yardstick we took, pair by pair; nil where there is none.
  var besideCopy: Spread? {
    plan.contenders.contains(.copy) ? quotient(.ours, .copy) : nil
  }

  private func quotient(
    _ one: Contender, _ other: Contender, _ figure: (Sample) -> Double = { $0.usage.seconds }
  ) -> Spread {
    Spread(zip(samples(one), samples(other)).map { figure($0) / figure($1) })
  }

  private func samples(_ contender: Contender) -> [Sample] { pairs.compactMap { $0[contender] } }
}

/// How long answers take, in seconds.
///
/// Isolation: value.
struct AnswerTimes {
  /// Which command's, and which of them.
  let name: String
  let qemu: Spread
  let ours: Spread
  /// How many times longer QEMU's daemon lets a client wait than ours, pair by pair.
  let ratio: Spread
}
