import QMP
import Testing

/// All records that can be reached from `root`, itself included.
private func records(from root: any WireRecord.Type) -> [any WireRecord.Type] {
  var found: [ObjectIdentifier: any WireRecord.Type] = [:]
  func visit(_ record: any WireRecord.Type) {
    guard found.updateValue(record, forKey: ObjectIdentifier(record)) == nil else { return }
    for member in record.memberTable {
      if let inner = member.type as? any WireRecord.Type { visit(inner) }
      if member.type == BlockdevReference.self { visit(BlockdevOptions.self) }
      for branch in member.branches { visit(branch.record) }
    }
  }
  visit(root)
  return Array(found.values)
}

extension WireRecord {
  fileprivate typealias Row = (
    name: String, documentation: String, type: any WireValue.Type,
    branches: [(word: String, record: any WireRecord.Type)]
  )

  fileprivate static var memberTable: [Row] {
    members.map { ($0.name, $0.documentation, $0.type, $0.branches) }
  }
}

@Test("Every command and event has a name of its own and says what it is for")
func catalog() {
  let names = CommandCatalog.all.map { $0.name } + EventCatalog.all.map { $0.name }
  #expect(Set(names).count == names.count)
  for summary in CommandCatalog.all.map({ $0.summary }) + EventCatalog.all.map({ $0.summary }) {
    #expect(summary.count > 10 && !summary.hasSuffix("."))
  }
  #expect(CommandCatalog.infos.map(\.name) == CommandCatalog.all.map { $0.name })
}

@Test("Every member of a record has a name of its own and says what it means")
func members() {
  let replies: [any WireRecord.Type] = [
    VersionInfo.self, QMPGreeting.self, QMPErrorDetail.self, CommandInfo.self, JobInfo.self,
    BlockJobInfo.self, JobOutcome.self, BlockNodeInfo.self, NodeInfo.self, NodeMap.self,
    MapExtent.self, CommitResult.self, ChecksumResult.self, CompareResult.self,
  ]
  let roots = CommandCatalog.all + EventCatalog.all + replies
  for record in roots.flatMap(records(from:)) {
    let names = record.memberTable.map(\.name)
    #expect(Set(names).count == names.count, "\(record)")
    for row in record.memberTable {
      #expect(row.documentation.count > 5, "\(record).\(row.name)")
      for branch in row.branches {
        let inner = branch.record.memberTable.map(\.name)
        #expect(Set(inner).isDisjoint(with: names), "\(record) and \(branch.record)")
      }
    }
  }
}

@Test("The commands that QEMU has too bear its names")
func commandsOfQEMU() {
  let expected = [
    "qmp_capabilities", "query-version", "query-commands", "quit", "blockdev-add", "blockdev-del",
    "blockdev-create", "block_resize", "query-named-block-nodes", "block-commit", "query-jobs",
    "query-block-jobs", "job-cancel", "job-pause", "job-resume", "job-complete", "job-finalize",
    "job-dismiss", "block-job-cancel", "block-job-pause", "block-job-resume",
    "block-job-complete", "block-job-finalize", "block-job-dismiss", "block-job-set-speed",
  ]
  #expect(Set(expected).isSubset(of: CommandCatalog.all.map { $0.name }))
}
