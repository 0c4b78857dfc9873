// QEMU's older verbs for block jobs. They differ from the job verbs in names and errors.

/// Cancels a block job, or ends a ready one without completing it.
///
/// Isolation: value.
package struct BlockJobCancel: QMPCommand {
  package typealias Reply = EmptyReply

  package var device = ""
  package var force = false

  package init() {}

  package static let name = "block-job-cancel"
  package static let summary =
    "Cancels a block job; a ready one ends like success, but nothing moves to base"
  package static let members: [WireMember<Self>] = [
    .required("device", \.device, "The job"),
    .defaulted("force", \.force, "Whether a ready job stops at once, and a paused one too"),
  ]
}

/// Pauses a block job.
///
/// Isolation: value.
package struct BlockJobPause: QMPCommand {
  package typealias Reply = EmptyReply

  package var device = ""

  package init() {}

  package static let name = "block-job-pause"
  package static let summary = "Pauses a block job at its next step"
  package static let members: [WireMember<Self>] = [
    .required("device", \.device, "The job")
  ]
}

/// Resumes a block job.
///
/// Isolation: value.
package struct BlockJobResume: QMPCommand {
  package typealias Reply = EmptyReply

  package var device = ""

  package init() {}

  package static let name = "block-job-resume"
  package static let summary = "Lets a paused block job go on"
  package static let members: [WireMember<Self>] = [
    .required("device", \.device, "The job")
  ]
}

/// Completes a block job that is ready.
///
/// Isolation: value.
package struct BlockJobComplete: QMPCommand {
  package typealias Reply = EmptyReply

  package var device = ""

  package init() {}

  package static let name = "block-job-complete"
  package static let summary = "Asks a ready block job to complete; does not wait for it"
  package static let members: [WireMember<Self>] = [
    .required("device", \.device, "The job")
  ]
}

/// Lets a pending block job do its last step.
///
/// Isolation: value.
package struct BlockJobFinalize: QMPCommand {
  package typealias Reply = EmptyReply

  package var id = ""

  package init() {}

  package static let name = "block-job-finalize"
  package static let summary = "Lets a block job of auto-finalize=false do its last step"
  package static let members: [WireMember<Self>] = [
    .required("id", \.id, "The job")
  ]
}

/// Removes a concluded block job.
///
/// Isolation: value.
package struct BlockJobDismiss: QMPCommand {
  package typealias Reply = EmptyReply

  package var id = ""

  package init() {}

  package static let name = "block-job-dismiss"
  package static let summary = "Removes a concluded block job of auto-dismiss=false"
  package static let members: [WireMember<Self>] = [
    .required("id", \.id, "The job")
  ]
}

/// Limits a block job's speed.
///
/// Isolation: value.
package struct BlockJobSetSpeed: QMPCommand {
  package typealias Reply = EmptyReply

  package var device = ""
  package var speed = 0

  package init() {}

  package static let name = "block-job-set-speed"
  package static let summary = "Limits a block job's speed from now on"
  package static let members: [WireMember<Self>] = [
    .required("device", \.device, "The job"),
    .required("speed", \.speed, "Bytes a second; 0 for no limit"),
  ]
}

/// Lists the jobs that work on images.
///
/// Isolation: value.
package struct QueryBlockJobs: QMPCommand {
  package typealias Reply = [BlockJobInfo]

  package init() {}

  package static let name = "query-block-jobs"
  package static let allowsOutOfBand = true
  package static let summary = "The jobs that work on images"
  package static let members: [WireMember<Self>] = []
}
