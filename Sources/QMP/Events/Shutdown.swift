/// The server is about to end.
///
/// Isolation: value.
package struct Shutdown: QMPEventPayload {
  /// Who ended it.
  package enum Cause: String, WireEnum {
    /// A client, by `quit`.
    case hostQMPQuit = "host-qmp-quit"
    /// The operating system or its user, by a signal.
    case hostSignal = "host-signal"
  }

  package var guest = false
  package var reason = Cause.hostSignal

  package init() {}

  package static let name = "SHUTDOWN"
  package static let summary = "The server cancels its jobs, closes its images and ends"
  package static let members: [WireMember<Self>] = [
    .required("guest", \.guest, "Always false: there is no guest that could ask for it"),
    .required("reason", \.reason, "Who asked for it"),
  ]
}
