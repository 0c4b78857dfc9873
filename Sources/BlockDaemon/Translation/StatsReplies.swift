import BlockGraph
import BlockIO
import QMP

extension BlockStats {
  /// One element of `query-blockstats`.
  init(_ node: BlockNode) {
    let counters = node.counters.snapshot
    self.init()
    nodeName = node.name
    stats = BlockDeviceStats(counters)
    // What an image writes does not pass through its file's node.
    if let written = node.highestFileWrite { stats.highestWrite = written }
    driverSpecific = FileDriverStats(node)
    parent = node.file.map(BlockStats.init)
  }
}

extension FileDriverStats {
  /// The discards of a file or device; nil for a node that is an image in one.
  fileprivate init?(_ node: BlockNode) {
    guard node.file == nil, let driver = BlockDriver(rawValue: node.driverName) else { return nil }
    self.init()
    self.driver = driver
    guard let counted = node.fileDiscards else { return }
    (discards, failedDiscards, discardedBytes) = (counted.done, counted.failed, counted.bytes)
  }
}

extension BlockDeviceStats {
  fileprivate init(_ counters: NodeCounters.Snapshot) {
    self.init()
    (reads, readBytes) = (counters.reads.done, counters.reads.bytes)
    (readNanoseconds, failedReads) = (counters.reads.nanoseconds, counters.reads.failed)
    writes = counters.writes.done + counters.zeroes.done
    writtenBytes = counters.writes.bytes + counters.zeroes.bytes
    writeNanoseconds = counters.writes.nanoseconds + counters.zeroes.nanoseconds
    failedWrites = counters.writes.failed + counters.zeroes.failed
    (flushes, flushNanoseconds) = (counters.flushes.done, counters.flushes.nanoseconds)
    failedFlushes = counters.flushes.failed
    highestWrite = counters.highestWrite
  }
}
