import ArgumentParser
import QMP
import QMPClient

/// `info`: what there is to know of an image, in the manner of `qemu-img info`.
struct Info: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Tells an image's format, sizes, backing file and features.")

  @OptionGroup var connection: ConnectionOptions
  @OptionGroup var image: ImageOptions
  @OptionGroup var sharing: SharingOptions

  @Argument(help: "The image.")
  var file: String

  func run() throws {
    try connection.withSession { session in
      let disk = try ImageFile(file, image, for: .look(forceShare: sharing.forceShare))
      let info = try disk.whileOpen(in: session) { node in
        try session.client.execute(NodeInfoQuery { $0.node = node })
      }
      if session.isJSON { return session.say(info.wire) }
      for line in lines(info) { StandardStream.output.line(line) }
    }
  }

  private func lines(_ info: NodeInfo) -> [String] {
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
      lines.append("internal snapshots: \(info.snapshots.joined(separator: ", "))")
    }
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
