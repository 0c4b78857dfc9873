import TestSupport
import Testing

@Test("On a script of more than 300 steps, QEMU's storage daemon and ours say and tell the same")
func differential() throws {
  let script = try DifferentialScript()
  let run = try DifferentialRun()
  var differences: [TranscriptDifference] = []
  var steps = 0
  for scene in script.scenes {
    let qemu = try run.play(scene, with: .qemu)
    let ours = try run.play(scene, with: .ours)
    steps += qemu.turns.count
    differences += TranscriptDifference.all(in: scene.name, qemu: qemu, ours: ours)
  }
  #expect(steps >= 300)
  for difference in differences {
    #expect(AllowedDifference.all.contains { $0.allows(difference) }, "\(difference)")
  }
  for allowed in AllowedDifference.all {
    #expect(differences.contains { allowed.allows($0) }, "no longer: \(allowed)")
  }
}

@Test("Each difference that the script may show stands in the table of protocol.md")
func differencesAreDocumented() throws {
  let rows = try ProtocolDocument().differences
  for allowed in AllowedDifference.all {
    #expect(rows.contains(allowed.row), "\(allowed.row)")
  }
}
