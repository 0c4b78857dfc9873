/// What becomes of a listed image, request by request.
///
/// Isolation: value.
package struct HostileOutcome: Sendable {
  /// What one request gives.
  package enum Request: Sendable {
    /// It is done, and the guest sees the right bytes before and after.
    case works
    /// It is done; the guest sees a table that changes with it, so that nothing can be compared.
    case done
    /// It fails with all these words in its error, and no byte of any file has changed.
    case refused([String])
    /// It fails with all these words in its error, and no byte has changed but the corrupt bit,
    /// which is set (version 2 has none).
    case marks([String])
    /// Which of both is the host's to say: a file system may not hold so long a file.
    case answers
  }

  /// What is to be known of the image (`qblockctl info`).
  package var open = Request.works
  package var map = Request.works
  /// Its guest's disk, while the image is open for reading only.
  package var read = Request.works
  /// Some bytes of guest cluster 0.
  package var write = Request.works
  /// Guest cluster 0 as a whole: written, zeroed, discarded.
  package var overwrite = Request.works
  /// Bytes where the image holds nothing, in the table that maps guest cluster 0.
  package var fill = Request.works
  package var commit = Request.works
  /// All clusters dropped, one after the other; nil: as `overwrite`.
  package var empty: Request?
  /// A read while the image is open for writing; nil: as `read` and `write` say.
  package var readWritable: Request?
  /// What `check` may end with: 0, or 1 for an image that is not opened, 2 for errors, 3 for leaks.
  package var check: Set<Int32> = [0]

  /// Never opened: all these words stand in the error.
  static func refused(_ words: [String]) -> HostileOutcome {
    let all = Request.refused(words)
    return HostileOutcome(
      open: all, map: all, read: all, write: all, overwrite: all, fill: all, commit: all,
      check: [1])
  }

  /// Opened and read; refused for writing, with all these words in the error.
  static func readOnly(_ words: [String], check: Set<Int32> = [0, 2, 3]) -> HostileOutcome {
    let all = Request.refused(words)
    return HostileOutcome(write: all, overwrite: all, fill: all, commit: all, check: check)
  }

  /// Opened and read; whoever opens it for writing is refused, with all these words in the error,
  /// and marks it.
  static func markedAtOpening(_ words: [String], check: Set<Int32> = [2]) -> HostileOutcome {
    let all = Request.marks(words)
    return HostileOutcome(
      write: all, overwrite: all, fill: all, commit: all, readWritable: all, check: check)
  }

  /// Opened, read and written.
  static let opens = HostileOutcome()

  /// Opened; what meets the L1 or L2 entry of guest cluster 0 fails, and marks the image.
  /// `fill`: an L2 entry is met by requests for its own cluster only.
  static func touched(_ words: [String], fill: Request? = nil) -> HostileOutcome {
    let (looks, changes) = (Request.refused(words), Request.marks(words))
    return HostileOutcome(
      map: looks, read: looks, write: changes, overwrite: changes, fill: fill ?? changes,
      commit: changes, check: [2])
  }

  /// Opened and read; what would write over other data or metadata fails, and marks the image.
  static func overlaps(_ words: [String], fill: Request = .works) -> HostileOutcome {
    HostileOutcome(write: .marks(words), overwrite: .marks(words), fill: fill, check: [2])
  }

  /// Opened; the compressed bytes of guest cluster 0 are none. Its tables are whole, so nothing is
  /// marked (a check, which does not look at data, would call the image sound again), and the
  /// cluster can be written anew.
  static let unreadable = {
    let words = Request.refused(["compressed cluster at guest offset 0"])
    return HostileOutcome(read: words, write: words, commit: words)
  }()

  /// Whether the guest's disk can be read as a whole.
  var isReadable: Bool { if case .works = read { true } else { false } }

  /// Whether a commit begins to copy: the image is opened for writing.
  var startsCommit: Bool {
    if readWritable != nil { return false }
    return if case .refused = overwrite { false } else { true }
  }

  /// This, but for what a check says.
  func checked(_ status: Set<Int32>) -> HostileOutcome {
    var copy = self
    copy.check = status
    return copy
  }
}

/// Something asked of a listed image.
package enum HostileRequest: String, CaseIterable, Sendable {
  case open, map, read, write, overwrite, zero, discard, fill, commit
  /// A read of an image that is open for writing.
  case readWritable
  /// All clusters dropped, one after the other.
  case empty
}

/// How a request ended.
///
/// Isolation: value.
struct HostileAnswer: Sendable {
  /// What went wrong, in words; nil where nothing did.
  var error: String?
  /// How the image file has changed.
  var change = Change.none
  /// Whether the guest sees what it must; nil where it was not looked at.
  var showsRightBytes: Bool?

  /// The difference between a file before and after.
  enum Change: Sendable {
    case none
    /// The corrupt bit is set, and that is all.
    case corruptBit
    case more
  }
}

extension HostileOutcome {
  /// What `request` gives.
  private func expected(_ request: HostileRequest) -> Request {
    switch request {
    case .open: open
    case .map: map
    case .read: read
    case .write: write
    case .overwrite, .zero, .discard: overwrite
    case .empty: empty ?? overwrite
    case .fill: fill
    case .commit: commit
    case .readWritable:
      switch (read, write) {
      case _ where readWritable != nil: readWritable ?? read
      case (.refused(let words), .marks): .marks(words)
      case (_, .refused): write
      default: read
      }
    }
  }

  /// What is wrong with this answer; nil where nothing is. `hasBacking`: without something
  /// underneath there is nothing to commit to. `version` 2 has no corrupt bit.
  func complaint(
    _ request: HostileRequest, _ answer: HostileAnswer, hasBacking: Bool, version: Int
  ) -> String? {
    var wanted = expected(request)
    if request == .commit, !hasBacking, case .works = wanted { wanted = .refused([]) }
    func refused(_ words: [String], _ change: HostileAnswer.Change) -> String? {
      guard let error = answer.error else { return "did what should be refused" }
      let missing = words.filter { !error.contains($0) }
      if !missing.isEmpty { return "does not say \(missing): \(error)" }
      return answer.change == change ? nil : "leaves \(answer.change) changed, not \(change)"
    }
    switch wanted {
    case .works:
      if let error = answer.error { return "fails: \(error)" }
      return answer.showsRightBytes == false ? "shows other bytes" : nil
    case .done: return answer.error.map { "fails: \($0)" }
    case .refused(let words): return refused(words, .none)
    case .marks(let words): return refused(words, version == 2 ? .none : .corruptBit)
    case .answers: return answer.showsRightBytes == false ? "shows other bytes" : nil
    }
  }
}
