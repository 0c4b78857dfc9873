package import JSONValue

/// One node in `query-blockstats`.
///
/// Isolation: value.
package struct BlockStats: WireRecord {
  package var nodeName: String?
  package var stats = BlockDeviceStats()
  package var driverSpecific: FileDriverStats?
  /// The node below that holds the bytes; an array of none or one, because a struct cannot hold
  /// itself.
  package var below: [BlockStats] = []

  package init() {}

  package static let members: [WireMember<Self>] = [
    .optional("node-name", \.nodeName, "The node"),
    .required("stats", \.stats, "What has passed through it"),
    .optional("driver-specific", \.driverSpecific, "What only a file or device has"),
    .optional("parent", \.parent, "The node that holds the image's bytes"),
  ]

  /// The node that holds the image's bytes.
  package var parent: BlockStats? {
    get { below.first }
    set { below = newValue.map { [$0] } ?? [] }
  }
}

/// What has become of a file's discards.
///
/// Isolation: value.
package struct FileDriverStats: WireRecord {
  package var driver = BlockDriver.file
  package var discards = 0
  package var failedDiscards = 0
  package var discardedBytes = 0

  package init() {}

  package static let members: [WireMember<Self>] = [
    .required("driver", \.driver, "The driver: 'file' or 'host_device'"),
    .required("discard-nb-ok", \.discards, "Discards"),
    .required("discard-nb-failed", \.failedDiscards, "Discards that failed"),
    .required("discard-bytes-ok", \.discardedBytes, "Bytes discarded"),
  ]
}

/// What has passed through a node since it was opened.
///
/// Isolation: value.
package struct BlockDeviceStats: WireRecord {
  package var readBytes = 0
  package var writtenBytes = 0
  package var reads = 0
  package var writes = 0
  package var flushes = 0
  package var readNanoseconds = 0
  package var writeNanoseconds = 0
  package var flushNanoseconds = 0
  package var failedReads = 0
  package var failedWrites = 0
  package var failedFlushes = 0
  package var highestWrite = 0
  package var uncounted = UncountedRequests()

  package init() {}

  package static let members: [WireMember<Self>] =
    [
      .required("rd_bytes", \.readBytes, "Bytes read"),
      .required("wr_bytes", \.writtenBytes, "Bytes written, zeros among them"),
      .required("rd_operations", \.reads, "Reads"),
      .required("wr_operations", \.writes, "Writes"),
      .required("flush_operations", \.flushes, "Flushes"),
      .required("rd_total_time_ns", \.readNanoseconds, "What the reads took together"),
      .required("wr_total_time_ns", \.writeNanoseconds, "What the writes took together"),
      .required("flush_total_time_ns", \.flushNanoseconds, "What the flushes took together"),
      .required(
        "failed_rd_operations", \.failedReads, "Reads that failed, which count nowhere else"),
      .required("failed_wr_operations", \.failedWrites, "Writes that failed"),
      .required("failed_flush_operations", \.failedFlushes, "Flushes that failed"),
      .required("wr_highest_offset", \.highestWrite, "Where the highest write ended"),
    ] + UncountedRequests.members.map { $0.lifted(to: \.uncounted) }
}

/// What never happens here, for QEMU's readers who demand it.
///
/// Isolation: value.
package struct UncountedRequests: WireRecord {
  package var discardedBytes = 0
  package var discards = 0
  package var discardNanoseconds = 0
  package var failedDiscards = 0
  package var mergedReads = 0
  package var mergedWrites = 0
  package var mergedDiscards = 0
  package var invalidReads = 0
  package var invalidWrites = 0
  package var invalidFlushes = 0
  package var invalidDiscards = 0
  package var zoneAppends = ZoneAppends()
  package var countsInvalid = false
  package var countsFailed = false
  package var intervals: [JSONValue] = []

  package init() {}

  package static let members: [WireMember<Self>] =
    [
      .required("unmap_bytes", \.discardedBytes, "Always 0: no guest is here that discards"),
      .required("unmap_operations", \.discards, "Always 0: no guest is here that discards"),
      .required(
        "unmap_total_time_ns", \.discardNanoseconds, "Always 0: no guest is here that discards"),
      .required(
        "failed_unmap_operations", \.failedDiscards, "Always 0: no guest is here that discards"),
      .required("rd_merged", \.mergedReads, "Always 0: requests are not merged"),
      .required("wr_merged", \.mergedWrites, "Always 0: requests are not merged"),
      .required("unmap_merged", \.mergedDiscards, "Always 0: requests are not merged"),
      .required(
        "invalid_rd_operations", \.invalidReads,
        "Always 0: such a request has an error as its answer"),
      .required(
        "invalid_wr_operations", \.invalidWrites,
        "Always 0: such a request has an error as its answer"),
      .required(
        "invalid_flush_operations", \.invalidFlushes, "Always 0: there is nothing to get wrong"),
      .required(
        "invalid_unmap_operations", \.invalidDiscards,
        "Always 0: such a request has an error as its answer"),
      .required("account_invalid", \.countsInvalid, "Always false"),
      .required("account_failed", \.countsFailed, "Always false: times are of what succeeded"),
      .required("timed_stats", \.intervals, "Always empty: there are no intervals"),
    ] + ZoneAppends.members.map { $0.lifted(to: \.zoneAppends) }
}

/// The requests of zoned devices, of which there are none.
///
/// Isolation: value.
package struct ZoneAppends: WireRecord {
  package var bytes = 0
  package var operations = 0
  package var nanoseconds = 0
  package var merged = 0
  package var failed = 0
  package var invalid = 0

  package init() {}

  package static let members: [WireMember<Self>] = [
    .required("zone_append_bytes", \.bytes, "Always 0: there are no zones"),
    .required("zone_append_operations", \.operations, "Always 0: there are no zones"),
    .required("zone_append_total_time_ns", \.nanoseconds, "Always 0: there are no zones"),
    .required("zone_append_merged", \.merged, "Always 0: there are no zones"),
    .required("failed_zone_append_operations", \.failed, "Always 0: there are no zones"),
    .required("invalid_zone_append_operations", \.invalid, "Always 0: there are no zones"),
  ]
}
