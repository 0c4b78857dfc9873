import QMP
import QMPClient
import TestSupport
import Testing

@Suite("A daemon that is killed while it empties an overlay")
struct KilledWhileEmptyingTests {
  /// How an overlay is emptied, on which kind of image, and after how many answers the end comes.
  struct Case: CustomTestStringConvertible, Sendable {
    let mode: BlockMakeEmpty.Mode
    let version: Int
    let clusterSize: Int
    let answers: Int

    var testDescription: String {
      "\(mode), version \(version), clusters of \(clusterSize), after \(answers) answers"
    }
  }

  static let cases: [Case] = [BlockMakeEmpty.Mode.reset, .discard].flatMap { mode in
    [(2, 65_536), (3, 65_536), (3, 512)].flatMap { (version, clusterSize) in
      [0, 1, 3, 8].map {
        Case(mode: mode, version: version, clusterSize: clusterSize, answers: $0)
      }
    }
  }

  @Test("leaves at worst leaks, and a view that has not changed", arguments: cases)
  func killed(_ testCase: Case) throws {
    let chain = try ImageChain()
    var shape = ImageShape(size: 16 << 20, version: testCase.version)
    try chain.add("base", shape, "write -P 1 0 1M")
    shape.clusterSize = testCase.clusterSize
    try chain.add("top", shape, "write -P 2 512k 6M", "write -z 8M 1M", "write -P 3 12M 1M")
    let view = try chain.view("top")
    let daemon = try DaemonProcess.start()
    let client = try daemon.client()
    try client.add("top", chain.path("top"))
    #expect(try client.commit("top") { $0.base = chain.path("base") }.error == nil)

    try client.execute(
      BlockMakeEmpty {
        $0.node = "top"
        $0.job.id = "j"
        $0.mode = testCase.mode
        $0.job.autoDismiss = false
      })
    for _ in 0..<testCase.answers { _ = try client.execute(QueryJobs()) }
    daemon.kill()

    let checked = try QemuTools.img("check", "-f", "qcow2", chain.path("top"))
    #expect(checked.status == 0 || checked.status == 3, "\(checked.output)")
    #expect(try chain.shows("top", view))
    #expect(try QemuTools.img("check", "-r", "leaks", chain.path("top")).status == 0)

    // What was begun can be done again, to its end.
    let next = try DaemonProcess.start()
    let again = try next.client()
    try again.add("top", chain.path("top"))
    #expect(try again.makeEmpty("top") { $0.mode = testCase.mode }.error == nil)
    #expect(try chain.shows("top", view))
    #expect(try chain.map("top").allSatisfy { $0.depth > 0 || !$0.present })
    #expect(next.stop() == 0)
    try chain.checkSound()
  }
}
