package import JSONValue

/// A node below another: one that exists, or one to open with it.
///
/// Isolation: value.
package indirect enum BlockdevReference: WireValue {
  /// The node of this name.
  case node(String)
  /// A node to open.
  case options(BlockdevOptions)

  package static var expectation: String { "BlockdevRef" }
  package static var shape: WireShape {
    .alternate([.object(BlockdevOptions.self), String.shape])
  }

  package init(wire value: JSONValue, at path: WirePath) throws(QMPError) {
    switch value {
    case .string(let name): self = .node(name)
    case .object: self = .options(try BlockdevOptions(wire: value, at: path))
    default: throw .invalidType(path, expected: Self.expectation)
    }
  }

  package var wire: JSONValue {
    switch self {
    case .node(let name): .string(name)
    case .options(let options): options.wire
    }
  }
}

/// The node below an overlay, or the will to have none.
///
/// Isolation: value.
package enum BackingReference: WireValue {
  /// No node, whatever the header says.
  case none
  /// A node.
  case reference(BlockdevReference)

  package static var expectation: String { "BlockdevRefOrNull" }
  package static var shape: WireShape {
    .alternate([.object(BlockdevOptions.self), String.shape, .builtin(.null)])
  }

  package init(wire value: JSONValue, at path: WirePath) throws(QMPError) {
    switch value {
    case .null: self = .none
    // Text has no null; QEMU takes an empty name for it.
    case "" where path.isText: self = .none
    case .string, .object: self = .reference(try BlockdevReference(wire: value, at: path))
    default: throw .invalidType(path, expected: Self.expectation)
    }
  }

  package var wire: JSONValue {
    switch self {
    case .none: .null
    case .reference(let reference): reference.wire
    }
  }
}
