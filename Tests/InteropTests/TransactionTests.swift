import JSONValue
import QMP
import QMPClient
import TestSupport
import Testing

@Suite("Transactions of commits and emptyings")
struct TransactionTests {
  private let chain: ImageChain
  private let daemon: DaemonProcess
  private let client: QMPClient

  /// Two disks, a1 over a0 and b1 over b0; with `limit`, no file may be longer.
  init() throws { try self.init(limit: nil) }

  private init(limit: Int?) throws {
    chain = try ImageChain()
    let shape = ImageShape(size: 4 << 20)
    for disk in ["a", "b"] {
      try chain.add(
        "\(disk)0", shape, over: nil, commands: ["write -P 1 0 64k"])
      try chain.add(
        "\(disk)1", shape, over: "\(disk)0",
        commands: [disk == "a" ? "write -P 2 64k 64k" : "write -P 3 64k 2M"])
    }
    daemon = try DaemonProcess.start(
      launcher: limit.map { ["prlimit", "--fsize=\($0)"] } ?? [])
    client = try daemon.client()
    for disk in ["a", "b"] {
      let file = BlockdevOptions(.file(FileOptions(filename: chain.path("\(disk)0"))))
      let image = Qcow2Options(file: .options(file), backing: BackingReference.none)
      let base = BlockdevOptions(.qcow2(image), nodeName: "\(disk)0")
      try client.add(
        "\(disk)1", chain.path("\(disk)1"), backing: .reference(.options(base)))
    }
  }

  private func commit(_ disk: String, _ fill: (inout BlockCommit) -> Void = { _ in })
    -> TransactionAction
  {
    TransactionAction {
      $0.kind = .commit(
        CommitAction {
          ($0.data.jobID, $0.data.device) = ("commit-\(disk)", "\(disk)1")
          ($0.data.autoComplete, $0.data.autoDismiss) = (true, false)
          fill(&$0.data)
        })
    }
  }

  private func empty(_ disk: String) -> TransactionAction {
    TransactionAction {
      $0.kind = .makeEmpty(
        MakeEmptyAction {
          ($0.data.node, $0.data.job.id) = ("\(disk)1", "empty-\(disk)")
          $0.data.job.autoDismiss = false
        })
    }
  }

  private func start(
    _ mode: TransactionProperties.CompletionMode, _ actions: TransactionAction...
  ) throws {
    try client.execute(
      Transaction {
        ($0.actions, $0.properties.completionMode) = (actions, mode)
      })
  }

  /// How the job ended.
  private func end(_ id: String) throws -> JobOutcome {
    try client.execute(JobWait { $0.id = id }, timeout: .seconds(60))
  }

  private func views() throws -> [(name: String, view: String)] {
    try ["a1", "b1"].map { ($0, try chain.view($0)) }
  }

