import ArgumentParser
import Glibc
import QMP
import QMPClient

/// The client of qblockd.
@main
struct QBlockCtl: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "qblockctl",
    abstract: "Commits and empties disk images, and tells qblockd what else to do.",
    discussion: """
      Sizes may have a suffix k, M, G, T, P or E of powers of 1024.

      The exit status is 0 for success and 1 for failure; 'check' and 'compare' have qemu-img's \
      others. Ctrl-C cancels what the command has started, and ends it by that signal, which a \
      shell sees as 130.
      """,
    version: "qblockctl \(VersionInfo.text)",
    subcommands: [
      Commit.self, MakeEmpty.self, Create.self, Write.self, Info.self, Map.self, Checksum.self,
      Compare.self, Check.self, Open.self, Close.self, Nodes.self, Jobs.self, JobVerbs.self,
      Watch.self, RawQMP.self,
    ])

  @OptionGroup var connection: ConnectionOptions

  static func main() {
    guard StandardStream.openAll() else { Glibc.exit(1) }
    do {
      try requireText()
      var command = try parseAsRoot()
      try command.run()
    } catch let failure as Failure {
      complain(failure.message)
      Glibc.exit(failure.status)
    } catch let interruption as Interruption {
      complain(interruption.message)
      Interruption.endProcess()
    } catch QMPClientError.interrupted {
      complain("Interrupted")
      Interruption.endProcess()
    } catch let error as QMPClientError {
      complain(error.description)
      Glibc.exit(1)
    } catch let status as ExitCode {
      Glibc.exit(status.rawValue)
    } catch {
      end(parsing: error)
    }
  }

  /// Swift mends an argument that is not UTF-8, and what is mended names another file. QMP has no
  /// other names.
  private static func requireText() throws(Failure) {
    for (index, text) in CommandLine.arguments.enumerated() {
      guard let argument = unsafe CommandLine.unsafeArgv[index] else { return }
      guard unsafe String(validatingCString: argument) == nil else { continue }
      throw Failure(
        "'\(text)' is not UTF-8, as names must be here: give the file another name, or a link")
    }
  }

  private static func complain(_ message: String) {
    StandardStream.errors.line("qblockctl: \(message)")
  }

  /// Says what is wrong with the command line as QEMU's tools do; help is no error.
  private static func end(parsing error: any Error) -> Never {
    guard exitCode(for: error) != .success else {
      StandardStream.output.line(fullMessage(for: error))
      Glibc.exit(0)
    }
    let names = configuration.subcommands.map { $0._commandName }
    let arguments = CommandLine.arguments
    let words = zip(arguments, arguments.dropFirst()).filter { $0.0 != "--socket" }.map(\.1)
    let known = words.first { names.contains($0) }
    // Without a command the parser complains of the words one by one.
    let stray = known == nil ? words.first { !$0.hasPrefix("-") } : nil
    complain(stray.map { "Command not found: \($0)" } ?? message(for: error))
    let help = ["qblockctl", known, "--help"].compactMap { $0 }.joined(separator: " ")
    StandardStream.errors.line("Try '\(help)' for more information")
    Glibc.exit(1)
  }
}
