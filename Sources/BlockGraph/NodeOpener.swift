import BlockCore
import BlockIO
import BlockRuntime
import ImageFormats

/// Opens a node with everything below it, all or nothing: files, formats, and the chain that
/// headers name.
///
/// Isolation: one lane.
struct NodeOpener {
  let gate: OpenGate
  /// Where the memory for tables comes from.
  let budget: CacheBudget
  /// The nodes to which the specification refers by name, each with what lies under it.
  let existing: [String: BackingChain]
  /// Those of them that a client has declared read-only.
  let declaredReadOnly: Set<String>
  /// What was opened, children before parents.
  private(set) var opened: [GraphEntry] = []
  /// Existing file nodes, and whether their new parents only read them.
  private(set) var claimed: [(file: BlockNode, isReadOnly: Bool)] = []

  init(
    gate: OpenGate, budget: CacheBudget, existing: [String: BackingChain],
    declaredReadOnly: Set<String>
  ) {
    self.gate = gate
    self.budget = budget
    self.existing = existing
    self.declaredReadOnly = declaredReadOnly
  }

  /// The opener after it has opened the node that a client asked for; where that fails, everything
  /// is closed again.
  func opening(_ specification: NodeSpecification) throws(BlockError) -> NodeOpener {
    var copy = self
    do {
      _ = try copy.open(
        specification, AccessSettings().applying(specification), above: [], isTop: true)
    } catch {
      copy.abandon()
      throw error
    }
    return copy
  }

  /// Closes what was opened, parents before children. What closing could fail with no longer
  /// matters: nothing was written, and there is an error to report already.
  private func abandon() {
    for entry in opened.reversed() { try? entry.node.close() }
  }

  /// Opens what `specification` describes. `above` are the files of the overlays over it.
  private mutating func open(
    _ specification: NodeSpecification, _ settings: AccessSettings, above: [FileIdentity],
    isTop: Bool = false
  ) throws(BlockError) -> BlockNode {
    let name = specification.name ?? NodeName.generate()
    let options = specification.options(settings)
    try options.check()
    guard !settings.forceShare || settings.isReadOnly else {
      throw BlockError(
        .invalidArgument, "force-share=on can only be used with read-only images")
    }
    switch specification.driver {
    case .file(let file):
      try file.check(settings)
      let node = try openFile(
        try FileName(file.fileName), .client, settings, above: above, name: name, kind: file.kind,
        locking: file.locking, options: options, isTop: isTop)
      opened[opened.count - 1].specification = specification
      // A file that no format uses yet holds nobody off.
      if isTop { try node.setAccess(.unused) }
      return node
    case .format(let format):
      let (file, access) = try openFileChild(format.file, settings, above: above)
      return try openImage(
        format, on: file, access, above: above, name: name, specification, options: options,
        isTop: isTop)
    }
  }

  /// The file node of a format, and how it could be opened.
  private mutating func openFileChild(
    _ child: FormatSpecification.Child, _ settings: AccessSettings, above: [FileIdentity]
  ) throws(BlockError) -> (BlockNode, AccessSettings) {
    var access = settings
    switch child {
    case .inline(let specification):
      var wanted = settings.applying(specification)
      if settings.isReadOnly { wanted.isReadOnly = true }
      let file = try open(specification, wanted, above: above)
      guard file.file == nil else { throw NodeOpener.notAFile(file.name) }
      if file.isReadOnly { access.isReadOnly = true }
      guard access.isReadOnly == settings.isReadOnly || settings.autoReadOnly else {
        throw BlockError(.readOnly, "Block node '\(file.name)' is read-only", file: file.fileName)
      }
      return (file, access)
    case .named(let name):
      guard let file = existing[name]?.top else { throw NodeOpener.unknown(name) }
      guard file.file == nil else { throw NodeOpener.notAFile(name) }
      do throws(BlockError) {
        if !access.isReadOnly && declaredReadOnly.contains(name) {
          throw BlockError(.readOnly, "Block node '\(name)' is read-only", file: file.fileName)
        }
        try claim(file, access)
      } catch {
        let isRefusal = error.code == .permission || error.code == .readOnly
        guard settings.autoReadOnly && isRefusal else { throw error }
        access.isReadOnly = true
        try claim(file, access)
      }
      return (file, access)
    }
  }

