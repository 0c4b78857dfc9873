import Foundation
import TestSupport

/// A malformed image for the trial, and what is known of what becomes of it.
///
/// Isolation: value.
struct MalformedCase: Sendable {
  let name: String
  /// The row of the list; nil for one that a seed made.
  let row: HostileRow?
  let make: @Sendable () throws -> HostileFiles

  init(_ row: HostileRow) {
    name = row.description
    self.row = row
    make = { try row.make() }
  }

  /// The image that `seed` makes of one of the valid ones.
  init(mutant seed: UInt64, of bases: [HostileImage]) {
    name = "mutant \(seed)"
    row = nil
    make = {
      var image = bases[Int(seed % UInt64(bases.count))]
      var random = SeededGenerator(seed: seed)
      ImageMutator.mutate(&image.bytes, using: &random)
      return HostileFiles(image)
    }
  }

  /// What is wrong with this answer; nil where nothing is. `files` says whether the files are as
  /// they were.
  func complaint(_ verb: ImageVerb, _ run: ProgramRun, filesAreSame: Bool) -> String? {
    guard let status = run.status else { return "ended by a signal, or not in time" }
    if status != 0, verb != .check, run.output.isEmpty { return "failed without a word" }
    guard let row else { return nil }
    func lacks(_ words: [String]) -> String? {
      let missing = words.filter { !run.output.contains($0) }
      if status == 0 { return "did what should be refused" }
      return missing.isEmpty ? nil : "does not say \(missing)"
    }
    switch row.outcome {
    case .refused(let words):
      // A check opens the image alone.
      if verb == .check, row.needsFiles { return nil }
      if !filesAreSame { return "wrote to what should be refused" }
      return lacks(words)
    case .readOnly(let words):
      return verb == .write || verb == .commit ? lacks(words) : nil
    case .requests(let read, let write):
      switch verb {
      case .read: return complaint(read, status)
      case .write: return complaint(write, status)
      default: return nil
      }
    case .unreadable:
      return verb == .read ? complaint(.corrupt, status) : nil
    case .opens:
      return verb == .open || verb == .read ? complaint(.works, status) : nil
    case .answered: return nil
    }
  }

  private func complaint(_ request: HostileRow.Request, _ status: Int32) -> String? {
    switch request {
    case .works: status == 0 ? nil : "fails"
    case .corrupt, .marksCorrupt: status == 0 ? "does what should fail" : nil
    }
  }
}
