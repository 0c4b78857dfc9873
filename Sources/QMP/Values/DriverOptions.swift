package import JSONValue

/// What a node is made of, and what only that driver needs to know.
///
/// Isolation: value.
package enum DriverOptions: WireChoice {
  case qcow2(Qcow2Options)
  case raw(RawOptions)
  case file(FileOptions)
  case hostDevice(FileOptions)

  /// The driver's name.
  package var driver: BlockDriver {
    switch self {
    case .qcow2: .qcow2
    case .raw: .raw
    case .file: .file
    case .hostDevice: .hostDevice
    }
  }

  package static let discriminator = "driver"
  package static let branches: [WireBranch<Self>] = [
    WireBranch(BlockDriver.qcow2.rawValue, wrap: Self.qcow2) {
      if case .qcow2(let options) = $0 { options } else { nil }
    },
    WireBranch(BlockDriver.raw.rawValue, wrap: Self.raw) {
      if case .raw(let options) = $0 { options } else { nil }
    },
    WireBranch(BlockDriver.file.rawValue, wrap: Self.file) {
      if case .file(let options) = $0 { options } else { nil }
    },
    WireBranch(BlockDriver.hostDevice.rawValue, wrap: Self.hostDevice) {
      if case .hostDevice(let options) = $0 { options } else { nil }
    },
  ]
}

/// What a qcow2 node needs.
///
/// Isolation: value.
package struct Qcow2Options: WireRecord {
  package var file = BlockdevReference.node("")
  package var backing: BackingReference?
  package var backingFormat: ImageFormat?
  package var dropBitmaps = false
  package var isForCheck = false
  package var cacheSize: Int?
  package var l2CacheSize: Int?
  package var refcountCacheSize: Int?

  package init() {}

  /// An image in `file` over `backing`; nil takes the backing file that the header names.
  package init(file: BlockdevReference, backing: BackingReference? = nil) {
    self.file = file
    self.backing = backing
  }

  package static let members: [WireMember<Self>] = [
    .required("file", \.file, "The node that holds the image's bytes"),
    .optional(
      "backing", \.backing,
      "The node below; null for none; absent for the one that the header names"),
    .optional(
      "x-backing-format", \.backingFormat,
      "The backing file's format where the header names the file without one"),
    .defaulted(
      "x-drop-bitmaps", \.dropBitmaps,
      "Whether persistent bitmaps are freed when the image is opened for writing"),
    .defaulted(
      "x-for-check", \.isForCheck,
      "Whether to open, read-only, also an image that only a repair can make whole"),
    .optional("cache-size", \.cacheSize, "The most memory for tables, in bytes").nonNegative,
    .optional(
      "l2-cache-size", \.l2CacheSize, "The most memory for L1 and L2 tables, in bytes"
    ).nonNegative,
    .optional(
      "refcount-cache-size", \.refcountCacheSize, "The most memory for refcounts, in bytes"
    ).nonNegative,
    .ignored("l2-cache-entry-size", as: Int.self, "No effect: tables come in by 4 KiB").nonNegative,
    .ignored("cache-clean-interval", as: Int.self, "No effect: all images share one budget")
      .nonNegative,
    .ignored("lazy-refcounts", as: Bool.self, "No effect: refcounts are never late"),
    .ignored(
      "pass-discard-request", as: Bool.self, "No effect: the file gets back what 'discard' says"),
    .ignored("pass-discard-snapshot", as: Bool.self, "No effect: snapshots are not deleted here"),
    .ignored(
      "pass-discard-other", as: Bool.self, "No effect: space that is free goes back to the file"),
    .ignored("overlap-check", as: OverlapCheck.self, "No effect: tables are never overwritten"),
    .unsupported("data-file"),
    .unsupported("encrypt"),
  ]
}

/// Which writes are held against the tables, as QEMU says it.
///
/// Isolation: value.
package enum OverlapCheck: WireValue {
  case mode(OverlapCheckMode)
  case flags(OverlapCheckFlags)

  package static var expectation: String { "Qcow2OverlapChecks" }
  package static var shape: WireShape {
    .alternate([.object(OverlapCheckFlags.self), OverlapCheckMode.shape])
  }

  package init(wire value: JSONValue, at path: WirePath) throws(QMPError) {
    switch value {
    case .string: self = .mode(try OverlapCheckMode(wire: value, at: path))
    case .object: self = .flags(try OverlapCheckFlags(wire: value, at: path))
    default: throw .invalidType(path, expected: Self.expectation)
    }
  }

  package var wire: JSONValue {
    switch self {
    case .mode(let mode): mode.wire
    case .flags(let flags): flags.wire
    }
  }
}

/// How much of the metadata is looked at.
///
/// Isolation: value.
package enum OverlapCheckMode: String, WireEnum {
  case none, constant, cached, all
}

/// Single kinds of metadata, beside a mode.
///
/// Isolation: value.
package struct OverlapCheckFlags: WireRecord {
  package init() {}

  package static let members: [WireMember<Self>] =
    [.ignored("template", as: OverlapCheckMode.self, "The mode that the others differ from")]
    + [
      "main-header", "active-l1", "active-l2", "refcount-table", "refcount-block",
      "snapshot-table", "inactive-l1", "inactive-l2", "bitmap-directory",
    ].map { .ignored($0, as: Bool.self, "Whether this kind of metadata is looked at") }
}

/// What a raw node needs.
///
/// Isolation: value.
package struct RawOptions: WireRecord {
  package var file = BlockdevReference.node("")
  package var offset: Int?
  package var size: Int?

  package init() {}

  /// A disk whose bytes are those of `file`.
  package init(file: BlockdevReference) { self.file = file }

  package static let members: [WireMember<Self>] = [
    .required("file", \.file, "The node that holds the bytes"),
    .optional("offset", \.offset, "Where in the file the disk begins (default 0)").nonNegative,
    .optional("size", \.size, "The length of the disk (default: to the file's end)").nonNegative,
  ]
}

/// What a node on the host's own files needs.
///
/// Isolation: value.
package struct FileOptions: WireRecord {
  package var filename = ""
  package var locking = OnOffAuto.auto
  package var aio: AIOMode?

  package init() {}

  /// The file or device at `filename`.
  package init(filename: String) { self.filename = filename }

  package static let members: [WireMember<Self>] = [
    .required("filename", \.filename, "The path of the file or device"),
    .defaulted(
      "locking", \.locking,
      "Whether to keep other processes out by QEMU's locks; 'auto' does where the system can"),
    .optional("aio", \.aio, "A wish: how disks are asked, the server's own --io says"),
    .ignored("aio-max-batch", as: Int.self, "No effect: for Linux AIO, which is not used here")
      .nonNegative,
    .ignored("drop-cache", as: Bool.self, "No effect: for migration, which is not here"),
    .ignored("x-check-cache-dropped", as: Bool.self, "No effect: as 'drop-cache'"),
    .unsupported("pr-manager"),
  ]
}
