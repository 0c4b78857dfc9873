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
    .unsupported("data-file"),
    .unsupported("encrypt"),
  ]
}

/// What a raw node needs.
///
/// Isolation: value.
package struct RawOptions: WireRecord {
  package var file = BlockdevReference.node("")

  package init() {}

  /// A disk whose bytes are those of `file`.
  package init(file: BlockdevReference) { self.file = file }

  package static let members: [WireMember<Self>] = [
    .required("file", \.file, "The node that holds the bytes"),
    .unsupported("offset"),
    .unsupported("size"),
  ]
}

/// What a node on the host's own files needs.
///
/// Isolation: value.
package struct FileOptions: WireRecord {
  package var filename = ""
  package var locking = OnOffAuto.auto

  package init() {}

  /// The file or device at `filename`.
  package init(filename: String) { self.filename = filename }

  package static let members: [WireMember<Self>] = [
    .required("filename", \.filename, "The path of the file or device"),
    .defaulted(
      "locking", \.locking,
      "Whether to keep other processes out by QEMU's locks; 'auto' does where the system can"),
  ]
}
