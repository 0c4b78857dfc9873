import QMP
import QMPClient
import TestSupport
import Testing

@Suite("A commit that is cancelled, paused or slowed down leaves sound files")
struct JobControlTests {
  private let chain: ImageChain
  private let daemon: DaemonProcess
  private let client: QMPClient
  private let view: String

  init() throws {
    chain = try ImageChain()
    let shape = ImageShape(size: 32 << 20)
    try chain.add("base", shape, "write -P 1 0 1M")
    try chain.add("middle", shape, "write -P 2 512k 12M")
    try chain.add("top", shape, "write -P 3 16M 8M")
    view = try chain.view("top")
    daemon = try DaemonProcess.start(arguments: ["--image-root", chain.directory.path])
    client = try daemon.client()
    try client.add("top", chain.path("top"))
  }

  /// Starts a commit of `top` into the base that will not end by itself while anybody looks, and
  /// waits until it copies.
  private func startSlowly(_ top: String = "top") throws {
    try client.startCommit(of: "top") {
      ($0.top, $0.base) = (chain.path(top), chain.path("base"))
      $0.speed = 65_536
    }
    try client.next(.running)
    while try client.blockJob().offset == 0 {}
  }

  /// Nobody's view has changed and every file is sound.
  private func expectUnharmed() throws {
    #expect(try chain.shows("top", view))
    try chain.checkSound()
    #expect(daemon.stop() == 0)
    #expect(try chain.shows("top", view))
    try chain.checkSound()
  }

  @Test("cancelled while it copies; another commit then succeeds", arguments: ["top", "middle"])
  func cancel(top: String) throws {
    try startSlowly(top)
    try client.execute(JobCancel { $0.id = "j" })
    let cancelled = try client.next(BlockJobCancelled.self)
    #expect(cancelled.job.device == "j" && cancelled.job.offset < cancelled.job.len)
    #expect(try client.finish().error == "The job was cancelled")
    #expect(try chain.info("top").backingName == chain.path("middle"))
    #expect(try chain.shows("top", view))
    try chain.checkSound()
    let again = try client.commit("top") {
      ($0.top, $0.base) = (chain.path(top), chain.path("base"))
    }
    #expect(again.error == nil)
    try expectUnharmed()
  }

  @Test("cancelled when it is ready, softly and hard", arguments: [false, true])
  func cancelReady(force: Bool) throws {
    try client.startCommit(of: "top") { $0.base = chain.path("base") }
    try client.next(BlockJobReady.self)
    try client.execute(
      BlockJobCancel {
        $0.device = "j"
        $0.force = force
      })
    if force {
      try client.next(BlockJobCancelled.self)
    } else {
      #expect(try client.next(BlockJobCompleted.self).error == nil)
      #expect(try chain.shows("base", view), "a copy of this moment")
    }
    _ = try client.finish()
    try expectUnharmed()
  }

  @Test("paused and resumed while it copies")
  func pause() throws {
    try startSlowly()
    try client.execute(JobPause { $0.id = "j" })
    try client.next(.paused)
    #expect(refusal { try client.execute(JobPause { $0.id = "j" }) } == "Job is already paused")
    #expect(try client.blockJob().paused)
    try client.execute(
      BlockJobSetSpeed {
        $0.device = "j"
        $0.speed = 0
      })
    let still = try client.blockJob()
    #expect(still.status == .paused && still.offset < still.len, "a new speed wakes nobody")
    try client.execute(JobResume { $0.id = "j" })
    try client.next(.running)
    #expect(
      refusal { try client.execute(JobResume { $0.id = "j" }) }
        == "Can't resume a job that was not paused")
    #expect(try client.finish().error == nil)
    #expect(try chain.shows("base", view))
    try expectUnharmed()
  }

  @Test("paused when it is ready, completed in standby, and resumed")
  func standby() throws {
    try client.startCommit(of: "top") { $0.base = chain.path("base") }
    try client.next(.ready)
    try client.execute(JobPause { $0.id = "j" })
    try client.next(.standby)
    try client.execute(JobComplete { $0.id = "j" })
    #expect(try client.blockJob().status == .standby, "completing waits for resuming")
    try client.execute(JobResume { $0.id = "j" })
    #expect(try client.conclude().error == nil)
    #expect(try chain.shows("base", view))
    try expectUnharmed()
  }

  @Test("slow, until its speed is set free")
  func speed() throws {
    try startSlowly()
    #expect(try client.blockJob().speed == 65_536)
    try client.execute(
      BlockJobSetSpeed {
        $0.device = "j"
        $0.speed = 0
      })
    #expect(try client.blockJob().speed == 0)
    #expect(try client.finish().error == nil)
    #expect(try chain.shows("base", view))
    try expectUnharmed()
  }

  @Test("interrupted by the end of the daemon, in order or not", arguments: [true, false])
  func endOfDaemon(inOrder: Bool) throws {
    try startSlowly("middle")
    if inOrder { #expect(daemon.stop() == 0) } else { daemon.kill() }
    #expect(try chain.shows("top", view))
    #expect(try chain.info("top").backingName == chain.path("middle"))
    // A crash may leave clusters that nobody refers to, and nothing worse.
    let checked = try QemuTools.img("check", "-f", "qcow2", chain.path("base"))
    #expect(checked.status == 0 || !inOrder && checked.status == 3, "\(checked.output)")
    let next = try DaemonProcess.start(arguments: ["--image-root", chain.directory.path])
    let client = try next.client()
    try client.add("top", chain.path("top"))
    let outcome = try client.commit("top") {
      ($0.top, $0.base) = (chain.path("middle"), chain.path("base"))
    }
    #expect(outcome.error == nil)
    #expect(try chain.shows("top", view))
  }
}
