/// What stands behind an error's sentence; an extension of ours that QEMU does not send.
///
/// Isolation: value.
package struct QMPErrorDetail: WireRecord, Hashable {
  package var code = ""
  package var file: String?
  package var offset: Int?
  package var guestOffset: Int?
  package var errno: Int?
  package var node: String?
  package var job: String?

  package init() {}

  package static let members: [WireMember<Self>] = [
    .required("code", \.code, "A stable word for the kind of failure, such as 'no-space'"),
    .optional("file", \.file, "The file it happened on"),
    .optional("offset", \.offset, "The byte in the file"),
    .optional("guest-offset", \.guestOffset, "The byte on the guest's disk"),
    .optional("errno", \.errno, "The system's error number"),
    .optional("node", \.node, "The daemon's own node that stands in the way, if one does"),
    .optional("job", \.job, "The daemon's own job that stands in the way, if one does"),
  ]
}

extension QMPErrorDetail {
  /// There is nothing of the name that a command says.
  static let notFound = QMPErrorDetail { $0.code = "not-found" }

  /// `sentence` with the file on which it happened, where it does not name it.
  package func naming(in sentence: String) -> String {
    guard let file, !sentence.contains(file) else { return sentence }
    return "\(sentence) [\(file)]"
  }
}
