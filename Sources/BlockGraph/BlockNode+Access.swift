import BlockCore
package import BlockIO
import ImageFormats

/// What a format needs of the file below it.
///
/// Isolation: value.
enum FileAccess: Hashable, Sendable {
  /// Nobody uses the file: no lock.
  case unused
  /// Reads, and nobody else may write.
  case reader
  /// Reads, whoever writes.
  case forceShare
  /// Reads and writes, and nobody else may.
  case writer
}

extension BlockNode {
  /// The open file of a protocol node; nil for formats, and for storages that are no host files.
  var hostFile: HostFile? { file == nil ? image.dataStorage as? HostFile : nil }

  /// The host file at the bottom of the node.
  var bottomFile: HostFile? { file?.bottomFile ?? hostFile }

  /// Where the highest write to the file ended, if this is the node of a file; in bytes.
  package var highestFileWrite: Int? { hostFile?.highestWrite }

  /// What has become of the discards of a file node; nil for an image.
  package var fileDiscards: DiscardCounter.Snapshot? { hostFile?.discards.snapshot }

  /// Makes durable all that the node holds, whoever has written it. One that has been closed holds
  /// nothing any more that shows: who took it out of its chain has seen to that. Lane.
  func makeDurable() throws(BlockError) {
    do throws(BlockError) {
      // What is changed here is partly in memory yet.
      try flush()
      try withRange(ByteRange(at: 0, length: 0)) { (_) throws(BlockError) in
        try makeFileDurable()
      }
    } catch {
      // Only what was said because of that: a flush that failed before it was closed did fail.
      if error.code != .notFound || !isClosed { throw error }
    }
  }

  private func makeFileDurable() throws(BlockError) {
    if let file { return try file.makeFileDurable() }
    try image.dataStorage.makeDurable()
  }

  /// Opens a protocol node's file, and locks it, as its user needs it. Where that fails nothing has
  /// changed. The caller sees to it that no request is on its way. Lane.
  func setAccess(_ access: FileAccess) throws(BlockError) {
    let storage = image.dataStorage
    switch access {
    case .unused: try hostFile?.claim(.nothing)
    case .reader, .forceShare:
      try image.reopen(readOnly: true)
      try storage.reopen(readOnly: true)
      try hostFile?.claim(access == .reader ? .reader : .forceShare)
    case .writer:
      // The lock comes first: nobody may see a second writer, however briefly.
      try hostFile?.claim(.writer)
      do {
        try storage.reopen(readOnly: false)
        try image.reopen(readOnly: false)
      } catch {
        try hostFile?.claim(.reader)
        throw error
      }
    }
  }

  /// Opens the node for writing, or for reading only, together with the file below it; waits for
  /// the requests on their way. Where it fails, nothing has changed. Lane.
  func reopen(readOnly: Bool) throws(BlockError) {
    try withWholeImage { (image) throws(BlockError) in
      guard image.isReadOnly != readOnly else { return }
      guard let file else { return try setAccess(readOnly ? .reader : .writer) }
      if readOnly {
        try image.reopen(readOnly: true)
        try file.setAccess(.reader)
        return
      }
      try file.setAccess(.writer)
      do throws(BlockError) {
        try image.reopen(readOnly: false)
      } catch {
        try file.setAccess(.reader)
        throw error
      }
    }
  }

  /// Opens the file below a format node for writing, or for reading only again, while the node
  /// itself stays as it is. Lane.
  func reopenFile(readOnly: Bool) throws(BlockError) {
    try withWholeImage { (_) throws(BlockError) in
      try (file ?? self).setAccess(readOnly ? .reader : .writer)
    }
  }

  /// Flushes and lets go of the image, and of the file where the node is one. Requests that come
  /// later fail. Lane.
  func close() throws(BlockError) {
    guard markClosed() else { return }
    try image.close()
    if file == nil { try image.dataStorage.close() }
  }
}
