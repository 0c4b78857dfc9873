import JSONValue

/// Describes the catalog in QAPI's introspection.
///
/// Types have numbers for names, as QEMU's have: a reader follows references and must not rely on
/// names, which the protocol does not know.
///
/// Isolation: value.
package struct SchemaBuilder {
  /// What makes two types the same one.
  private enum Identity: Hashable {
    case named(String)
    case words([String])
    case noMembers
    case record(ObjectIdentifier)
    case alternatives([String])
  }

  private var names: [Identity: String] = [:]
  private var types: [SchemaInfo] = []
  private var numbered = 0

  /// The answer of `query-qmp-schema`: all commands and events, then the types they need.
  package static let schema = schema { _ in true }

  /// The same with those commands only whose names `isServed` says yes to.
  package static func schema(_ isServed: (String) -> Bool) -> [SchemaInfo] {
    var builder = SchemaBuilder()
    let commands = CommandCatalog.all.filter { isServed($0.name) }
      .map { builder.info(command: $0) }
    let events = EventCatalog.all.map { builder.info(event: $0) }
    return commands + events + builder.types
  }

  private mutating func info<Command: QMPCommand>(command: Command.Type) -> SchemaInfo {
    let argumentType = name(of: Command.shape)
    let replyType = name(of: Command.Reply.shape)
    return SchemaInfo {
      $0.name = Command.name
      $0.entity = .command(
        SchemaCommand {
          ($0.argumentType, $0.replyType) = (argumentType, replyType)
          $0.allowsOutOfBand = Command.allowsOutOfBand
          $0.features = Command.features
        })
    }
  }

  private mutating func info<Event: QMPEventPayload>(event: Event.Type) -> SchemaInfo {
    let dataType = name(of: Event.shape)
    return SchemaInfo {
      $0.name = Event.name
      $0.entity = .event(SchemaEvent { $0.dataType = dataType })
    }
  }

  /// The name of a type, which is described if it was not yet.
  private mutating func name(of shape: WireShape) -> String {
    switch shape {
    case .builtin(let type):
      return define(.named(type.typeName), as: type.typeName) { _ in
        .builtin(SchemaBuiltin { $0.jsonType = type })
      }
    case .enumeration(let words):
      return define(.words(words)) { _ in
        .enumeration(
          SchemaEnum {
            $0.words = words.map { word in SchemaEnum.Word { $0.name = word } }
            $0.values = words
          })
      }
    case .array(let element):
      let element = name(of: element.shape)
      return define(.named("[\(element)]"), as: "[\(element)]") { _ in
        .array(SchemaArray { $0.elementType = element })
      }
    case .object(let record): return name(of: record)
    case .alternate(let shapes):
      let types = shapes.map { name(of: $0) }
      return define(.alternatives(types)) { _ in
        .alternate(
          SchemaAlternate {
            $0.alternatives = types.map { type in SchemaAlternate.Member { $0.type = type } }
          })
      }
    }
  }

  private mutating func name<Record: WireRecord>(of record: Record.Type) -> String {
    let members = Record.members.filter { !$0.isRefused }
    return define(members.isEmpty ? .noMembers : .record(ObjectIdentifier(record))) { builder in
      var object = SchemaObject()
      for member in members {
        if !member.branches.isEmpty { object.tag = member.name }
        object.variants += member.branches.map { branch in
          SchemaObject.Variant {
            $0.word = branch.word
            $0.type = builder.name(of: branch.record)
          }
        }
        object.fields.append(
          SchemaObject.Member {
            $0.name = member.name
            $0.type = builder.name(of: member.shape)
            $0.defaultValue = member.isOptional ? .null : nil
          })
      }
      return .object(object)
    }
  }

  /// The name of the type `identity`; if it has none yet, it gets `name` or a number, and
  /// `describe` tells what it is.
  private mutating func define(
    _ identity: Identity, as name: String? = nil, _ describe: (inout Self) -> SchemaEntity
  ) -> String {
    if let known = names[identity] { return known }
    let name = name ?? number()
    // Before it is described: a type may hold itself.
    names[identity] = name
    let entity = describe(&self)
    types.append(SchemaInfo { ($0.name, $0.entity) = (name, entity) })
    return name
  }

  private mutating func number() -> String {
    defer { numbered += 1 }
    return "\(numbered)"
  }
}

extension WireMember {
  /// What the member's value looks like; a word that adds other members is one of a list.
  fileprivate var shape: WireShape {
    branches.isEmpty ? type.shape : .enumeration(branches.map(\.word))
  }
}
