import ArgumentParser
import QMP
import QMPClient

/// `nodes`: what is open.
struct Nodes: ParsableCommand {
  static let configuration = CommandConfiguration(abstract: "Lists the nodes that are open.")

  @OptionGroup var connection: ConnectionOptions

  func run() throws {
    try connection.withSession { session in
      let nodes = try session.client.execute(QueryNamedBlockNodes { $0.flat = true })
      if session.isJSON { return session.say(nodes.wire) }
      var table = Table("NODE", "DRIVER", "MODE", "SIZE", "FILE")
      for node in nodes {
        table.add(
          node.nodeName, node.driver.rawValue, node.readOnly ? "ro" : "rw",
          ByteCount.text(node.image.virtualSize), node.file)
      }
      StandardStream.output.lines(table.text)
    }
  }
}
