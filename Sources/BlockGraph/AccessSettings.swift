import BlockIO

/// How a node is opened, after everything that it takes from its parent.
///
/// Isolation: value.
package struct AccessSettings: Hashable, Sendable {
  package var isReadOnly = false
  package var autoReadOnly = false
  package var forceShare = false
  package var cacheDirect = false
  package var cacheNoFlush = false
  package var discard = NodeOptions.Discard.ignore

  /// The settings of a child that `specification` describes, below a node with these settings.
  func applying(_ specification: NodeSpecification) -> AccessSettings {
    AccessSettings(
      isReadOnly: specification.isReadOnly ?? isReadOnly,
      autoReadOnly: specification.autoReadOnly ?? autoReadOnly,
      forceShare: specification.forceShare ?? forceShare,
      cacheDirect: specification.cacheDirect ?? cacheDirect,
      cacheNoFlush: specification.cacheNoFlush ?? cacheNoFlush,
      discard: specification.discard ?? discard)
  }

  /// The settings that a backing node takes from its overlay: read-only, whatever the overlay is.
  var forBacking: AccessSettings {
    var copy = self
    copy.isReadOnly = true
    copy.autoReadOnly = false
    return copy
  }

  /// The same as options of a file that is locked as `locking` says.
  func fileOptions(_ locking: HostFileOptions.Locking) -> HostFileOptions {
    HostFileOptions(
      isReadOnly: isReadOnly, autoReadOnly: autoReadOnly, direct: cacheDirect,
      noFlush: cacheNoFlush, locking: locking, forceShare: forceShare)
  }

  /// What a format with these settings needs of its file.
  var fileAccess: FileAccess {
    if !isReadOnly { return .writer }
    return forceShare ? .forceShare : .reader
  }
}