  /// Opens and locks a file node that is there already as its new parent needs it.
  private mutating func claim(
    _ file: BlockNode, _ settings: AccessSettings
  ) throws(BlockError) {
    try file.setAccess(settings.fileAccess)
    claimed.append((file, settings.isReadOnly))
  }

  /// Opens a host file or device as a protocol node. `kind` nil: whatever it is.
  private mutating func openFile(
    _ path: FileName, _ origin: OpenGate.Origin, _ settings: AccessSettings,
    above: [FileIdentity], name: String, kind: FileSpecification.Kind?,
    locking: HostFileOptions.Locking = .automatic,
    options: NodeOptions = NodeOptions(discard: .unmap), isTop: Bool = false
  ) throws(BlockError) -> BlockNode {
    let fileName = path.string
    let storage: HostFile
    do {
      storage = try gate.open(path, origin, settings.fileOptions(locking))
    } catch {
      // An image that is its own backing file shuts itself out; say what is the matter.
      if error.code == .locked, let same = try? gate.identity(of: path), above.contains(same) {
        throw NodeOpener.loop(fileName)
      }
      throw error
    }
    do throws(BlockError) {
      guard !above.contains(storage.identity) else { throw NodeOpener.loop(fileName) }
      let traits = storage.traits
      if let kind, (kind == .hostDevice) != traits.isDevice {
        let wanted = kind == .file ? "regular file" : "block device"
        throw BlockError(
          .invalidArgument,
          "'\(kind.rawValue)' driver requires '\(storage.name)' to be a \(wanted)")
      }
      var found = settings
      found.isReadOnly = traits.isReadOnly
      let driver: FileSpecification.Kind = traits.isDevice ? .hostDevice : .file
      let node = BlockNode(
        name: name, driverName: driver.rawValue,
        image: try RawImage.open(on: storage, readOnly: traits.isReadOnly), fileName: fileName,
        path: path.bytes, device: DeviceKey(storage.identity.device), options: options)
      var entry = GraphEntry(
        node: node, isOwnedByClient: isTop, origin: origin, settings: found)
      entry.isDeclaredReadOnly = isTop && settings.isReadOnly
      entry.lastLook = try? node.look()
      opened.append(entry)
      return node
    } catch {
      try? storage.close()
      throw error
    }
  }

  /// Opens an image on an open file, and what lies under it.
  private mutating func openImage(
    _ format: FormatSpecification, on file: BlockNode, _ settings: AccessSettings,
    above: [FileIdentity], name: String, _ specification: NodeSpecification,
    options: NodeOptions, isTop: Bool = false, origin: OpenGate.Origin = .client
  ) throws(BlockError) -> BlockNode {
    let chain = above + (file.hostFile.map { [$0.identity] } ?? [])
    guard chain.count <= Limits.chainDepth else { throw NodeOpener.tooDeep(file.fileName) }
    let image = try format.open(
      on: file.image.dataStorage, readOnly: settings.isReadOnly, budget: budget)
    let node = BlockNode(
      name: name, driverName: format.format.rawValue, image: image, file: file,
      fileName: file.fileName, path: file.path, device: file.device, options: options)
    var entry = GraphEntry(
      node: node, isOwnedByClient: isTop, origin: origin, settings: settings)
    entry.backingName = image.backingLink?.name
    entry.specification = specification
    entry.settings.isReadOnly = image.isReadOnly
    do {
      entry.lastLook = try? node.look()
      entry.backing = try openBacking(format, of: node, settings.forBacking, above: chain)
    } catch {
      try? node.close()
      throw error
    }
    for index in opened.indices {
      let child = opened[index].node
      if child === file || child === entry.backing { opened[index].leader = name }
    }
    opened.append(entry)
    return node
  }

