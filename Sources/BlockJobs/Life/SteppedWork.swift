package import BlockCore
import Synchronization

/// Work that is done in bounded pieces on lanes, so that it can be paused, throttled, cancelled and
/// tried again between any two of them.
///
/// Isolation: any thread; up to `width` steps run at the same time.
package protocol SteppedWork: AnyObject, Sendable {
  /// How many steps may run at once; at least 1.
  var width: Int { get }
  /// Whether the job's speed limit holds its steps back.
  var isThrottled: Bool { get }
  /// Whether stopping now would leave what nobody asked for; then it runs to its end.
  var isPastNoReturn: Bool { get }
  /// Does one piece, and ends soon after `lease` says so. A step that throws has left the work so
  /// that a later step does again what this one did not do.
  func step(_ lease: StepLease) throws(StepError) -> StepResult
}

extension SteppedWork {
  package var isPastNoReturn: Bool { false }
}

extension BlockError {
  /// How a job ends that was told to stop.
  static var cancelledJob: BlockError { BlockError(.cancelled, "Operation canceled") }
}

/// What one step did.
///
/// Isolation: value.
package struct StepResult: Sendable {
  /// Bytes that count for speed and rate.
  package var bytes: Int
  /// Whether nothing is left to begin; other steps may still be at work.
  package var isExhausted: Bool

  package init(bytes: Int, isExhausted: Bool) {
    self.bytes = bytes
    self.isExhausted = isExhausted
  }
}

/// Why a step did not end well.
///
/// Isolation: value.
package struct StepError: Error, Sendable {
  /// Which side of a copy it was.
  package var operation: IOErrorOperation
  package var cause: BlockError

  package init(_ operation: IOErrorOperation, _ cause: BlockError) {
    self.operation = operation
    self.cause = cause
  }

  /// Calls `body`; its errors are those of `operation`.
  package static func during<R>(
    _ operation: IOErrorOperation, _ body: () throws(BlockError) -> R
  ) throws(StepError) -> R {
    do throws(BlockError) { return try body() } catch { throw StepError(operation, error) }
  }
}

/// What a step may use before it gives its lane back.
///
/// Isolation: any thread.
package struct StepLease: Sendable {
  /// How long a step goes on beginning new pieces of its own.
  private static let nanoseconds: UInt64 = 10_000_000

  /// Bytes to move, about; at least 1.
  package let budget: Int
  private let stop: StopFlag
  private let deadline: UInt64
  private let clock = SystemClock()

  /// A lease of `budget` bytes and 10 ms from now, that `stop` ends early.
  package init(budget: Int, stop: StopFlag = StopFlag()) {
    self.budget = budget
    self.stop = stop
    deadline = clock.nanoseconds + StepLease.nanoseconds
  }

  /// Whether the job wants its lane back at once.
  package var isStopped: Bool { stop.isRaised }

  /// Whether to end now, after `bytes` were moved. A step asks only after it has done something,
  /// so that each gets on.
  package func isOver(after bytes: Int) -> Bool {
    bytes >= budget || stop.isRaised || clock.nanoseconds >= deadline
  }
}

/// Raised while a job wants its lanes back.
///
/// Isolation: any thread.
package final class StopFlag: Sendable {
  private let raised = Atomic<Bool>(false)

  package init() {}

  package var isRaised: Bool { raised.load(ordering: .relaxed) }
  func set(_ value: Bool) { raised.store(value, ordering: .relaxed) }
}

/// A single bounded call as work.
///
/// Isolation: any thread; one step at a time.
final class SingleStep<Value: Sendable>: SteppedWork {
  private let operation: IOErrorOperation
  private let body: @Sendable () throws(BlockError) -> Value
  private let result = Mutex<Value?>(nil)

  init(_ operation: IOErrorOperation, _ body: @escaping @Sendable () throws(BlockError) -> Value) {
    self.operation = operation
    self.body = body
  }

  /// What the call returned; nil before.
  var value: Value? { result.withLock { $0 } }

  var width: Int { 1 }
  var isThrottled: Bool { false }

  func step(_ lease: StepLease) throws(StepError) -> StepResult {
    let value = try StepError.during(operation, body)
    result.withLock { $0 = value }
    return StepResult(bytes: 0, isExhausted: true)
  }
}
