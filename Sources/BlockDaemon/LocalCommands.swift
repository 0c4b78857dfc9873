package import BlockGraph
import BlockJobs
package import BlockRuntime
package import JSONValue
package import QMP

/// All commands of a daemon over a graph, without its sockets and its process: for a fuzzer, which
/// has images in memory.
///
/// Isolation: control plane.
@ControlPlane
package final class LocalCommands {
  private let dispatcher = CommandDispatcher()
  private let services: DaemonServices
  private let client = ClientDescriptors(nil)
  /// Commands that have not ended.
  private var unanswered = 0

  /// Commands over `graph`; `quit` does nothing.
  package init(_ graph: BlockGraph) {
    let events = EventBus(remembered: 16)
    let jobs = JobRegistry(graph: graph) { events.send($0) }
    services = DaemonServices(graph: graph, jobs: jobs, events: events)
    dispatcher.addAllHandlers(services) {}
  }

  /// Runs the commands side by side, each begun before the next, and cancels the jobs that they
  /// start. Returns the answers by the order of the commands, once all have ended.
  package func perform(_ requests: [QMPRequest]) async -> [Result<JSONValue, QMPError>] {
    unanswered += requests.count
    let calls = requests.map { request in
      Task {
        defer { unanswered -= 1 }
        return await dispatcher.perform(request, client)
      }
    }
    // One that waits for a job ends with it.
    while unanswered > 0 {
      await services.jobs.cancelAll()
      await Task.yield()
    }
    await services.jobs.cancelAll()
    var answers: [Result<JSONValue, QMPError>] = []
    for call in calls { answers.append(await call.value) }
    return answers
  }
}
