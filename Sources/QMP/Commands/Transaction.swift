/// Starts several jobs, all or none, and where it is told to makes them one decision.
///
/// Isolation: value.
package struct Transaction: QMPCommand {
  package typealias Reply = EmptyReply

  package var actions: [TransactionAction] = []
  package var properties = TransactionProperties()

  package init() {}

  package static let name = "transaction"
  package static let summary = "Starts several jobs, all or none, which may end all or none"
  package static let members: [WireMember<Self>] = [
    .required("actions", \.actions, "The jobs to start, in this order"),
    .defaulted("properties", \.properties, "What holds for all of them"),
  ]
}

/// What holds for all actions of a transaction.
///
/// Isolation: value.
package struct TransactionProperties: WireRecord {
  /// How the jobs end.
  package enum CompletionMode: String, WireEnum {
    /// Each by itself.
    case individual
    /// All or none.
    case grouped
  }

  package var completionMode = CompletionMode.individual

  package init() {}

  package static let members: [WireMember<Self>] = [
    .defaulted("completion-mode", \.completionMode, "Whether the jobs end each by itself")
  ]
}

/// One job of a transaction.
///
/// Isolation: value.
package struct TransactionAction: WireRecord {
  package var kind = TransactionActionKind.commit(CommitAction())

  package init() {}

  package static let members: [WireMember<Self>] = [
    .choice(\.kind, "The command")
  ]
}

/// The commands that may stand in a transaction.
///
/// Isolation: value.
package enum TransactionActionKind: WireChoice {
  case commit(CommitAction)
  case makeEmpty(MakeEmptyAction)

  package static let discriminator = "type"
  package static let branches: [WireBranch<Self>] = [
    WireBranch(BlockCommit.name, wrap: Self.commit) {
      if case .commit(let action) = $0 { action } else { nil }
    },
    WireBranch(BlockMakeEmpty.name, wrap: Self.makeEmpty) {
      if case .makeEmpty(let action) = $0 { action } else { nil }
    },
  ]
}

/// A commit in a transaction.
///
/// Isolation: value.
package struct CommitAction: WireRecord {
  package var data = BlockCommit()

  package init() {}

  package static let members: [WireMember<Self>] = [
    .required("data", \.data, "The arguments of the command")
  ]
}

/// An emptying in a transaction.
///
/// Isolation: value.
package struct MakeEmptyAction: WireRecord {
  package var data = BlockMakeEmpty()

  package init() {}

  package static let members: [WireMember<Self>] = [
    .required("data", \.data, "The arguments of the command")
  ]
}
