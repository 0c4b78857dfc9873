// What jobs leave in `x-result`.

/// The result of a commit.
///
/// Isolation: value.
package struct CommitResult: WireRecord {
  package var invalidImages: [String] = []
  package var bytesCopied = 0
  package var durationMilliseconds = 0

  package init() {}

  package static let members: [WireMember<Self>] = [
    .required(
      "invalid-images", \.invalidImages,
      "Files between base and top: without the overlays above they no longer show a guest's disk"),
    .required("bytes-copied", \.bytesCopied, "Guest bytes written to base"),
    .required("duration-ms", \.durationMilliseconds, "Milliseconds from start to end"),
  ]
}

/// The result of a stream.
///
/// Isolation: value.
package struct StreamResult: WireRecord {
  package var bytesCopied = 0
  package var durationMilliseconds = 0

  package init() {}

  package static let members: [WireMember<Self>] = [
    .required("bytes-copied", \.bytesCopied, "Guest bytes written to the node"),
    .required("duration-ms", \.durationMilliseconds, "Milliseconds from start to end"),
  ]
}

/// The result of `x-block-checksum`.
///
/// Isolation: value.
package struct ChecksumResult: WireRecord {
  package var algorithm = ""
  package var digest = ""

  package init() {}

  package static let members: [WireMember<Self>] = [
    .required("algorithm", \.algorithm, "How the digest is made, such as 'sha256'"),
    .required("digest", \.digest, "The digest of all that a guest reads, in hexadecimal"),
  ]
}

/// The result of `x-block-compare`.
///
/// Isolation: value.
package struct CompareResult: WireRecord {
  package var equal = false
  package var offset: Int?

  package init() {}

  package static let members: [WireMember<Self>] = [
    .required("equal", \.equal, "Whether guests of both nodes read the same"),
    .optional("offset", \.offset, "The first byte that differs"),
  ]
}
