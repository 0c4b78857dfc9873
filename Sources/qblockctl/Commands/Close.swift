import ArgumentParser
import QMP
import QMPClient

/// `close`: the end of a node.
struct Close: ParsableCommand {
  static let configuration = CommandConfiguration(abstract: "Closes a node that nobody uses.")

  @OptionGroup var connection: ConnectionOptions

  @Argument(help: "The node.")
  var node: String

  func run() throws {
    try connection.withSession { session in
      _ = try session.client.execute(BlockdevDel { $0.nodeName = node })
    }
  }
}
