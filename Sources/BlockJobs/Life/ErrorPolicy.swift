package import BlockCore
import Glibc

/// What a job does when a request of its own fails; QEMU's `on-error`.
///
/// Isolation: value.
package enum ErrorPolicy: String, Sendable, CaseIterable {
  /// The job fails.
  case report
  /// The request is tried again until it works or the job is cancelled.
  case ignore
  /// The job pauses; resuming it tries the request again.
  case stop
  /// As `stop` when there is no space left (ENOSPC, not a quota or a limit), else as `report`.
  case enospc
  /// As `enospc`.
  case auto

  /// What to do about `error`; nil where it is no failure of a request but a refusal, which would
  /// only be repeated. After a failed flush nothing may be written any more, so trying again proves
  /// nothing and every policy reports.
  package func action(for error: BlockError) -> ErrorAction? {
    switch error.code {
    case .io, .noSpace, .corrupt: break
    case .poisoned: return .report
    default: return nil
    }
    switch self {
    case .report: return .report
    case .ignore: return .ignore
    case .stop: return .stop
    case .enospc, .auto: return error.isOutOfSpace ? .stop : .report
    }
  }
}

extension BlockError {
  /// Whether the device is full, which somebody may mend while a job waits. QEMU tells it by ENOSPC
  /// alone: a quota (EDQUOT) or the largest length of a file (EFBIG) are failures.
  fileprivate var isOutOfSpace: Bool { code == .noSpace && errno ?? ENOSPC == ENOSPC }
}

/// What was done about an error.
///
/// Isolation: value.
package enum ErrorAction: String, Sendable {
  case report, ignore, stop
}

/// Which side of a copy failed.
///
/// Isolation: value.
package enum IOErrorOperation: String, Sendable {
  case read, write
}

/// Whether an error holds a job up; QEMU's `io-status`.
///
/// Isolation: value.
package enum IOStatus: String, Sendable {
  case ok
  case failed
  case noSpace = "nospace"

  /// The status that `error` leaves a stopped job in.
  package init(_ error: BlockError) {
    self = error.isOutOfSpace ? .noSpace : .failed
  }
}

/// How long to wait before a failed request is tried again: 10 ms, then twice as long each time, up
/// to a second.
///
/// Isolation: value.
package struct RetryBackoff: Sendable {
  private var next: UInt64 = 10_000_000

  package init() {}

  /// Nanoseconds to wait this time.
  package mutating func delay() -> UInt64 {
    defer { next = min(next * 2, 1_000_000_000) }
    return next
  }

  /// A request worked: the next error starts from the beginning.
  package mutating func reset() { self = RetryBackoff() }
}
