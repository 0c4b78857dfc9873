import BlockRuntime
import Testing

@testable import BlockJobs

@Suite("Jobs that are gone")
@ControlPlane
struct JobHistoryTests {
  @Test("are remembered up to a number of them, the one that went first before the others")
  func bounded() async throws {
    let job = try await endedJob()
    var history = JobHistory(most: 2, seconds: 1)
    for now in 1...3 as ClosedRange<UInt64> { history.add(job, at: now) }
    #expect(history.entries(at: 3).map(\.end) == [2, 3])
    var none = JobHistory(most: 0, seconds: 1)
    none.add(job, at: 1)
    #expect(none.entries(at: 1).isEmpty)
  }

  @Test("are forgotten when their time is over, also when nothing else happens")
  func aging() async throws {
    let job = try await endedJob()
    var history = JobHistory(most: 9, seconds: 2)
    history.add(job, at: 0)
    history.add(job, at: 1_000_000_000)
    #expect(history.entries(at: 1_999_999_999).map(\.end) == [0, 1_000_000_000])
    #expect(history.entries(at: 2_000_000_000).map(\.end) == [1_000_000_000])
    #expect(history.entries(at: 3_000_000_000).isEmpty)
    var forEver = JobHistory(most: 9, seconds: Int.max)
    forEver.add(job, at: 0)
    #expect(forEver.entries(at: UInt64.max - 1).count == 1)
  }

  private func endedJob() async throws -> JobSnapshot {
    let stage = try JobStage()
    return await stage.end(of: try stage.start(ScriptedBody { _ in }))
  }
}
