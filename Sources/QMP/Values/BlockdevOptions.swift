/// A node to open: what it is made of, and how it may be used.
///
/// What is absent here, a child takes from the node above it; the topmost node takes the default.
///
/// Isolation: value.
package struct BlockdevOptions: WireRecord {
  package var driver = DriverOptions.file(FileOptions())
  package var nodeName: String?
  package var readOnly: Bool?
  package var autoReadOnly: Bool?
  package var forceShare: Bool?
  package var discard: DiscardMode?
  package var detectZeroes: DetectZeroes?
  package var cache: CacheOptions?

  package init() {}

  /// A node made of `driver`, with defaults for the rest.
  package init(_ driver: DriverOptions, nodeName: String? = nil) {
    self.driver = driver
    self.nodeName = nodeName
  }

  package static let members: [WireMember<Self>] = [
    .choice(\.driver, "What the node is made of"),
    .optional("node-name", \.nodeName, "The node's name; absent, it gets one that begins with #"),
    .optional("read-only", \.readOnly, "Whether nothing may be written (default false)"),
    .optional(
      "auto-read-only", \.autoReadOnly,
      "Whether a node that cannot be opened for writing is opened read-only (default false)"),
    .optional(
      "force-share", \.forceShare,
      "Whether to open a file that others write to; only with read-only (default false)"),
    .optional(
      "discard", \.discard,
      "What becomes of a discard (default: as with the node above, else 'ignore')"),
    .optional("detect-zeroes", \.detectZeroes, "What becomes of written zeros (default 'off')"),
    .optional("cache", \.cache, "How the host's page cache is used"),
  ]
}

/// How the host's page cache is used.
///
/// Isolation: value.
package struct CacheOptions: WireRecord {
  package var direct: Bool?
  package var noFlush: Bool?

  package init() {}

  package static let members: [WireMember<Self>] = [
    .optional("direct", \.direct, "Whether to go round the page cache (default false)"),
    .optional("no-flush", \.noFlush, "Whether flushes do nothing (default false)"),
  ]
}
