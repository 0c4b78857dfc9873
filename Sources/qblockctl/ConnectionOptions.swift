import ArgumentParser

/// How every command reaches a daemon, and whom it answers.
struct ConnectionOptions: ParsableArguments {
  @Option(help: "The socket on which qblockd listens, where it is not the default one.")
  var socket: String?

  @Flag(
    name: .customLong("private"), help: "Run a qblockd of its own for this one command.")
  var isPrivate = false

  @Flag(name: .customLong("json"), help: "Answer in JSON, one value a line, for programs.")
  var isJSON = false

  /// Runs `body` with a connection. A private daemon has ended when this returns.
  func withSession<Result>(_ body: (Session) throws -> Result) throws -> Result {
    let session = try Session(self)
    defer { session.end() }
    return try body(session)
  }
}
