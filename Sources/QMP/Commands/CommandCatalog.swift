/// Every command there is. What is not here cannot be asked.
///
/// Isolation: value.
package enum CommandCatalog {
  /// The commands' types, one family after the other.
  package static let all: [any QMPCommand.Type] = [
    QMPCapabilities.self, QueryVersion.self, QueryCommands.self, QueryQMPSchema.self,
    QueryEvents.self, Quit.self,
    BlockdevAdd.self, BlockdevReopen.self, BlockdevDel.self, BlockdevCreate.self, BlockResize.self,
    QueryNamedBlockNodes.self, QueryBlockStats.self, ChangeBackingFile.self,
    BlockdevSnapshot.self, BlockdevSnapshotSync.self, QueryBlockGraph.self,
    BlockCommit.self, BlockStream.self, BlockMakeEmpty.self,
    Transaction.self,
    QueryJobs.self, JobCancel.self, JobPause.self, JobResume.self, JobComplete.self,
    JobFinalize.self, JobDismiss.self,
    QueryBlockJobs.self, BlockJobCancel.self, BlockJobPause.self, BlockJobResume.self,
    BlockJobComplete.self, BlockJobFinalize.self, BlockJobDismiss.self, BlockJobSetSpeed.self,
    JobCompleteSync.self, JobWait.self, QueryJobHistory.self,
    NodeInfoQuery.self, NodeMapQuery.self,
    GetFD.self, CloseFD.self, AddFD.self, RemoveFD.self, QueryFDSets.self,
    BlockWrite.self, BlockChecksum.self, BlockCompare.self, BlockCheck.self,
  ]

  /// Commands that may be asked out of band.
  private static let outOfBand = Set(all.filter { $0.allowsOutOfBand }.map { $0.name })
  private static let names = Set(all.map { $0.name })

  /// Whether `name` is a command that may not be asked out of band.
  package static func refusesOutOfBand(_ name: String) -> Bool {
    names.contains(name) && !outOfBand.contains(name)
  }

  /// The answer of `query-commands`.
  package static var infos: QueryCommands.Reply {
    all.map { command in CommandInfo { $0.name = command.name } }
  }
}
