// The answer of query-qmp-schema, in the records that QAPI's introspection defines.

package import JSONValue

/// One command, event or type.
///
/// Isolation: value.
package struct SchemaInfo: WireRecord {
  package var name = ""
  package var entity = SchemaEntity.builtin(SchemaBuiltin())

  package init() {}

  package static let members: [WireMember<Self>] = [
    .required("name", \.name, "The name of the command or event; of a type, a name to refer to"),
    .choice(\.entity, "What it is"),
  ]
}

/// What a `SchemaInfo` describes.
///
/// Isolation: value.
package enum SchemaEntity: WireChoice {
  case builtin(SchemaBuiltin)
  case enumeration(SchemaEnum)
  case array(SchemaArray)
  case object(SchemaObject)
  case alternate(SchemaAlternate)
  case command(SchemaCommand)
  case event(SchemaEvent)

  package static let discriminator = "meta-type"
  package static let branches: [WireBranch<Self>] = [
    WireBranch("builtin", wrap: Self.builtin) {
      if case .builtin(let type) = $0 { type } else { nil }
    },
    WireBranch("enum", wrap: Self.enumeration) {
      if case .enumeration(let type) = $0 { type } else { nil }
    },
    WireBranch("array", wrap: Self.array) { if case .array(let type) = $0 { type } else { nil } },
    WireBranch("object", wrap: Self.object) {
      if case .object(let type) = $0 { type } else { nil }
    },
    WireBranch("alternate", wrap: Self.alternate) {
      if case .alternate(let type) = $0 { type } else { nil }
    },
    WireBranch("command", wrap: Self.command) {
      if case .command(let command) = $0 { command } else { nil }
    },
    WireBranch("event", wrap: Self.event) { if case .event(let event) = $0 { event } else { nil } },
  ]
}

/// A type that QAPI brings with it.
///
/// Isolation: value.
package struct SchemaBuiltin: WireRecord {
  /// What its values are in JSON.
  package enum JSONType: String, WireEnum {
    case string, int, boolean, null
    /// Any of all.
    case value
  }

  package var jsonType = JSONType.value

  package init() {}

  package static let members: [WireMember<Self>] = [
    .required("json-type", \.jsonType, "What its values are in JSON")
  ]
}

extension SchemaBuiltin.JSONType {
  /// QAPI's name of the type.
  var typeName: String {
    switch self {
    case .string: "str"
    case .int: "int"
    case .boolean: "bool"
    case .null: "null"
    case .value: "any"
    }
  }
}

/// A list of words.
///
/// Isolation: value.
package struct SchemaEnum: WireRecord {
  /// One word.
  package struct Word: WireRecord {
    package var name = ""

    package init() {}

    package static let members: [WireMember<Self>] = [.required("name", \.name, "The word")]
  }

  package var words: [Word] = []
  package var values: [String] = []

  package init() {}

  package static let members: [WireMember<Self>] = [
    .required("members", \.words, "The words"),
    .required("values", \.values, "The same words, for older readers"),
  ]
}

/// An array.
///
/// Isolation: value.
package struct SchemaArray: WireRecord {
  package var elementType = ""

  package init() {}

  package static let members: [WireMember<Self>] = [
    .required("element-type", \.elementType, "The elements' type")
  ]
}

/// An object.
///
/// Isolation: value.
package struct SchemaObject: WireRecord {
  /// One member.
  package struct Member: WireRecord {
    package var name = ""
    package var type = ""
    package var defaultValue: JSONValue?

    package init() {}

    package static let members: [WireMember<Self>] = [
      .required("name", \.name, "The member's name"),
      .required("type", \.type, "Its type"),
      .optional("default", \.defaultValue, "Null where the member may be left out"),
    ]
  }

  /// The members that one word of the tag adds.
  package struct Variant: WireRecord {
    package var word = ""
    package var type = ""

    package init() {}

    package static let members: [WireMember<Self>] = [
      .required("case", \.word, "The word"),
      .required("type", \.type, "The object whose members stand beside the others"),
    ]
  }

  package var fields: [Member] = []
  package var tag: String?
  package var variants: [Variant] = []

  package init() {}

  package static let members: [WireMember<Self>] = [
    .required("members", \.fields, "The members that it always may have"),
    .optional("tag", \.tag, "The member whose word adds others"),
    .defaulted("variants", \.variants, "What each word of the tag adds"),
  ]
}

/// One of several types, told apart by the type of the JSON value.
///
/// Isolation: value.
package struct SchemaAlternate: WireRecord {
  /// One of them.
  package struct Member: WireRecord {
    package var type = ""

    package init() {}

    package static let members: [WireMember<Self>] = [.required("type", \.type, "The type")]
  }

  package var alternatives: [Member] = []

  package init() {}

  package static let members: [WireMember<Self>] = [
    .required("members", \.alternatives, "The types")
  ]
}

/// A command.
///
/// Isolation: value.
package struct SchemaCommand: WireRecord {
  package var argumentType = ""
  package var replyType = ""
  package var allowsOutOfBand = false
  package var features: [String] = []

  package init() {}

  package static let members: [WireMember<Self>] = [
    .required("arg-type", \.argumentType, "The object that its arguments are"),
    .required("ret-type", \.replyType, "The type of its answer"),
    .required("allow-oob", \.allowsOutOfBand, "Whether it may be asked out of band"),
    .defaulted("features", \.features, "What a reader should know of it, by QAPI's words"),
  ]
}

/// An event.
///
/// Isolation: value.
package struct SchemaEvent: WireRecord {
  package var dataType = ""

  package init() {}

  package static let members: [WireMember<Self>] = [
    .required("arg-type", \.dataType, "The object that its data are")
  ]
}
