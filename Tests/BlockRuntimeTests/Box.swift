/// Lets closures share a value that cannot be copied, such as a Mutex.
final class Box<Value: ~Copyable & Sendable>: Sendable {
  let value: Value

  init(_ value: consuming Value) { self.value = value }
}
