package import BlockCore

/// What a check found and, where it was asked to, repaired: the numbers of `qemu-img check`.
///
/// Isolation: value.
package struct CheckResult: Hashable, Sendable {
  /// Places that could not be checked.
  package var checkErrors = 0
  /// Damage: data may be wrong, or may become wrong with the next write.
  package var corruptions = 0
  /// Clusters that count as used by more than uses them: wasted space, no harm to data.
  package var leaks = 0
  /// Damage and leaks that are gone now.
  package var corruptionsFixed = 0
  package var leaksFixed = 0
  /// Clusters of the guest's disk.
  package var totalClusters = 0
  /// Those of them that the image holds, in the active tables.
  package var allocatedClusters = 0
  /// Those that do not lie behind their neighbour in the file.
  package var fragmentedClusters = 0
  /// Those that are compressed.
  package var compressedClusters = 0
  /// One past the last cluster in use, in bytes.
  package var imageEndOffset = 0
  /// The first faults, a sentence each, in the words of `qemu-img check`.
  package var findings: [String] = []

  /// More sentences would help nobody, and their number is the image's to choose.
  private static let mostFindings = 100

  package init() {}

  /// Whether neither damage nor anything unchecked was found.
  package var isSound: Bool { checkErrors == 0 && corruptions == 0 }

  /// Whether another sentence is still kept.
  var wantsFindings: Bool { findings.count < CheckResult.mostFindings }

  /// Notes a fault that was found `times` times; `sentence` is made only where it is kept.
  mutating func note(
    _ kind: WritableKeyPath<CheckResult, Int>, times: Int = 1,
    _ sentence: @autoclosure () -> String
  ) {
    self[keyPath: kind] += times
    if wantsFindings { findings.append(sentence()) }
  }
}

/// How far a check may change the image.
package enum CheckRepair: String, Sendable {
  /// Not at all.
  case none
  /// Refcounts above the references are counted down.
  case leaks
  /// Refcounts and COPIED flags are made to agree with the references.
  case all
}

/// A check in bounded steps.
///
/// Isolation: one lane at a time.
package protocol CheckOperation: ImageOperation {
  /// The numbers; complete when the last step is done.
  var result: CheckResult { get }
}

/// An image whose format can be checked.
package protocol CheckableImage: ImageDriver {
  /// Starts a check. A repair needs a writable storage, also where the image itself is open for
  /// reading only, and nobody else in the image until its last step.
  func check(_ repair: CheckRepair) throws(BlockError) -> any CheckOperation
}
