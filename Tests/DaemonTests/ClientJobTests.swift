import Glibc
import QMP
import QMPClient
import TestSupport
import Testing

@Suite("qblockctl and the jobs it starts")
struct ClientJobTests {
  /// A commit that takes a minute unless somebody ends it.
  private func slowCommit() throws -> (stage: ClientStage, client: ClientProgram, disk: String) {
    let stage = try ClientStage()
    try stage.makeChain()
    try stage.write("top", "write -P 3 0 60M")
    let disk = try stage.digest("top")
    let client = try stage.start("commit", "--json", "-r", "1M", "top")
    // The first line says that the job is running.
    #expect(try #require(client.nextLine()).contains(#""status": "running""#))
    return (stage, client, disk)
  }

  @Test("Ctrl-C cancels the job, waits for it, and says so")
  func interrupted() throws {
    let (stage, client, disk) = try slowCommit()
    client.signal(SIGINT)
    let outcome = try client.end()
    // It dies of the signal, so that a shell ends its loop, too.
    #expect(outcome.status == 128 + SIGINT)
    #expect(outcome.errors.hasSuffix("qblockctl: Interrupted: the job was cancelled\n"))
    #expect(try stage.done("nodes", "--json") == "[]\n")
    for image in ["top", "mid"] { #expect(try stage.img("check", image).status == 0) }
    #expect(try stage.digest("top") == disk)
  }

  @Test("the job of a client that is killed goes on to its end, and its nodes close")
  func killed() throws {
    let (stage, client, disk) = try slowCommit()
    client.signal(SIGKILL)
    #expect(try client.end().status == 128 + SIGKILL)
    let monitor = try stage.daemon.client()
    let id = try #require(try monitor.execute(QueryJobs()).first?.id)
    try stage.done("job", "set-speed", id, "0")
    try stage.done("job", "wait", id)
    #expect(try stage.done("nodes", "--json") == "[]\n")
    #expect(try stage.digest("mid") == disk)
  }

  @Test("a daemon that ends takes its job along, and the client says what that means")
  func daemonEnds() throws {
    let (stage, client, disk) = try slowCommit()
    stage.daemon.kill()
    let outcome = try client.end()
    #expect(outcome.status == 1)
    #expect(outcome.errors.hasPrefix("qblockctl: qblockd has stopped, and job 'commit-"))
    for image in ["top", "mid"] { #expect(try stage.img("check", image).status == 0) }
    #expect(try stage.digest("top") == disk)
  }

  @Test("job verbs reach the job, and their refusals are told with status 1")
  func verbs() throws {
    let (stage, client, _) = try slowCommit()
    let monitor = try stage.daemon.client()
    let id = try #require(try monitor.execute(QueryJobs()).first?.id)
    try stage.done("job", "pause", id)
    #expect(try stage.ctl("job", "pause", id).errors.contains("already paused"))
    #expect(try stage.done("jobs").contains(id))
    try stage.done("job", "resume", id)
    #expect(try stage.ctl("job", "dismiss", id).status == 1)
    #expect(try stage.ctl("job", "finalize", id).status == 1)
    #expect(try stage.ctl("job", "complete", id).status == 1)
    try stage.done("job", "cancel", id)
    let outcome = try client.end()
    #expect(outcome.status == 1)
    #expect(outcome.errors == "qblockctl: Block job failed: The job was cancelled\n")
    #expect(try stage.ctl("job", "wait", id).status == 1)
    #expect(try stage.ctl("job", "wait", "none").errors == "qblockctl: Job not found\n")
  }

  @Test("watch prints events as they come, one a line")
  func watch() throws {
    let stage = try ClientStage()
    try stage.makeChain()
    let watcher = try stage.start("watch", "--json")
    // It hears of what happens once it is connected.
    while !watcher.hasOutput { try stage.done("commit", "top") }
    #expect(try #require(watcher.nextLine()).contains(#""event": "#))
    watcher.signal(SIGINT)
    #expect(try watcher.end().status == 0)
  }

  @Test("qmp sends a command as it is, and prints what comes back")
  func raw() throws {
    let stage = try ClientStage()
    #expect(try stage.done("qmp", "query-jobs") == "[]\n")
    #expect(try stage.done("qmp", #"{"execute": "query-block-jobs"}"#) == "[]\n")
    let unknown = try stage.ctl("qmp", "nope")
    #expect(unknown.status == 1)
    #expect(unknown.errors.hasPrefix("qblockctl: The command nope has not been found\n"))
    #expect(try stage.ctl("qmp", "query jobs").errors.contains("JSON parse error"))
    #expect(try stage.ctl("qmp", "[]").errors.contains("must be a JSON object, or the name"))
    #expect(try stage.ctl("qmp", #"{"execute": "#).status == 1)
  }
}
