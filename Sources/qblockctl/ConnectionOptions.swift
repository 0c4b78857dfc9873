import ArgumentParser

/// How every command reaches a daemon, and whom it answers.
struct ConnectionOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "The socket on which qblockd listens. Without it /run/qblockd/qmp.sock for root, else "
        + "$XDG_RUNTIME_DIR/qblockd.sock.", valueName: "path"))
  var socket: String?

  @Flag(
    name: .customLong("private"),
    help: "Run a qblockd of its own for this one command; it ends with it.")
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
