package import JSONValue

/// Something that happened, as told to every client.
///
/// Isolation: value.
package struct QMPEvent: Hashable, Sendable {
  /// A moment by the wall clock.
  package struct Timestamp: WireRecord, Hashable {
    package var seconds = 0
    package var microseconds = 0

    package init() {}

    /// `seconds` and `microseconds` after the epoch.
    package init(seconds: Int, microseconds: Int) {
      self.seconds = seconds
      self.microseconds = microseconds
    }

    package static let members: [WireMember<Self>] = [
      .required("seconds", \.seconds, "Seconds since 1970"),
      .required("microseconds", \.microseconds, "Microseconds on top of the seconds"),
    ]
  }

  /// The event's name.
  package var name: String
  /// What it tells; no member in the message when it tells nothing.
  package var data: JSONObject
  /// When it happened.
  package var timestamp: Timestamp
  /// Its number: every event of a server has the next one. Nil from a server that does not count.
  package var sequence: Int?

  /// A typed event at a moment.
  package init(
    _ payload: some QMPEventPayload, at timestamp: Timestamp, sequence: Int? = nil
  ) {
    self.sequence = sequence
    name = type(of: payload).name
    data = payload.object
    self.timestamp = timestamp
  }

  /// The message that says this.
  package var message: JSONValue {
    var message: JSONObject = ["timestamp": timestamp.wire, "event": .string(name)]
    if !data.members.isEmpty { message.append("data", .object(data)) }
    if let sequence { message.append("x-seq", .integer(sequence)) }
    return .object(message)
  }

  /// The event that `message` is; nil when it is something else.
  init?(_ message: JSONObject) throws(QMPError) {
    guard let name = message["event"]?.stringValue else { return nil }
    self.name = name
    data = message["data"]?.objectValue ?? [:]
    sequence = message["x-seq"]?.integerValue
    timestamp = try Timestamp(wire: message["timestamp"] ?? [:], at: .reply)
  }

  /// The event's data as `Payload`; nil when it is another event.
  package func payload<Payload: QMPEventPayload>(
    as type: Payload.Type
  ) throws(QMPError) -> Payload? {
    name == Payload.name ? try Payload(wire: .object(data), at: .reply) : nil
  }
}

/// One kind of event: its name and its data, whose members are the type's own.
///
/// Isolation: value.
package protocol QMPEventPayload: WireRecord {
  /// The event's name on the wire.
  static var name: String { get }
  /// When the event is sent, in a sentence.
  static var summary: String { get }
}
