/// Checks the metadata of an image, and repairs them where it is told to; an extension of ours.
///
/// Isolation: value.
package struct BlockCheck: JobStartingCommand {
  /// What may be changed.
  package enum Fix: String, WireEnum {
    /// Nothing.
    case none
    /// Refcounts that are too high.
    case leaks
    /// All refcounts, and the flags that follow from them.
    case all
  }

  package typealias Reply = EmptyReply

  /// The refusal of a node whose format has no metadata, in QEMU's words.
  package static let unsupportedFormat = "This image format does not support checks"

  package var node = ""
  package var fix = Fix.none
  package var job = JobStart()

  package init() {}

  package static let name = "block-check"
  package static let summary = "Starts a job that checks an image's metadata, and may repair them"
  package static let members: [WireMember<Self>] =
    [
      .required("node", \.node, "The image's node"),
      .defaulted("fix", \.fix, "What to repair"),
    ] + jobMembers
}

/// The result of `block-check`: the numbers of `qemu-img check`.
///
/// Isolation: value.
package struct ImageCheck: WireRecord {
  package var imageEndOffset = 0
  package var compressedClusters = 0
  package var totalClusters = 0
  package var corruptions = 0
  package var corruptionsFixed = 0
  package var checkErrors = 0
  package var leaks = 0
  package var leaksFixed = 0
  package var allocatedClusters = 0
  package var fragmentedClusters = 0
  package var findings: [String] = []

  package init() {}

  package static let members: [WireMember<Self>] = [
    .required("image-end-offset", \.imageEndOffset, "One past the last cluster in use, in bytes"),
    .required("compressed-clusters", \.compressedClusters, "Allocated clusters, compressed"),
    .required("total-clusters", \.totalClusters, "Clusters of the guest's disk"),
    .required("corruptions", \.corruptions, "Faults that may harm data, and are there now"),
    .required("corruptions-fixed", \.corruptionsFixed, "Such faults that were repaired"),
    .required("check-errors", \.checkErrors, "Places that could not be checked"),
    .required("leaks", \.leaks, "Clusters in use by nothing, which waste space"),
    .required("leaks-fixed", \.leaksFixed, "Such clusters that were freed"),
    .required("allocated-clusters", \.allocatedClusters, "Clusters that the image holds"),
    .required("fragmented-clusters", \.fragmentedClusters, "Those not behind their neighbour"),
    .defaulted("findings", \.findings, "The first faults that were found, a sentence each"),
  ]
}
