import BlockCore
import Glibc

/// Requests of one kind that lie side by side in a storage, so that one call of the kernel carries
/// them out.
///
/// Isolation: value; the buffers belong to whoever carries it out.
struct IORun {
  /// Linux's IOV_MAX.
  private static let maxParts = 1024

  /// What is left to do, in the order of the offsets; empty when all is done.
  private(set) var requests: [IORequest]
  /// What kind they are.
  let operation: IORequest.Operation
  /// Why it cannot be carried out, once that is known.
  var error: BlockError?

  private init(_ request: IORequest) {
    requests = [request]
    operation = request.operation
  }

  /// The runs that `requests` make, in the order of their offsets.
  static func runs(of requests: [IORequest]) -> [IORun] {
    var runs: [IORun] = []
    for request in requests.sorted(by: { $0.offset < $1.offset }) {
      if let last = runs.last, last.operation == request.operation,
        last.range.upper == request.offset, last.requests.count < maxParts
      {
        runs[runs.count - 1].requests.append(request)
      } else {
        runs.append(IORun(request))
      }
    }
    return runs
  }

  /// Where it lies in the storage.
  var range: ByteRange {
    guard let first = requests.first, let last = requests.last else {
      return ByteRange(at: 0, length: 0)
    }
    return ByteRange(from: first.offset, to: last.offset + last.part.count)
  }

  /// The memory, as the kernel's scatter and gather calls take it; valid while the run is held.
  var vectors: [iovec] { unsafe requests.map { unsafe $0.buffer.vector($0.part) } }

  /// Takes out the first `count` bytes, which are done.
  mutating func drop(_ count: Int) {
    var count = count
    var whole = 0
    while whole < requests.count, count >= requests[whole].part.count {
      count -= requests[whole].part.count
      whole += 1
    }
    requests.removeFirst(whole)
    guard count > 0, let first = requests.first else { return }
    requests[0].offset += count
    requests[0].part = first.part.dropFirst(count)
  }
}
