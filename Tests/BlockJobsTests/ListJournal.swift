import BlockCore
import Synchronization

@testable import BlockJobs

/// A journal that keeps what it hears, and refuses one phase.
final class ListJournal: JobJournal {
  private let refused: JobPhase?
  private let heard = Mutex<[String]>([])

  init(refusing refused: JobPhase? = nil) { self.refused = refused }

  var lines: [String] { heard.withLock { $0 } }

  func enter(_ phase: JobPhase, of job: JobRecord) throws(BlockError) {
    if phase == refused { throw BlockError(.noSpace, "the store is full") }
    heard.withLock { $0.append(phase.rawValue) }
  }

  func conclude(_ job: JobRecord, _ end: JobEnd) throws(BlockError) {
    let line =
      switch end {
      case .succeeded: "succeeded"
      case .cancelled: "cancelled"
      case .failed(let why): "failed(\(why))"
      }
    heard.withLock { $0.append(line) }
  }
}
