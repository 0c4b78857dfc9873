import BlockGraph
import ImageFormats
import QMP

extension BlockNodeInfo {
  /// One element of `query-named-block-nodes`: a node, `facts[0]`, and the images under it that are
  /// to be shown.
  init(_ facts: [NodeFacts]) {
    let node = facts[0]
    self.init()
    nodeName = node.name
    driver = BlockDriver(node)
    file = node.fileName
    readOnly = node.isReadOnly
    backingFile = node.backingFileName
    // QEMU counts the images that it shows.
    backingFileDepth = facts.count - 1
    detectZeroes = DetectZeroes(rawValue: node.options.detectZeroes.rawValue) ?? .off
    cache = NodeCacheInfo {
      $0.direct = node.settings.cacheDirect
      $0.noFlush = node.settings.cacheNoFlush
    }
    image = NodeImageInfo(facts[...])
  }
}

extension NodeImageInfo {
  /// The image of the first node, over those of the others.
  fileprivate init(_ facts: ArraySlice<NodeFacts>) {
    self.init()
    guard let node = facts.first else { return }
    filename = node.fileName
    format = BlockDriver(node)
    virtualSize = node.virtualSize
    actualSize = node.actualSize
    clusterSize = node.image.clusterSize
    dirty = node.image.qcow2?.isDirty ?? false
    backingFilename = node.image.backing?.name
    fullBackingFilename = node.storedBackingName
    backingFilenameFormat = node.image.backing?.format
    let rest = facts.dropFirst()
    backingImage = rest.isEmpty ? nil : NodeImageInfo(rest)
  }
}

extension NodeInfo {
  /// The answer of `x-node-info`.
  init(_ node: NodeFacts, backingNode: String?) {
    self.init()
    nodeName = node.name
    driver = BlockDriver(node)
    filename = node.fileName
    readOnly = node.isReadOnly
    virtualSize = node.virtualSize
    fileSize = node.fileSize
    allocatedSize = node.actualSize ?? node.fileSize
    clusterSize = node.image.clusterSize
    self.backingNode = backingNode
    backingFilename = node.image.backing?.name
    backingFormat = node.image.backing?.format
    snapshots = node.image.snapshots
    if node.image.snapshotCount > 0 { snapshotCount = node.image.snapshotCount }
    snapshotDamage = node.image.snapshotDamage
    qcow2 = node.image.qcow2.map(Qcow2NodeInfo.init)
  }
}

extension Qcow2NodeInfo {
  fileprivate init(_ info: Qcow2Info) {
    self.init()
    version = info.version == 2 ? .v2 : .v3
    refcountBits = info.refcountBits
    compressionType = info.compressionType
    lazyRefcounts = info.isLazyRefcounts
    dirty = info.isDirty
    corrupt = info.isCorrupt
    extendedL2 = info.hasExtendedL2
    bitmaps = info.bitmapCount
  }
}

extension BlockDriver {
  /// The driver of a node; the graph has no others.
  fileprivate init(_ node: NodeFacts) {
    guard let driver = BlockDriver(rawValue: node.driver) else {
      preconditionFailure("the graph opened a node of driver '\(node.driver)'")
    }
    self = driver
  }
}
