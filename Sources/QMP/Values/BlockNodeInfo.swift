/// One node in `query-named-block-nodes`. The members about throttling are there because QEMU's
/// readers demand them.
///
/// Isolation: value.
package struct BlockNodeInfo: WireRecord {
  package var nodeName = ""
  package var driver = BlockDriver.raw
  package var file = ""
  package var readOnly = false
  package var backingFile: String?
  package var backingFileDepth = 0
  package var encrypted = false
  package var detectZeroes = DetectZeroes.off
  package var cache = NodeCacheInfo()
  package var image = NodeImageInfo()
  package var writeThreshold = 0
  package var throttle = NoThrottle()

  package init() {}

  package static let members: [WireMember<Self>] =
    [
      .required("node-name", \.nodeName, "The node"),
      .required("drv", \.driver, "What the node is made of"),
      .required("file", \.file, "The file or device at the bottom of the node"),
      .required("ro", \.readOnly, "Whether nothing may be written"),
      .optional("backing_file", \.backingFile, "The file of the node below"),
      .required("backing_file_depth", \.backingFileDepth, "How many nodes lie below"),
      .required("encrypted", \.encrypted, "Always false"),
      .required("detect_zeroes", \.detectZeroes, "What becomes of written zeros"),
      .required("cache", \.cache, "How the host's page cache is used"),
      .required("image", \.image, "The image in the node"),
      .required("write_threshold", \.writeThreshold, "Always 0: there is no threshold"),
    ] + NoThrottle.members.map { $0.lifted(to: \.throttle) }
}

/// The limits of a node that has none.
///
/// Isolation: value.
package struct NoThrottle: WireRecord {
  package var bps = 0
  package var bpsRead = 0
  package var bpsWrite = 0
  package var iops = 0
  package var iopsRead = 0
  package var iopsWrite = 0

  package init() {}

  package static let members: [WireMember<Self>] = [
    .required("bps", \.bps, "Always 0: no limit"),
    .required("bps_rd", \.bpsRead, "Always 0: no limit"),
    .required("bps_wr", \.bpsWrite, "Always 0: no limit"),
    .required("iops", \.iops, "Always 0: no limit"),
    .required("iops_rd", \.iopsRead, "Always 0: no limit"),
    .required("iops_wr", \.iopsWrite, "Always 0: no limit"),
  ]
}

/// How a node uses the host's page cache.
///
/// Isolation: value.
package struct NodeCacheInfo: WireRecord {
  package var writeback = true
  package var direct = false
  package var noFlush = false

  package init() {}

  package static let members: [WireMember<Self>] = [
    .required("writeback", \.writeback, "Always true: a write is durable after a flush only"),
    .required("direct", \.direct, "Whether the page cache is gone round"),
    .required("no-flush", \.noFlush, "Whether flushes do nothing"),
  ]
}
