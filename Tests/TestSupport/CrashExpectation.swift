package import ImageFormats

/// What must hold after a power loss.
///
/// Isolation: value.
package struct CrashExpectation: Sendable {
  /// For each image that somebody uses as a disk: the disks that it may be, one of them as a whole.
  package var views: [String: [CrashView]]
  /// Images that may be gone: somebody was told that they are not needed any more.
  package var unneeded: Set<String> = []
  /// Images that hold nothing: somebody was told so.
  package var empty: Set<String> = []
  /// What an image may name as its backing file, where it matters.
  package var links: [String: [BackingLink]] = [:]
  /// The most bytes that a file has: somebody was told that the rest is given back.
  package var longest: [String: Int] = [:]
  /// The most clusters that count as used by nobody: somebody was told that they are given back.
  package var mostLeaks: [String: Int] = [:]
  /// A file as it was, and is as long as a feature bit says that nobody has changed it
  /// ("autoclear"): not a byte of it differs.
  package var untouched: [String: CrashImage] = [:]
  /// What the internal snapshots of images hold.
  package var snapshots: [String: CrashSnapshots] = [:]
  /// Images that are made anew: of what they held nothing need stay.
  package var anew: Set<String> = []
  /// Images whose refcounts were wrong before, and how they are to become right.
  package var repaired: [String: CrashRepair] = [:]
  /// Images that must be marked corrupt: somebody was told so.
  package var marked: Set<String> = []

  /// Only these views.
  package init(views: [String: [CrashView]]) { self.views = views }
}

/// What is known of an image with wrong refcounts, whose repair may have begun.
///
/// Isolation: value.
package struct CrashRepair: Hashable, Sendable {
  /// The repair that makes it sound, from wherever the power failed; nil for damage that stays.
  package var kind: CheckRepair?
  /// The errors that there were before, without missing COPIED flags, which harm nobody: at no
  /// moment are there more.
  package var errors: Int
  /// Whether a header without the dirty and the corrupt bit promises that nothing is wrong.
  package var hasMark: Bool

  /// A repair of `image`.
  package init(_ kind: CheckRepair?, of image: CrashImage) {
    let check = RefcountCheck(image)
    self.kind = kind
    errors = check.harmfulErrors
    hasMark = check.isMarked
  }
}
