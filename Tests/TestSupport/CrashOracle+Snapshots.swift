extension CrashOracle {
  /// Judges what the internal snapshots hold of every image that somebody needs.
  func judgeSnapshots(_ expected: CrashExpectation) throws(Fault) {
    if expected.snapshots.isEmpty { return }
    for (index, image) in images.enumerated() {
      let name = names[index]
      guard let before = expected.snapshots[name], !expected.unneeded.contains(name) else {
        continue
      }
      let key = CrashImage.mix(before.hash(in: image) &+ UInt64(index))
      if proof.snapshots.contains(key) { continue }
      switch before.finding(in: image) {
      case .different(let sentence): throw .view("\(name): \(sentence)")
      // The pages that stand for them do not tell of what has gone to another place.
      case .moved: continue
      case .inPlace: proof.snapshots.insert(key)
      }
    }
  }
}
