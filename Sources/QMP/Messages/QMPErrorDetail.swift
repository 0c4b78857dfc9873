/// What stands behind an error's sentence; an extension of ours that QEMU does not send.
///
/// Isolation: value.
package struct QMPErrorDetail: WireRecord, Hashable {
  package var code = ""
  package var file: String?
  package var offset: Int?
  package var errno: Int?

  package init() {}

  package static let members: [WireMember<Self>] = [
    .required("code", \.code, "A stable word for the kind of failure, such as 'no-space'"),
    .optional("file", \.file, "The file it happened on"),
    .optional("offset", \.offset, "The byte in the file, or on the guest's disk without a file"),
    .optional("errno", \.errno, "The system's error number"),
  ]
}
