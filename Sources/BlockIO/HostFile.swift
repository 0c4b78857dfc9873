package import BlockCore
import CLinux
import Glibc
import Synchronization

/// A regular file or a block device of this machine.
///
/// Isolation: any thread; what changes stands behind `state`, and the locks behind `lock` (taken
/// first). An operation holds the open file that it began with, so `reopen` may come while others
/// run; they then end on the old description. Drain the writers first all the same: one that comes
/// after `reopen(readOnly: true)` fails, and the locks of the old description are gone.
package final class HostFile: Storage {
  package let name: String
  /// Which file it is.
  package let identity: FileIdentity
  let isDevice: Bool
  private let currentAlignment: Atomic<Int>
  /// The unit in which the file system or the device gives and takes space.
  let blockSize: Int
  let options: HostFileOptions
  /// Whether QEMU's locks keep others out, as it was asked for.
  package var locking: HostFileOptions.Locking { options.locking }

  struct State: Sendable {
    /// nil once it is closed.
    var file: OpenFile?
    var isReadOnly: Bool
    /// Whether the page cache is passed by.
    var isDirect: Bool
    /// Whether flushes do nothing.
    var noFlush: Bool
    /// Why nothing more may be written, once a flush has failed.
    var poison: BlockError?
    /// What the system has said it cannot do here, so that it is not asked each time.
    var refusedModes: Set<Int32> = []
    /// The devices from which it cannot copy or clone into this file.
    var refusedCopies: [UInt64: Set<CopyMethod>] = [:]
    /// Where data was found.
    var knownData = KnownData()
    /// What was written last in large pieces, and the disk has not been told to begin with.
    var written = ByteRange(at: 0, length: 0)
  }
  let state: Mutex<State>
  private let lock: Mutex<ImageLock>
  private let isLocking: Bool
  private let changes = ChangeCount()
  private let highest = Atomic<Int>(0)
  /// What has become of its discards.
  package let discards = DiscardCounter()
  /// Held by a flush: the system tells an error once only, so that the next one has to know of it.
  private let flushes = SleepingLock()
  /// Held by large writes through the page cache.
  let bulkWrites = SleepingLock()
  /// Held by who looks where data is.
  let dataLook = SleepingLock()
  /// Direct I/O only: held by whoever changes parts of blocks, or the end of the file.
  let partialWrites = Mutex(())

  /// Takes over `file`, whose type is known to be right.
  private init(
    _ file: OpenFile, _ status: stat, _ options: HostFileOptions, readOnly: Bool
  ) throws(BlockError) {
    guard readOnly || !options.forceShare else { throw HostFile.forceShareRefusal }
    name = file.name
    isDevice = FileKind(mode: status.st_mode) == .blockDevice
    identity = FileIdentity(status)
    self.options = options
    let logicalBlock =
      isDevice
      ? Int(try SystemCall.run(on: file.name) { cl_device_block_size(file.descriptor) }) : 1
    let alignment = options.direct ? HostFile.directAlignment(file, logicalBlock, options) : 1
    currentAlignment = Atomic(alignment)
    blockSize = isDevice ? logicalBlock : Int(status.st_blksize)
    state = Mutex(
      State(
        file: file, isReadOnly: readOnly, isDirect: options.direct, noFlush: options.noFlush))

    var lock = ImageLock()
    isLocking = try options.locking.takesLocks { () throws(BlockError) in
      try ImageLock.isSupported(on: file)
    }
    if isLocking {
      try lock.change(to: options.claim(readOnly: readOnly), on: file)
    }
    self.lock = Mutex(lock)
  }

  private static let forceShareRefusal = BlockError(
    .invalidArgument, "force-share works on read-only files only")

  // A page is what every disk accepts, and what buffers are aligned to.
  private static func directAlignment(
    _ file: OpenFile, _ logicalBlock: Int, _ options: HostFileOptions
  ) -> Int {
    let told = max(Int(cl_direct_alignment(file.descriptor)), logicalBlock)
    guard told > 1, told.isPowerOfTwo, told < IOBuffer.alignment, !options.usesWholePages
    else { return IOBuffer.alignment }
    return told
  }
}

