import BlockRuntime
import QMP

extension CommandDispatcher {
  /// The commands about the daemon itself. `quit` calls `stop`, which returns at once.
  func addMonitorHandlers(_ events: EventBus, stop: @escaping @ControlPlane () -> Void) {
    on(QueryVersion.self) { (_) async throws(QMPError) in VersionInfo.ours }
    onClient(QueryCommands.self) { (_, client) async throws(QMPError) in
      CommandCatalog.infos.filter { client.access.allows($0.name) }
    }
    onClient(QueryQMPSchema.self) { (_, client) async throws(QMPError) in
      switch client.access {
      case .full: SchemaBuilder.schema
      case .queries: SchemaBuilder.schema { client.access.allows($0) }
      }
    }
    on(QueryEvents.self) { (call) async throws(QMPError) in
      events.page(since: call.since, of: call.instance, limit: call.limit)
    }
    on(Quit.self) { (_) async throws(QMPError) in
      stop()
      return EmptyReply()
    }
  }
}
