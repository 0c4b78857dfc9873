/// One job in `query-block-jobs`.
///
/// Isolation: value.
package struct BlockJobInfo: WireRecord {
  package var type = JobType.commit
  package var device = ""
  package var len = 0
  package var offset = 0
  package var busy = false
  package var paused = false
  package var speed = 0
  package var ioStatus = JobIOStatus.ok
  package var ready = false
  package var status = JobStatus.created
  package var autoFinalize = true
  package var autoDismiss = true
  package var error: String?

  package init() {}

  package static let members: [WireMember<Self>] = [
    .required("type", \.type, "What the job does"),
    .required("device", \.device, "The job's name; once it was the device's"),
    .required("len", \.len, "How much there is to do, in bytes"),
    .required("offset", \.offset, "How much of it is done"),
    .required("busy", \.busy, "Whether a step is under way just now"),
    .required("paused", \.paused, "Whether the job is paused, or will be at its next step"),
    .required("speed", \.speed, "The limit in bytes a second; 0 for none"),
    .required("io-status", \.ioStatus, "Whether its I/O works"),
    .required("ready", \.ready, "Whether it may be completed"),
    .required("status", \.status, "Where it is in its life"),
    .required("auto-finalize", \.autoFinalize, "Whether it finalizes by itself"),
    .required("auto-dismiss", \.autoDismiss, "Whether it vanishes once concluded"),
    .optional("error", \.error, "Why it failed"),
  ]
}