// MARK: - Opening

extension HostFile {
  /// Opens the file or device `name`. Whatever else has that name is refused without being opened.
  /// With `root`, `name` is an absolute path and leads nowhere outside it.
  ///
  /// Fails with `notFound`, `permission`, `readOnly`, `io`, with `invalidArgument` for a wrong type
  /// of file or options that contradict each other, and with `locked`.
  package static func open(
    _ name: FileName, beneath root: DirectoryRoot? = nil, _ options: HostFileOptions = .init()
  ) throws(BlockError) -> HostFile {
    do {
      return try open(find(name, beneath: root), options)
    } catch let error where error.code != .locked {
      throw name.withLength(error).prefixed("Could not open '\(name.text)'")
    }
  }

  /// The same for a name in text.
  package static func open(
    _ name: String, _ options: HostFileOptions = .init()
  ) throws(BlockError) -> HostFile {
    try open(FileName(name), options)
  }

  /// Opens `name` for writing, and makes an empty file where there is none. A file that exists
  /// keeps its bytes: its lock comes before anything happens to it. `root` binds the name, and what
  /// its directory stands for, as with `open`. Fails as `open` does.
  ///
  /// The new name is durable when this returns; what is in the file only after a flush.
  package static func create(
    _ name: FileName, beneath root: DirectoryRoot? = nil, _ options: HostFileOptions = .init()
  ) throws(BlockError) -> HostFile {
    do {
      try OpenFile.make(name, in: find(name.directory, beneath: root))
    } catch let error where error.errno == EEXIST {
      return try open(name, beneath: root, options)
    } catch {
      throw name.withLength(error).prefixed("Could not create '\(name.text)'")
    }
    return try open(name, beneath: root, options)
  }

  /// Opens the file that the set `id` of `sets` stands for. Fails as `open` does, with `permission`
  /// where no descriptor of the set has the access mode.
  package static func open(
    set id: Int, of sets: DescriptorSets, _ options: HostFileOptions = .init()
  ) throws(BlockError) -> HostFile {
    let found = try sets.find(id)
    do {
      return try open(found, options)
    } catch let error where error.code != .locked {
      throw error.prefixed("Could not open '\(found.name)'")
    }
  }

  private static func open(
    _ found: OpenFile, _ options: HostFileOptions
  ) throws(BlockError) -> HostFile {
    let status = try found.status()
    try FileKind(mode: status.st_mode).requireImage(name: found.name)
    do {
      let file = try found.reopened(readOnly: options.isReadOnly, direct: options.direct)
      return try HostFile(file, status, options, readOnly: options.isReadOnly)
    } catch let error
      where options.autoReadOnly && (error.code == .permission || error.code == .readOnly)
    {
      let file = try found.reopened(readOnly: true, direct: options.direct)
      return try HostFile(file, status, options, readOnly: true)
    }
  }

  /// Which file `name` stands for at this moment: after a rename it is another one than the one
  /// that is open. `root` binds the name, as with `open`.
  package static func identity(
    of name: FileName, beneath root: DirectoryRoot? = nil
  ) throws(BlockError) -> FileIdentity {
    try FileIdentity(find(name, beneath: root).status())
  }

  private static func find(
    _ name: FileName, beneath root: DirectoryRoot?
  ) throws(BlockError) -> OpenFile {
    if let root { try root.find(name) } else { try OpenFile.find(name) }
  }
}

// MARK: - Bytes

extension HostFile {
  package var traits: StorageTraits {
    let isReadOnly = state.withLock { $0.isReadOnly }
    return StorageTraits(alignment: alignment, isDevice: isDevice, isReadOnly: isReadOnly)
  }

