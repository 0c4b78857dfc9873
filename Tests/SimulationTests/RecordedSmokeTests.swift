import BlockCore
import CrashSimulation
import TestSupport
import Testing

@Suite("Recorded programs")
struct RecordedSmokeTests {
  @Test("what a power loss leaves of QEMU's commit into a resized overlay is found bad")
  func resized() throws {
    let outcome = try trial(.qemu, .resized)
    #expect(outcome.badViews > 0)
  }

  @Test("what it leaves of QEMU's intermediate commit is found bad, before and after its end")
  func intermediate() throws {
    let outcome = try trial(.qemu, .intermediate)
    #expect(outcome.badViews > outcome.badAfterCompletion)
    #expect(outcome.badAfterCompletion > 0)
  }

  @Test(
    "what it leaves of a daemon's commit or stream, recorded in the same way, is good",
    arguments: RecordedTrial.Work.allCases)
  func daemon(work: RecordedTrial.Work) throws {
    let outcome = try trial(.qblockd, work)
    #expect(outcome.states > 10)
    #expect(outcome.faults == [])
  }

  @Test(
    "a recording of a daemon has every event that its client got, in the order of both",
    arguments: [RecordedTrial.Work.active, .intermediate, .stream])
  func events(work: RecordedTrial.Work) throws {
    let layout = CrashLayout(4096, depth: work == .active ? 2 : 3)
    let events = try RecordedTrial(.qblockd, work, layout).events()
    #expect(events.recorded == events.told)
    #expect(events.told.contains("BLOCK_JOB_COMPLETED"))
    #expect(events.told.count { $0 == "JOB_STATUS_CHANGE" } > 4)
  }

  @Test(
    "what a daemon copies from file to file stands in its recording, and a power loss is judged")
  func copies() throws {
    var trial = RecordedTrial(.qblockd, .active, CrashLayout(65_536, .longRuns))
    trial.effort = .smoke
    let outcome = try trial.run()
    #expect(outcome.copiedBytes >= 1 << 20)
    #expect(outcome.faults == [])
  }

  private func trial(
    _ maker: RecordedTrial.Maker, _ work: RecordedTrial.Work
  ) throws -> RecordedTrial.Outcome {
    let layout =
      switch work {
      case .active: CrashLayout(4096)
      case .streamAll: CrashLayout(512, depth: 4, .rawBase)
      case .resized: CrashLayout(16_384, .movedL1)
      case .intermediate, .stream: CrashLayout(4096, depth: 3)
      }
    var trial = RecordedTrial(maker, work, layout)
    trial.effort = .smoke
    return try trial.run()
  }

  @Test("a trace says what happened to which file")
  func trace() throws {
    let trace = try ProgramTrace(
      """
      write a 4 00ff10
      flush-begin a
      zero b 0 512
      flush-end a
      punch b 512 1024
      event BLOCK_JOB_COMPLETED
      truncate a 5
      copy b 7 0102

      """)
    #expect(
      trace.entries == [
        StorageLog.Entry("a", .write(offset: 4, bytes: [0, 255, 16])),
        StorageLog.Entry("a", .flushBegan),
        StorageLog.Entry("b", .writeZeroes(ByteRange(at: 0, length: 512), deallocate: false)),
        StorageLog.Entry("a", .flushed),
        StorageLog.Entry("b", .discard(ByteRange(at: 512, length: 1024))),
        StorageLog.Entry("", .note("BLOCK_JOB_COMPLETED")),
        StorageLog.Entry("a", .truncate(5)),
        StorageLog.Entry("b", .write(offset: 7, bytes: [1, 2])),
      ])
    #expect(trace.operations == 6 && trace.copiedBytes == 2)
    let images = trace.replayed(over: [("a", CrashImage([1, 2, 3])), ("b", CrashImage())])
    #expect(
      images.map(\.bytes) == [
        [1, 2, 3, 0, 0], [0, 0, 0, 0, 0, 0, 0, 1, 2] + [UInt8](repeating: 0, count: 503),
      ])
  }

  @Test(
    "a trace that is none is refused by its line",
    arguments: [
      "write a 4", "write a -4 00", "write a 4 0", "write a 4 0g", "zero a 1", "punch a 1 -1",
      "truncate a x", "event", "flush-end a b", "read a 0 1",
    ])
  func malformed(line: String) {
    let error = #expect(throws: ProgramTrace.Malformed.self) {
      try ProgramTrace("flush-begin a\n" + line)
    }
    #expect(error?.description == "line 2 of the trace is '\(line)'")
  }
}
