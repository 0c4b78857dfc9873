import BlockCore
import BlockIO
import CFaults
import Glibc
import TestSupport
import Testing

/// Counts the system calls on a file that change it, read it or flush it.
private final class CallCount {
  private let plan: UnsafeMutablePointer<cfaults_plan>

  convenience init(_ file: HostFile) { self.init(file.identity) }

  init(_ identity: FileIdentity) {
    plan = .allocate(capacity: 1)
    plan.initialize(to: cfaults_plan())
    // Calls that would fail with EIO are all there are; none ever does.
    plan.pointee.error = EIO
    plan.pointee.after = .max
    plan.pointee.device = identity.device
    plan.pointee.files.0 = identity.inode
    plan.pointee.file_count = 1
    precondition(cfaults_arm(plan) != 0)
  }

  deinit {
    cfaults_disarm(plan)
    plan.deallocate()
  }

  /// Lets the next call fail.
  func failNext() { plan.pointee.after = plan.pointee.calls }

  /// How many calls `body` makes.
  func during(_ body: () throws -> Void) rethrows -> Int64 {
    let before = plan.pointee.calls
    try body()
    return plan.pointee.calls - before
  }
}

@Suite("Flushes that the system is asked for")
struct FlushCountTests {
  private let directory: TemporaryDirectory
  private let path: String

  init() throws {
    directory = try TemporaryDirectory(in: "/tmp")
    path = try directory.write([UInt8](repeating: 1, count: 64 << 10), to: "file")
  }

  @Test("the first flush is for what was written before, and one without changes is for nothing")
  func repeated() throws {
    let file = try HostFile.open(path)
    let calls = CallCount(file)
    #expect(try calls.during { try file.flush() } == 1)
    #expect(try calls.during { try file.flush() } == 0)
    try file.reopen(readOnly: true)
    try file.reopen(readOnly: false)
    // Somebody else may have written to it while it was open for reading only.
    #expect(try calls.during { try file.flush() } == 1)
    try file.close()
  }

  static let changes: [String: @Sendable (HostFile) throws -> Void] = [
    "write": { file in try [UInt8(2)].withBytes { try file.write($0, at: 9) } },
    "truncate": { try $0.truncate(to: 1 << 20) },
    "zeros": { try $0.writeZeroes(ByteRange(at: 4096, length: 4096), deallocate: false) },
    "hole": { try $0.writeZeroes(ByteRange(at: 4096, length: 4096), deallocate: true) },
    "discard": { try $0.discard(ByteRange(at: 8192, length: 4096)) },
    "reserve": { try $0.reserve(ByteRange(at: 1 << 20, length: 4096)) },
    "copy": { file in
      let source = try HostFile.open("\(file.name)-source", HostFileOptions(isReadOnly: true))
      #expect(try file.copy(from: source, ByteRange(at: 0, length: 4096), to: 0) == 4096)
      try source.close()
    },
    "batch": { file in
      let buffers = [IOBuffer(count: 4096), IOBuffer(count: 4096)]
      try file.perform(
        buffers.enumerated().map { index, buffer in
          IORequest(.write, at: index * 4096, buffer, 0..<4096)
        })
    },
  ]

  @Test("after each kind of change a flush asks once", arguments: changes.keys.sorted())
  func changed(by kind: String) throws {
    _ = try directory.write([UInt8](repeating: 3, count: 4096), to: "file-source")
    let file = try HostFile.open(path)
    try file.flush()
    let calls = CallCount(file)
    let change = try #require(Self.changes[kind])
    #expect(try calls.during { try change(file) } > 0)
    #expect(try calls.during { try file.flush() } == 1)
    #expect(try calls.during { try file.flush() } == 0)
    try file.close()
  }

  @Test("what may have been written while the file was not claimed is flushed")
  func unclaimed() throws {
    let file = try HostFile.open(path)
    let calls = CallCount(file)
    try file.flush()
    try file.claim(.nothing)
    try file.claim(.writer)
    #expect(try calls.during { try file.flush() } == 1)
    try file.reopen(readOnly: false)
    #expect(try calls.during { try file.flush() } == 1)
    #expect(try calls.during { try file.flush() } == 0)
    try file.close()
  }

  @Test("after a flush that failed none says that all is durable, also where nothing has changed")
  func failed() throws {
    let file = try HostFile.open(path)
    try file.flush()
    let calls = CallCount(file)
    calls.failNext()
    #expect(#expect(throws: BlockError.self) { try file.makeDurable() }?.code == .poisoned)
    #expect(#expect(throws: BlockError.self) { try file.flush() }?.code == .poisoned)
    try? file.close()
  }

  @Test("a file without locks is flushed each time")
  func unlocked() throws {
    let file = try HostFile.open(path, HostFileOptions(locking: .off))
    let calls = CallCount(file)
    for _ in 0..<3 { #expect(try calls.during { try file.flush() } == 1) }
    try file.close()
  }

  @Test("what was written while flushes did nothing is made durable when they do something again")
  func noFlush() throws {
    let file = try HostFile.open(path, HostFileOptions(noFlush: true))
    let calls = CallCount(file)
    try [UInt8(2)].withBytes { try file.write($0, at: 0) }
    #expect(try calls.during { try file.flush() } == 0)
    #expect(try calls.during { try file.makeDurable() } == 0)
    #expect(try calls.during { try file.setNoFlush(false) } == 1)
    try file.setNoFlush(true)
    try file.reopen(readOnly: true)
    // Who only reads has written nothing.
    #expect(try calls.during { try file.setNoFlush(false) } == 0)
    try file.close()
  }

  @Test("the name of a new file is durable when it is there")
  func newName() throws {
    let place = try HostFile.identity(of: FileName(directory.path))
    let calls = CallCount(place)
    let made = try FileName(directory.file("new"))
    #expect(try calls.during { try HostFile.create(made).close() } == 1)
    #expect(try calls.during { try HostFile.open(directory.file("new")).close() } == 0)
  }

  @Test("what others have written is made durable also through a file that is only read")
  func readOnly() throws {
    let file = try HostFile.open(path, HostFileOptions(isReadOnly: true))
    let calls = CallCount(file)
    #expect(try calls.during { try file.flush() } == 0)
    #expect(try calls.during { try file.makeDurable() } == 1)
    // Nobody knows what the others have written since.
    #expect(try calls.during { try file.makeDurable() } == 1)
    try file.close()
  }
}
