import BlockCore
import Foundation
import TestSupport
import Testing

@testable import BlockIO

@Suite("sets of passed descriptors")
struct DescriptorSetsTests {
  let directory: TemporaryDirectory
  let path: String
  let sets = DescriptorSets()

  init() throws {
    directory = try TemporaryDirectory()
    path = try directory.write([1, 2, 3], to: "image")
  }

  /// Adds `number`, which is closed here.
  @discardableResult
  private func add(_ number: Int32, to id: Int? = nil) throws -> (id: Int, descriptor: Int32) {
    precondition(number >= 0)
    defer { close(number) }
    return try sets.add(copyOf: number, to: id, opaque: nil)
  }

  private func code(_ body: () throws -> Void) -> BlockError.Code? {
    #expect(throws: BlockError.self) { try body() }?.code
  }

  @Test("sets have the numbers that were asked for, or the first free one")
  func numbers() throws {
    #expect(try add(open(path, O_RDWR | O_CLOEXEC), to: 1).id == 1)
    #expect(try add(open(path, O_RDWR | O_CLOEXEC)).id == 0)
    #expect(try add(open(path, O_RDONLY | O_CLOEXEC)).id == 2)
    let newest = try add(open(path, O_RDONLY | O_CLOEXEC), to: 1).descriptor
    #expect(sets.infos.map(\.id) == [0, 1, 2])
    #expect(sets.infos[1].members.count == 2 && sets.infos[1].members[0].descriptor == newest)
    #expect(sets.remove(newest, from: 1))
    #expect(!sets.remove(newest, from: 1) && !sets.remove(nil, from: 7))
    #expect(sets.remove(nil, from: 2))
    #expect(sets.infos.map(\.id) == [0, 1] && sets.infos[1].members.count == 1)
  }

  @Test("a set's file is written by a descriptor for that, and read by one for that")
  func accessModes() throws {
    try add(open(path, O_RDONLY | O_CLOEXEC), to: 3)
    let reader = try HostFile.open(set: 3, of: sets, HostFileOptions(isReadOnly: true))
    #expect(try reader.read(ByteRange(at: 0, length: 3)) == [1, 2, 3])
    #expect(reader.name == "/dev/fdset/3")
    let error = #expect(throws: BlockError.self) { _ = try HostFile.open(set: 3, of: sets) }
    #expect(error?.code == .permission)
    #expect(error?.message.contains("needs one that is open O_RDWR") ?? false)
    let automatic = HostFileOptions(autoReadOnly: true)
    try reader.close()
    let fallen = try HostFile.open(set: 3, of: sets, automatic)
    #expect(fallen.traits.isReadOnly)
    // The right one makes it writable, as it is open.
    #expect(code { try fallen.reopen(readOnly: false) } == .permission)
    try add(open(path, O_RDWR | O_CLOEXEC), to: 3)
    try fallen.reopen(readOnly: false)
    try fallen.write([9], at: 1)
    try fallen.close()
    #expect(try directory.read("image") == [1, 9, 3])

    try add(open(path, O_RDWR | O_CLOEXEC), to: 4)
    let readOnly = HostFileOptions(isReadOnly: true)
    #expect(code { _ = try HostFile.open(set: 4, of: sets, readOnly) } == .permission)
    #expect(code { _ = try HostFile.open(set: 5, of: sets) } == .notFound)
  }