  /// What offsets, lengths and addresses must be multiples of; 1 without direct I/O.
  var alignment: Int { currentAlignment.load(ordering: .relaxed) }

  package func size() throws(BlockError) -> Int { try size(of: openFile()) }

  func size(of file: OpenFile) throws(BlockError) -> Int {
    guard isDevice else { return Int(try file.status().st_size) }
    return Int(try SystemCall.run(on: name) { cl_device_size(file.descriptor) })
  }

  @discardableResult
  package func read(into bytes: inout MutableRawSpan, at offset: Int) throws(BlockError) -> Int {
    let file = openFile()
    return try unsafe bytes.withUnsafeMutableBytes { (bytes) throws(BlockError) in
      let fits = unsafe isAligned(UnsafeRawBufferPointer(bytes), at: offset)
      let count =
        try unsafe fits
        ? file.read(into: bytes, at: offset, alignment: alignment)
        : bouncedRead(file, into: bytes, at: offset)
      let rest = unsafe UnsafeMutableRawBufferPointer(rebasing: bytes[count...])
      unsafe _ = rest.initializeMemory(as: UInt8.self, repeating: 0)
      return count
    }
  }

  package func prefetch(_ range: ByteRange) {
    // Past the page cache there is no place for it. What goes wrong here the read itself says.
    guard alignment == 1 else { return }
    _ = posix_fadvise(
      openFile().descriptor, range.lower, range.length, POSIX_FADV_WILLNEED)
  }

  package func write(_ bytes: RawSpan, at offset: Int) throws(BlockError) {
    let file = try writableFile()
    defer { noteChange(upTo: offset + bytes.byteCount) }
    try unsafe bytes.withUnsafeBytes { (bytes) throws(BlockError) in
      let range = ByteRange(at: offset, length: bytes.count)
      if unsafe isAligned(bytes, at: offset) {
        try besidePartialWrites(file, range) { () throws(BlockError) in
          try inTurn(file, range) { () throws(BlockError) in
            try unsafe file.write(bytes, at: offset)
          }
        }
      } else {
        try unsafe bouncedWrite(file, bytes, at: offset)
      }
    }
  }

  package func flush() throws(BlockError) {
    guard state.withLock({ !$0.isReadOnly && !$0.noFlush }) else { return }
    // Whatever was flushed before: what the system holds since is not known.
    try requireUnpoisoned()
    // While it is locked for writing nobody else changes it.
    try changes.makeDurable(isAlone: isLocking) { () throws(BlockError) in try sync() }
  }

  package func makeDurable() throws(BlockError) {
    guard state.withLock({ !$0.noFlush }) else { return }
    try sync()
  }

  private func requireUnpoisoned() throws(BlockError) {
    if let poison = state.withLock({ $0.poison }) { throw poison }
  }

  private func sync() throws(BlockError) {
    try flushes.withLock { () throws(BlockError) -> Void in
      let file = openFile()
      try requireUnpoisoned()
      do throws(BlockError) {
        try SystemCall.run(on: name) { fdatasync(file.descriptor) }
      } catch {
        // Some file systems that nobody can write to know no such call.
        if state.withLock({ $0.isReadOnly }) && error.meansUnsupported { return }
        // The system may have dropped what it could not write, so another try would prove nothing.
        state.withLock { $0.poison = error.afterFlush }
        throw error.ofFlush
      }
    }
  }

  /// Notes the end of a change, whatever came of it; one that writes as far as `end`.
  func noteChange(upTo end: Int = 0) {
    if end > 0 { highest.max(end, ordering: .relaxed) }
    changes.note()
  }

  /// Where the highest of all writes ended, zeros among them, since it was opened; in bytes.
  package var highestWrite: Int { highest.load(ordering: .relaxed) }

