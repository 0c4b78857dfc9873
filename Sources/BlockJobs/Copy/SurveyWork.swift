import BlockCore
import BlockGraph
import ImageFormats
import Synchronization

/// The first pass of a commit: looks through the metadata of the layers for what must be copied.
///
/// Isolation: any thread; state behind `state`.
final class SurveyWork: SteppedWork {
  /// Runs of one look at the tables.
  private static let runsPerLook = 1024

  private let source: CopySource
  private let state: Mutex<State>

  private struct State {
    var rest: ByteRange
    var plan = CopyPlan()
  }

  init(_ source: CopySource) {
    self.source = source
    state = Mutex(State(rest: ByteRange(at: 0, length: source.chain.virtualSize)))
  }

  /// What was found; to be asked when the pass is over.
  var plan: CopyPlan { state.withLock { $0.plan } }

  var width: Int { 1 }
  var isThrottled: Bool { false }

  func step(_ lease: StepLease) throws(StepError) -> StepResult {
    var rest = state.withLock { $0.rest }
    while !rest.isEmpty {
      let runs = try StepError.during(.read) { () throws(BlockError) in
        try source.chain.status(in: rest, above: source.base, limit: SurveyWork.runsPerLook)
      }
      for run in runs { rest = rest.dropping(run.range.length) }
      state.withLock { state in
        for run in runs { add(run, to: &state.plan) }
        state.rest = rest
      }
      if lease.isOver(after: 0) { break }
    }
    return StepResult(bytes: 0, isExhausted: rest.isEmpty)
  }

  private func add(_ run: ChainRun, to plan: inout CopyPlan) {
    guard run.layer >= source.first else { return }
    switch run.content {
    case .unallocated: break
    case .data, .compressed: plan.add(run.range, moving: run.range.length)
    case .zero:
      // What the base does not have yet comes in as zeros when it grows.
      let known = run.range.intersection(ByteRange(at: 0, length: source.baseSize))
      if !known.isEmpty { plan.add(known, moving: 0) }
    }
  }
}
