package import BlockCore
package import BlockGraph
package import BlockRuntime

/// The jobs of the daemon by name.
///
/// Isolation: control plane.
@ControlPlane
package final class JobRegistry {
  /// Jobs at one time: each holds memory, and clients can start them.
  private static let most = 1024

  let clock: any JobClock
  private let lanes: LanePool
  private let journal: any JobJournal
  private let events: JobEventSink
  private let graph: BlockGraph

  /// Which overlays may be emptied without a comparison.
  package let commits = CommitMemory()

  private var jobs: [String: Job] = [:]
  private var order: [String] = []
  private var past: JobHistory

  /// A registry whose jobs change `graph` and tell `events`, and go to `history` in the end.
  package init(
    graph: BlockGraph, lanes: LanePool = .shared, clock: any JobClock = SystemJobClock(),
    journal: any JobJournal = NoJournal(), history: JobHistory = JobHistory(),
    events: @escaping JobEventSink
  ) {
    past = history
    self.graph = graph
    self.lanes = lanes
    self.clock = clock
    self.journal = journal
    self.events = events
  }

  /// The jobs that are there, the oldest first.
  package var all: [Job] { order.compactMap { jobs[$0] } }

  /// The job `id`; nil when there is none (any more).
  package subscript(id: String) -> Job? { jobs[id] }

  /// How a job that is gone ended; nil when it is not remembered.
  package func outcome(of id: String) -> JobSnapshot? { history.last { $0.job.id == id }?.job }

  /// The jobs that are gone and remembered, the one that went first before the others.
  package var history: [JobHistory.Entry] { past.entries(at: clock.nanoseconds) }

  /// How long ago the job of `entry` went, in nanoseconds.
  package func age(of entry: JobHistory.Entry) -> UInt64 { clock.nanoseconds - entry.end }

  /// Throws `invalidArgument` where `id` is no name for a job, or that of another one.
  package func checkIsFree(_ id: String) throws(BlockError) {
    try JobID.check(id)
    guard jobs[id] == nil else { throw JobID.inUse(id) }
  }

  /// Starts the job that `make` makes, once its id and its speed are found to be right.
  @discardableResult
  package func start(
    _ options: JobOptions, _ make: () throws(BlockError) -> any JobBody
  ) throws(BlockError) -> Job {
    let job = try self.make(options, besides: 0, make)
    begin(job)
    return job
  }

  /// Starts one job.
  package func start(_ request: JobRequest) throws(BlockError) {
    try start(request.options) { () throws(BlockError) in try request.make() }
  }

  /// Starts all these jobs or none. Where they are `grouped` they are one decision: none does its
  /// last step until all have done their work, and one that fails or is cancelled before that
  /// cancels all. Commits do their last steps first.
  package func start(all requests: [JobRequest], grouped: Bool) async throws(BlockError) {
    var made: [Job] = []
    do throws(BlockError) {
      for request in requests {
        guard !made.contains(where: { $0.id == request.options.id }) else {
          throw JobID.inUse(request.options.id)
        }
        made.append(
          try make(request.options, besides: made.count) { () throws(BlockError) in
            try request.make()
          })
      }
    } catch {
      for job in made.reversed() { await job.abandon() }
      // Another of these was in the way, or two have one id: that job does not come to be.
      var error = error
      if let id = error.job, jobs[id] == nil { error.job = nil }
      throw error
    }
    if grouped {
      let group = JobGroup(made.filter { $0.type == .commit } + made.filter { $0.type != .commit })
      for job in made { job.join(group) }
    }
    for job in made { begin(job) }
  }

  /// A job that has not begun; `others` are about to begin, too.
  private func make(
    _ options: JobOptions, besides others: Int, _ make: () throws(BlockError) -> any JobBody
  ) throws(BlockError) -> Job {
    try checkIsFree(options.id)
    guard jobs.count + others < JobRegistry.most else {
      throw BlockError(.busy, "Too many jobs: \(JobRegistry.most) are the most")
    }
    guard options.speed >= 0 else {
      // QEMU announces such a job, too.
      events(.statusChanged(id: options.id, status: .created))
      events(.statusChanged(id: options.id, status: .null))
      throw Job.negativeSpeed
    }
    return Job(
      try make(), options,
      Job.Surroundings(
        clock: clock, lanes: lanes, journal: journal, events: events,
        closeNodes: { [graph] in await graph.closeNodes($0) },
        dismissed: { [unowned self] in forget($0) }))
  }

  private func begin(_ job: Job) {
    jobs[job.id] = job
    order.append(job.id)
    job.start()
  }

  /// Tells every job to stop, as soon as its files may be left as they are, and returns when all
  /// have concluded.
  package func cancelAll() async {
    for job in all { job.shutDown() }
    for job in all {
      await withCheckedContinuation { continuation in
        _ = job.when {
          $0.machine.isConcluded
        } _: { _ in
          continuation.resume()
        }
      }
    }
  }

  private func forget(_ job: Job) {
    jobs[job.id] = nil
    order.removeAll { $0 == job.id }
    past.add(job.snapshot, at: clock.nanoseconds)
  }
}

/// A job to be started.
///
/// Isolation: control plane.
package struct JobRequest {
  package var options: JobOptions
  /// Makes its body, which takes what it needs of the graph.
  let make: @ControlPlane () throws(BlockError) -> any JobBody

  /// A job that `make` makes.
  package init(
    _ options: JobOptions, _ make: @escaping @ControlPlane () throws(BlockError) -> any JobBody
  ) {
    self.options = options
    self.make = make
  }
}
