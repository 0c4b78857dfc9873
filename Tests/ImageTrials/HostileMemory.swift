import BlockCore
import BlockIO
import ImageFormats
import TestSupport

/// A listed image in memory, of which everything is asked that its row says something about.
///
/// Isolation: value; each request has the image made anew.
package struct HostileMemory {
  private let row: HostileRow
  private let files: HostileFiles

  /// The image of `row`, which needs no other files than the base.
  package init(_ row: HostileRow) throws {
    self.row = row
    files = try row.make()
  }

  /// What a guest sees of an image alone, over nothing.
  /// - Throws: what reading it throws.
  static func view(_ bytes: [UInt8]) throws(BlockError) -> [UInt8]? {
    let image = try Qcow2Image.open(
      on: try MemoryStorage(bytes, name: "image"), readOnly: true, forCheck: true)
    return try image.view(over: nil)
  }

  /// What is wrong with the answer to `request`; nil where nothing is.
  package func complaint(_ request: HostileRequest) throws -> String? {
    if request == .commit, !files.hasBacking { return nil }
    let storage = try files.image.storage()
    if let length = files.length { try storage.truncate(to: length) }
    var run = HostileMemoryRun(files, storage)
    var answer = HostileAnswer()
    do throws(BlockError) {
      try run.ask(request)
      do throws(BlockError) {
        answer.showsRightBytes = try run.showsRightBytes()
      } catch {
        answer.showsRightBytes = row.outcome.isReadable ? false : nil
      }
    } catch {
      answer.error = error.message
    }
    if files.length == nil { answer.change = files.change(of: try storage.bytes()) }
    return row.outcome.complaint(
      request, answer, hasBacking: true, version: files.version)
  }
}

/// One request.
///
/// Isolation: one owner.
private struct HostileMemoryRun {
  private let storage: MemoryStorage
  private let base: [UInt8]
  private let under: BytesView?
  private let clusterSize: Int
  /// What the guest must see in the end.
  private var view: [UInt8]?

  init(_ files: HostileFiles, _ storage: MemoryStorage) {
    self.storage = storage
    view = files.view
    base = if files.hasBacking { HostileFiles.base } else { [] }
    under = files.hasBacking ? BytesView(base) : nil
    clusterSize = files.clusterSize
  }

  /// Opens the image, does what is asked, and closes it, whatever became of it.
  mutating func ask(_ request: HostileRequest) throws(BlockError) {
    let looks: Set<HostileRequest> = [.open, .map, .read]
    let image = try Qcow2Image.open(on: storage, readOnly: looks.contains(request))
    do throws(BlockError) {
      try ask(request, of: image)
    } catch {
      // As when its node goes; what was not written out by then may be lost, or not.
      try? image.close()
      throw error
    }
    try image.close()
  }

  private mutating func ask(
    _ request: HostileRequest, of image: Qcow2Image
  ) throws(BlockError) {
    let size = image.virtualSize
    let first = ByteRange(at: 0, length: min(size, clusterSize))
    switch request {
    case .open: _ = try image.info()
    case .map:
      var rest = ByteRange(at: 0, length: size)
      for _ in 0..<1000 where !rest.isEmpty {
        for run in try image.mappings(in: rest, limit: 64) {
          rest = rest.dropping(run.range.length)
        }
      }
    case .read, .readWritable: _ = try image.view(over: under)
    case .write: try write(min(size, 3000), at: min(100, max(0, size - 3000)), to: image)
    case .overwrite: try write(first.length, at: 0, to: image)
    case .fill:
      let hole = 20 * clusterSize
      if hole + 3000 <= size { try write(3000, at: hole, to: image) }
    case .zero:
      if first.isEmpty { return }
      try image.writeZeroes(first, deallocate: true, over: under)
      view?.zero(first)
    case .discard:
      if first.isEmpty { return }
      try image.discard(first, .fallsThrough)
      showBase(first)
    case .empty:
      try HostileMemoryRun.finish(try image.makeEmpty(.discard))
      showBase(ByteRange(at: 0, length: view?.count ?? 0))
    case .commit:
      // Whoever commits reads everything, and empties the image when that is durable elsewhere.
      _ = try image.view(over: under)
      try HostileMemoryRun.finish(try image.makeEmpty(.auto))
      showBase(ByteRange(at: 0, length: view?.count ?? 0))
    }
  }

  private static func finish(_ operation: any ImageOperation) throws(BlockError) {
    while try !operation.step() {}
  }

  private mutating func write(
    _ count: Int, at offset: Int, to image: Qcow2Image
  ) throws(BlockError) {
    if count == 0 { return }
    let bytes = [UInt8](repeating: 7, count: count)
    try bytes.withBytes { (source) throws(BlockError) in
      try image.write(source, at: offset, over: under)
    }
    view?.put(bytes, at: offset)
  }

  private mutating func showBase(_ range: ByteRange) {
    guard let size = view?.count else { return }
    view?.zero(range)
    view?.put(Array(base.prefix(min(size, range.upper)).dropFirst(range.lower)), at: range.lower)
  }

  /// Whether the image, opened again, shows what it must.
  func showsRightBytes() throws(BlockError) -> Bool {
    guard let view else { return true }
    let image = try Qcow2Image.open(on: storage, readOnly: true)
    guard image.virtualSize == view.count else { return false }
    return try image.view(over: under)?.isSame(as: view) == true
  }
}

extension Qcow2Image {
  /// All that a guest sees; where that is too much, its beginning is looked at, and not returned.
  fileprivate func view(over under: BytesView?) throws(BlockError) -> [UInt8]? {
    guard virtualSize <= 64 << 20 else {
      _ = try view(ByteRange(at: 0, length: 1 << 20), over: under)
      return nil
    }
    return try view(ByteRange(at: 0, length: virtualSize), over: under)
  }
}
