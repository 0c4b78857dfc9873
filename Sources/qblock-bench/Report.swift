import QMPClient

/// Who tells the figures.
protocol Report {
  /// `sample` has just been taken.
  func run(_ workload: Workload, pair: Int, _ contender: Contender, _ sample: Sample)
  /// A workload is done.
  func result(_ result: WorkloadResult)
}

extension Report {
  /// Tells a person who waits, on standard error, what is being done.
  func progress(_ text: String) { StandardStream.errors.line(text) }
}
