import CrashSimulation
import Testing

@Suite("A daemon that is killed")
struct KillSmokeTests {
  @Test(
    "leaves what it was asked to keep, and the next one can do its work",
    // One more than there are: a commit with long runs, from file to file.
    arguments: 0...Errand.allCases.count)
  func killed(number: Int) throws {
    let outcome = try KillTrial(number, seed: 1).run(points: 5, in: "/dev/shm")
    #expect(outcome.points == 5)
    #expect(outcome.midst > 0)
    #expect(outcome.faults == [])
  }

  @Test("is found out when it has lost a write")
  func loss() throws {
    let write = try #require(Errand.allCases.firstIndex(of: .write))
    var trial = KillTrial(write, seed: 2)
    // Whatever others there are to choose from.
    trial.layout = CrashLayout(4096)
    trial.losesWrites = true
    #expect(try trial.run(points: 20, in: "/dev/shm").badViews > 0)
  }
}
