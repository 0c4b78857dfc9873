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

@Test("What every job leaves behind shows through a resident set that wanders")
func growthOfJobs() {
  let load = JobLoad()
  var random = SeededGenerator(seed: 1)
  let wandering = (0..<load.rounds).map { _ in 50_000 + Int.random(in: 0..<3000, using: &random) }
  #expect(Double(JobLoad.growth(of: wandering)) <= load.mostGrowth)
  // As one run went: up in steps, and then no more.
  let steps = [74_820, 75_464, 76_032, 76_056] + Array(repeating: 76_324, count: 5)
  let settled = steps + [77_824, 78_364] + Array(repeating: 78_908, count: 13)
  #expect(Double(JobLoad.growth(of: settled)) <= load.mostGrowth)
  for (series, bytes) in [(wandering, 400), (settled, 70)] {
    let leaking = series.enumerated().map { round, size in
      size + round * load.jobs * bytes / 1024
    }
    #expect(Double(JobLoad.growth(of: leaking)) > load.mostGrowth)
  }
}

@Test("Jobs of all kinds, by several clients at once, all end as they should")
func mixedLoad() throws {
  var load = MixedLoad()
  (load.seconds, load.workers, load.leastJobs, load.limit) = (1, 2, 10, .infinity)
  let figures = try load.run()
  #expect(figures.complaints.isEmpty, "\(figures)")
}
