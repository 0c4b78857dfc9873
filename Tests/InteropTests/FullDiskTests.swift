import QMP
import QMPClient
import TestSupport
import Testing

@Suite("A commit into a base that has no room")
struct FullDiskTests {
  /// A chain whose base lies on a small disk, and the daemon that has it open.
  private struct Stage {
    let disk: SmallDisk
    let bases: ImageChain
    let chain: ImageChain
    let daemon: DaemonProcess
    let client: QMPClient
    let view: String

    init(_ kind: SmallDisk.Kind) throws {
      disk = try SmallDisk(kind)
      bases = try ImageChain(in: disk.directory.path)
      try bases.add("base", ImageShape(size: 32 << 20), "write -P 1 0 1M")
      chain = try ImageChain()
      try chain.add("base", ImageShape(size: 512))
      try chain.add(
        "top", ImageShape(size: 32 << 20), link: bases.path("base"), "write -P 2 512k 20M")
      view = try chain.view("top")
      daemon = try DaemonProcess.start(launcher: disk.launcher)
      client = try daemon.client()
      try client.add("base", bases.path("base")) { $0.readOnly = true }
      try client.add("top", chain.path("top"), backing: .reference(.node("base")))
    }

    func start(_ onError: OnError) throws {
      try client.startCommit(of: "top") { $0.onError = onError }
    }

    /// The files as they are now: sound, and the guest has lost nothing.
    func check() throws {
      #expect(daemon.stop() == 0, "\(daemon.output)")
      #expect(try chain.shows("top", view))
      try bases.checkSound()
      try chain.checkSound(["top"])
    }

    /// Lets the job come to its end, which must be a good one.
    func expectSuccess() throws {
      #expect(try client.finish().error == nil)
      #expect(try bases.shows("base", view))
      try check()
    }
  }

  @Test("fails with the system's words under on-error=report", arguments: SmallDisk.Kind.available)
  func report(kind: SmallDisk.Kind) throws {
    let stage = try Stage(kind)
    try stage.start(.report)
    let error = try stage.client.next(BlockJobError.self)
    #expect(error.operation == .write && error.action == .report && error.device == "j")
    let completed = try stage.client.next(BlockJobCompleted.self)
    #expect(completed.error?.contains(kind.sentence) == true)
    #expect(completed.job.offset < completed.job.len)
    let outcome = try stage.client.finish()
    #expect(outcome.error?.contains(kind.sentence) == true)
    let detail = try #require(outcome.errorDetail)
    #expect(detail.code == "no-space" && detail.file == stage.bases.path("base"))
    #expect(detail.errno != nil && detail.offset != nil, "\(detail)")
    try stage.check()
  }

  @Test(
    "stops under on-error=stop, and goes on when there is room", arguments: SmallDisk.Kind.available
  )
  func stop(kind: SmallDisk.Kind) throws {
    let stage = try Stage(kind)
    try stage.start(.stop)
    let error = try stage.client.next(BlockJobError.self)
    #expect(error.operation == .write && error.action == .stop)
    try stage.client.next(.paused)
    let stopped = try stage.client.blockJob()
    // QEMU knows a full device by ENOSPC alone.
    #expect(stopped.ioStatus == (kind == .fileSystem ? .noSpace : .failed))
    #expect(stopped.status == .paused && stopped.paused)

    try stage.client.execute(JobResume { $0.id = "j" })
    #expect(try stage.client.next(BlockJobError.self).action == .stop, "there is still no room")
    try stage.client.next(.paused)

    try stage.disk.grow(for: stage.daemon)
    try stage.client.execute(JobResume { $0.id = "j" })
    try stage.client.wait(until: .ready)
    #expect(try stage.client.blockJob().ioStatus == .ok)
    try stage.expectSuccess()
  }

  @Test(
    "under on-error=enospc stops on a full device, and fails at a limit",
    arguments: SmallDisk.Kind.available, [OnError.enospc, .auto])
  func noSpace(kind: SmallDisk.Kind, onError: OnError) throws {
    let stage = try Stage(kind)
    try stage.start(onError)
    let action = try stage.client.next(BlockJobError.self).action
    #expect(action == (kind == .fileSystem ? .stop : .report))
    if kind == .fileSize {
      #expect(try stage.client.finish().error?.contains(kind.sentence) == true)
      return try stage.check()
    }
    try stage.client.next(.paused)
    try stage.disk.grow(for: stage.daemon)
    try stage.client.execute(JobResume { $0.id = "j" })
    try stage.expectSuccess()
  }

  @Test(
    "tries again under on-error=ignore until there is room", arguments: SmallDisk.Kind.available)
  func ignore(kind: SmallDisk.Kind) throws {
    let stage = try Stage(kind)
    try stage.start(.ignore)
    for _ in 0..<3 { #expect(try stage.client.next(BlockJobError.self).action == .ignore) }
    try stage.disk.grow(for: stage.daemon)
    try stage.expectSuccess()
  }

  @Test("can be cancelled while it is stopped", arguments: SmallDisk.Kind.available)
  func cancel(kind: SmallDisk.Kind) throws {
    let stage = try Stage(kind)
    try stage.start(.stop)
    try stage.client.next(.paused)
    try stage.client.execute(JobCancel { $0.id = "j" })
    try stage.client.next(BlockJobCancelled.self)
    #expect(try stage.client.finish().error != nil)
    try stage.check()
  }

  @Test("lets the daemon end while it is stopped", arguments: SmallDisk.Kind.available)
  func terminate(kind: SmallDisk.Kind) throws {
    let stage = try Stage(kind)
    try stage.start(.stop)
    try stage.client.next(.paused)
    try stage.check()
  }
}
