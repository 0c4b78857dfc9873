import QMP
import TestSupport
import Testing

@Test(
  "A reader of QAPI's introspection finds every command and event, and its types hold for messages")
func introspection() throws {
  let stage = try DaemonStage()
  let outcome = try QemuTools.run(
    try #require(Python.path),
    [Python.script("check_schema.py"), stage.daemon.socket, stage.path("overlay")])
  #expect(outcome.status == 0)
  #expect(
    outcome.output == """
      same commands True
      events \(EventCatalog.all.map { $0.name }.joined(separator: " "))
      arguments True False False False False False False

      """)
  try stage.stop()
}
