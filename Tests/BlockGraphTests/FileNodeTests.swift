import BlockCore
import BlockRuntime
import Dispatch
import ImageFormats
import TestSupport
import Testing

@testable import BlockGraph

/// Whether some work is over.
///
/// Isolation: control plane.
@ControlPlane
private final class End {
  private(set) var isNoted = false

  func noting(_ work: @ControlPlane () async throws(BlockError) -> Void) async throws(BlockError) {
    defer { isNoted = true }
    try await work()
  }
}

@Suite @ControlPlane struct FileNodeTests {
  private func file(_ fixture: GraphFixture, readOnly: Bool? = nil) -> NodeSpecification {
    var made = NodeSpecification(name: "f", .file(FileSpecification(.file, fixture.path("a"))))
    made.isReadOnly = readOnly
    return made
  }

  private func image(_ name: String, readOnly: Bool? = nil) -> NodeSpecification {
    var made = NodeSpecification(
      name: name, .format(FormatSpecification(.qcow2, file: .named("f"))))
    made.isReadOnly = readOnly
    return made
  }

  /// A graph with the file node `f`, in which an image lies.
  private func opened() async throws -> (fixture: GraphFixture, file: BlockNode) {
    let fixture = try GraphFixture()
    try fixture.create("a")
    return (fixture, try await fixture.graph.add(file(fixture)))
  }

  @Test("a file node holds nobody off until a format uses it, and again when that is gone")
  func locksFollowUse() async throws {
    let fixture = try await opened().fixture
    #expect(try fixture.isFree("a"))
    let node = try await fixture.graph.add(image("q"))
    #expect(!node.isReadOnly)
    #expect(try !fixture.isFree("a", readOnly: true))
    try await fixture.graph.remove(named: "q")
    #expect(try fixture.isFree("a"))
    _ = try await fixture.graph.add(image("r", readOnly: true))
    #expect(try fixture.isFree("a", readOnly: true))
    #expect(try !fixture.isFree("a"))
  }

