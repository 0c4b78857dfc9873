// Verbs for any job, by its id.

/// Cancels a job.
///
/// Isolation: value.
package struct JobCancel: QMPCommand {
  package typealias Reply = EmptyReply

  package var id = ""

  package init() {}

  package static let name = "job-cancel"
  package static let allowsOutOfBand = true
  package static let summary = "Cancels a job at once; what it has copied stays in base"
  package static let members: [WireMember<Self>] = [
    .required("id", \.id, "The job")
  ]
}

/// Pauses a job.
///
/// Isolation: value.
package struct JobPause: QMPCommand {
  package typealias Reply = EmptyReply

  package var id = ""

  package init() {}

  package static let name = "job-pause"
  package static let summary = "Pauses a job at its next step"
  package static let members: [WireMember<Self>] = [
    .required("id", \.id, "The job")
  ]
}

/// Resumes a job.
///
/// Isolation: value.
package struct JobResume: QMPCommand {
  package typealias Reply = EmptyReply

  package var id = ""

  package init() {}

  package static let name = "job-resume"
  package static let summary = "Lets a paused job go on"
  package static let members: [WireMember<Self>] = [
    .required("id", \.id, "The job")
  ]
}

/// Completes a job that is ready.
///
/// Isolation: value.
package struct JobComplete: QMPCommand {
  package typealias Reply = EmptyReply

  package var id = ""

  package init() {}

  package static let name = "job-complete"
  package static let summary = "Asks a ready job to complete; does not wait for it"
  package static let members: [WireMember<Self>] = [
    .required("id", \.id, "The job")
  ]
}

/// Lets a pending job do its last step.
///
/// Isolation: value.
package struct JobFinalize: QMPCommand {
  package typealias Reply = EmptyReply

  package var id = ""

  package init() {}

  package static let name = "job-finalize"
  package static let summary = "Lets a job of auto-finalize=false do its last step"
  package static let members: [WireMember<Self>] = [
    .required("id", \.id, "The job")
  ]
}

/// Removes a concluded job.
///
/// Isolation: value.
package struct JobDismiss: QMPCommand {
  package typealias Reply = EmptyReply

  package var id = ""

  package init() {}

  package static let name = "job-dismiss"
  package static let summary = "Removes a concluded job of auto-dismiss=false"
  package static let members: [WireMember<Self>] = [
    .required("id", \.id, "The job")
  ]
}

/// Lists all jobs.
///
/// Isolation: value.
package struct QueryJobs: QMPCommand {
  package typealias Reply = [JobInfo]

  package init() {}

  package static let name = "query-jobs"
  package static let allowsOutOfBand = true
  package static let summary = "All jobs, also those that work on no image"
  package static let members: [WireMember<Self>] = []
}
