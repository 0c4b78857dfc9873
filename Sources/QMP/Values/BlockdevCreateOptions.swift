/// An image to make.
///
/// Isolation: value.
package struct BlockdevCreateOptions: WireRecord {
  package var format = CreateFormat.file(FileCreateOptions())

  package init() {}

  /// An image of `format`.
  package init(_ format: CreateFormat) { self.format = format }

  package static let members: [WireMember<Self>] = [.choice(\.format, "What to make")]
}

/// What can be made.
///
/// Isolation: value.
package enum CreateFormat: WireChoice {
  case file(FileCreateOptions)
  case qcow2(Qcow2CreateOptions)

  package static let discriminator = "driver"
  package static let branches: [WireBranch<Self>] = [
    WireBranch(BlockDriver.file.rawValue, wrap: Self.file) {
      if case .file(let options) = $0 { options } else { nil }
    },
    WireBranch(BlockDriver.qcow2.rawValue, wrap: Self.qcow2) {
      if case .qcow2(let options) = $0 { options } else { nil }
    },
  ]
}

/// A regular file to make, or to make anew.
///
/// Isolation: value.
package struct FileCreateOptions: WireRecord {
  /// How much of the file gets space at once.
  package enum Preallocation: String, WireEnum {
    /// None.
    case off
    /// All, reserved without writing.
    case falloc
    /// All, written as zeros.
    case full
  }

  package var filename = ""
  package var size = 0
  package var preallocation = Preallocation.off

  package init() {}

  package static let members: [WireMember<Self>] = [
    .required("filename", \.filename, "The path of the file"),
    .required("size", \.size, "The file's length in bytes").byteSize,
    .defaulted("preallocation", \.preallocation, "How much gets space at once"),
    .onlyOff("nocow", "Whether the file system's copy on write is off; only false"),
    .ignored("extent-size-hint", as: Int.self, "No effect: a hint for XFS").nonNegative,
  ]
}

/// A qcow2 image to make in a node.
///
/// Isolation: value.
package struct Qcow2CreateOptions: WireRecord {
  /// How much of the image is set up at once.
  package enum Preallocation: String, WireEnum {
    /// The header and empty tables.
    case off
    /// All tables; the data clusters have their place but no bytes.
    case metadata
    /// All tables, and the space of the data clusters.
    case falloc
    /// The same, as zeros.
    case full
  }

  package var file = BlockdevReference.node("")
  package var size = 0
  package var version = Qcow2Version.v3
  package var backingFile: String?
  package var backingFormat: BlockDriver?
  package var clusterSize = 65_536
  package var refcountBits = 16
  package var lazyRefcounts = false
  package var preallocation = Preallocation.off
  package var compression = Qcow2Compression.zlib

  package init() {}

  package static let members: [WireMember<Self>] = [
    .required("file", \.file, "The node that is to hold the image; what it holds now is lost"),
    .required("size", \.size, "The size of the guest's disk in bytes").byteSize,
    .defaulted("version", \.version, "The version of the header"),
    .optional("backing-file", \.backingFile, "The backing file's name, stored as it is"),
    .optional("backing-fmt", \.backingFormat, "The backing file's format"),
    .defaulted("cluster-size", \.clusterSize, "A power of two from 512 to 2 MiB").byteSize,
    .defaulted("refcount-bits", \.refcountBits, "The width of a refcount: 1, 2, 4, 8, … 64"),
    .defaulted("lazy-refcounts", \.lazyRefcounts, "Whether refcounts may be left for later"),
    .defaulted("preallocation", \.preallocation, "How much is set up at once"),
    .unsupported("data-file"),
    .onlyOff("data-file-raw", "Whether an external data file is a raw image; only false"),
    .onlyOff("extended-l2", "Whether entries have subclusters; only false"),
    .unsupported("encrypt"),
    .defaulted("compression-type", \.compression, "How compressed clusters will be packed"),
  ]
}
