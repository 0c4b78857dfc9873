// Descriptors that a client passes over the socket: by name for itself, or in sets for opening.

/// Keeps a descriptor for its client.
///
/// Isolation: value.
package struct GetFD: QMPCommand {
  package typealias Reply = EmptyReply

  package var name = ""

  package init() {}

  package static let name = "getfd"
  package static let summary = "Keeps the descriptor that came with the command under a name"
  package static let members: [WireMember<Self>] = [
    .required("fdname", \.name, "The name; not beginning with a digit")
  ]
}

/// Closes a descriptor of its client.
///
/// Isolation: value.
package struct CloseFD: QMPCommand {
  package typealias Reply = EmptyReply

  package var name = ""

  package init() {}

  package static let name = "closefd"
  package static let summary = "Closes a descriptor that getfd keeps"
  package static let members: [WireMember<Self>] = [
    .required("fdname", \.name, "Its name")
  ]
}

/// Puts a descriptor into a set.
///
/// Isolation: value.
package struct AddFD: QMPCommand {
  package typealias Reply = AddedFD

  package var set: Int?
  package var opaque: String?

  package init() {}

  package static let name = "add-fd"
  package static let summary =
    "Puts the descriptor that came with the command into a set, which can be opened"
  package static let members: [WireMember<Self>] = [
    .optional("fdset-id", \.set, "The set; absent, a new one").nonNegative,
    .optional("opaque", \.opaque, "Anything; query-fdsets says it again"),
  ]
}

/// Where a descriptor went.
///
/// Isolation: value.
package struct AddedFD: WireRecord {
  package var set = 0
  package var descriptor = 0

  package init() {}

  package static let members: [WireMember<Self>] = [
    .required("fdset-id", \.set, "The set"),
    .required("fd", \.descriptor, "The descriptor's number in the server"),
  ]
}

/// Takes descriptors out of a set.
///
/// Isolation: value.
package struct RemoveFD: QMPCommand {
  package typealias Reply = EmptyReply

  package var set = 0
  package var descriptor: Int?

  package init() {}

  package static let name = "remove-fd"
  package static let summary = "Closes a descriptor of a set, or all; open files stay open"
  package static let members: [WireMember<Self>] = [
    .required("fdset-id", \.set, "The set"),
    .optional("fd", \.descriptor, "The descriptor's number; absent, all of the set's"),
  ]
}

/// Lists the sets.
///
/// Isolation: value.
package struct QueryFDSets: QMPCommand {
  package typealias Reply = [FDSetInfo]

  package init() {}

  package static let name = "query-fdsets"
  package static let allowsOutOfBand = true
  package static let summary = "All sets of descriptors"
  package static let members: [WireMember<Self>] = []
}

/// One set of descriptors.
///
/// Isolation: value.
package struct FDSetInfo: WireRecord {
  package var set = 0
  package var members: [FDSetMemberInfo] = []

  package init() {}

  package static let members: [WireMember<Self>] = [
    .required("fdset-id", \.set, "The set"),
    .required("fds", \.members, "Its descriptors, the newest first"),
  ]
}

/// One descriptor of a set.
///
/// Isolation: value.
package struct FDSetMemberInfo: WireRecord {
  package var descriptor = 0
  package var opaque: String?

  package init() {}

  package static let members: [WireMember<Self>] = [
    .required("fd", \.descriptor, "The descriptor's number in the server"),
    .optional("opaque", \.opaque, "What the client said of it"),
  ]
}
