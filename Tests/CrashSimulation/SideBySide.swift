/// Does `body` to all `items`, `width` of them at a time, and hands over each result as it comes.
func sideBySide<Item: Sendable, Result: Sendable>(
  _ items: [Item], width: Int, _ body: @escaping @Sendable (Item) async throws -> Result,
  then: (Result) -> Void
) async throws {
  try await withThrowingTaskGroup(of: Result.self) { group in
    var rest = items[...]
    for item in rest.prefix(width) { group.addTask { try await body(item) } }
    rest = rest.dropFirst(width)
    while let result = try await group.next() {
      then(result)
      if let item = rest.popFirst() { group.addTask { try await body(item) } }
    }
  }
}