  /// Opens what lies under `overlay`; nil where nothing does.
  private mutating func openBacking(
    _ format: FormatSpecification, of overlay: BlockNode, _ settings: AccessSettings,
    above: [FileIdentity]
  ) throws(BlockError) -> BlockNode? {
    switch format.backing {
    case .none: return nil
    case .node(.inline(let specification)):
      return try open(specification, settings.applying(specification), above: above)
    case .node(.named(let name)):
      guard let chain = existing[name] else { throw NodeOpener.unknown(name) }
      guard above.count + chain.nodes.count <= Limits.chainDepth else {
        throw NodeOpener.tooDeep(overlay.fileName)
      }
      for layer in chain.nodes {
        guard let file = layer.bottomFile, above.contains(file.identity) else { continue }
        throw NodeOpener.loop(layer.fileName)
      }
      if chain.top.file == nil { try claim(chain.top, settings) }
      return chain.top
    case .fromHeader:
      guard let link = overlay.image.backingLink else { return nil }
      return try openLink(link, of: overlay, settings, above: above, under: format)
    }
  }

  /// Opens the backing file that the header of `overlay` names, read-only. What the client said of
  /// `parent` for the whole chain goes on: the format where a header names none, and whether
  /// bitmaps may go when the image is made writable later.
  private mutating func openLink(
    _ link: BackingLink, of overlay: BlockNode, _ settings: AccessSettings,
    above: [FileIdentity], under parent: FormatSpecification
  ) throws(BlockError) -> BlockNode {
    let path = try OpenGate.path(
      ofBacking: link.bytes, namedBy: try FileName(bytes: overlay.path))
    let format: FormatSpecification.Format
    if link.format == nil, let declared = parent.backingFormat {
      format = declared
    } else {
      format = try NodeOpener.format(of: link, in: overlay.fileName)
    }
    do {
      let file = try openFile(
        path, .image, settings, above: above, name: NodeName.generate(), kind: nil)
      opened[opened.count - 1].specification = NodeSpecification(
        .file(FileSpecification(nil, file.fileName)))
      let format = FormatSpecification(
        format, file: .named(file.name), backingFormat: parent.backingFormat,
        dropBitmaps: parent.dropBitmaps)
      return try openImage(
        format, on: file, settings, above: above, name: NodeName.generate(),
        NodeSpecification(.format(format)), options: NodeOptions(discard: settings.discard),
        origin: .image)
    } catch {
      let context = "Could not open backing file"
      throw error.message.hasPrefix(context) ? error : error.prefixed(context)
    }
  }

  /// The declared format: a file whose format nobody told could be taken for another by whoever
  /// writes its first bytes.
  private static func format(
    of link: BackingLink, in image: String
  ) throws(BlockError) -> FormatSpecification.Format {
    guard let name = link.format else {
      throw BlockError(
        .invalidImage,
        "Image '\(image.printable)' names its backing file '\(link.name.printable)' without "
          + "a format; give the format with backing (or --backing-format), or write it into the "
          + "image with 'qemu-img rebase -u -F FORMAT'",
        file: image)
    }
    guard let format = FormatSpecification.Format(rawValue: name) else {
      throw BlockError(
        .unsupported,
        "Image '\(image.printable)' says that its backing file has the format "
          + "'\(name.printable)', which is not supported", file: image)
    }
    return format
  }

  private static func unknown(_ name: String) -> BlockError {
    BlockError(.notFound, "Cannot find device='\(name)' nor node-name='\(name)'")
  }
  private static func notAFile(_ name: String) -> BlockError {
    BlockError(.unsupported, "Node '\(name)' is an image, not a file: one format over another")
  }
  static func loop(_ fileName: String) -> BlockError {
    BlockError(
      .invalidImage, "Backing file '\(fileName.printable)' creates an infinite loop", file: fileName
    )
  }
  private static func tooDeep(_ fileName: String) -> BlockError {
    BlockError(
      .invalidImage, "The backing chain has more than \(Limits.chainDepth) images", file: fileName)
  }
}

extension FormatSpecification {
  /// Opens the bytes of `storage` as an image of this format.
  fileprivate func open(
    on storage: any Storage, readOnly: Bool, budget: CacheBudget
  ) throws(BlockError) -> any ImageDriver {
    switch format {
    case .raw: try RawImage.open(on: storage, window: window, readOnly: readOnly)
    case .qcow2:
      try Qcow2Image.open(
        on: storage, readOnly: readOnly, dropBitmaps: dropBitmaps, forCheck: isForCheck,
        cache: cache, budget: budget)
    }
  }
}
