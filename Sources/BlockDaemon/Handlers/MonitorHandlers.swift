import BlockRuntime
package import QMP

extension CommandDispatcher {
  /// The commands about the daemon itself. `quit` calls `stop`, which returns at once.
  func addMonitorHandlers(stop: @escaping @ControlPlane () -> Void) {
    on(QueryVersion.self) { (_) async throws(QMPError) in DaemonVersion.info }
    on(QueryCommands.self) { (_) async throws(QMPError) in CommandCatalog.infos }
    on(Quit.self) { (_) async throws(QMPError) in
      stop()
      return EmptyReply()
    }
  }
}

/// What the daemon says of itself.
package enum DaemonVersion {
  /// The daemon's own version.
  package static let text = "0.1.0"
  /// The QEMU whose commands, events and sentences it follows, and its own name.
  package static let info = VersionInfo(
    qemu: VersionInfo.Triple(10, 0, 0), package: "qblockd \(text)")
}
