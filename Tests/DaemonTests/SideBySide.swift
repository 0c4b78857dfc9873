import JSONValue
import TestSupport
import Testing

/// Our daemon and `qemu-storage-daemon`, each with the same images of its own, asked the same.
///
/// Isolation: one test.
final class SideBySide {
  let ours: DaemonStage
  private let mine: MonitorSocket
  private let theirImages: ExampleImages
  private let theirs: QemuDaemon

  init() throws {
    ours = try DaemonStage()
    mine = try MonitorSocket.negotiated(ours.daemon.socket)
    theirImages = try ExampleImages()
    theirs = try QemuDaemon()
  }

  /// Sends `text`, in which `/images` is where the images are, to both, and expects the same answer
  /// and the same graph of nodes afterwards.
  func expectSame(_ text: String, location: SourceLocation = #_sourceLocation) throws {
    let our = try outcome(mine, ours.images, text)
    let their = try outcome(theirs.monitor, theirImages, text)
    #expect(our == their, "\(text)", sourceLocation: location)
    #expect(try nodes(mine) == nodes(theirs.monitor), "\(text)", sourceLocation: location)
    #expect(try chains(mine) == chains(theirs.monitor), "\(text)", sourceLocation: location)
  }

  /// Sends `text` to ours alone, and returns the error's sentence.
  func ourError(_ text: String) throws -> String? { try outcome(mine, ours.images, text) }

  /// The sentence of the error; nil where there is none.
  private func outcome(
    _ monitor: MonitorSocket, _ images: ExampleImages, _ text: String
  ) throws -> String? {
    try monitor.answer(to: images.inPlace(text)).errorSentence?
      .replacing(images.directory.path, with: "/images")
  }

  /// The images with names: whether they are read-only, how they use caches and zeros, and whether
  /// something lies under them.
  private func nodes(_ monitor: MonitorSocket) throws -> [String: [JSONValue]] {
    let answer = try monitor.answer(
      to: #"{"execute": "query-named-block-nodes", "arguments": {"flat": true}}"#)
    var found: [String: [JSONValue]] = [:]
    for node in answer["return"]?.arrayValue ?? [] {
      guard let name = node["node-name"]?.stringValue, !name.hasPrefix("#") else { continue }
      guard let cache = node["cache"], let zeroes = node["detect_zeroes"] else { continue }
      found[name] = [
        cache["direct"] ?? nil, cache["no-flush"] ?? nil, zeroes,
        .bool(node["backing_file"] != nil),
      ]
      // A file that only readers use is open for reading only here.
      if node["drv"] != "file" { found[name]?.append(node["ro"] ?? nil) }
    }
    return found
  }

  /// Which named node lies under which.
  private func chains(_ monitor: MonitorSocket) throws -> Set<String> {
    let graph = try monitor.answer(to: #"{"execute": "x-debug-query-block-graph"}"#)["return"]
    var names: [JSONValue: String] = [:]
    for node in graph?["nodes"]?.arrayValue ?? [] {
      if let id = node["id"] { names[id] = node["name"]?.stringValue }
    }
    var edges: Set<String> = []
    for edge in graph?["edges"]?.arrayValue ?? [] where edge["name"] == "backing" {
      guard let parent = edge["parent"], let child = edge["child"] else { continue }
      let (over, under) = (names[parent] ?? "", names[child] ?? "")
      edges.insert("\(over) over \(under.hasPrefix("#") ? "#" : under)")
    }
    return edges
  }
}
