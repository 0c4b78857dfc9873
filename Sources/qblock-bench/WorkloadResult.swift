/// All figures of one workload.
///
/// Isolation: value.
struct WorkloadResult {
  let plan: WorkloadPlan
  private let pairs: [[Contender: Sample]]

  /// The figures of `pairs`, each with a sample of every contender.
  init(_ plan: WorkloadPlan, _ pairs: [[Contender: Sample]]) {
    self.plan = plan
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

  /// The most that the base took on its file system afterwards.
  func baseBytes(_ contender: Contender) -> Int {
    samples(contender).map(\.baseBytes).max() ?? 0
  }

  /// How many times longer than ours qemu-img took, pair by pair.
  var ratio: Spread {
    Spread(zip(samples(.qemu), samples(.ours)).map { $0.usage.seconds / $1.usage.seconds })
  }

  private func samples(_ contender: Contender) -> [Sample] { pairs.compactMap { $0[contender] } }
}
