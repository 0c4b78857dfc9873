import BlockCore

/// What the internal snapshots of a qcow2 image hold: all that their own tables map, as it was when
/// the work on the image began, and read without a line of the engine.
///
/// No work makes, changes or removes a snapshot, so whoever goes back to one must find it so. What
/// shows through its holes is not looked at: a commit changes the base under it. Extended L2
/// entries and external data files are not known here.
///
/// Isolation: value.
package struct CrashSnapshots: Sendable {
  /// How another state of the image has them.
  enum Finding: Hashable, Sendable {
    /// All at the same places as before.
    case inPlace
    /// They are the same, but some of it lies elsewhere.
    case moved
    /// Which of them is another, and where.
    case different(String)
  }

  private let image: CrashImage
  private let entries: [SnapshotReader.Entry]
  private let trees: [SnapshotReader.Tree]
  /// The pages of the file in which they lie, with their tables and the header: where none of these
  /// has changed, the snapshots have not.
  private let pages: [Int]

  /// The snapshots of `image`; nil where there are none.
  package init?(_ image: CrashImage) {
    guard let reader = SnapshotReader(image), !reader.entries.isEmpty else { return nil }
    self.image = image
    entries = reader.entries
    trees = reader.entries.map { reader.tree(of: $0) }
    let ranges =
      reader.tables
      + trees.flatMap { tree in
        tree.tables + tree.clusters.compactMap(\.content.place)
      }
    pages = Set(ranges.flatMap { Array($0.pages) }).sorted()
  }

  /// The hash of all pages of `image` in which the snapshots lay before.
  func hash(in image: CrashImage) -> UInt64 {
    pages.reduce(0) { CrashImage.mix($0 &+ image.pageHash(at: $1 * CrashImage.pageSize)) }
  }

  /// What has become of them in `state`.
  func finding(in state: CrashImage) -> Finding {
    guard let reader = SnapshotReader(state) else { return .different("no snapshot table") }
    guard reader.entries.map(\.facts) == entries.map(\.facts) else {
      return .different("the snapshot table has other entries")
    }
    var isInPlace = reader.entries == entries
    for (entry, before) in zip(reader.entries, trees) {
      // What tells the table's length is as before, so that it is read in bounded time.
      let tree = reader.tree(of: entry)
      if let cluster = firstDifference(before, tree, state) {
        return .different("snapshot \(entry.id) is another in its cluster \(cluster)")
      }
      isInPlace = isInPlace && tree == before
    }
    return isInPlace ? .inPlace : .moved
  }

  /// The first cluster of a snapshot's disk that is not what it was.
  private func firstDifference(
    _ before: SnapshotReader.Tree, _ after: SnapshotReader.Tree, _ state: CrashImage
  ) -> Int? {
    for (old, new) in zip(before.clusters, after.clusters) {
      guard old.guest == new.guest else { return min(old.guest, new.guest) }
      if !isSame(old.content, new.content, state) { return old.guest }
    }
    let both = min(before.clusters.count, after.clusters.count)
    return (before.clusters.dropFirst(both).first ?? after.clusters.dropFirst(both).first)?.guest
  }

  private func isSame(
    _ old: SnapshotReader.Content, _ new: SnapshotReader.Content, _ state: CrashImage
  ) -> Bool {
    switch (old, new) {
    case (.zero, .zero): true
    case (.data(let old), .data(let new)), (.compressed(let old), .compressed(let new)):
      old.length == new.length && isSame(old, in: image, new, in: state)
    default: false
    }
  }

  private func isSame(
    _ old: ByteRange, in image: CrashImage, _ new: ByteRange, in state: CrashImage
  ) -> Bool {
    // Mostly nothing of the page has changed.
    let isUnchanged =
      old == new
      && old.pages.map { $0 * CrashImage.pageSize }
        .allSatisfy { image.pageHash(at: $0) == state.pageHash(at: $0) }
    return isUnchanged || image.bytes(in: old) == state.bytes(in: new)
  }
}

extension ByteRange {
  /// The numbers of the pages that it touches.
  fileprivate var pages: Range<Int> {
    lower / CrashImage.pageSize..<upper.dividedRoundingUp(by: CrashImage.pageSize)
  }
}
