import JSONValue
import QMP
import Testing

@Test(
  "What is no request is refused in QEMU's words",
  arguments: [
    ("{}", "QMP input lacks member 'execute'"),
    (#"{"arguments": {}}"#, "QMP input lacks member 'execute'"),
    (#"{"execute": 1}"#, "QMP input member 'execute' must be a string"),
    (#"{"execute": "x", "foo": 1}"#, "QMP input member 'foo' is unexpected"),
    (#"{"execute": "x", "arguments": []}"#, "QMP input member 'arguments' must be an object"),
    (#"{"execute": "x", "arguments": null}"#, "QMP input member 'arguments' must be an object"),
    (#"{"exec-oob": "query-version"}"#, "QMP input member 'exec-oob' is unexpected"),
    (#"{"execute": "x", "exec-oob": "x"}"#, "QMP input member 'exec-oob' is unexpected"),
  ])
func refusesRequest(text: String, sentence: String) throws {
  let message = try #require(try JSONValue.parse(text).objectValue)
  #expect(throws: QMPError(sentence)) { try QMPRequest(message) }
}

@Test("A request keeps its name, arguments and id of any type")
func readsRequest() throws {
  let ids: [JSONValue] = [nil, 1, "x", [1, [:]], ["a": 2.5], false]
  for id in ids {
    let message: JSONObject = ["id": id, "arguments": ["a": 1], "execute": "x"]
    #expect(try QMPRequest(message) == QMPRequest(execute: "x", arguments: ["a": 1], id: id))
  }
  #expect(try QMPRequest(["execute": "x"]).id == nil)
}

@Test("A typed command becomes its message")
func writesRequest() {
  let command = JobCancel { $0.id = "j" }
  #expect(
    QMPRequest(command, id: 7).message
      == ["execute": "job-cancel", "arguments": ["id": "j"], "id": 7])
  #expect(QMPRequest(QueryVersion()).message == ["execute": "query-version"])
}
