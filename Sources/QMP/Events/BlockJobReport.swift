/// What a block job's events say of where it is.
///
/// Isolation: value.
package struct BlockJobReport: WireRecord {
  package var type = JobType.commit
  package var device = ""
  package var len = 0
  package var offset = 0
  package var speed = 0

  package init() {}

  package static let members: [WireMember<Self>] = [
    .required("type", \.type, "What the job does"),
    .required("device", \.device, "The job"),
    .required("len", \.len, "How much there was to do, in bytes"),
    .required("offset", \.offset, "How much is done"),
    .required("speed", \.speed, "The limit in bytes a second; 0 for none"),
  ]
}
