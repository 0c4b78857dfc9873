import BlockCore
import BlockIO
import ImageFormats
import Synchronization
import TestSupport
import Testing

/// A header write that fails may have reached the disk or not.
@Suite("a header write that fails")
struct HeaderSwitchTests {
  let directory: TemporaryDirectory

  init() throws { directory = try TemporaryDirectory() }

  static let operations: [String] = ["grow L1", "grow refcounts", "empty", "rename"]

  private func prepare() throws -> [UInt8] {
    var options = Qcow2CreateOptions(size: 3 << 20)
    options.clusterSize = 512
    options.refcountBits = 64
    let test = try ImageUnderTest(options)
    try test.write([UInt8](repeating: 1, count: 2_000_000), at: 0)
    try test.image.close()
    return try test.storage.bytes()
  }

  private func run(_ operation: String, _ test: ImageUnderTest) throws {
    switch operation {
    case "grow L1": try test.resize(to: 8 << 20)
    case "grow refcounts": try test.write([UInt8](repeating: 2, count: 60_000), at: 2_400_000)
    case "empty": try test.makeEmpty(.reset)
    default: try test.image.setBackingLink(BackingLink(name: "below.raw", format: "raw"))
    }
  }

  private func open(_ bytes: [UInt8], _ fate: HeaderFate) throws -> (ImageUnderTest, LateFailure) {
    let storage = try MemoryStorage(bytes, name: "image")
    let late = LateFailure(storage, fate)
    var model = [UInt8](repeating: 0, count: 3 << 20)
    model.put([UInt8](repeating: 1, count: 2_000_000), at: 0)
    let test = try ImageUnderTest(on: storage, through: late, model: model, backing: nil)
    return (test, late)
  }

  @Test("which arrived all the same counts as written", arguments: operations)
  func arrived(operation: String) throws {
    try directory.write([], to: "below.raw")
    let (test, late) = try open(try prepare(), .writtenAndFailed)
    late.arm()
    try run(operation, test)
    #expect(late.hasFailed)
    try test.write([3], at: 100)
    try test.image.close()
    #expect(try test.view().isSame(as: test.model))
    try test.storage.check(directory)
  }

  @Test("which did not arrive is a failure without consequence", arguments: operations)
  func lost(operation: String) throws {
    try directory.write([], to: "below.raw")
    let (test, late) = try open(try prepare(), .lost)
    late.arm()
    let error = #expect(throws: BlockError.self) { try run(operation, test) }
    #expect(error?.code == .io)
    try test.write([3], at: 100)
    try run(operation, test)
    try test.image.close()
    #expect(try test.view().isSame(as: test.model))
    try test.storage.check(directory, allowLeaks: true)
  }

  @Test(
    "of which nobody can tell makes the image read-only", arguments: operations,
    [HeaderFate.lostAndUnreadable, .writtenAndUnreadable])
  func unknown(operation: String, fate: HeaderFate) throws {
    let (test, late) = try open(try prepare(), fate)
    late.arm()
    #expect(throws: BlockError.self) { try run(operation, test) }
    let error = #expect(throws: BlockError.self) { try test.write([3], at: 100) }
    #expect(error?.message.contains("not known") == true, "\(String(describing: error))")
    // Whoever opens it anew reads what is there.
    try test.image.reopen(readOnly: true)
    try test.image.reopen(readOnly: false)
    try test.write([3], at: 100)
    try test.image.close()
    try directory.write([], to: "below.raw")
    try test.storage.check(directory, allowLeaks: true)
  }
}

/// What happens to the next write into the first sector.
enum HeaderFate: Sendable {
  case writtenAndFailed, lost, lostAndUnreadable, writtenAndUnreadable

  var isWritten: Bool { self == .writtenAndFailed || self == .writtenAndUnreadable }
  var isUnreadable: Bool { self == .lostAndUnreadable || self == .writtenAndUnreadable }
}

/// A storage whose next header write fails, once it is armed.
///
/// Isolation: any thread; state behind `state`.
private final class LateFailure: WrappingStorage {
  let base: any Storage
  private let fate: HeaderFate
  private struct State {
    var isArmed = false
    var hasFailed = false
    var isUnreadable = false
  }
  private let state = Mutex(State())

  init(_ base: MemoryStorage, _ fate: HeaderFate) {
    self.base = base
    self.fate = fate
  }

  func arm() { state.withLock { $0.isArmed = true } }
  var hasFailed: Bool { state.withLock { $0.hasFailed } }

  func read(into bytes: inout MutableRawSpan, at offset: Int) throws(BlockError) -> Int {
    let fails = state.withLock { state in
      defer { if offset < 512 { state.isUnreadable = false } }
      return offset < 512 && state.isUnreadable
    }
    if fails { throw BlockError(.io, "Input/output error", errno: 5) }
    return try base.read(into: &bytes, at: offset)
  }
  func write(_ bytes: RawSpan, at offset: Int) throws(BlockError) {
    let fails = state.withLock { state in
      guard state.isArmed, offset < 512 else { return false }
      state = State(hasFailed: true, isUnreadable: fate.isUnreadable)
      return true
    }
    if !fails || fate.isWritten { try base.write(bytes, at: offset) }
    if fails { throw BlockError(.io, "Input/output error", errno: 5) }
  }
}
