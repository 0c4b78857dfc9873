import BlockCore
import CLinux
import Glibc

// Where a disk would be asked for one run after the other, a ring asks for all of them at once.
//
// It pays where somebody waits for a disk. What the page cache holds, and writes into it, are
// copies of memory: there plain calls are as fast or faster. So a read through the cache first
// takes what lies there, and a write through the cache never goes by a ring.
extension HostFile {
  /// Carries out together what of `runs`, which are of one kind, is worth it. What stays in them
  /// has to be carried out one by one, and tells its error then. Throws what keeps the file from
  /// being written to.
  func performTogether(_ runs: inout [IORun]) throws(BlockError) {
    guard let rings = options.rings, runs.count > 1, let first = runs.first, let last = runs.last
    else { return }
    switch first.operation {
    case .read:
      let file = openFile()
      if alignment > 1 || takeCached(&runs, from: file) { submit(&runs, to: file, by: rings) }
    case .write where alignment > 1:
      let file = try writableFile()
      // They are in the order of their offsets, and do not overlap.
      let hull = ByteRange(from: first.range.lower, to: last.range.upper)
      defer { noteChange(upTo: hull.upper) }
      try besidePartialWrites(file, hull.widened(to: alignment)) {
        submit(&runs, to: file, by: rings)
      }
    case .write: break
    }
  }

  /// Reads what the page cache holds of the front of each run. Returns whether the file system can
  /// tell.
  private func takeCached(_ runs: inout [IORun], from file: OpenFile) -> Bool {
    for index in runs.indices {
      let vectors = unsafe runs[index].vectors
      let count = unsafe cl_read_cached(
        file.descriptor, vectors, Int32(vectors.count), Int64(runs[index].range.lower))
      if count > 0 {
        runs[index].drop(Int(count))
      } else if count != 0 && count != -EAGAIN {
        return false
      }
    }
    return true
  }

  private func submit(_ runs: inout [IORun], to file: OpenFile, by rings: RingPool) {
    let chosen = runs.indices.filter { !runs[$0].requests.isEmpty && isAligned(runs[$0]) }
    guard chosen.count > 1 else { return }
    let results = rings.withRing { $0.carryOut(chosen.map { runs[$0] }, on: file) }
    for (index, result) in zip(chosen, results ?? []) {
      do throws(BlockError) {
        let offset = runs[index].range.lower
        runs[index].drop(try SystemCall.count(result, on: name, at: offset))
      } catch {
        runs[index].error = error
      }
    }
  }
}
