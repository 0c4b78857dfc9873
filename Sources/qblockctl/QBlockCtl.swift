import ArgumentParser
import Glibc
import QMPClient

/// The client of qblockd.
@main
struct QBlockCtl: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "qblockctl",
    abstract: "Commits and empties disk images, and tells qblockd what else to do.",
    discussion: "Sizes may have a suffix k, M, G or T of powers of 1024.",
    subcommands: [
      Commit.self, MakeEmpty.self, Create.self, Write.self, Info.self, Map.self, Checksum.self,
      Compare.self, Check.self, Open.self, Close.self, Nodes.self, Jobs.self, JobVerbs.self,
      Watch.self,
      RawQMP.self,
    ])

  @OptionGroup var connection: ConnectionOptions

  static func main() {
    do {
      var command = try parseAsRoot()
      try command.run()
    } catch let failure as Failure {
      StandardStream.errors.write("qblockctl: \(failure.message)\n")
      Glibc.exit(failure.status)
    } catch let error as QMPClientError {
      StandardStream.errors.write("qblockctl: \(error)\n")
      Glibc.exit(1)
    } catch let status as ExitCode {
      Glibc.exit(status.rawValue)
    } catch {
      end(parsing: error)
    }
  }

  /// Says what is wrong with the command line as QEMU's tools do; help is no error.
  private static func end(parsing error: any Error) -> Never {
    guard exitCode(for: error) != .success else {
      StandardStream.output.write(fullMessage(for: error) + "\n")
      Glibc.exit(0)
    }
    StandardStream.errors.write(
      "qblockctl: \(message(for: error))\nTry 'qblockctl --help' for more information\n")
    Glibc.exit(1)
  }
}
