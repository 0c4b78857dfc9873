package import BlockCore
package import BlockIO

/// What a new image shall be.
///
/// Isolation: value.
package struct Qcow2CreateOptions: Hashable, Sendable {
  /// Guest disk's length in bytes.
  package var size: Int
  /// 2 or 3.
  package var version = 3
  /// A power of two, 512 to 2 MiB.
  package var clusterSize = 65_536
  /// A power of two, 1 to 64; 16 with version 2.
  package var refcountBits = 16
  /// Sets the compatible feature bit; this program's own refcounts are never late.
  package var lazyRefcounts = false
  /// How much is set up at once.
  package var preallocation = Preallocation.off
  /// How compressed clusters will be packed; version 2 knows zlib only.
  package var compression = CompressionType.zlib
  /// The backing file, as it shall stand in the header.
  package var backing: BackingLink?

  /// How much of an image is set up when it is made.
  package enum Preallocation: Hashable, Sendable {
    /// Nothing but empty tables.
    case off
    /// All clusters are allocated, without their data being written.
    case metadata
    /// They have their space, too, and read zero.
    case space
  }

  /// A version 3 image of `size` bytes with 64 KiB clusters and 16-bit refcounts.
  package init(size: Int) { self.size = size }
}

/// Makes new images.
///
/// Isolation: any thread.
package enum Qcow2Create {
  /// Writes an empty image over all that `storage` holds.
  ///
  /// - Throws: `invalidArgument` for options that the format cannot have, before anything is
  ///   written; `noSpace` or `io` from the storage.
  ///
  /// Crash: before `creation`, the one flush, no image or half of one, which nobody has been told
  /// of (on a device the old header may stand over new tables: what was there is given up when
  /// this begins); after it the whole image. With a `preallocation` the empty image is durable
  /// first, and then what a crash leaves of a write.
  ///
  /// Tests: `CrashSmokeTests` (create), `GrowthTests`.
  ///
  /// `elided` is a flush to leave out; for the crash simulator alone.
  package static func create(
    _ options: Qcow2CreateOptions, on storage: any Storage, eliding elided: FlushPlace? = nil
  ) throws(BlockError) {
    let geometry = try check(options)
    if !storage.traits.isDevice { try storage.truncate(to: 0) }
    let entries = geometry.l1Entries(for: options.size)
    let layout = EmptyLayout(geometry, start: HostCluster(index: 1), l1Entries: entries)
    let header = try header(options, geometry, layout, entries, file: storage.name)
    // Header last: until it stands, a file is no image at all.
    var state = Qcow2State(
      header, MetadataIO(storage: storage, elided: elided),
      PageStore(try CacheLimits(CacheSizes()), of: CacheBudget()),
      fileEnd: storage.traits.isDevice ? try storage.size() : 0)
    try layout.write(to: &state)
    try state.io.write(header.encodedCluster, .header, at: 0)
    try state.io.flush(.creation)
    if options.preallocation != .off {
      let image = try Qcow2Image.open(on: storage, readOnly: false)
      try image.preallocate(space: options.preallocation == .space)
      try image.close()
    }
  }

  private static func check(_ options: Qcow2CreateOptions) throws(BlockError) -> ClusterGeometry {
    func refuse(_ message: String) -> BlockError { BlockError(.invalidArgument, message) }
    guard options.version == 2 || options.version == 3 else {
      throw refuse("qcow2 version \(options.version) is not 2 or 3")
    }
    guard options.clusterSize.isPowerOfTwo, (512...(2 << 20)).contains(options.clusterSize) else {
      throw refuse("Cluster size must be a power of two between 512 and 2048k")
    }
    guard options.refcountBits.isPowerOfTwo, options.refcountBits <= 64 else {
      throw refuse("Refcount width must be a power of two and may not exceed 64 bits")
    }
    if options.version == 2 {
      guard options.refcountBits == 16 else {
        throw refuse(
          "Different refcount widths than 16 bits require compatibility level 1.1 or above "
            + "(use version=v3 or greater)")
      }
      guard !options.lazyRefcounts else {
        throw refuse(
          "Lazy refcounts only supported with compatibility level 1.1 and above (use version=v3 or "
            + "greater)")
      }
      guard options.compression == .zlib else {
        throw refuse(
          "Non-zlib compression type is only supported with compatibility level 1.1 and above (use "
            + "version=v3 or greater)")
      }
    }
    guard (0...Limits.diskBytes).contains(options.size) else {
      throw refuse("Image size \(options.size) is out of range")
    }
    let geometry = ClusterGeometry(
      clusterBits: options.clusterSize.trailingZeroBitCount,
      refcountOrder: options.refcountBits.trailingZeroBitCount)
    guard geometry.l1Entries(for: options.size) * 8 <= Limits.l1TableBytes else {
      throw refuse(
        "Image size \(options.size) is too large for clusters of \(options.clusterSize) bytes")
    }
    return geometry
  }

  private static func header(
    _ options: Qcow2CreateOptions, _ geometry: ClusterGeometry, _ layout: EmptyLayout,
    _ l1Entries: Int, file: String
  ) throws(BlockError) -> Qcow2Header {
    let empty = Qcow2Header(
      version: options.version, geometry: geometry, size: options.size, l1Entries: l1Entries,
      l1Offset: geometry.offset(of: layout.l1),
      refcountTableOffset: geometry.offset(of: layout.start),
      refcountTableClusters: layout.tableClusters, snapshotCount: 0, snapshotsOffset: 0,
      incompatible: options.compression == .zlib ? [] : .compressionType,
      compatible: options.lazyRefcounts ? .lazyRefcounts : [], autoclear: [],
      headerLength: options.version == 3 ? Qcow2Header.version3Length : Qcow2Header.version2Length,
      compression: options.compression, extensions: [], backingName: ByteRange(at: 0, length: 0),
      backingNameBytes: [])
    guard let backing = options.backing else { return empty }
    return try BackingLinkChange(
      empty, cluster: empty.encodedCluster, link: backing, file: file
    ).header
  }
}

extension Qcow2Image {
  /// Allocates every cluster, without writing data: they read zero, being new. With `space` the
  /// file system sets their space aside.
  fileprivate func preallocate(space: Bool) throws(BlockError) {
    var rest = ByteRange(at: 0, length: virtualSize.roundedUp(to: clusterSize))
    while !rest.isEmpty {
      let wanted = rest.prefix(geometry.bytesPerL2Table)
      let done = try change { (state) throws(BlockError) in
        let plan = try state.planWrite(wanted)
        let isVirgin = if case .new(isVirgin: false) = plan.kind { false } else { true }
        if space || !isVirgin {
          try state.io.storage.writeZeroes(
            ByteRange(at: plan.host, length: plan.guest.length), deallocate: false)
        }
        try state.link(plan)
        return plan.guest.length
      }
      rest = rest.dropping(done)
    }
  }
}
