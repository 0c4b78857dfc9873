import ArgumentParser
import JSONValue
import QMP
import QMPClient

/// `map`: what `qemu-img map` prints.
struct Map: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Tells where the bytes that a guest reads stand.")

  @OptionGroup var connection: ConnectionOptions
  @OptionGroup var image: ImageOptions

  @Option(help: "human (the extents that hold data) or json (all of them).")
  var output = MapText.Form.human

  @Argument(help: "The image.")
  var file: String

  func run() throws {
    try connection.withSession { session in
      let disk = try ImageFile(file, image, readOnly: true)
      try disk.whileOpen(in: session) {
        let form = session.isJSON ? MapText.Form.json : output
        try write(form, disk, session)
      }
    }
  }

  private func write(_ form: MapText.Form, _ disk: ImageFile, _ session: Session) throws {
    var map = MapText(form, files: form == .human ? try layers(of: disk, in: session) : [])
    StandardStream.output.write(map.head)
    var next: Int? = 0
    do {
      while let offset = next {
        let page = try session.client.execute(
          NodeMapQuery {
            ($0.node, $0.offset, $0.limit) = (disk.nodeName, offset, 10_000)
          })
        StandardStream.output.write(try map.lines(page.extents))
        next = page.next
      }
      StandardStream.output.write(try map.end())
    } catch is MapText.Refusal {
      throw Failure("File contains external, encrypted or compressed clusters.")
    }
  }

  /// The files of the chain, the top first, each as the one above it names it.
  private func layers(of disk: ImageFile, in session: Session) throws -> [String] {
    var files = [disk.file]
    var node = disk.nodeName
    while true {
      let info = try session.client.execute(NodeInfoQuery { $0.node = node })
      guard let below = info.backingNode, let name = info.backingFilename else { return files }
      files.append(pathOfBacking(name, of: files[files.count - 1]))
      node = below
    }
  }
}

extension MapText.Form: ExpressibleByArgument {}
