import LoadTrials
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
  (load.jobs, load.rounds, load.limit, load.mostGrowth) = (40, 2, .infinity, .infinity)
  let figures = try load.run()
  #expect(figures.complaints.isEmpty, "\(figures)")
}

@Test("Jobs of all kinds, by several clients at once, all end as they should")
func mixedLoad() throws {
  var load = MixedLoad()
  (load.seconds, load.workers, load.leastJobs, load.limit) = (1, 2, 10, .infinity)
  let figures = try load.run()
  #expect(figures.complaints.isEmpty, "\(figures)")
}
