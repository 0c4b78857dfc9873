import BlockGraph
import BlockJobs
import BlockRuntime

/// What handlers work with.
///
/// Isolation: control plane.
@ControlPlane
final class DaemonServices {
  let graph: BlockGraph
  let jobs: JobRegistry
  let events: EventBus
  /// Which overlays were just committed, so that emptying them needs no comparison.
  let memory = CommitMemory()
  /// Numbers the nodes that `blockdev-create` holds.
  var lastCreation = 0

  init(graph: BlockGraph, jobs: JobRegistry, events: EventBus) {
    self.graph = graph
    self.jobs = jobs
    self.events = events
  }
}
