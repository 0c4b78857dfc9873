import BlockCore
import BlockGraph
import QMP

import struct BlockIO.HostFileOptions
import struct ImageFormats.CacheSizes
import struct ImageFormats.RawWindow

extension NodeSpecification {
  /// The node that a client describes.
  init(_ options: BlockdevOptions) {
    let driver: Driver =
      switch options.driver {
      case .file(let file): .file(FileSpecification(.file, file))
      case .hostDevice(let file): .file(FileSpecification(.hostDevice, file))
      case .raw(let raw): .format(FormatSpecification(raw))
      case .qcow2(let qcow2): .format(FormatSpecification(qcow2))
      }
    self.init(name: options.nodeName, driver)
    discard = options.discard?.engine
    detectZeroes = options.detectZeroes?.engine ?? .off
    isReadOnly = options.readOnly
    autoReadOnly = options.autoReadOnly
    forceShare = options.forceShare
    cacheDirect = options.cache?.direct
    cacheNoFlush = options.cache?.noFlush
  }
}

extension FileSpecification {
  fileprivate init(_ kind: Kind, _ options: FileOptions) {
    self.init(
      kind, options.filename, locking: options.locking.engine, aio: options.aio?.engine)
  }
}

extension FormatSpecification {
  fileprivate init(_ options: RawOptions) {
    self.init(.raw, file: .init(options.file))
    window = RawWindow(offset: options.offset ?? 0, size: options.size)
  }

  fileprivate init(_ options: Qcow2Options) {
    let backing: Backing =
      switch options.backing {
      case nil: .fromHeader
      // An empty name is QEMU's older word for null.
      case .none?, .reference(.node(""))?: .none
      case .reference(let reference)?: .node(Child(reference))
      }
    self.init(
      .qcow2, file: Child(options.file), backing: backing,
      backingFormat: options.backingFormat?.engine, dropBitmaps: options.dropBitmaps,
      isForCheck: options.isForCheck,
      cache: CacheSizes(
        total: options.cacheSize, l2: options.l2CacheSize, refcount: options.refcountCacheSize))
  }
}

extension FormatSpecification.Child {
  init(_ reference: BlockdevReference) {
    switch reference {
    case .node(let name): self = .named(name)
    case .options(let options): self = .inline(NodeSpecification(options))
    }
  }
}

extension ImageFormat {
  var engine: FormatSpecification.Format {
    switch self {
    case .qcow2: .qcow2
    case .raw: .raw
    }
  }
}

extension OnOffAuto {
  fileprivate var engine: HostFileOptions.Locking {
    switch self {
    case .auto: .automatic
    case .on: .required
    case .off: .off
    }
  }
}

extension AIOMode {
  fileprivate var engine: FileSpecification.AIO {
    switch self {
    case .threads: .threads
    case .native: .native
    case .ioUring: .ioUring
    }
  }
}

extension DiscardMode {
  fileprivate var engine: NodeOptions.Discard {
    switch self {
    case .ignore: .ignore
    case .unmap: .unmap
    }
  }
}

extension DetectZeroes {
  fileprivate var engine: NodeOptions.DetectZeroes {
    switch self {
    case .off: .off
    case .on: .on
    case .unmap: .unmap
    }
  }
}
