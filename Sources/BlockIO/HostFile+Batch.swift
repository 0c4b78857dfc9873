package import BlockCore
import Glibc

// Requests that lie side by side become one call of the kernel.
extension HostFile {
  package func perform(_ requests: [IORequest]) throws(BlockError) {
    var rest = IORun.runs(of: requests)[...]
    while let first = rest.first {
      var runs = Array(rest.prefix { $0.operation == first.operation })
      rest = rest.dropFirst(runs.count)
      try performTogether(&runs)
      for run in runs { try perform(run) }
    }
  }

  /// Whether the kernel takes `run` as it is.
  func isAligned(_ run: IORun) -> Bool {
    unsafe run.vectors.allSatisfy {
      unsafe isAligned(
        UnsafeRawBufferPointer(start: $0.iov_base, count: $0.iov_len), at: run.range.lower)
    }
  }

  private func perform(_ run: IORun) throws(BlockError) {
    if let error = run.error { throw error }
    var rest = run
    if run.requests.count > 1 && isAligned(run) { rest.drop(try performAtOnce(run)) }
    // What the kernel left over; for a read, that also zeros what lies past the end.
    for request in rest.requests { try perform(request) }
  }

  /// Carries out `run` as far as one call goes. Returns the bytes that are done.
  private func performAtOnce(_ run: IORun) throws(BlockError) -> Int {
    let vectors = unsafe run.vectors
    let range = run.range
    switch run.operation {
    case .read:
      let file = openFile()
      return try SystemCall.run(on: name, at: range.lower) {
        unsafe preadv(file.descriptor, vectors, Int32(vectors.count), range.lower)
      }
    case .write:
      let file = try writableFile()
      defer { noteChange(upTo: range.upper) }
      return try besidePartialWrites(file, range) { () throws(BlockError) in
        try inTurn(file, range) { () throws(BlockError) in
          try SystemCall.run(on: name, at: range.lower) {
            unsafe pwritev(file.descriptor, vectors, Int32(vectors.count), range.lower)
          }
        }
      }
    }
  }
}