  @Test("a second format over a file gets on with a reader, never with a writer")
  func sharing() async throws {
    let fixture = try await opened().fixture
    _ = try await fixture.graph.add(image("q", readOnly: true))
    _ = try await fixture.graph.add(image("r", readOnly: true))
    #expect(
      await fixture.refusal(image("w"))?.message
        == "Permission conflict on node 'f': permissions 'write, resize' are both required by "
        + "node 'w' (uses node 'f' as 'file' child) and unshared by "
        + "node 'q' (uses node 'f' as 'file' child).")
    try await fixture.graph.remove(named: "q")
    #expect(try !fixture.isFree("a"))
    try await fixture.graph.remove(named: "r")
    _ = try await fixture.graph.add(image("w"))
  }

  @Test("of two images in one file, which both only read, neither becomes writable")
  func readers() async throws {
    let fixture = try await opened().fixture
    let graph = fixture.graph
    let nodes = [
      try await graph.add(image("q", readOnly: true)),
      try await graph.add(image("r", readOnly: true)),
    ]
    for (node, other) in [(nodes[0], nodes[1]), (nodes[1], nodes[0])] {
      var refused: [BlockError?] = []
      refused.append(#expect(throws: BlockError.self) { try graph.checkMayWrite(node) })
      refused.append(
        await #expect(throws: BlockError.self) { try await graph.reopen(node, readOnly: false) })
      refused.append(
        await #expect(throws: BlockError.self) {
          try await graph.reopenFile(of: node, readOnly: false)
        })
      refused.append(
        await #expect(throws: BlockError.self) { try await graph.reopen([image(node.name)]) })
      for error in refused {
        #expect(
          error?.message
            == "Permission conflict on node 'f': permissions 'write, resize' are both required by "
            + "node '\(node.name)' (uses node 'f' as 'file' child) and unshared by "
            + "node '\(other.name)' (uses node 'f' as 'file' child).")
      }
    }
    try await graph.remove(named: "r")
    try await graph.reopen(nodes[0], readOnly: false)
    #expect(!nodes[0].isReadOnly)
  }

  @Test("no image is opened in a file while another in it becomes writable")
  func readerMeanwhile() async throws {
    let (fixture, file) = try await opened()
    let graph = fixture.graph
    let node = try await graph.add(image("q", readOnly: true))
    // A request on its way keeps the change from ending.
    let release = DispatchSemaphore(value: 0)
    await withCheckedContinuation { isOnItsWay in
      DispatchQueue.global().async {
        try? node.withWholeImage { (_) throws(BlockError) in
          isOnItsWay.resume()
          release.wait()
        }
      }
    }
    let end = End()
    async let change: Void = end.noting { () async throws(BlockError) in
      try await graph.reopen(node, readOnly: false)
    }
    // A change that failed would never be seen.
    while !end.isNoted, graph.holders(of: file).count < 2 { await Task.yield() }
    #expect(!end.isNoted)
    #expect(await fixture.refusal(image("r", readOnly: true))?.code == .locked)
    // What it will hold is not in its own way: a second job on it is told of the first.
    #expect(throws: Never.self) { try graph.checkMayWrite(node) }
    release.signal()
    try await change
    #expect(!node.isReadOnly)
    #expect(graph.holders(of: file).count == 1)
  }

  @Test("no image is opened in a file while another in it is being repaired")
  func readerOfRepaired() async throws {
    let fixture = try await opened().fixture
    let graph = fixture.graph
    let node = try await graph.add(image("q", readOnly: true))
    try await graph.reopenFile(of: node, readOnly: false)
    #expect(node.isReadOnly)
    #expect(await fixture.refusal(image("r", readOnly: true))?.code == .locked)
    try await graph.reopenFile(of: node, readOnly: true)
    _ = try await graph.add(image("r", readOnly: true))
    // What could not be taken back is forgotten when the node has been written and is not any more.
    try await graph.remove(named: "r")
    try await graph.reopenFile(of: node, readOnly: false)
    try await graph.reopen(node, readOnly: false)
    try await graph.reopen(node, readOnly: true)
    _ = try await graph.add(image("r", readOnly: true))
  }

  @Test("the length of a file changes only while no image lies in it")
  func resized() async throws {
    let fixture = try GraphFixture()
    try fixture.create("a")
    let host = try await fixture.graph.add(file(fixture))
    let length = host.virtualSize
    func refusal() async -> BlockError? {
      do throws(BlockError) {
        try await fixture.graph.resize(host, to: length + 512)
        return nil
      } catch {
        return error
      }
    }
    for isReadOnly in [true, false] {
      _ = try await fixture.graph.add(image("q", readOnly: isReadOnly))
      let refused = await refusal()
      #expect(refused?.code == .locked)
      #expect(
        refused?.message
          == "Permission conflict on node 'f': permissions 'resize' are both required by an "
          + "unnamed block device (uses node 'f' as 'root' child) and unshared by node 'q' "
          + "(uses node 'f' as 'file' child).")
      try await fixture.graph.remove(named: "q")
    }
    #expect(host.virtualSize == length)
    #expect(await refusal() == nil)
    #expect(host.virtualSize == length + 512)
    // The permission is given back.
    _ = try await fixture.graph.add(image("q"))
    try await fixture.graph.remove(named: "q")
    try await fixture.graph.remove(named: "f")
  }

  @Test("a file declared read-only is not written, and auto-read-only makes do with it")
  func declaredReadOnly() async throws {
    let fixture = try GraphFixture()
    try fixture.create("a")
    _ = try await fixture.graph.add(file(fixture, readOnly: true))
    #expect(await fixture.refusal(image("q"))?.message == "Block node 'f' is read-only")
    #expect(try fixture.isFree("a"))
    var auto = image("q")
    auto.autoReadOnly = true
    let node = try await fixture.graph.add(auto)
    #expect(node.isReadOnly)
    let error = await #expect(throws: BlockError.self) {
      try await fixture.graph.reopen(node, readOnly: false)
    }
    #expect(error?.message == "Block node 'f' is read-only")
  }

  @Test("a node that is no file cannot be the file of a format")
  func formatOverFormat() async throws {
    let fixture = try GraphFixture()
    try fixture.create("a")
    _ = try await fixture.graph.add(fixture.image("f", "a", readOnly: true))
    #expect(await fixture.refusal(image("q", readOnly: true))?.code == .unsupported)
  }

  @Test("a failed opening leaves the locks of the file's other users alone")
  func failureKeepsLocks() async throws {
    let fixture = try await opened().fixture
    _ = try await fixture.graph.add(image("q", readOnly: true))
    let missing = fixture.image("m", "missing")
    var bad = image("r", readOnly: true)
    bad.driver = .format(
      FormatSpecification(.qcow2, file: .named("f"), backing: .node(.inline(missing))))
    #expect(await fixture.refusal(bad)?.code == .notFound)
    #expect(try !fixture.isFree("a"))
    try await fixture.graph.remove(named: "q")
    #expect(await fixture.refusal(bad)?.code == .notFound)
    #expect(try fixture.isFree("a"))
  }

  @Test("a file node shows the file's bytes and its present length")
  func showsBytes() async throws {
    let fixture = try GraphFixture()
    try fixture.create("a")
    let node = try await fixture.graph.add(file(fixture))
    let seen = try guestBytes(BackingChain([node]), ByteRange(at: 0, length: 4))
    #expect(seen == [0x51, 0x46, 0x49, 0xFB])
    let before = try await fixture.graph.facts(of: node)[0]
    #expect(before.virtualSize == (try fixture.directory.read("a").count.roundedUp(to: 512)))
    try fixture.fill("a", 1, 0, 512 << 10)
    let after = try await fixture.graph.facts(of: node)[0]
    #expect(after.virtualSize > before.virtualSize)
    #expect(after.driver == "file" && after.fileName == fixture.path("a"))
  }

  @Test("a node whose disk fails tells what it told last")
  func deadDevice() async throws {
    let fixture = try GraphFixture()
    let storage = FaultyStorage(MemoryStorage(size: 1 << 20, name: "disk"))
    let node = BlockNode(
      name: "n", driverName: "file", image: try RawImage.open(on: storage, readOnly: true),
      fileName: "/disk", device: DeviceKey(1), options: NodeOptions())
    fixture.graph.insert(node, over: nil)
    storage.set(FaultyStorage.Fault(.size, lasts: true))
    await #expect(throws: BlockError.self) { _ = try await fixture.graph.facts(of: node) }
    storage.set(nil)
    let before = try await fixture.graph.facts(of: node).map(\.fileSize)
    storage.set(FaultyStorage.Fault(.size, lasts: true))
    #expect(try await fixture.graph.facts(of: node).map(\.fileSize) == before)
    #expect(before == [1 << 20])
  }

  @Test("a device that does not answer is waited for once, and its nodes tell what they told last")
  func stillDevice() async throws {
    let lanes = LanePool(lanes: 4, budget: 1)
    let fixture = try GraphFixture(lanes: lanes)
    let top = try await fixture.openChain().top
    let answer = DispatchSemaphore(value: 0)
    lanes.run(on: top.device) { answer.wait() }
    let sizes = try await fixture.graph.facts(of: top).map(\.virtualSize)
    #expect(sizes == [1 << 20, 1 << 20, 1 << 20])
    #expect(fixture.graph.stillDevices == [top.device])
    answer.signal()
    // The look that nobody waited for comes in its turn, before this one.
    _ = await lanes.perform(on: top.device) { () throws(BlockError) in }
    await Task.yield()
    #expect(fixture.graph.stillDevices.isEmpty)
    try await fixture.graph.remove(named: "top")
  }
}
