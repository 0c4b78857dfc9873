import BlockCore
import BlockGraph
import BlockJobs
import ImageFormats
import QMP

extension CommandDispatcher {
  /// The job that checks and repairs.
  func addCheckHandlers(_ services: DaemonServices) {
    on(BlockCheck.self) { (call) async throws(QMPError) in
      let graph = services.graph
      let node = try services.node(call.node)
      guard node.image is any CheckableImage else {
        throw QMPError(BlockCheck.unsupportedFormat)
      }
      try services.start(JobOptions(call.job)) { (id) throws(BlockError) in
        try CheckJob(node, repair: call.fix.repair, id: id, graph: graph)
      }
      return EmptyReply()
    }
  }
}

extension BlockCheck.Fix {
  /// The engine's word for it.
  fileprivate var repair: CheckRepair {
    switch self {
    case .none: .none
    case .leaks: .leaks
    case .all: .all
    }
  }
}

extension CheckResult {
  /// The protocol's form of the numbers.
  var wire: ImageCheck {
    ImageCheck {
      $0.imageEndOffset = imageEndOffset
      $0.compressedClusters = compressedClusters
      $0.totalClusters = totalClusters
      $0.corruptions = corruptions
      $0.corruptionsFixed = corruptionsFixed
      $0.checkErrors = checkErrors
      $0.leaks = leaks
      $0.leaksFixed = leaksFixed
      $0.allocatedClusters = allocatedClusters
      $0.fragmentedClusters = fragmentedClusters
      $0.findings = findings
    }
  }
}
