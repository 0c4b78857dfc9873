package import BlockCore
import BlockRuntime

/// What to wait for.
///
/// Isolation: value.
package enum JobGoal: String, Sendable, CaseIterable {
  /// Until it is ready, left pending for `finalize`, or over.
  case ready
  /// Until it is over.
  case concluded
}

extension JobRegistry {
  /// Returns when the job `id` has come to `goal`, however it ended; at once when it is already
  /// gone and its outcome is remembered. Throws `notFound`, and `busy` when `timeout` nanoseconds
  /// have passed before; the job does not notice. Throws `cancelled` when the task is cancelled.
  package func wait(
    for id: String, until goal: JobGoal, timeout: UInt64? = nil
  ) async throws(BlockError) -> JobSnapshot {
    guard let job = self[id] else {
      guard let outcome = outcome(of: id) else { throw JobRegistry.notFound }
      return outcome
    }
    return try await wait(for: job, timeout: timeout) { job in
      job.machine.isConcluded || goal == .ready && (job.machine.isReady || job.isLeftPending)
    }
  }

  /// Asks a ready job to complete and returns when it has concluded, or is left pending for
  /// `finalize`. Throws what it failed with, `cancelled` when it was cancelled, `busy` when it is
  /// not ready or when `timeout` nanoseconds have passed (and it goes on), `invalidArgument` for a
  /// job that never becomes ready.
  package func completeSync(
    _ id: String, timeout: UInt64? = nil
  ) async throws(BlockError) -> JobSnapshot {
    guard let job = self[id] else {
      guard let outcome = outcome(of: id) else { throw JobRegistry.notFound }
      return try outcome.completion()
    }
    guard job.body.canComplete else { throw job.machine.cannotComplete }
    switch job.machine.status {
    case .concluded, .aborting, .waiting, .pending: break
    case _ where job.machine.cancellation != .none: break
    default:
      do throws(BlockError) { try job.machine.check(.complete) } catch {
        throw BlockError(.busy, error.message)
      }
      try job.complete()
    }
    let end = try await wait(for: job, timeout: timeout) { job in
      job.machine.isConcluded || job.isLeftPending
    }
    return try end.completion()
  }

  /// QEMU's sentence for an id that no job has.
  package static var notFound: BlockError { BlockError(.notFound, "Job not found") }

  private func wait(
    for job: Job, timeout: UInt64?, until condition: @escaping @ControlPlane (Job) -> Bool
  ) async throws(BlockError) -> JobSnapshot {
    let id = job.id
    let exit = EarlyExit()
    var alarm: (any JobAlarm)?
    let result: Result<JobSnapshot, BlockError> = await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let waiter = job.when(condition) { continuation.resume(returning: .success($0)) }
        guard let waiter else { return }
        exit.take = { [weak job] error in
          guard let job, job.stopWaiting(waiter) else { return }
          continuation.resume(returning: .failure(error))
        }
        guard let timeout else { return }
        alarm = clock.alarm(after: timeout) {
          exit.take(BlockError(.busy, "Timed out waiting for job '\(id)'"))
        }
      }
    } onCancel: {
      ControlPlane.post { exit.take(BlockError(.cancelled, "Nobody waits for job '\(id)'")) }
    }
    alarm?.cancel()
    return try result.get()
  }
}

/// How somebody who waits for a job may leave before its goal.
///
/// Isolation: control plane.
@ControlPlane
private final class EarlyExit {
  /// Ends the waiting with an error, unless it is over.
  var take: @ControlPlane (BlockError) -> Void = { _ in }
}

extension JobSnapshot {
  /// The same for who asked for completion: a job that was cancelled without force has ended well,
  /// but the graph has not changed.
  func completion() throws(BlockError) -> JobSnapshot {
    guard !isSoftlyCancelled else {
      throw BlockError(.cancelled, "Job '\(id)' was cancelled, and ends without completing")
    }
    return try success()
  }

  /// The snapshot itself, unless the job was cancelled or failed: that is thrown.
  package func success() throws(BlockError) -> JobSnapshot {
    if let failure { throw failure }
    return self
  }
}
