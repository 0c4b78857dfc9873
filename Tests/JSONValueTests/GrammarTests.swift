import JSONValue
import TestSupport
import Testing

/// Every class of text that RFC 8259 allows or forbids, case by case.
@Suite("the grammar of JSON")
struct GrammarTests {
  /// Why the scanner alone, byte by byte, refuses the text; nil where it takes all of it.
  private func scannerRefusal(_ text: [UInt8]) -> JSONSyntaxError? {
    var scanner = JSONScanner(limits: .request)
    var isOver = false
    for byte in text {
      if isOver {
        if ![0x20, 0x09, 0x0A, 0x0D].contains(byte) { return .trailingText }
        continue
      }
      switch scanner.scan(byte) {
      case .more: continue
      case .failed(let error), .ended(_, let error?): return error
      case .ended(let before, nil):
        if before, ![0x20, 0x09, 0x0A, 0x0D].contains(byte) { return .trailingText }
        isOver = true
      }
    }
    if isOver { return nil }
    switch scanner.finish() {
    case .more: return .endOfInput
    case .failed(let error): return error
    case .ended(_, let fault): return fault
    }
  }

  @Test("what it allows is taken, and survives writing", arguments: takenCases)
  func taken(text: GrammarCase) throws {
    #expect(scannerRefusal(text.text) == nil)
    let value = try JSONValue.parse(text.text)
    #expect(try JSONValue.parse(value.utf8) == value.asWritten)
  }

  @Test(
    "what it forbids, or what no client needs, is refused by the scanner",
    arguments: forbiddenCases + declinedCases)
  func refused(text: GrammarCase) {
    let error = #expect(throws: JSONSyntaxError.self) { try JSONValue.parse(text.text) }
    // `refused` would be json-c's word.
    #expect(error != .refused)
    #expect(scannerRefusal(text.text) == error)
  }

  @Test("what is refused for its size is taken where the limits are larger")
  func limits() throws {
    let text = Array(("[" + String(repeating: "1,", count: 5000) + "1]").utf8)
    _ = try JSONValue.parse(text, limits: .answer)
    let deep = Array((String(repeating: "[", count: 64) + String(repeating: "]", count: 64)).utf8)
    _ = try JSONValue.parse(deep, limits: .answer)
  }

  @Test("names of cases are names")
  func names() {
    let all = (takenCases + forbiddenCases + declinedCases).map(\.description)
    #expect(Set(all).count == all.count)
    #expect(all.count > 600)
  }
}
