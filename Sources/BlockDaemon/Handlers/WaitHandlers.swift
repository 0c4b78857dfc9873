import BlockCore
import BlockJobs
import BlockRuntime
import QMP

extension CommandDispatcher {
  /// The commands that answer later. While they wait only their own client waits.
  func addWaitHandlers(_ jobs: JobRegistry) {
    onEngine(JobCompleteSync.self) { (call) async throws(BlockError) in
      try await jobs.completeSync(call.id, timeout: nanoseconds(call.timeoutMilliseconds)).outcome
    }
    onEngine(JobWait.self) { (call) async throws(BlockError) in
      let goal: JobGoal =
        switch call.until {
        case .ready: .ready
        case .concluded: .concluded
        }
      return try await jobs.wait(
        for: call.id, until: goal, timeout: nanoseconds(call.timeoutMilliseconds)
      ).outcome
    }
  }
}

/// A number of milliseconds that a client gave, which may be any that is not negative.
private func nanoseconds(_ milliseconds: Int?) -> UInt64? {
  milliseconds.map {
    let (product, overflow) = UInt64($0).multipliedReportingOverflow(by: 1_000_000)
    return overflow ? .max : product
  }
}