  package func truncate(to size: Int) throws(BlockError) {
    let file = try writableFile()
    guard !isDevice else {
      throw BlockError(.unsupported, "A block device cannot change its length", file: name)
    }
    defer {
      noteChange()
      forgetKnownData(in: ByteRange(from: size, to: Int.max))
    }
    try setLength(file, to: size)
  }
}

// MARK: - Locks and life

extension HostFile {
  /// Claims `claim` instead of what was claimed so far; the next `reopen` goes back to the usual
  /// one. Fails with `locked`, and then nothing has changed. Does nothing where locking is off.
  package func claim(_ claim: LockClaim) throws(BlockError) {
    let file = openFile()
    // Whom the claim kept out so far may have written meanwhile, or may from now on.
    defer { noteChange() }
    try lock.withLock { (lock) throws(BlockError) in
      if isLocking { try lock.change(to: claim, on: file) }
    }
  }

  package func reopen(readOnly: Bool) throws(BlockError) {
    try reopen(readOnly: readOnly, direct: state.withLock { $0.isDirect })
  }

  /// Whether this file lies in the directory of `other`, or further down in it, wherever the links
  /// in their names have led. Does not wait for a disk.
  package func isBeside(_ other: HostFile) -> Bool {
    guard let place = openFile().place(), let otherPlace = other.openFile().place(),
      let slash = otherPlace.lastIndex(of: UInt8(ascii: "/"))
    else { return false }
    return place.starts(with: otherPlace[...slash])
  }

  /// Opens the file anew, past the page cache or not; where that fails nothing has changed. No
  /// request may be on its way where `direct` changes: a write of part of a block would not see one
  /// that came by the other way. The claim stays where `readOnly` does.
  package func reopen(readOnly: Bool, direct: Bool) throws(BlockError) {
    guard readOnly || !options.forceShare else { throw HostFile.forceShareRefusal }
    if readOnly { try flush() }
    // Who could write while nobody here did may have.
    defer { noteChange() }
    try lock.withLock { (lock) throws(BlockError) in
      let old = openFile()
      let (wasReadOnly, wasDirect) = state.withLock { ($0.isReadOnly, $0.isDirect) }
      guard wasReadOnly != readOnly || wasDirect != direct else { return }
      let new = try old.reopened(readOnly: readOnly, direct: direct)
      if isLocking {
        let claim = wasReadOnly == readOnly ? lock.claim : options.claim(readOnly: readOnly)
        try lock.move(to: claim, on: new, from: old)
      }
      let alignment =
        direct ? HostFile.directAlignment(new, isDevice ? blockSize : 1, options) : 1
      currentAlignment.store(alignment, ordering: .relaxed)
      state.withLock {
        $0.file = new
        $0.isReadOnly = readOnly
        $0.isDirect = direct
      }
    }
  }

  /// Lets flushes do nothing, or something again: then what was written meanwhile is durable when
  /// this returns.
  package func setNoFlush(_ noFlush: Bool) throws(BlockError) {
    let (wasOff, isReadOnly) = state.withLock { ($0.noFlush, $0.isReadOnly) }
    if wasOff && !noFlush && !isReadOnly { try sync() }
    state.withLock { $0.noFlush = noFlush }
  }

  package func close() throws(BlockError) {
    let file = openFile()
    defer {
      lock.withLock { $0.release(on: file) }
      state.withLock { $0.file = nil }
    }
    try flush()
  }

  func openFile() -> OpenFile { state.withLock { open(in: $0) } }

  /// The open file, to be changed. Fails with `readOnly` and with `poisoned`.
  func writableFile() throws(BlockError) -> OpenFile {
    try state.withLock { (state) throws(BlockError) in
      if let poison = state.poison { throw poison }
      guard !state.isReadOnly else {
        throw BlockError(.readOnly, "'\(name)' is open for reading only", file: name)
      }
      return open(in: state)
    }
  }

  private func open(in state: State) -> OpenFile {
    guard let file = state.file else { preconditionFailure("'\(name)' is used after its close") }
    return file
  }
}
