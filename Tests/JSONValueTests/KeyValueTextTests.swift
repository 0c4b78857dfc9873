import JSONValue
import Testing

@Suite("keys and values with dots")
struct KeyValueTextTests {
  @Test(
    "keys become objects, numbers become arrays, and every value is a string",
    arguments: [
      ("", "{}"),
      ("a=1", #"{"a": "1"}"#),
      ("a=1,", #"{"a": "1"}"#),
      ("a=", #"{"a": ""}"#),
      ("a=x=y", #"{"a": "x=y"}"#),
      ("a=x,,y,b=,,", #"{"a": "x,y", "b": ","}"#),
      ("a=1,a=2", #"{"a": "2"}"#),
      ("a.b=1,c=2,a.d.e=3", #"{"a": {"b": "1", "d": {"e": "3"}}, "c": "2"}"#),
      ("a.1=y,a.0=x", #"{"a": ["x", "y"]}"#),
      ("a.0.b=1,a.1.b=2,a.0.c=3", #"{"a": [{"b": "1", "c": "3"}, {"b": "2"}]}"#),
      ("a-b_c9=1", #"{"a-b_c9": "1"}"#),
    ])
  func parsed(text: String, json: String) throws {
    #expect(try JSONValue.parse(keyValues: text) == JSONValue.parse(json))
  }

  @Test("only the first value may stand without its key, and only where that is known")
  func implied() throws {
    func parse(_ text: String) throws -> JSONValue {
      try JSONValue.parse(keyValues: text, implied: "driver")
    }
    #expect(try parse("qcow2,a=1") == ["driver": "qcow2", "a": "1"])
    #expect(try parse("driver=qcow2") == ["driver": "qcow2"])
    #expect(throws: KeyValueError.missingValue("raw")) { try parse("qcow2,raw") }
    #expect(throws: KeyValueError.missingValue("a")) { try JSONValue.parse(keyValues: "a") }
  }

  static let long = String(repeating: "a", count: 128)

  @Test(
    "what is no key, or contradicts itself, is refused in QEMU's words",
    arguments: [
      ("=x", "Invalid parameter ''"), (",", "Invalid parameter ''"),
      ("1x=2", "Invalid parameter '1x'"), ("a.1x=2", "Invalid parameter 'a.1x'"),
      ("a..b=2", "Invalid parameter 'a..b'"), ("_x=1", "Invalid parameter '_x'"),
      ("a.=1", "Invalid parameter 'a.'"), ("ä=1", "Invalid parameter 'ä'"),
      ("a=1,b", "Expected '=' after parameter 'b'"),
      ("a=1,a.b=2", "Parameters 'a.*' used inconsistently"),
      ("a.b=1,a=2", "Parameters 'a.*' used inconsistently"),
      ("c.a.b=1,c.a=2", "Parameters 'c.a.*' used inconsistently"),
      ("a.0=1,a.b=2", "Parameters 'a.*' used inconsistently"),
      ("a.0=1,a.2=2", "Parameter 'a.1' missing"), ("a.1=1", "Parameter 'a.0' missing"),
      ("a.9223372036854775807=1", "Parameter 'a.0' missing"),
      ("a.9223372036854775808=1", "Invalid parameter 'a.9223372036854775808'"),
      ("\(long)=1", "Parameter '\(long)' is too long"),
      ("b.\(long)=1", "Parameter fragment '\(long)' is too long"),
    ])
  func refused(text: String, sentence: String) {
    let error = #expect(throws: KeyValueError.self) { try JSONValue.parse(keyValues: text) }
    #expect(error?.description == sentence)
  }

  @Test("a key is not deeper than a message may be")
  func depth() throws {
    let deepest = [String](repeating: "a", count: 31).joined(separator: ".")
    _ = try JSONValue.parse(keyValues: "\(deepest)=1")
    #expect(throws: KeyValueError.tooDeep("\(deepest).a")) {
      try JSONValue.parse(keyValues: "\(deepest).a=1")
    }
  }
}
