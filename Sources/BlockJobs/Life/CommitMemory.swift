import BlockGraph
package import BlockRuntime

/// Remembers which overlays were committed and not written to since: those can be emptied without
/// comparing first.
///
/// Isolation: control plane.
@ControlPlane
package final class CommitMemory {
  private struct Entry {
    weak var top: BlockNode?
    weak var base: BlockNode?
    let topGeneration: Int
    let baseGeneration: Int
  }

  private var entries: [Entry] = []

  package init() {}

  /// Everything that `top` holds is now in `base`, directly under it, and durable there; and no
  /// write to either is on its way.
  func note(top: BlockNode, base: BlockNode) {
    entries.removeAll { $0.top == nil || $0.base == nil || $0.top === top }
    entries.append(
      Entry(
        top: top, base: base, topGeneration: top.writeGeneration,
        baseGeneration: base.writeGeneration))
  }

  /// Whether `top` was committed into `base` and neither was written to since.
  func holds(top: BlockNode, base: BlockNode) -> Bool {
    entries.contains { entry in
      entry.top === top && entry.base === base && entry.topGeneration == top.writeGeneration
        && entry.baseGeneration == base.writeGeneration
    }
  }
}
