package import BlockCore
import Glibc

// Requests that lie side by side become one call of the kernel.
extension HostFile {
  /// Linux's IOV_MAX.
  private static let maxParts = 1024

  package func perform(_ requests: [IORequest]) throws(BlockError) {
    let sorted = requests.sorted { $0.offset < $1.offset }
    var first = 0
    while first < sorted.count {
      var next = first + 1
      while next < sorted.count, next - first < HostFile.maxParts,
        continues(sorted[next], after: sorted[next - 1])
      {
        next += 1
      }
      try performRun(sorted[first..<next])
      first = next
    }
  }

  private func continues(_ request: IORequest, after last: IORequest) -> Bool {
    request.operation == last.operation && request.offset == last.offset + last.part.count
  }

  /// Carries out requests of one kind that lie side by side.
  private func performRun(_ run: ArraySlice<IORequest>) throws(BlockError) {
    let start = run[run.startIndex].offset
    let total = run.reduce(0) { $0 + $1.part.count }
    let vectors = unsafe run.map { unsafe $0.buffer.vector($0.part) }
    let fits = unsafe vectors.allSatisfy {
      unsafe isAligned(UnsafeRawBufferPointer(start: $0.iov_base, count: $0.iov_len), at: start)
    }
    var done = 0
    if run.count > 1 && fits {
      switch run[run.startIndex].operation {
      case .read:
        let file = openFile()
        done = try SystemCall.run(on: name) {
          unsafe preadv(file.descriptor, vectors, Int32(vectors.count), start)
        }
      case .write:
        let file = try writableFile()
        let range = ByteRange(at: start, length: total)
        defer { noteChange(upTo: range.upper) }
        done = try besidePartialWrites(file, range) { () throws(BlockError) in
          try SystemCall.run(on: name) {
            unsafe pwritev(file.descriptor, vectors, Int32(vectors.count), start)
          }
        }
      }
    }
    if done < total { try performSingly(run, skipping: done) }
  }

  /// Carries out what the kernel left over; for a read, that also zeros what lies past the end.
  private func performSingly(
    _ run: ArraySlice<IORequest>, skipping done: Int
  ) throws(BlockError) {
    var done = done
    for request in run {
      let skipped = min(done, request.part.count)
      done -= skipped
      let part = request.part.lowerBound + skipped..<request.part.upperBound
      let offset = request.offset + skipped
      switch request.operation {
      case .read:
        try request.buffer.withMutableBytes(part) { (bytes) throws(BlockError) in
          _ = try read(into: &bytes, at: offset)
        }
      case .write:
        try request.buffer.withBytes(part) { (bytes) throws(BlockError) in
          try write(bytes, at: offset)
        }
      }
    }
  }
}
