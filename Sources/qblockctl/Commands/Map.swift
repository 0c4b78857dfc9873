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
  @OptionGroup var sharing: SharingOptions

  @Option(help: "human (the extents that hold data) or json (all of them).")
  var output = MapText.Form.human

  @Argument(help: "The image.")
  var file: String

  func run() throws {
    try connection.withSession { session in
      let disk = try ImageFile(file, image, for: .look(forceShare: sharing.forceShare))
      try disk.whileOpen(in: session) { node in
        try write(session.isJSON ? .json : output, disk, node, session)
      }
    }
  }

  private func write(
    _ form: MapText.Form, _ disk: ImageFile, _ node: String, _ session: Session
  ) throws {
    let files = form == .human ? try layers(of: node, in: session, from: disk.path) : []
    var map = MapText(form, files: files)
    StandardStream.output.lines(map.head)
    var next: Int? = 0
    do {
      while let offset = next {
        let page = try session.client.execute(
          NodeMapQuery {
            ($0.node, $0.offset, $0.limit) = (node, offset, 10_000)
          })
        StandardStream.output.lines(try map.lines(page.extents))
        next = page.next
      }
      StandardStream.output.lines(try map.end())
    } catch is MapText.Refusal {
      throw Failure("File contains external, encrypted or compressed clusters.")
    }
  }

  /// The files of the chain, the top first, each as the one above it names it.
  private func layers(
    of top: String, in session: Session, from file: String
  ) throws -> [String] {
    var files = [file]
    var node = top
    while true {
      let info = try session.client.execute(NodeInfoQuery { $0.node = node })
      guard let below = info.backingNode, let name = info.backingFilename else { return files }
      files.append(pathOfBacking(name, of: files[files.count - 1]))
      node = below
    }
  }
}

extension MapText.Form: ExpressibleByArgument {}