  /// Ends the daemon, and checks that guests see what they saw.
  private func check(_ views: [(name: String, view: String)]) throws {
    #expect(daemon.stop() == 0, "\(daemon.output)")
    for (name, view) in views { #expect(try chain.shows(name, view), "\(name)") }
    try chain.checkSound()
  }

  private func isEmpty(_ name: String) throws -> Bool {
    try chain.map(name).allSatisfy { $0.depth > 0 || !$0.present }
  }

  @Test("two disks, committed and emptied as one")
  func grouped() throws {
    let views = try views()
    try start(.grouped, commit("a"), empty("a"), commit("b"), empty("b"))
    for id in ["commit-a", "commit-b", "empty-a", "empty-b"] {
      #expect(try end(id).error == nil, "\(id)")
    }
    try check(views)
    for disk in ["a", "b"] {
      #expect(try isEmpty("\(disk)1"))
      #expect(try chain.shows("\(disk)0", views[disk == "a" ? 0 : 1].view))
    }
  }

  @Test("a node that its commit owns is emptied before it closes")
  func ownNodes() throws {
    let views = try views()
    try start(
      .grouped, commit("a") { $0.ownNodes = ["a1"] }, empty("a"), commit("b"), empty("b"))
    for id in ["commit-a", "commit-b", "empty-a", "empty-b"] {
      #expect(try end(id).error == nil, "\(id)")
    }
    let nodes = try client.execute(QueryNamedBlockNodes()).map(\.nodeName)
    #expect(!nodes.contains("a1") && nodes.contains("b1"), "\(nodes)")
    try check(views)
    #expect(try isEmpty("a1") && isEmpty("b1"))
  }

  @Test("one that is not completed holds the other, and a cancel of it cancels both")
  func cancelled() throws {
    let views = try views()
    try start(.grouped, commit("a"), commit("b") { $0.autoComplete = false }, empty("a"))
    try client.execute(
      JobWait { ($0.id, $0.until) = ("commit-b", .ready) }, timeout: .seconds(60))
    func isAlone() throws -> Bool {
      try client.execute(QueryJobs()).allSatisfy { $0.id == "commit-b" || $0.status == .waiting }
    }
    while try !isAlone() {}
    try client.execute(JobCancel { $0.id = "commit-b" })
    for id in ["commit-a", "commit-b", "empty-a"] {
      #expect(try end(id).error == "The job was cancelled", "\(id)")
    }
    try check(views)
    #expect(try !isEmpty("a1") && !isEmpty("b1"))
  }

  @Test("one that fails before the end leaves every overlay as it was")
  func failed() throws {
    let test = try TransactionTests(limit: 1 << 20)
    let views = try test.views()
    try test.start(.grouped, test.commit("a"), test.empty("a"), test.commit("b"))
    #expect(try test.end("commit-b").error == "File too large")
    #expect(try test.end("commit-a").error == "The job was cancelled")
    #expect(try test.end("empty-a").error == "The job was cancelled")
    try test.check(views)
    #expect(try !test.isEmpty("a1"))
  }

  @Test("without a group each ends by itself")
  func individual() throws {
    let test = try TransactionTests(limit: 1 << 20)
    let views = try test.views()
    try test.start(.individual, test.commit("a") { $0.makeEmpty = true }, test.commit("b"))
    #expect(try test.end("commit-b").error == "File too large")
    #expect(try test.end("commit-a").error == nil)
    try test.check(views)
    #expect(try test.isEmpty("a1"))
  }

  @Test("if one cannot begin, none does")
  func allOrNone() throws {
    let monitor = try MonitorRefusals(client)
    let refusals = [
      (
        monitor.refusal(of: [commit("a"), commit("b") { $0.jobID = "commit-a" }]),
        "Job ID 'commit-a' already in use"
      ),
      (
        monitor.refusal(of: [commit("a"), commit("b") { $0.device = "nope" }]),
        "Device 'nope' not found"
      ),
      (
        monitor.refusal(of: [commit("a"), commit("a") { $0.jobID = "again" }]),
        "Node 'a1' is busy: block device is in use by block job: commit"
      ),
    ]
    for (error, sentence) in refusals {
      // Whatever was in the way has not come to be.
      #expect(error?.message == sentence && error?.detail?.job == nil)
    }
    #expect(try client.execute(QueryJobs()).isEmpty)
    try start(.grouped, commit("a"), commit("b"))
    #expect(try end("commit-a").error == nil)
    #expect(try end("commit-b").error == nil)
    #expect(daemon.stop() == 0)
  }
}

/// What transactions are refused with.
private struct MonitorRefusals {
  let client: QMPClient

  init(_ client: QMPClient) throws { self.client = client }

  func refusal(of actions: [TransactionAction]) -> QMPError? {
    do {
      try client.execute(
        Transaction {
          ($0.actions, $0.properties.completionMode) = (actions, .grouped)
        })
      return nil
    } catch QMPClientError.refused(let error) {
      return error
    } catch {
      return QMPError("\(error)")
    }
  }
}
