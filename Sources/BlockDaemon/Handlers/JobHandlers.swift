import BlockCore
import BlockJobs
import BlockRuntime
import QMP

extension CommandDispatcher {
  /// The verbs for jobs, QEMU's newer and older ones, and the queries.
  func addJobHandlers(_ services: DaemonServices) {
    let jobs = services.jobs
    on(QueryJobs.self) { (_) async throws(QMPError) in jobs.all.map(\.snapshot.info) }
    on(QueryBlockJobs.self) { (_) async throws(QMPError) in
      jobs.all.filter(\.type.isBlockJob).map(\.snapshot.blockInfo)
    }
    on(QueryJobHistory.self) { (call) async throws(QMPError) in
      jobs.history.filter { call.id == nil || $0.job.id == call.id }.map {
        $0.job.past(nanosecondsAgo: jobs.age(of: $0))
      }
    }
    addJobVerbs(services)
    addBlockJobVerbs(services)
  }

  private func addJobVerbs(_ services: DaemonServices) {
    let find = services.job
    verb(JobPause.self, \.id, find) { (job, _) throws(BlockError) in try job.pause() }
    verb(JobResume.self, \.id, find) { (job, _) throws(BlockError) in try job.resume() }
    verb(JobCancel.self, \.id, find) { (job, _) throws(BlockError) in
      try job.cancel(force: true)
    }
    verb(JobComplete.self, \.id, find) { (job, _) throws(BlockError) in try job.complete() }
    verb(JobFinalize.self, \.id, find) { (job, _) throws(BlockError) in try job.finalize() }
    verb(JobDismiss.self, \.id, find) { (job, _) throws(BlockError) in try job.dismiss() }
  }

  private func addBlockJobVerbs(_ services: DaemonServices) {
    let find = services.blockJob
    verb(BlockJobPause.self, \.device, find) { (job, _) throws(BlockError) in try job.pause() }
    verb(BlockJobResume.self, \.device, find) { (job, _) throws(BlockError) in
      try job.resume()
    }
    verb(BlockJobCancel.self, \.device, find) { (job, call) throws(BlockError) in
      try job.cancel(force: call.force)
    }
    verb(BlockJobComplete.self, \.device, find) { (job, _) throws(BlockError) in
      try job.complete()
    }
    verb(BlockJobFinalize.self, \.id, find) { (job, _) throws(BlockError) in
      try job.finalize()
    }
    verb(BlockJobDismiss.self, \.id, find) { (job, _) throws(BlockError) in try job.dismiss() }
    verb(BlockJobSetSpeed.self, \.device, find) { (job, call) throws(BlockError) in
      try job.setSpeed(call.speed)
    }
  }

  /// A command that does one thing to one job. When what it asks for ends the job at once, the
  /// answer goes out when that is done: who reads it may dismiss the job, and remove its nodes.
  private func verb<Command: QMPCommand>(
    _ command: Command.Type, _ id: any KeyPath<Command, String> & Sendable,
    _ find: @escaping @ControlPlane (String) throws(QMPError) -> Job,
    _ act: @escaping @ControlPlane (Job, Command) throws(BlockError) -> Void
  ) where Command.Reply == EmptyReply {
    on(command) { (call) async throws(QMPError) in
      let job = try find(call[keyPath: id])
      do throws(BlockError) { try act(job, call) } catch { throw QMPError(error) }
      await job.settled()
      return EmptyReply()
    }
  }
}

extension DaemonServices {
  /// The job `id`, for the `job-…` commands.
  func job(_ id: String) throws(QMPError) -> Job {
    guard let job = jobs[id] else { throw .jobNotFound }
    return job
  }

  /// The block job `id`, for the older commands, which do not know other jobs.
  func blockJob(_ id: String) throws(QMPError) -> Job {
    guard let job = jobs[id], job.type.isBlockJob else { throw .blockJobNotFound(id) }
    return job
  }
}
