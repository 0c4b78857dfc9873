package import BlockCore
import BlockIO

extension Qcow2Image {
  package func checkBackingLink(_ link: BackingLink?) throws(BlockError) {
    _ = try look { (state) throws(BlockError) in try state.planBackingLink(link) }
  }

  /// Order: the new name in unused bytes of the first cluster, flush (`backingNameBeforeHeader`);
  /// then its place, its length and the backing format in one write of the first sector, flush
  /// (`backingLink`).
  ///
  /// Crash: up to the first flush the old link, with bytes beside it that nobody reads; up to the
  /// second the old link or the new one, each with its own format; after it the new one.
  ///
  /// Tests: `CrashSmokeTests` (link, commit), `HeaderRewriteTests`, `HeaderSwitchTests`.
  package func setBackingLink(_ link: BackingLink?) throws(BlockError) {
    try change { (state) throws(BlockError) in
      let change = try state.planBackingLink(link)
      if let name = change.nameWrite {
        try state.io.write(name.bytes, .header, at: name.offset)
        try state.io.flush(.backingNameBeforeHeader)
      }
      try state.switchHeader(change.sector, at: 0)
      try state.io.flush(.backingLink)
      state.header = change.header
    }
  }
}

extension Qcow2State {
  /// Reads the first cluster and plans the change.
  fileprivate func planBackingLink(_ link: BackingLink?) throws(BlockError) -> BackingLinkChange {
    var cluster = [UInt8](repeating: 0, count: geometry.clusterSize)
    _ = try cluster.withMutableBytes { (bytes) throws(BlockError) in
      try io.storage.read(into: &bytes, at: 0)
    }
    return try BackingLinkChange(header, cluster: cluster, link: link, file: name)
  }
}
