import CrashSimulation
import Testing

@Suite("A daemon that is killed")
struct KillSmokeTests {
  @Test(
    "leaves what it was asked to keep, and the next one can do its work",
    arguments: Errand.allCases.indices)
  func killed(number: Int) throws {
    let outcome = try KillTrial(number, seed: 1).run(points: 5, in: "/dev/shm")
    #expect(outcome.points == 5)
    #expect(outcome.midst > 0)
    #expect(outcome.faults == [])
  }
}
