/// Every event there is.
///
/// Isolation: value.
package enum EventCatalog {
  /// The events' types.
  package static let all: [any QMPEventPayload.Type] = [
    JobStatusChange.self,
    BlockJobReady.self, BlockJobCompleted.self, BlockJobCancelled.self, BlockJobPending.self,
    BlockJobError.self,
    Shutdown.self,
  ]
}
