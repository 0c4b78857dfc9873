import BlockGraph
import BlockRuntime
import ImageFormats

extension CommandDispatcher {
  /// Handlers of all commands, which work with `services`. `quit` calls `stop`, which returns at
  /// once.
  func addAllHandlers(_ services: DaemonServices, stop: @escaping @ControlPlane () -> Void) {
    addMonitorHandlers(services.events, stop: stop)
    addNodeHandlers(services)
    addCreateHandlers(services)
    addCommitHandlers(services)
    addStreamHandlers(services)
    addTransactionHandlers(services)
    addBackingFileHandlers(services)
    addJobHandlers(services)
    addWaitHandlers(services.jobs)
    addNodeQueryHandlers(services)
    addNodeJobHandlers(services)
    addSnapshotHandlers(services)
    addGraphHandlers(services.graph)
    addDescriptorHandlers(services.graph.gate.descriptors)
    precondition(unhandled.isEmpty, "no handler for \(unhandled)")
  }
}
