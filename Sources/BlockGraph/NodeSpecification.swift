import BlockCore
package import BlockIO
import BlockRuntime
package import ImageFormats

/// What `blockdev-add` asks for: a node, and the nodes below it.
///
/// Isolation: value.
package struct NodeSpecification: Hashable, Sendable {
  /// What the node does.
  package enum Driver: Hashable, Sendable {
    /// The bytes of a host file or device, by the name that a client gave.
    case file(FileSpecification)
    /// An image in the bytes of another node.
    case format(FormatSpecification)
  }

  /// The name in the graph; nil for a child that its parent alone knows.
  package var name: String?
  package var driver: Driver
  /// Whether writes are refused; nil: as the parent, and `false` at the top.
  package var isReadOnly: Bool?
  /// Read-only instead of an error where writing is not allowed; nil: as the parent.
  package var autoReadOnly: Bool?
  /// Read although somebody else writes; nil: as the parent.
  package var forceShare: Bool?
  /// Past the page cache; nil: as the parent.
  package var cacheDirect: Bool?
  /// Nothing is made durable; nil: as the parent.
  package var cacheNoFlush: Bool?
  /// What becomes of discards; nil: as the parent, and `ignore` at the top.
  package var discard: NodeOptions.Discard?
  /// What becomes of zeros that are written.
  package var detectZeroes = NodeOptions.DetectZeroes.off

  /// A node that takes everything else from its parent or from the defaults.
  package init(name: String? = nil, _ driver: Driver) {
    self.name = name
    self.driver = driver
  }

  /// How it treats guest writes, where `settings` are what it has after all.
  func options(_ settings: AccessSettings) -> NodeOptions {
    NodeOptions(discard: settings.discard, detectZeroes: detectZeroes)
  }

  /// What its opening competes with for lanes.
  var openings: DeviceKey {
    switch driver {
    case .file(let file): DeviceKey(opening: file.fileName)
    case .format(let format):
      switch format.file {
      case .inline(let specification): specification.openings
      case .named(let name): DeviceKey(opening: name)
      }
    }
  }

  /// Every name that it says.
  var allNames: [String] { names.given + names.referredTo }

  /// The names that this node and all below it are to have, and those that they refer to.
  var names: (given: [String], referredTo: [String]) {
    var given = name.map { [$0] } ?? []
    var referredTo: [String] = []
    guard case .format(let format) = driver else { return (given, referredTo) }
    for child in [format.file] + format.backing.children {
      switch child {
      case .named(let name): referredTo.append(name)
      case .inline(let specification):
        given += specification.names.given
        referredTo += specification.names.referredTo
      }
    }
    return (given, referredTo)
  }
}

/// A host file or device.
///
/// Isolation: value.
package struct FileSpecification: Hashable, Sendable {
  /// What the name must stand for.
  package enum Kind: String, Hashable, Sendable {
    case file
    case hostDevice = "host_device"
  }

  /// Nil for whatever it is.
  package var kind: Kind?
  /// The name as the client gave it.
  package var fileName: String
  /// Whether QEMU's locks keep others out; a file that only a header names is locked where that can
  /// be.
  package var locking: HostFileOptions.Locking
  /// How the client wants the system to be asked; nil where it did not say. Only checked.
  package var aio: AIO?

  /// The ways of asking that QEMU has.
  package enum AIO: Hashable, Sendable { case threads, native, ioUring }

  package init(
    _ kind: Kind?, _ fileName: String, locking: HostFileOptions.Locking = .automatic,
    aio: AIO? = nil
  ) {
    self.kind = kind
    self.fileName = fileName
    self.locking = locking
    self.aio = aio
  }

  /// Throws `invalidArgument` where `aio` does not go together with `settings`.
  func check(_ settings: AccessSettings) throws(BlockError) {
    guard aio != .native || settings.cacheDirect else {
      throw BlockError(
        .invalidArgument,
        "aio=native was specified, but it requires cache.direct=on, which was not specified.")
    }
  }
}

/// An image in a format.
///
/// Isolation: value.
package struct FormatSpecification: Hashable, Sendable {
  /// The formats that there are.
  package enum Format: String, Hashable, Sendable, CaseIterable { case qcow2, raw }

  /// A node below, described in place or there already.
  package indirect enum Child: Hashable, Sendable {
    case inline(NodeSpecification)
    case named(String)
  }

  /// What lies under the image.
  package enum Backing: Hashable, Sendable {
    /// What the image's header names, opened read-only.
    case fromHeader
    /// Nothing, whatever the header says.
    case none
    /// This node, whatever the header says.
    case node(Child)

    var children: [Child] { if case .node(let child) = self { [child] } else { [] } }
  }

  package var format: Format
  package var file: Child
  package var backing: Backing
  /// The format of the backing file where its header names one without a format.
  package var backingFormat: Format?
  /// Open an image with persistent bitmaps for writing, and so lose them.
  package var dropBitmaps: Bool
  /// Open, for reading only, also an image that only a repair can make whole.
  package var isForCheck: Bool
  /// The most memory for the image's tables.
  package var cache: CacheSizes
  /// The part of the file that a raw image is.
  package var window = RawWindow()

  package init(
    _ format: Format, file: Child, backing: Backing = .fromHeader, backingFormat: Format? = nil,
    dropBitmaps: Bool = false, isForCheck: Bool = false, cache: CacheSizes = CacheSizes()
  ) {
    self.format = format
    self.file = file
    self.backing = backing
    self.backingFormat = backingFormat
    self.dropBitmaps = dropBitmaps
    self.isForCheck = isForCheck
    self.cache = cache
  }
}
