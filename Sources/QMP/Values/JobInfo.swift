package import JSONValue

/// One job in `query-jobs`.
///
/// Isolation: value.
package struct JobInfo: WireRecord {
  package var id = ""
  package var type = JobType.commit
  package var status = JobStatus.created
  package var currentProgress = 0
  package var totalProgress = 0
  package var error: String?
  package var progress: JobProgress?
  package var result: JSONValue?

  package init() {}

  package static let members: [WireMember<Self>] = [
    .required("id", \.id, "The job's name"),
    .required("type", \.type, "What the job does"),
    .required("status", \.status, "Where it is in its life"),
    .required("current-progress", \.currentProgress, "How much is done, in the job's own unit"),
    .required("total-progress", \.totalProgress, "How much there is, as known now"),
    .optional("error", \.error, "Why a concluded job failed"),
    .optional("x-progress", \.progress, "Speed, remaining time and phase, while the job lives"),
    .optional("x-result", \.result, "What a concluded job has found or left behind"),
  ]
}

/// How a job gets on, beyond what QEMU tells.
///
/// Isolation: value.
package struct JobProgress: WireRecord {
  package var phase = ""
  package var bytesPerSecond = 0
  package var etaSeconds: Int?
  package var elapsedSeconds = 0

  package init() {}

  package static let members: [WireMember<Self>] = [
    .required("phase", \.phase, "What the job is at, such as 'copy' or 'flush'"),
    .required("bytes-per-second", \.bytesPerSecond, "Bytes copied each second, of late"),
    .optional("eta-seconds", \.etaSeconds, "Seconds to go at this rate; absent when unknown"),
    .required("elapsed-seconds", \.elapsedSeconds, "Seconds since the job began"),
  ]
}
