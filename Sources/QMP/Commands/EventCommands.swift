package import JSONValue

/// Repeats events.
///
/// Isolation: value.
package struct QueryEvents: QMPCommand {
  package typealias Reply = EventPage

  package var since = 0
  package var limit = 100
  package var instance: String?

  package init() {}

  package static let name = "x-query-events"
  package static let allowsOutOfBand = true
  package static let summary = "The events after one that the client has seen"
  package static let members: [WireMember<Self>] = [
    .defaulted("since", \.since, "The x-seq of the last event that was seen; 0 for none")
      .nonNegative,
    .defaulted("limit", \.limit, "The most events to answer with")
      .within(1...1000, "a value from 1 to 1000"),
    .optional(
      "instance", \.instance,
      "Whose event since is; where that is another server than this, since counts as 0"),
  ]
}

/// The answer of `x-query-events`.
///
/// Isolation: value.
package struct EventPage: WireRecord {
  package var events: [JSONValue] = []
  package var last = 0
  package var lost = 0
  package var instance = ""

  package init() {}

  package static let members: [WireMember<Self>] = [
    .required("events", \.events, "The events as they were sent, the oldest first"),
    .required("last", \.last, "The x-seq of the newest event that there is"),
    .required("lost", \.lost, "How many between since and the first of these are forgotten"),
    .required("instance", \.instance, "Whose events they are; another after every start"),
  ]
}
