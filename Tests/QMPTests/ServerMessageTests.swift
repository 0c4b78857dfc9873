import JSONValue
import QMP
import Testing

@Test("An answer carries what the command gave and the request's id")
func answer() {
  #expect(QMPResponse(.success([:])).message.description == #"{"return": {}}"#)
  #expect(
    QMPResponse(.success([1]), id: nil as JSONValue?).message.description == #"{"return": [1]}"#)
  #expect(
    QMPResponse(.success([:]), id: .null).message.description == #"{"return": {}, "id": null}"#)
}

@Test("An error carries class, sentence, and what the engine knows")
func errorAnswer() {
  let plain = QMPResponse(.failure(.commandNotFound("nope")), id: [1])
  #expect(
    plain.message.description
      == #"{"error": {"class": "CommandNotFound", "desc": "The command nope has not been found"}, "#
      + #""id": [1]}"#)
  let detail = QMPErrorDetail {
    $0.code = "no-space"
    $0.file = "/a"
    $0.offset = 512
    $0.guestOffset = 1024
    $0.errno = 28
  }
  let full = QMPResponse(.failure(QMPError("No space left on device", detail: detail)))
  #expect(
    full.message.description
      == #"{"error": {"class": "GenericError", "desc": "No space left on device"}, "#
      + #""x-error": {"code": "no-space", "file": "/a", "offset": 512, "guest-offset": 1024, "#
      + #""errno": 28}}"#)
}

@Test("A client reads back every message that the server writes")
func roundTrip() throws {
  let greeting = QMPGreeting(
    version: VersionInfo(qemu: .init(10, 1, 0), package: "qblockd 0.1"), capabilities: ["oob"])
  let event = QMPEvent(
    JobStatusChange {
      $0.id = "j"
      $0.status = .ready
    }, at: .init(seconds: 5, microseconds: 6), sequence: 7)
  let failure = QMPResponse(
    .failure(QMPError(.deviceNotFound, "x", detail: QMPErrorDetail { $0.code = "io" })), id: 3)
  let messages: [(JSONValue, QMPServerMessage)] = [
    (greeting.message, .greeting(greeting)),
    (event.message, .event(event)),
    (failure.message, .response(failure)),
    (QMPResponse(.success("x"), id: "i").message, .response(QMPResponse(.success("x"), id: "i"))),
  ]
  for (message, expected) in messages {
    #expect(try QMPServerMessage(#require(message.objectValue)) == expected)
  }
  #expect(throws: QMPError.self) { try QMPServerMessage(["x": 1]) }
}

@Test("The event's message is QEMU's")
func eventMessage() throws {
  let payload = JobStatusChange {
    $0.id = "j"
    $0.status = .concluded
  }
  let event = QMPEvent(payload, at: .init(seconds: 1, microseconds: 2))
  #expect(
    event.message.description
      == #"{"timestamp": {"seconds": 1, "microseconds": 2}, "event": "JOB_STATUS_CHANGE", "#
      + #""data": {"id": "j", "status": "concluded"}}"#)
  let numbered = QMPEvent(payload, at: event.timestamp, sequence: 7)
  #expect(numbered.message["x-seq"] == 7)
  #expect(try event.payload(as: JobStatusChange.self) == payload)
  #expect(try event.payload(as: Shutdown.self) == nil)
}
