package import BlockCore
package import BlockIO
import Synchronization

/// A qcow2 image, version 2 or 3, open.
///
/// The operations stand in files of their own (`Qcow2Image+Read`, `+Write`, …); what they change is
/// in `Qcow2State`, behind one lock that is never held while guest data are moved or another node
/// is called.
///
/// Isolation: any thread; state behind `state`. Calls follow the locking contract of `ImageDriver`.
package final class Qcow2Image: ImageDriver {
  package let format = "qcow2"
  package let dataStorage: any Storage
  let geometry: ClusterGeometry
  /// Whether version 3's zero flag exists.
  package let hasZeroFlag: Bool
  let compression: CompressionType
  let state: Mutex<Qcow2State>
  let pagesID: ObjectIdentifier
  private let dropsBitmaps: Bool
  private let size: Atomic<Int>
  private let readOnly: Atomic<Bool>
  private let damaged = Atomic<Bool>(false)
  /// Who has to wait for the state sleeps here: a look at tables may take as long as reading them.
  private let turns = SleepingLock()

  /// Opens the image on `storage`.
  ///
  /// - Parameters:
  ///   - data: where guest data lie; nil for the same storage. Images with a data file of their own
  ///     are refused until they are built, so today this serves tests and what comes.
  ///   - readOnly: refuse writes; images that may only be read (corrupt, with bitmaps) open only
  ///     so, and one that was not closed cleanly is repaired before it is opened for writing, but
  ///     not one that would be refused all the same.
  ///   - dropBitmaps: an image with persistent bitmaps may be opened for writing, now or by
  ///     `reopen`; they are freed with the first change.
  ///   - forCheck: open, for reading only, also what only a repair can make whole.
  ///   - cache: the most memory for its tables; nil: only the budget counts.
  ///   - budget: where the memory for tables comes from, which all images of a process share.
  ///   - elided: a flush to leave out; for the crash simulator alone.
  /// - Throws: `invalidImage` or `unsupported` for what the header says; nothing has been written.
  ///   `corrupt` for an image whose tables overlap; it has been marked so.
  package static func open(
    on storage: any Storage, data: (any Storage)? = nil, readOnly: Bool, dropBitmaps: Bool = false,
    forCheck: Bool = false, cache: CacheSizes = CacheSizes(), budget: CacheBudget = CacheBudget(),
    eliding elided: FlushPlace? = nil
  ) throws(BlockError) -> Qcow2Image {
    guard readOnly || !forCheck else {
      throw BlockError(.invalidArgument, "An image is opened for a check only to be read")
    }
    let pages = PageStore(try CacheLimits(cache), of: budget)
    let io = MetadataIO(storage: storage, data: data, elided: elided)
    if !readOnly { try RepairRun.repairDirty(io, pages, dropBitmaps: dropBitmaps) }
    var state = try Qcow2State.opening(io, pages, readOnly: readOnly, forCheck: forCheck)
    if !readOnly { try state.requireWritable(dropBitmaps: dropBitmaps) }
    let image = Qcow2Image(
      state: state, data: io.data, readOnly: readOnly, dropsBitmaps: dropBitmaps)
    budget.enroll(image)
    return image
  }

  private init(
    state: consuming sending Qcow2State, data: any Storage, readOnly: Bool, dropsBitmaps: Bool
  ) {
    dataStorage = data
    self.dropsBitmaps = dropsBitmaps
    geometry = state.geometry
    hasZeroFlag = state.header.version >= 3
    compression = state.header.compression
    pagesID = ObjectIdentifier(state.pages)
    size = Atomic(state.header.size)
    self.readOnly = Atomic(readOnly)
    self.state = Mutex(state)
  }

  package var virtualSize: Int { size.load(ordering: .acquiring) }
  package var clusterSize: Int { geometry.clusterSize }
  package var isReadOnly: Bool { readOnly.load(ordering: .acquiring) }
  package var isDamaged: Bool { damaged.load(ordering: .acquiring) }
  package var backingLink: BackingLink? { state.withLock { $0.header.backingLink } }
  var name: String { dataStorage.name }

  /// Runs `body` with the state, for a change: the image is writable and made ready for it.
  func change<R>(
    _ body: (inout Qcow2State) throws(BlockError) -> sending R
  ) throws(BlockError) -> sending R {
    if isReadOnly {
      throw BlockError(.readOnly, "The image is open read-only", file: name)
    }
    return try look { (state) throws(BlockError) in
      try state.prepareToWrite()
      return try body(&state)
    }
  }

  /// Runs `body` with the state, for a look. Where tables contradict themselves, an image that is
  /// open for writing is marked corrupt before anybody can rely on them.
  func look<R>(
    _ body: (inout Qcow2State) throws(BlockError) -> sending R
  ) throws(BlockError) -> sending R {
    try turns.withLock { () throws(BlockError) in try lookInTurn(body) }
  }

  private func lookInTurn<R>(
    _ body: (inout Qcow2State) throws(BlockError) -> sending R
  ) throws(BlockError) -> sending R {
    try state.withLock { (state) throws(BlockError) in
      do throws(BlockError) {
        return try body(&state)
      } catch let found {
        var error = found
        if error.code == .corrupt, !isReadOnly, state.readOnlyReason == nil {
          error = state.markCorrupt(error)
        }
        // What a failed flush has left is not known: not even tables in memory change any more.
        if error.code == .poisoned, state.readOnlyReason == nil {
          state.readOnlyReason = error.afterFlush
        }
        if state.readOnlyReason != nil { damaged.store(true, ordering: .releasing) }
        throw error
      }
    }
  }

  /// Notes a size that is durable in the header.
  func publish(size newSize: Int) { size.store(newSize, ordering: .releasing) }

  package func mappings(in range: ByteRange, limit: Int) throws(BlockError) -> [ImageMapping] {
    precondition(!range.isEmpty && range.upper <= virtualSize)
    return try look { (state) throws(BlockError) in try state.mappings(in: range, limit: limit) }
  }

  package func flush() throws(BlockError) {
    if isReadOnly { return }
    try look { (state) throws(BlockError) in try state.flush() }
  }

  package func reopen(readOnly wanted: Bool) throws(BlockError) {
    if wanted == isReadOnly { return }
    try look { (state) throws(BlockError) in
      if wanted { return try state.flush() }
      // Whoever could write while it was open for reading only may have changed anything.
      try RepairRun.repairDirty(state.io, state.pages, dropBitmaps: dropsBitmaps)
      state = try Qcow2State.opening(state.io, state.pages, readOnly: false)
      try state.requireWritable(dropBitmaps: dropsBitmaps)
      damaged.store(false, ordering: .releasing)
    }
    readOnly.store(wanted, ordering: .releasing)
  }

  package func close() throws(BlockError) { try flush() }

  package func info() throws(BlockError) -> ImageInfo {
    try look { (state) throws(BlockError) in try state.info() }
  }
}

extension Qcow2Image: PageHolder {
  func cleanAges() -> [Int] { state.withLockIfAvailable { $0.pages.cleanAges() } ?? [] }
  func evict(upTo age: Int) { state.withLockIfAvailable { $0.pages.evict(upTo: age) } }
}
