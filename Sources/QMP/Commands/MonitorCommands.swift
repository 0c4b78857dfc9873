// The session itself: negotiation, version, the list of commands, the end.

/// Ends negotiation and lets commands in.
///
/// Isolation: value.
package struct QMPCapabilities: QMPCommand {
  /// What a client may ask for.
  package enum Capability: String, WireEnum {
    /// Commands out of band.
    case outOfBand = "oob"
  }

  package typealias Reply = EmptyReply

  package var enable: [Capability] = []

  package init() {}

  package static let name = "qmp_capabilities"
  package static let summary = "Ends capability negotiation; every other command needs it first"
  package static let members: [WireMember<Self>] = [
    .defaulted("enable", \.enable, "Capabilities of the greeting to enable")
  ]
}

/// Tells what the server is.
///
/// Isolation: value.
package struct QueryVersion: QMPCommand {
  package typealias Reply = VersionInfo

  package init() {}

  package static let name = "query-version"
  package static let allowsOutOfBand = true
  package static let summary = "The server's version"
  package static let members: [WireMember<Self>] = []
}

/// Lists what the server can be asked.
///
/// Isolation: value.
package struct QueryCommands: QMPCommand {
  package typealias Reply = [CommandInfo]

  package init() {}

  package static let name = "query-commands"
  package static let allowsOutOfBand = true
  package static let summary = "The names of all commands"
  package static let members: [WireMember<Self>] = []
}

/// One entry of `query-commands`.
///
/// Isolation: value.
package struct CommandInfo: WireRecord {
  package var name = ""

  package init() {}

  package static let members: [WireMember<Self>] = [
    .required("name", \.name, "The command's name")
  ]
}

/// Describes what the server can be asked.
///
/// Isolation: value.
package struct QueryQMPSchema: QMPCommand {
  package typealias Reply = [SchemaInfo]

  package init() {}

  package static let name = "query-qmp-schema"
  package static let allowsOutOfBand = true
  package static let summary = "All commands and events with their types, in QAPI's introspection"
  package static let members: [WireMember<Self>] = []
}

/// Ends the server.
///
/// Isolation: value.
package struct Quit: QMPCommand {
  package typealias Reply = EmptyReply

  package init() {}

  package static let name = "quit"
  package static let summary = "Cancels all jobs at a safe point, closes the images and ends"
  package static let members: [WireMember<Self>] = []
}
