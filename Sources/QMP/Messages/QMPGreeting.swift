package import JSONValue

/// What the server says first on every connection.
///
/// Isolation: value.
package struct QMPGreeting: WireRecord {
  package var version = VersionInfo()
  package var capabilities: [String] = []

  package init() {}

  /// A greeting from a server of `version`.
  package init(version: VersionInfo, capabilities: [String]) {
    self.version = version
    self.capabilities = capabilities
  }

  package static let members: [WireMember<Self>] = [
    .required("version", \.version, "The server's version, as 'query-version' gives it"),
    .required("capabilities", \.capabilities, "What 'qmp_capabilities' may enable"),
  ]

  /// The message that says this.
  package var message: JSONValue { ["QMP": wire] }
}
