import LoadTrials
import TestSupport
import Testing

// A little of `scripts/load`, where times are no matter.

@Test("Many clients, most of them idle, deaf or slow, leave nothing behind")
func clientLoad() throws {
  var load = ClientLoad()
  (load.clients, load.askers, load.seconds, load.limit) = (80, 10, 0.3, .infinity)
  let figures = try load.run()
  #expect(figures.complaints.isEmpty, "\(figures)")
}

@Test("Many jobs are cancelled at once, again and again, and leave nothing behind")
func jobLoad() throws {
  var load = JobLoad()
  (load.jobs, load.rounds, load.limit, load.mostGrowth) = (40, 3, .infinity, .infinity)
  let figures = try load.run()
  #expect(figures.complaints.isEmpty, "\(figures)")
}

@Test("What every job leaves behind shows, and what is held for a moment does not")
func growthOfJobs() {
  let load = JobLoad()
  var random = SeededGenerator(seed: 1)
  let settling = (0..<load.rounds).map { round in
    30_000 + min(round, 7) * 500 + (round % 2) * Int.random(in: 0..<3000, using: &random)
  }
  #expect(Double(JobLoad.growth(of: settling)) <= load.mostGrowth)
  let leaking = settling.enumerated().map { round, held in held + round * load.jobs * 10 / 1024 }
  #expect(Double(JobLoad.growth(of: leaking)) > load.mostGrowth)
}

@Test("Jobs of all kinds, by several clients at once, all end as they should")
func mixedLoad() throws {
  var load = MixedLoad()
  (load.seconds, load.workers, load.leastJobs, load.limit) = (1, 2, 10, .infinity)
  let figures = try load.run()
  #expect(figures.complaints.isEmpty, "\(figures)")
}
