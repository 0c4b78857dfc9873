import BlockCore
import BlockGraph
import BlockRuntime
import ImageFormats
import TestSupport
import Testing

/// A directory of images made by `qemu-img`, and a graph that opens them.
@ControlPlane
struct GraphFixture {
  let directory: TemporaryDirectory
  let graph: BlockGraph

  init(roots: [String] = [], lanes: LanePool = .shared) throws {
    directory = try TemporaryDirectory()
    graph = BlockGraph(gate: try OpenGate(roots: roots), lanes: lanes)
  }

  nonisolated func path(_ name: String) -> String { directory.file(name) }

  /// Runs `qemu-img create -f qcow2`, over `backing` (its name, and its format) where one is named.
  func create(
    _ name: String, _ size: String = "1M", backing: String? = nil, format: String = "qcow2"
  ) throws {
    var arguments = ["create", "-q", "-f", "qcow2"]
    if let backing { arguments += ["-u", "-b", backing, "-F", format] }
    try qemu("qemu-img", arguments + [path(name), size])
  }

  /// Writes `byte` over `length` bytes at `offset` of an image.
  func fill(
    _ name: String, _ byte: UInt8, _ offset: Int, _ length: Int, format: String = "qcow2"
  ) throws {
    try qemu("qemu-io", ["-f", format, "-c", "write -P \(byte) \(offset) \(length)", path(name)])
  }

  /// base (raw, 3 over 512 KiB) <- mid (5 at 64 KiB) <- top (7 at 128 KiB), by relative names.
  func makeChain() throws {
    try qemu("qemu-img", ["create", "-q", "-f", "raw", path("base"), "1M"])
    try fill("base", 3, 0, 512 << 10, format: "raw")
    try create("mid", backing: "base", format: "raw")
    try fill("mid", 5, 64 << 10, 64 << 10)
    try create("top", backing: "mid")
    try fill("top", 7, 128 << 10, 64 << 10)
  }

  /// Makes the chain, and opens it by its top, as its headers say.
  func openChain() async throws -> BackingChain {
    try makeChain()
    return graph.chain(from: try await graph.add(image("top", "top")))
  }

  /// A qcow2 node over an inline file node.
  nonisolated func image(
    _ name: String, _ file: String, readOnly: Bool? = nil,
    _ format: FormatSpecification.Format = .qcow2,
    backing: FormatSpecification.Backing = .fromHeader,
    backingFormat: FormatSpecification.Format? = nil
  ) -> NodeSpecification {
    let below = NodeSpecification(.file(FileSpecification(.file, path(file))))
    var made = NodeSpecification(
      name: name,
      .format(
        FormatSpecification(
          format, file: .inline(below), backing: backing, backingFormat: backingFormat)))
    made.isReadOnly = readOnly
    return made
  }

  /// The error of an `add` that has to fail.
  func refusal(_ specification: NodeSpecification) async -> BlockError? {
    do throws(BlockError) {
      _ = try await graph.add(specification)
      return nil
    } catch {
      return error
    }
  }

  /// What a guest sees of the whole disk. Blocks, which a test may.
  func guest(_ node: BlockNode) throws(BlockError) -> [UInt8] {
    try guestBytes(graph.chain(from: node), ByteRange(at: 0, length: node.virtualSize))
  }

  /// The whole disk as `qemu-img` reads it.
  func converted(_ name: String) throws -> [UInt8] {
    try qemu("qemu-img", ["convert", "-U", "-f", "qcow2", "-O", "raw", path(name), path("flat")])
    return try directory.read("flat")
  }

  /// Whether another process could open the image for writing, or with `readOnly` for reading.
  func isFree(_ name: String, readOnly: Bool = false, format: String = "qcow2") throws -> Bool {
    let options = readOnly ? ["-r"] : []
    return try QemuTools.run("qemu-io", options + ["-f", format, "-c", "length", path(name)])
      .status == 0
  }

  private func qemu(_ tool: String, _ arguments: [String]) throws {
    let outcome = try QemuTools.run(tool, arguments)
    try #require(outcome.status == 0, "\(outcome.output)")
  }
}
