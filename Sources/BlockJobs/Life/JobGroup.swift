import BlockRuntime

/// Jobs that are one decision: none does its last step until all have done their work, and what
/// happens to one before that happens to all.
///
/// When the last of them is at its end, all become pending. Then, at once or when somebody
/// finalizes any of them, they do their last steps, one job after the other. From there on each
/// stands for itself: one that fails is told so, and the others go on.
///
/// Isolation: control plane.
@ControlPlane
final class JobGroup {
  /// In the order of their last steps.
  let members: [Job]
  /// Those whose work is done.
  private var arrived: Set<String> = []
  /// Whether one has failed or was cancelled before the decision.
  private(set) var isAborted = false
  /// How many have done their last step, or need not do it any more.
  private var finished: Set<String> = []
  private var turns: [String: CheckedContinuation<Void, Never>] = [:]

  /// A group of these jobs, which have not started. Those that are to come last in the end stand
  /// last.
  init(_ members: [Job]) { self.members = members }

  /// Whether somebody has to finalize: one who waits holds all.
  var needsFinalize: Bool { members.contains { !$0.options.autoFinalize } }

  /// The work of `job` is done. When it was the last one, all become pending.
  func arrive(_ job: Job) {
    arrived.insert(job.id)
    guard !isAborted, arrived.count == members.count else { return }
    for member in members { member.becomePending() }
    if !needsFinalize { goOn() }
  }

  /// All do their last steps now.
  func goOn() {
    for member in members { member.endWithGroup() }
  }

  /// `job` has failed or was cancelled before the decision: the others are cancelled.
  func abort(by job: Job) {
    guard !isAborted else { return }
    isAborted = true
    for member in members where member !== job { member.stopWithGroup() }
  }

  /// Returns when `job` may do its last step.
  func turn(of job: Job) async {
    guard next !== job else { return }
    await withCheckedContinuation { turns[job.id] = $0 }
  }

  /// `job` has done its last step, or needs none any more, and holds nothing. Returns the names of
  /// the nodes that close now: those of all jobs with the last of them, and none before that, since
  /// the next may need what one of the others owns.
  func finish(_ job: Job) -> [String] {
    finished.insert(job.id)
    guard let next else { return members.flatMap(\.options.ownNodes) }
    turns.removeValue(forKey: next.id)?.resume()
    return []
  }

  private var next: Job? { members.first { !finished.contains($0.id) } }
}
