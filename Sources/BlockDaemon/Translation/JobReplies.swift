import BlockCore
import BlockJobs
import JSONValue
import QMP

extension JobSnapshot {
  /// One element of `query-jobs`.
  var info: JobInfo {
    JobInfo {
      $0.id = id
      $0.type = type.wire
      $0.status = status.wire
      $0.currentProgress = currentProgress
      $0.totalProgress = totalProgress
      $0.error = error
      $0.progress = QMP.JobProgress {
        // What comes after `pending` is not begun, and what came before is over.
        $0.phase = status == .pending ? status.rawValue : phase?.rawValue ?? "created"
        $0.bytesPerSecond = bytesPerSecond ?? 0
        $0.etaSeconds = etaSeconds
        $0.elapsedSeconds = Int(elapsedNanoseconds / 1_000_000_000)
      }
      $0.result = status == .concluded ? wireResult : nil
    }
  }

  /// One element of `query-block-jobs`.
  var blockInfo: BlockJobInfo {
    BlockJobInfo {
      $0.type = type.wire
      $0.device = id
      $0.len = totalProgress
      $0.offset = currentProgress
      $0.busy = isBusy
      $0.paused = isPaused
      $0.speed = speed
      $0.ioStatus = ioStatus.wire
      $0.ready = isReady
      $0.status = status.wire
      $0.autoFinalize = autoFinalize
      $0.autoDismiss = autoDismiss
      $0.error = error
    }
  }

  /// The answer of a command that waited.
  var outcome: JobOutcome {
    JobOutcome {
      // A job that is gone was over before.
      $0.status = status == .null ? .concluded : status.wire
      $0.error = isCancelled ? "The job was cancelled" : error
      $0.errorDetail = isCancelled ? nil : failure.map(QMPErrorDetail.init)
      $0.result = status == .concluded || status == .null ? wireResult : nil
    }
  }

  /// One element of `x-query-job-history`.
  func past(nanosecondsAgo: UInt64) -> PastJob {
    let outcome = outcome
    return PastJob {
      $0.id = id
      $0.type = type.wire
      $0.bytes = currentProgress
      $0.durationMilliseconds = Int(elapsedNanoseconds / 1_000_000)
      $0.ageSeconds = Int(nanosecondsAgo / 1_000_000_000)
      ($0.error, $0.errorDetail) = (outcome.error, outcome.errorDetail)
      $0.result = outcome.result
    }
  }

  /// What the job found or left behind.
  private var wireResult: JSONValue? {
    switch type {
    case .commit:
      CommitResult {
        $0.invalidImages = result.invalidatedImages
        $0.bytesCopied = result.bytesCopied
        $0.durationMilliseconds = Int(result.durationNanoseconds / 1_000_000)
      }.wire
    case .checksum:
      result.checksum.map { digest in
        ChecksumResult {
          $0.algorithm = "sha256"
          $0.digest = digest
        }.wire
      }
    case .compare:
      failure == nil
        ? CompareResult {
          $0.equal = result.firstDifference == nil
          $0.offset = result.firstDifference
        }.wire : nil
    case .check: result.check?.wire.wire
    case .stream:
      StreamResult {
        $0.bytesCopied = result.bytesCopied
        $0.durationMilliseconds = Int(result.durationNanoseconds / 1_000_000)
      }.wire
    case .makeEmpty, .create, .write: nil
    }
  }
}

// The engine's words are the protocol's; the switches hold the two lists together.

extension BlockJobs.JobStatus {
  var wire: QMP.JobStatus {
    switch self {
    case .undefined: .undefined
    case .created: .created
    case .running: .running
    case .paused: .paused
    case .ready: .ready
    case .standby: .standby
    case .waiting: .waiting
    case .pending: .pending
    case .aborting: .aborting
    case .concluded: .concluded
    case .null: .null
    }
  }
}

extension BlockJobs.JobType {
  var wire: QMP.JobType {
    switch self {
    case .commit: .commit
    case .stream: .stream
    case .makeEmpty: .makeEmpty
    case .create: .create
    case .write: .write
    case .checksum: .checksum
    case .compare: .compare
    case .check: .check
    }
  }
}

extension IOStatus {
  var wire: JobIOStatus {
    switch self {
    case .ok: .ok
    case .failed: .failed
    case .noSpace: .noSpace
    }
  }
}

extension OnError {
  /// The engine's word for it.
  var policy: ErrorPolicy {
    switch self {
    case .report: .report
    case .ignore: .ignore
    case .enospc: .enospc
    case .stop: .stop
    case .auto: .auto
    }
  }
}

extension IOErrorOperation {
  var wire: JobOperation {
    switch self {
    case .read: .read
    case .write: .write
    }
  }
}

extension ErrorAction {
  var wire: JobErrorAction {
    switch self {
    case .ignore: .ignore
    case .report: .report
    case .stop: .stop
    }
  }
}
