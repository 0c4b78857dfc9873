import BlockCore
import BlockDaemon
import BlockGraph
import BlockRuntime
import Dispatch
import Foundation
import ImageFormats
import JSONValue
import QMP
import TestSupport

/// The daemon's commands over two images in memory, `top` over `base`. Files are looked for in a
/// directory that is gone, so nothing outside is read, made or changed.
///
/// Isolation: control plane.
@ControlPlane
final class DispatchStage {
  private static var stage: DispatchStage?

  private let graph: BlockGraph
  private let commands: LocalCommands

  private init() throws {
    let directory = try TemporaryDirectory()
    graph = BlockGraph(gate: try OpenGate(roots: [directory.path]))
    commands = LocalCommands(graph)
    withExtendedLifetime(directory) {}
    let base = try DispatchStage.node("base", over: nil)
    graph.insert(base, over: nil)
    graph.insert(try DispatchStage.node("top", over: "base"), over: base)
  }

  private static func node(_ name: String, over backing: String?) throws -> BlockNode {
    let storage = MemoryStorage(name: name)
    var options = Qcow2CreateOptions(size: 65_536)
    options.clusterSize = 4096
    options.backing = backing.map { BackingLink(name: $0, format: "qcow2") }
    try Qcow2Create.create(options, on: storage)
    let image = try Qcow2Image.open(on: storage, readOnly: false)
    try [UInt8](repeating: 7, count: 9000).withBytes { (bytes) throws(BlockError) in
      try image.write(bytes, at: 3000, over: nil)
    }
    return BlockNode(
      name: name, driverName: "qcow2", image: image, fileName: "/\(name)", device: DeviceKey(1))
  }

  /// Has the commands carried out, and returns when they and all that they began have ended.
  nonisolated static func perform(_ requests: [QMPRequest]) {
    let done = DispatchSemaphore(value: 0)
    ControlPlane.post {
      Task {
        await take(requests)
        done.signal()
      }
    }
    done.wait()
  }

  /// Each input begins with the same images: after one that may have changed something they are
  /// made anew.
  private static func take(_ requests: [QMPRequest]) async {
    guard let current = stage ?? (try? DispatchStage()) else {
      preconditionFailure("images in memory can be made")
    }
    stage = current
    let answers = await current.commands.perform(requests)
    precondition(answers.count == requests.count, "each command has one answer")
    for (request, answer) in zip(requests, answers) {
      check(QMPResponse(answer, id: request.id).message)
      if case .success = answer, !request.execute.contains("query-") { stage = nil }
      if case .failure(let error) = answer {
        precondition(!error.message.isEmpty, "an error says something")
      }
    }
    if stage == nil { _ = await current.graph.closeAll() }
  }

  /// An answer is JSON, and means what it was made from.
  private static func check(_ message: JSONValue) {
    let bytes = message.utf8
    let isOne = bytes.count > 16_384 || (try? JSONValue.parse(bytes, limits: .answer)) == message
    precondition(isOne, "an answer survives writing")
  }
}
