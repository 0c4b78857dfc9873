/// What a type looks like from outside, in QAPI's terms.
///
/// Isolation: value.
package enum WireShape: Sendable {
  /// A type that QAPI brings with it.
  case builtin(SchemaBuiltin.JSONType)
  /// One of these words.
  case enumeration([String])
  /// Any number of one type.
  case array(of: any WireValue.Type)
  /// An object with known members.
  case object(any WireRecord.Type)
  /// One of these, told apart by the type of the JSON value.
  case alternate([WireShape])
}
