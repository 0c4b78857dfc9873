import BlockCore
import BlockGraph
import ImageFormats
import QMP

extension CommandDispatcher {
  /// The command that changes nothing but an image's header.
  func addBackingFileHandlers(_ services: DaemonServices) {
    on(ChangeBackingFile.self) { (call) async throws(QMPError) in
      try await services.changeBackingFile(call)
      return EmptyReply()
    }
  }
}

extension DaemonServices {
  /// Finds the image as QEMU does, and says what is wrong as QEMU does.
  fileprivate func changeBackingFile(_ call: ChangeBackingFile) async throws(QMPError) {
    let graph = graph
    let device = try deviceOrNode(call.device)
    guard graph.overlays(of: device).isEmpty, device.file != nil else {
      throw QMPError("Need a root block node")
    }
    let image = try node(call.imageNodeName)
    guard let backing = graph.backing(of: image) else {
      throw QMPError("not allowing backing file change on an image without a backing file")
    }
    guard graph.chain(from: device).nodes.contains(where: { $0 === image }) else {
      throw QMPError("'\(QMPError.quoted(call.device))' and image file are not in the same chain")
    }
    let name = call.backingFile.isEmpty ? nil : call.backingFile
    try checkBackingFile(name, of: [image])
    // The client has named it, as the overlays of a commit are.
    graph.noteNamed(image)
    do throws(BlockError) {
      try graph.requireNoJob(on: image)
      try await graph.dropIntermediates(
        under: image, to: backing,
        writing: name.map { BackingLink(name: $0, format: backing.image.format) })
    } catch {
      throw QMPError(error)
    }
  }
}
