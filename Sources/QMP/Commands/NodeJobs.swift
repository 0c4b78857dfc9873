// Work on what a guest sees, for our client; extensions of ours. Each starts a job.

/// Writes a pattern, or the bytes of a file, as a guest would.
///
/// Isolation: value.
package struct BlockWrite: JobStartingCommand {
  package typealias Reply = EmptyReply

  package var node = ""
  package var offset = 0
  package var length = 0
  package var pattern: Int?
  package var from: String?
  package var job = JobStart()

  package init() {}

  package static let name = "x-block-write"
  package static let summary = "Starts a job that writes a pattern or a file into a node"
  package static let members: [WireMember<Self>] =
    [
      .required("node", \.node, "The node"),
      .required("offset", \.offset, "The first byte to write").nonNegative,
      .required("length", \.length, "Bytes to write").nonNegative,
      .optional("pattern", \.pattern, "The byte to write; this or 'from'").within(
        0...255, "a value from 0 to 255"),
      .optional(
        "from", \.from, "The path of the file whose first bytes to write; this or 'pattern'"),
    ] + jobMembers
}

extension BlockWrite {
  /// What to write.
  package enum Source: Hashable, Sendable {
    /// This byte, again and again.
    case pattern(UInt8)
    /// The first bytes of the file at this path.
    case file(String)
  }

  /// What the arguments say to write; an error where they say nothing or two things.
  package func source() throws(QMPError) -> Source {
    switch (pattern.flatMap(UInt8.init(exactly:)), from) {
    case (let pattern?, nil): return .pattern(pattern)
    case (nil, let path?): return .file(path)
    case (nil, nil): throw QMPError("Parameter 'pattern' or 'from' is missing")
    case (_?, _?): throw QMPError("'pattern' and 'from' are mutually exclusive")
    }
  }
}

/// Takes the checksum of all that a guest reads.
///
/// Isolation: value.
package struct BlockChecksum: JobStartingCommand {
  package typealias Reply = EmptyReply

  package var node = ""
  package var job = JobStart()

  package init() {}

  package static let name = "x-block-checksum"
  package static let summary = "Starts a job whose x-result is the checksum of a node"
  package static let members: [WireMember<Self>] =
    [
      .required("node", \.node, "The node")
    ] + jobMembers
}

/// Compares what guests of two nodes read.
///
/// Isolation: value.
package struct BlockCompare: JobStartingCommand {
  package typealias Reply = EmptyReply

  package var node = ""
  package var other = ""
  package var job = JobStart()

  package init() {}

  package static let name = "x-block-compare"
  package static let summary = "Starts a job whose x-result tells whether two nodes read the same"
  package static let members: [WireMember<Self>] =
    [
      .required("node", \.node, "One node"),
      .required("other", \.other, "The other; where it is shorter it counts as zeros"),
    ] + jobMembers
}
