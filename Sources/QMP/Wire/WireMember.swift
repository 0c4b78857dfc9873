import JSONValue

/// One member of a record: its name, its type, what it means, and how it is read and written.
///
/// Isolation: value.
package struct WireMember<Root: WireRecord>: Sendable {
  /// The member's name on the wire.
  package let name: String
  /// What the member means, in a sentence.
  package let documentation: String
  /// Whether the member may be absent.
  package let isOptional: Bool
  /// Whether any value is refused.
  package private(set) var isRefused = false
  /// The records whose members may stand beside this one, by the word that this one has; empty for
  /// a member that stands for itself.
  package private(set) var branches: [(word: String, record: any WireRecord.Type)] = []
  /// The type of the member's value.
  package let type: any WireValue.Type

  var decode: @Sendable (inout ArgumentDecoder, inout Root) throws(QMPError) -> Void
  let encode: @Sendable (Root, inout JSONObject) -> Void

  /// A member that must be there.
  package static func required<Value: WireValue>(
    _ name: String, _ path: any WritableKeyPath<Root, Value> & Sendable, _ documentation: String
  ) -> Self {
    Self(
      name: name, documentation: documentation, isOptional: false, type: Value.self,
      decode: { (decoder, root) throws(QMPError) in
        root[keyPath: path] = try decoder.required(name)
      },
      encode: { $1.append(name, $0[keyPath: path].wire) })
  }

  /// A member that may be absent, which is not the same as any value.
  package static func optional<Value: WireValue>(
    _ name: String, _ path: any WritableKeyPath<Root, Value?> & Sendable, _ documentation: String
  ) -> Self {
    Self(
      name: name, documentation: documentation, isOptional: true, type: Value.self,
      decode: { (decoder, root) throws(QMPError) in
        root[keyPath: path] = try decoder.optional(name)
      },
      encode: { if let value = $0[keyPath: path] { $1.append(name, value.wire) } })
  }

  /// A member that means what a blank record holds when it is absent, and is left out when it
  /// says that.
  package static func defaulted<Value: WireValue>(
    _ name: String, _ path: any WritableKeyPath<Root, Value> & Sendable, _ documentation: String
  ) -> Self {
    Self(
      name: name, documentation: documentation, isOptional: true, type: Value.self,
      decode: { (decoder, root) throws(QMPError) in
        if let value: Value = try decoder.optional(name) { root[keyPath: path] = value }
      },
      encode: { root, object in
        let value = root[keyPath: path]
        if value != Root()[keyPath: path] { object.append(name, value.wire) }
      })
  }

  /// A word that decides which further members the same object has.
  package static func choice<Choice: WireChoice>(
    _ path: any WritableKeyPath<Root, Choice> & Sendable, _ documentation: String
  ) -> Self {
    var member = Self(
      name: Choice.discriminator, documentation: documentation, isOptional: false,
      type: String.self,
      decode: { (decoder, root) throws(QMPError) in
        root[keyPath: path] = try Choice(from: &decoder)
      },
      encode: { $0[keyPath: path].append(to: &$1) })
    member.branches = Choice.branches.map { ($0.word, $0.record) }
    return member
  }

  /// A member that QEMU has and we refuse by name, so that nobody believes it had an effect.
  package static func unsupported(_ name: String) -> Self {
    Self(
      name: name, documentation: "Not supported: refused with any value", isOptional: true,
      isRefused: true, type: JSONValue.self,
      decode: { (decoder, _) throws(QMPError) in try decoder.refuse(name) },
      encode: { _, _ in })
  }

  /// A member that QEMU has, and that is read and then means nothing here; `documentation` says
  /// why. Whoever writes the record leaves it out.
  package static func ignored<Value: WireValue>(
    _ name: String, as type: Value.Type, _ documentation: String
  ) -> Self {
    Self(
      name: name, documentation: documentation, isOptional: true, type: type,
      decode: { (decoder, _) throws(QMPError) in
        let _: Value? = try decoder.optional(name)
      },
      encode: { _, _ in })
  }

  /// A switch that QEMU has and that nothing stands behind here: it can be off, as when it is
  /// absent, and is refused by name when it is on.
  package static func onlyOff(_ name: String, _ documentation: String) -> Self {
    Self(
      name: name, documentation: documentation, isOptional: true, type: Bool.self,
      decode: { (decoder, _) throws(QMPError) in
        let isOn: Bool? = try decoder.optional(name)
        if isOn == true { try decoder.refuse(name) }
      },
      encode: { _, _ in })
  }

  /// The same member in the object of a record that holds this one.
  package func lifted<Outer: WireRecord>(
    to path: any WritableKeyPath<Outer, Root> & Sendable
  ) -> WireMember<Outer> {
    WireMember<Outer>(
      name: name, documentation: documentation, isOptional: isOptional, isRefused: isRefused,
      branches: branches, type: type,
      decode: { [decode] (decoder, outer) throws(QMPError) in
        try decode(&decoder, &outer[keyPath: path])
      },
      encode: { [encode] in encode($0[keyPath: path], &$1) })
  }

  /// The same member, whose number must lie in `range`; `expectation` completes "expects …".
  package func within(_ range: ClosedRange<Int>, _ expectation: String) -> Self {
    var member = self
    member.decode = { [name, decode] (decoder, root) throws(QMPError) in
      try decode(&decoder, &root)
      try decoder.check(name, lies: range, expectation: expectation)
    }
    return member
  }

  /// The same member, whose number is a length in bytes: QAPI's `size`.
  package var byteSize: Self {
    var member = self
    member.decode = { [name, decode] (decoder, root) throws(QMPError) in
      try decoder.checkIsSize(name)
      try decode(&decoder, &root)
    }
    return member
  }

  /// The same member, whose number must not be negative.
  package var nonNegative: Self { within(0...Int.max, "a non-negative value") }
}
