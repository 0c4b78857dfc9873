import Foundation
import TestSupport

/// A malformed image for the trial, and what is known of what becomes of it.
///
/// Isolation: value.
struct MalformedCase: Sendable {
  let name: String
  /// The row of the list; nil for one that a seed made.
  let row: HostileRow?
  /// Makes the files, which are going to lie in a directory.
  let make: @Sendable (_ directory: String) throws -> HostileFiles

  init(_ row: HostileRow) {
    name = row.description
    self.row = row
    make = { try row.make(in: $0) }
  }

  /// The image that `seed` makes of one of the valid ones.
  init(mutant seed: UInt64, of bases: [HostileImage]) {
    name = "mutant \(seed)"
    row = nil
    make = { directory in
      var image = bases[Int(seed % UInt64(bases.count))]
      var random = SeededGenerator(seed: seed)
      ImageMutator.mutate(&image.bytes, using: &random)
      return HostileFiles(image, in: directory)
    }
  }

  /// What is wrong with this answer, whatever the image is; nil where nothing is.
  func complaint(_ verb: TrialVerb, _ run: ProgramRun) -> String? {
    guard let status = run.status else { return "ended by a signal, or not in time" }
    return status != 0 && verb != .check && run.output.isEmpty ? "failed without a word" : nil
  }
}
