import JSONValue

/// One place where the two monitors did not say the same.
///
/// Isolation: value.
struct TranscriptDifference: CustomStringConvertible {
  let scene: String
  let step: String
  let command: String
  /// Where in the answer: `return[].image.format-specific`. Empty where one of the two refuses what
  /// the other does, or where they refuse it for different reasons.
  let path: String
  /// JSON text, or `nothing`.
  let qemu: String
  let ours: String

  var description: String {
    "\(scene): \(step)\n  at '\(path)'\n  QEMU \(qemu)\n  ours \(ours)"
  }

  /// All differences of two transcripts of `scene`. Steps that only one of them has count, too.
  static func all(
    in scene: String, qemu: Transcript, ours: Transcript
  ) -> [TranscriptDifference] {
    var found: [TranscriptDifference] = []
    for (theirs, own) in zip(qemu.turns, ours.turns) {
      Comparison(qemu: theirs.result, ours: own.result).forEach { (path, theirText, ownText) in
        found.append(
          TranscriptDifference(
            scene: scene, step: theirs.step, command: theirs.command, path: path, qemu: theirText,
            ours: ownText))
      }
    }
    let both = min(qemu.turns.count, ours.turns.count)
    for turn in qemu.turns[both...] + ours.turns[both...] {
      found.append(
        TranscriptDifference(
          scene: scene, step: turn.step, command: turn.command, path: "", qemu: "\(turn.result)",
          ours: "not the same number of steps"))
    }
    return found
  }
}

/// Two answers side by side.
private struct Comparison {
  let qemu: JSONValue
  let ours: JSONValue

  typealias Found = (_ path: String, _ qemu: String, _ ours: String) -> Void

  /// Calls `found` for each place in which they differ.
  func forEach(_ found: Found) {
    if qemu["error"] != nil || ours["error"] != nil {
      // An answer as a whole: a refusal has one reason.
      if !Comparison.isSame(qemu, ours) { found("", Comparison.text(qemu), Comparison.text(ours)) }
    } else {
      Comparison.compare(qemu, ours, at: "", found)
    }
  }

  private static func isSame(_ one: JSONValue, _ other: JSONValue) -> Bool {
    var isSame = true
    compare(one, other, at: "") { (_, _, _) in isSame = false }
    return isSame
  }

  /// The sentence of a refusal, else all of it.
  private static func text(_ answer: JSONValue) -> String {
    guard let error = answer["error"] else { return answer.description }
    return "\(error["class"]?.stringValue ?? ""): \(error["desc"]?.stringValue ?? "")"
  }

  private static func compare(
    _ one: JSONValue?, _ other: JSONValue?, at path: String, _ found: Found
  ) {
    switch (one, other) {
    case (.object(let first)?, .object(let second)?):
      let names = first.members.map(\.name)
      let more = second.members.map(\.name).filter { !names.contains($0) }
      for name in names + more {
        let place = path.isEmpty ? name : "\(path).\(name)"
        compare(first[name], second[name], at: place, found)
      }
    case (.array(let first)?, .array(let second)?):
      let (mine, theirs) = inOneOrder(first, second, at: path, found)
      for index in 0..<max(mine.count, theirs.count) {
        compare(
          index < mine.count ? mine[index] : nil, index < theirs.count ? theirs[index] : nil,
          at: "\(path)[]", found)
      }
    default:
      if one != other {
        found(path, one?.description ?? "nothing", other?.description ?? "nothing")
      }
    }
  }

  /// Lists of things with names, by these: that their order differs is a difference of its own.
  private static func inOneOrder(
    _ first: [JSONValue], _ second: [JSONValue], at path: String, _ found: Found
  ) -> ([JSONValue], [JSONValue]) {
    let (names, others) = (first.map(name), second.map(name))
    guard names != others, Set(names) == Set(others), Set(names).count == names.count else {
      return (first, second)
    }
    found("\(path) order", "\(names)", "\(others)")
    return (first.sorted { name($0) < name($1) }, second.sorted { name($0) < name($1) })
  }

  private static func name(_ element: JSONValue) -> String {
    let names = ["node-name", "id", "device", "name"].compactMap { element[$0]?.stringValue }
    return names.first ?? element.description
  }
}
