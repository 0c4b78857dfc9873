import BlockCore
import BlockGraph
import BlockIO
import BlockRuntime
import Glibc
import ImageFormats
import QMP

extension CommandDispatcher {
  /// The commands that put an overlay over a node.
  func addSnapshotHandlers(_ services: DaemonServices) {
    on(BlockdevSnapshot.self) { (call) async throws(QMPError) in
      let node = try services.deviceOrNode(call.node)
      try services.checkSnapshot(of: node)
      let overlay = try services.deviceOrNode(call.overlay)
      do throws(BlockError) {
        try await services.graph.snapshot(node, under: overlay)
      } catch {
        throw QMPError(error)
      }
      return EmptyReply()
    }
    on(BlockdevSnapshotSync.self) { (call) async throws(QMPError) in
      try await services.snapshot(call)
      return EmptyReply()
    }
  }
}

extension DaemonServices {
  /// Makes the overlay where it is to be made, opens it, and puts it over its node. Where that
  /// fails nothing is open that was not before; an overlay that was made stays.
  fileprivate func snapshot(_ call: BlockdevSnapshotSync) async throws(QMPError) {
    let node = try snapshotNode(call)
    // As in QEMU: who knows the node by a device need not know the overlay by name.
    guard call.overlayName != nil || call.nodeName == nil else {
      throw QMPError("New overlay node-name missing")
    }
    try checkSnapshot(of: node)
    if let name = call.overlayName { try checkOverlayName(name) }
    try checkOverlayFormat(call)
    if call.mode == .absolutePaths {
      guard !call.file.isEmpty else {
        throw QMPError(BlockError(.notFound, "Could not create '': No such file or directory"))
      }
      try await makeOverlay(call.file, over: node)
    }
    do throws(BlockError) {
      let overlay = try await graph.add(
        overlaySpecification(call.file, call.overlayName, over: node), unnamed: true)
      do throws(BlockError) {
        try await graph.snapshot(node, under: overlay)
      } catch {
        try? await graph.remove(named: overlay.name)
        throw error
      }
    } catch {
      throw QMPError(error)
    }
  }

  fileprivate func checkSnapshot(of node: BlockNode) throws(QMPError) {
    do throws(BlockError) { try graph.checkSnapshot(of: node) } catch { throw QMPError(error) }
  }

  private func checkOverlayName(_ name: String) throws(QMPError) {
    guard graph.node(named: name) == nil else {
      throw QMPError("New overlay node-name already in use")
    }
    do throws(BlockError) { try NodeName.check(name) } catch { throw QMPError(error) }
  }

  private func snapshotNode(_ call: BlockdevSnapshotSync) throws(QMPError) -> BlockNode {
    let names = [call.device, call.nodeName].compactMap { $0 }
    guard let node = names.lazy.compactMap({ self.graph.node(named: $0) }).first else {
      throw .nodeNotFound(device: call.device ?? "", node: call.nodeName ?? "")
    }
    return node
  }

  private func checkOverlayFormat(_ call: BlockdevSnapshotSync) throws(QMPError) {
    guard let format = ImageFormat(rawValue: call.format) else {
      throw QMPError("Unknown file format '\(QMPError.quoted(call.format))'")
    }
    guard format == .qcow2 else {
      throw QMPError(
        call.mode == .existing
          ? "The overlay does not support backing images"
          : "Backing file not supported for file format '\(format.rawValue)'")
    }
  }

  /// An overlay of the node's size that names the node's file and format. It is durable when this
  /// returns; a crash before leaves no image, or half of one, that nothing refers to. Tests:
  /// `CrashSmokeTests` (create).
  private func makeOverlay(_ file: String, over node: BlockNode) async throws(QMPError) {
    try checkHasName(node, "mode")
    let gate = graph.gate
    let devices = DeviceKey(joining: [node.device, DeviceKey(opening: file)])
    let made = await LanePool.shared.perform(on: devices) { () throws(BlockError) in
      var options = Qcow2CreateOptions(size: node.virtualSize)
      let name = try node.headerName(gate, orGive: "mode")
      try node.requireFile(at: name, gate, orGive: "mode")
      options.backing = BackingLink(bytes: name, format: node.image.format)
      let target = try gate.create(file)
      do throws(BlockError) {
        try Qcow2Create.create(options, on: target)
      } catch {
        try? target.close()
        throw error
      }
      try target.close()
    }
    do throws(BlockError) { try made.get() } catch { throw QMPError(error) }
  }

  /// The overlay is opened as the node under it was.
  private func overlaySpecification(
    _ file: String, _ name: String?, over node: BlockNode
  ) -> NodeSpecification {
    let settings = graph.settings(of: node.file ?? node)
    var host = NodeSpecification(.file(FileSpecification(nil, file)))
    host.cacheDirect = settings.cacheDirect
    host.cacheNoFlush = settings.cacheNoFlush
    var overlay = NodeSpecification(
      name: name, .format(FormatSpecification(.qcow2, file: .inline(host), backing: .none)))
    overlay.discard = node.options.discard
    overlay.detectZeroes = node.options.detectZeroes
    overlay.cacheDirect = settings.cacheDirect
    overlay.cacheNoFlush = settings.cacheNoFlush
    return overlay
  }
}
