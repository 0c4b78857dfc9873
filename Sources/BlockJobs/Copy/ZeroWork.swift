import BlockCore
import BlockGraph
import Synchronization

/// Makes one range of a chain's top read zero.
///
/// Isolation: any thread; state behind `rest`.
final class ZeroWork: SteppedWork {
  private let zeroes: ZeroWriter
  private let rest: Mutex<ByteRange>

  init(_ range: ByteRange, of target: BackingChain) {
    zeroes = ZeroWriter(target: target)
    rest = Mutex(range)
  }

  var width: Int { 1 }
  var isThrottled: Bool { false }

  func step(_ lease: StepLease) throws(StepError) -> StepResult {
    var left = rest.withLock { $0 }
    defer { rest.withLock { $0 = left } }
    while !left.isEmpty {
      let length = try StepError.during(.write) { () throws(BlockError) in
        try zeroes.zeroFront(of: left)
      }
      left = left.dropping(length)
      if lease.isOver(after: 0) { break }
    }
    return StepResult(bytes: 0, isExhausted: left.isEmpty)
  }
}
