import ArgumentParser
import BlockCore
import JSONValue
import QMP
import QMPClient

/// `info`: what there is to know of an image, in the manner of `qemu-img info`.
struct Info: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Tells an image's format, sizes, backing file and features.")

  @OptionGroup var connection: ConnectionOptions
  @OptionGroup var image: ImageOptions
  @OptionGroup var sharing: SharingOptions

  @Flag(help: "Tell of the images below it, too.")
  var backingChain = false

  @Argument(help: "The image.")
  var file: String

  func run() throws {
    try connection.withSession { session in
      let disk = try ImageFile(file, image, for: .look(forceShare: sharing.forceShare))
      // What lies below may be missing, or in use, where only this image is asked for.
      let told = try (backingChain ? disk : disk.alone()).whileOpen(in: session) { node in
        try layers(from: node, named: disk.path, in: session)
      }
      if session.isJSON {
        session.say(backingChain ? .array(told.map { $0.info.wire }) : told[0].info.wire)
        return
      }
      // A name with a newline in it would be two lines.
      let texts = told.map { layer in
        lines(of: layer.file, layer.info).map(\.printable).joined(separator: "\n")
      }
      StandardStream.output.line(texts.joined(separator: "\n\n"))
    }
  }

  /// The images from `top` down as far as they are asked for, each as the one above it names it.
  private func layers(
    from top: String, named file: String, in session: Session
  ) throws -> [(file: String, info: NodeInfo)] {
    var layers: [(file: String, info: NodeInfo)] = []
    var next: (file: String, node: String)? = (file, top)
    while let (file, node) = next {
      let info = try session.client.execute(NodeInfoQuery { $0.node = node })
      layers.append((file, info))
      next = nil
      if backingChain, let below = info.backingNode, let name = info.backingFilename {
        next = (pathOfBacking(name, of: file), below)
      }
    }
    return layers
  }

  private func lines(of file: String, _ info: NodeInfo) -> [String] {
    var lines = [
      "image: \(file)",
      "file format: \(info.driver.rawValue)",
      "virtual size: \(ByteCount.text(info.virtualSize)) (\(info.virtualSize) bytes)",
      "file size: \(ByteCount.text(info.fileSize)) (\(info.fileSize) bytes)",
      "disk size: \(ByteCount.text(info.allocatedSize))",
    ]
    if let size = info.clusterSize { lines.append("cluster_size: \(size)") }
    if let name = info.backingFilename {
      let path = pathOfBacking(name, of: file)
      lines.append("backing file: \(name)" + (path == name ? "" : " (actual path: \(path))"))
    }
    if let format = info.backingFormat { lines.append("backing file format: \(format)") }
    if !info.snapshots.isEmpty {
      // Behind a damaged one it is not known what there is.
      let count = info.snapshotDamage == nil ? info.snapshotCount ?? 0 : 0
      let more = count - info.snapshots.count
      lines.append(
        "internal snapshots: \(info.snapshots.joined(separator: ", "))"
          + (more > 0 ? " and \(more) more" : ""))
    }
    if let damage = info.snapshotDamage { lines.append("damaged snapshot: \(damage)") }
    return lines + (info.qcow2.map(specificLines) ?? [])
  }

  private func specificLines(_ info: Qcow2NodeInfo) -> [String] {
    [
      "Format specific information:",
      "    compat: \(info.version == .v2 ? "0.10" : "1.1")",
      "    compression type: \(info.compressionType)",
      "    lazy refcounts: \(info.lazyRefcounts)",
      "    refcount bits: \(info.refcountBits)",
      "    dirty: \(info.dirty)",
      "    corrupt: \(info.corrupt)",
      "    extended l2: \(info.extendedL2)",
      "    persistent bitmaps: \(info.bitmaps)",
    ]
  }
}
