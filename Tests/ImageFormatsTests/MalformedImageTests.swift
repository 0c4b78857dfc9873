import BlockCore
import ImageTrials
import TestSupport
import Testing

/// The list of hostile images in memory, and images made from valid ones by a mutator that knows
/// their structure. `scripts/trials malformed` gives the same to real programs.
@Suite("malformed images", .timeLimit(.minutes(10)))
struct MalformedImageTests {
  @Test("every row of the list of hostile images has an image here")
  func rows() {
    let covered = Set(HostileRow.all.map(\.number))
    #expect(HostileRow.numbers.filter { !covered.contains($0) } == [])
    #expect(covered.allSatisfy(HostileRow.numbers.contains))
  }

  @Test(
    "whatever is asked of a listed image ends in an answer or a typed error",
    // The vast ones are nothing without their holes.
    arguments: HostileRow.all.filter { $0.number != 86 })
  func listed(row: HostileRow) throws {
    let bytes = try row.make().image.bytes
    for verb in ImageVerb.allCases { try expectAnswer(verb, bytes, "\(verb)") }
  }

  @Test(
    "every request of a listed image gives what its row says, and writes nothing that it does not",
    arguments: HostileRow.all.filter { !$0.needsFiles })
  func outcomes(row: HostileRow) throws {
    let image = try HostileMemory(row)
    for request in HostileRequest.allCases {
      let complaint = try image.complaint(request)
      #expect(complaint == nil, "\(request)")
    }
  }

  @Test("so it does of images that seeds have made", arguments: 0..<20)
  func mutants(block: Int) throws {
    let bases = try SeedImages.all()
    for seed in block * 50..<(block + 1) * 50 {
      var random = SeededGenerator(seed: UInt64(seed))
      var bytes = bases[seed % bases.count].bytes
      ImageMutator.mutate(&bytes, using: &random)
      for verb in ImageVerb.allCases { try expectAnswer(verb, bytes, "seed \(seed), \(verb)") }
    }
  }

  private func expectAnswer(_ verb: ImageVerb, _ bytes: [UInt8], _ comment: Comment) throws {
    do throws(BlockError) {
      try verb.run(on: bytes)
    } catch {
      #expect(error.namesWhatItFound, "\(comment): \(error)")
      #expect(error.message.unicodeScalars.allSatisfy { $0.value >= 0x20 }, comment)
    }
  }
}
