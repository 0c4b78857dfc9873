import JSONValue
import QMP
import QMPClient
import TestSupport
import Testing

/// The numbers of the events in a page.
private func numbers(_ page: EventPage) -> [Int] {
  page.events.compactMap { $0["x-seq"]?.integerValue }
}

@Test("A client that was away hears of every event by number, as the others have heard")
func missedEvents() throws {
  let stage = try DaemonStage()
  try stage.openChain()
  let witness = try MonitorSocket.negotiated(stage.daemon.socket)
  try stage.readyCommit("j")
  try stage.client.execute(JobCancel { $0.id = "j" })
  try stage.wait("j")
  var heard: [JSONValue] = []
  while heard.last?["data"]?["status"] != "null" {
    heard.append(.object(try witness.event { _ in true }))
  }
  #expect(heard.map { $0["x-seq"] } == (1...heard.count).map { .integer($0) })
  let late = try stage.daemon.client()
  let all = try late.execute(QueryEvents())
  #expect(all.events == heard && all.last == heard.count && all.lost == 0)
  let part = try late.execute(QueryEvents { ($0.since, $0.limit) = (2, 3) })
  #expect(numbers(part) == [3, 4, 5] && part.last == heard.count)
  let none = try late.execute(QueryEvents { $0.since = heard.count })
  #expect(none.events.isEmpty && none.lost == 0)
  let future = try late.execute(QueryEvents { $0.since = Int.max })
  #expect(future.events.isEmpty && future.last == heard.count && future.lost == 0)
  try stage.stop()
}

@Test("What is remembered of events is bounded, and a client is told what it has lost")
func boundedEvents() throws {
  let stage = try DaemonStage(arguments: ["--event-history", "4"])
  try stage.openChain()
  #expect(try stage.client.execute(QueryEvents()).last == 0)
  try stage.readyCommit("j")
  try stage.client.execute(JobCancel { $0.id = "j" })
  try stage.wait("j")
  _ = try stage.events(until: .null, of: "j")
  let page = try stage.client.execute(QueryEvents { $0.since = 1 })
  #expect(numbers(page) == Array(page.last - 3...page.last))
  #expect(page.last > 5 && page.lost == page.last - 5)
  try stage.stop()
}

@Test("After a restart a client that names the server it knew hears of every event of the new one")
func eventsOfAnotherServer() throws {
  let first = try DaemonStage()
  let known = try first.client.execute(QueryEvents())
  #expect(known.instance.count == 16)
  #expect(try first.client.execute(QueryEvents()).instance == known.instance)
  try first.stop()
  let stage = try DaemonStage()
  try stage.openChain()
  try stage.readyCommit("j")
  // The old server had sent two events when the client heard of it last.
  let unaware = try stage.client.execute(QueryEvents { $0.since = 2 })
  #expect(numbers(unaware).first == 3 && unaware.instance != known.instance)
  let page = try stage.client.execute(QueryEvents { ($0.since, $0.instance) = (2, known.instance) })
  #expect(numbers(page).first == 1 && page.lost == 0 && page.instance == unaware.instance)
  let same = try stage.client.execute(QueryEvents { ($0.since, $0.instance) = (2, page.instance) })
  #expect(numbers(same).first == 3)
  try stage.client.execute(JobCancel { $0.id = "j" })
  try stage.wait("j")
  try stage.stop()
}
