import BlockCore
import BlockGraph
import BlockJobs
import BlockRuntime
import QMP

extension CommandDispatcher {
  /// Several jobs at once.
  func addTransactionHandlers(_ services: DaemonServices) {
    on(Transaction.self) { (call) async throws(QMPError) in
      let isGrouped = call.properties.completionMode == .grouped
      // What is emptied after a commit of the same group is held by the commit until then.
      let committed = isGrouped ? call.actions.compactMap(\.committedTop) : []
      var starts: [JobRequest] = []
      for action in call.actions {
        switch action.kind {
        case .commit(let commit): starts.append(try services.commit(commit.data))
        case .makeEmpty(let empty):
          let isCommitted = committed.contains(empty.data.node)
          let place: MakeEmptyJob.Place =
            !isGrouped ? .atOnce : isCommitted ? .afterCommit : .atEnd
          starts.append(try services.makeEmpty(empty.data, place))
        }
      }
      do throws(BlockError) {
        try await services.jobs.start(all: starts, grouped: isGrouped)
      } catch {
        throw QMPError(error)
      }
      return EmptyReply()
    }
  }
}

extension TransactionAction {
  /// The node that a commit takes bytes from.
  fileprivate var committedTop: String? {
    guard case .commit(let commit) = kind else { return nil }
    return commit.data.topNode ?? commit.data.device
  }
}
