package import BlockCore

/// Bytes that can be addressed: a file, a block device, memory, a faulty or recording wrapper, or
/// (later) a node of the graph such as NBD.
///
/// This is the seam of the engine: everything above it is ours and is tested as it is, everything
/// below can be replaced. All calls block, and run on lanes.
///
/// Durability: what was written before a `flush` that returned is durable; a later write, zero,
/// discard or truncate may or may not survive a power loss, in any order, torn at 512 bytes in the
/// first sector and at 4 KiB elsewhere.
///
/// Isolation: any thread. Calls on ranges that do not overlap may run at the same time.
package protocol Storage: AnyObject, Sendable {
  /// The name that its user knows it by; stands in errors.
  var name: String { get }
  /// What it can do and how requests must be aligned.
  var traits: StorageTraits { get }

  /// Its length in bytes at this moment.
  func size() throws(BlockError) -> Int

  /// Fills `bytes` from `offset` on. Returns how many bytes lie before the end of the storage; the
  /// rest of `bytes` is set to zero. (Data past the end reads as zero; metadata past the end is an
  /// error that the caller raises.)
  @discardableResult
  func read(into bytes: inout MutableRawSpan, at offset: Int) throws(BlockError) -> Int

  /// Says that `range` will be read soon: where the system can, it is fetched meanwhile.
  func prefetch(_ range: ByteRange)

  /// Writes all of `bytes`; grows a file where needed. Fails with `noSpace`, `readOnly`, `io` or
  /// `poisoned`.
  func write(_ bytes: RawSpan, at offset: Int) throws(BlockError)

  /// Carries out a batch of requests. They may run in any order and at the same time, so no two may
  /// overlap; when it returns, all are done; when it throws, any of them may be.
  func perform(_ requests: [IORequest]) throws(BlockError)

  /// Makes `range` read as zero. With `deallocate` a hole is punched where the storage can, so
  /// that it holds no bytes; otherwise the space stays reserved. Never grows a file past
  /// `range.upper`, but grows it up to there.
  func writeZeroes(_ range: ByteRange, deallocate: Bool) throws(BlockError)

  /// Sees to it, where the storage can, that a later write to `range` does not fail for want of
  /// space. What `range` holds stays; the length too. Fails with `noSpace`.
  func reserve(_ range: ByteRange) throws(BlockError)

  /// Gives the space of `range` back where the storage can; what it reads afterwards is not
  /// defined. Never an error where the storage cannot.
  func discard(_ range: ByteRange) throws(BlockError)

  /// Makes everything written so far durable. A failure is `poisoned`, and so is every later write
  /// and flush until the file is opened anew: what the system then holds is not known.
  func flush() throws(BlockError)

  /// Makes durable what the storage holds, whoever has written it, also where it is open for
  /// reading only; does nothing where it was opened so that flushes do nothing. A failure is as in
  /// `flush`.
  func makeDurable() throws(BlockError)

  /// Sets the length; bytes that come in read as zero. Refused with `unsupported` on a device.
  func truncate(to size: Int) throws(BlockError)

  /// The first run, from `range.lower` on and inside `range`, that is all data or all hole. A
  /// storage that cannot tell says data. Bytes past the end are a hole.
  func extent(in range: ByteRange) throws(BlockError) -> StorageExtent

  /// Copies `range` of `source` to `offset` here without passing through this process, where the
  /// system can. Returns how many bytes it copied: 0 means that the caller must read and write.
  /// Never copies over the source's end.
  func copy(from source: any Storage, _ range: ByteRange, to offset: Int) throws(BlockError) -> Int

  /// Whether `copy` may let this storage share bytes with `source`, so that few cost as little as
  /// many: true until the system has refused it.
  func mayShare(with source: any Storage) -> Bool

  /// Opens it for writing, or for reading only, taking or giving up locks as needed. The bytes
  /// stay the same ones: not the name but the open file is opened again.
  func reopen(readOnly: Bool) throws(BlockError)

  /// Gives up locks and descriptors. No call may follow. An error of the last flush is thrown.
  func close() throws(BlockError)
}

/// What a storage can do.
///
/// Isolation: value.
package struct StorageTraits: Hashable, Sendable {
  /// Offsets, lengths and memory addresses of requests are multiples of this: 1, or 512 to 4096
  /// with direct I/O.
  package var alignment: Int
  /// It has a fixed length: it cannot be truncated or grow.
  package var isDevice: Bool
  /// It refuses writes.
  package var isReadOnly: Bool

  /// Traits of a plain file unless told otherwise.
  package init(alignment: Int = 1, isDevice: Bool = false, isReadOnly: Bool = false) {
    self.alignment = alignment
    self.isDevice = isDevice
    self.isReadOnly = isReadOnly
  }
}

/// A run of a storage that is all data or all hole.
///
/// Isolation: value.
package struct StorageExtent: Hashable, Sendable {
  /// Where; never empty unless the range asked about was.
  package var range: ByteRange
  /// Whether it holds bytes; a hole reads as zero.
  package var isData: Bool

  package init(range: ByteRange, isData: Bool) {
    self.range = range
    self.isData = isData
  }
}

/// One request of a batch.
///
/// Isolation: value; the buffer belongs to the caller of `perform` until it returns.
package struct IORequest: Sendable {
  /// What to do.
  package enum Operation: Sendable { case read, write }
  package var operation: Operation
  /// Where in the storage.
  package var offset: Int
  /// The memory, and which part of it.
  package var buffer: IOBuffer
  package var part: Range<Int>

  package init(_ operation: Operation, at offset: Int, _ buffer: IOBuffer, _ part: Range<Int>) {
    self.operation = operation
    self.offset = offset
    self.buffer = buffer
    self.part = part
  }

  /// Adds `request` to `requests`; to the last one where it goes on from there, in the storage and
  /// in memory.
  package static func append(_ request: IORequest, to requests: inout [IORequest]) {
    if let last = requests.last, last.operation == request.operation,
      last.buffer === request.buffer, last.part.upperBound == request.part.lowerBound,
      last.offset + last.part.count == request.offset
    {
      requests[requests.count - 1].part = last.part.lowerBound..<request.part.upperBound
    } else {
      requests.append(request)
    }
  }
}

extension Storage {
  /// One request after the other; storages that can do better say so.
  package func perform(_ requests: [IORequest]) throws(BlockError) {
    for request in requests { try perform(request) }
  }

  /// Carries out one request, by itself.
  func perform(_ request: IORequest) throws(BlockError) {
    switch request.operation {
    case .read:
      try request.buffer.withMutableBytes(request.part) { (bytes) throws(BlockError) in
        _ = try read(into: &bytes, at: request.offset)
      }
    case .write:
      try request.buffer.withBytes(request.part) { (bytes) throws(BlockError) in
        try write(bytes, at: request.offset)
      }
    }
  }

  /// A flush: only files have other writers.
  package func makeDurable() throws(BlockError) { try flush() }

  /// Nothing: a storage that can do better says so.
  package func prefetch(_ range: ByteRange) {}

  /// Promises nothing: a storage that can do better says so.
  package func reserve(_ range: ByteRange) throws(BlockError) {}

  /// No: a storage that can says so.
  package func mayShare(with source: any Storage) -> Bool { false }

  /// No offload: the caller reads and writes.
  package func copy(
    from source: any Storage, _ range: ByteRange, to offset: Int
  ) throws(BlockError) -> Int { 0 }
}