  @Test("what is no file, cannot be read, can only be appended to, or is another file, is refused")
  func refused() throws {
    let socket = try openUnixSocket(directory.file("socket")) { bind($0, $1, $2) }
    var pipes: [Int32] = [0, 0]
    #expect(pipe(&pipes) == 0)
    close(pipes[1])
    let descriptors = [
      socket, pipes[0], open(path, O_WRONLY | O_CLOEXEC), open(path, O_RDWR | O_APPEND | O_CLOEXEC),
      open(directory.path, O_RDONLY | O_CLOEXEC), open("/dev/null", O_RDWR | O_CLOEXEC),
      open(path, 0o10000000),
    ]
    for number in descriptors { #expect(code { try add(number) } == .invalidArgument) }
    #expect(sets.infos.isEmpty)
    try add(open(path, O_RDWR | O_CLOEXEC))
    let other = try directory.write([1], to: "other")
    #expect(code { try add(open(other, O_RDWR | O_CLOEXEC), to: 0) } == .invalidArgument)
    for name in ["/dev/fdset/", "/dev/fdset/x", "/dev/fdset/-1", "/dev/fdset/1/2"] {
      #expect(code { _ = try DescriptorSets.id(named: name) } == .invalidArgument)
    }
    #expect(try DescriptorSets.id(named: "/dev/fdset/12") == 12)
    #expect(try DescriptorSets.id(named: "/images/disk") == nil)
  }

  @Test("a set is full at its most, and has room again afterwards")
  func full() throws {
    for _ in 0..<DescriptorSets.most { try add(open(path, O_RDONLY | O_CLOEXEC), to: 0) }
    #expect(code { try add(open(path, O_RDONLY | O_CLOEXEC)) } == .noSpace)
    #expect(sets.remove(nil, from: 0))
    try add(open(path, O_RDONLY | O_CLOEXEC))
  }

  @Test("a file that is open stays so when its set is removed, and the set with it")
  func removedWhileOpen() throws {
    try add(open(path, O_RDWR | O_CLOEXEC), to: 0)
    let file = try HostFile.open(set: 0, of: sets)
    #expect(sets.remove(nil, from: 0))
    #expect(sets.infos.map(\.members.count) == [0])
    try file.write([7], at: 0)
    #expect(code { try file.reopen(readOnly: true) } == .notFound)
    try file.write([8], at: 0)
    try file.close()
    #expect(sets.infos.isEmpty)
    #expect(try directory.read("image") == [8, 2, 3])
  }

  @Test("a file that the process may not open is used by the descriptor itself, by one at a time")
  func withoutPrivileges() throws {
    let (writer, reader) = (open(path, O_RDWR | O_CLOEXEC), open(path, O_RDONLY | O_CLOEXEC))
    #expect(chmod(path, 0) == 0)
    try add(writer, to: 0)
    try add(reader, to: 0)
    try asNobody { () throws in
      #expect(code { _ = try HostFile.open(path) } == .permission)
      let file = try HostFile.open(set: 0, of: sets)
      #expect(code { _ = try HostFile.open(set: 0, of: sets) } == .locked)
      try file.write([5], at: 2)
      // From one description to the other and back, the locks with it.
      try file.reopen(readOnly: true)
      #expect(try TestFile.lockedBytes(inode: file.identity.inode) == [100, 201, 203])
      try file.reopen(readOnly: false)
      #expect(try TestFile.lockedBytes(inode: file.identity.inode) == [100, 101, 103, 201, 203])
      try file.close()
      let again = try HostFile.open(set: 0, of: sets)
      #expect(try again.read(ByteRange(at: 0, length: 3)) == [1, 2, 5])
      try again.close()
    }
    #expect(sets.remove(nil, from: 0) && sets.infos.isEmpty)
    #expect(try TestFile.lockedBytes(inode: fileNumber()) == [])
  }

  private func fileNumber() throws -> UInt64 {
    var status = stat()
    try #require(stat(path, &status) == 0)
    return UInt64(status.st_ino)
  }

  /// Calls `body` on this thread as a user to whom nothing belongs, where we are root.
  private func asNobody(_ body: () throws -> Void) throws {
    typealias SetUser = @convention(c) (UInt32) -> Int32
    let symbol = try #require(dlsym(nil, "setfsuid"))
    let setUser = unsafeBitCast(symbol, to: SetUser.self)
    let before = setUser(65_534)
    defer { _ = setUser(UInt32(before)) }
    try body()
  }
}
