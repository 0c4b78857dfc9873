import BlockRuntime
import QMP

extension CommandDispatcher {
  /// The commands about the daemon itself. `quit` calls `stop`, which returns at once.
  func addMonitorHandlers(_ events: EventBus, stop: @escaping @ControlPlane () -> Void) {
    on(QueryVersion.self) { (_) async throws(QMPError) in VersionInfo.ours }
    on(QueryCommands.self) { (_) async throws(QMPError) in CommandCatalog.infos }
    on(QueryQMPSchema.self) { (_) async throws(QMPError) in SchemaBuilder.schema }
    on(QueryEvents.self) { (call) async throws(QMPError) in
      events.page(since: call.since, of: call.instance, limit: call.limit)
    }
    on(Quit.self) { (_) async throws(QMPError) in
      stop()
      return EmptyReply()
    }
  }
}
