import JSONValue
import TestSupport
import Testing

/// Numbers that look random and are the same in every run (SplitMix64).
private struct Seeded: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var value = state
    value = (value ^ value >> 30) &* 0xBF58_476D_1CE4_E5B9
    value = (value ^ value >> 27) &* 0x94D0_49BB_1331_11EB
    return value ^ value >> 31
  }
}

private let seedTexts = [
  #"{"execute": "block-commit", "arguments": {"device": "é😀"}, "id": [null, -0.5]}"#,
  #"[[], {}, [{"\ud83d\ude00\n": true, "b": false}], 18446744073709551615, -9223372036854775808]"#,
  #"{"a": [18446744073709551616, "1"], "b": -9223372036854775809}"#,
]

/// Bytes that matter to JSON, so that a mutation often stays close to it.
private let alphabet: [UInt8] =
  Array(#"{}[]:,"\/0123456789-+.eEutfnals "#.utf8) + [
    0x00, 0x09, 0x0A, 0x80, 0xC3, 0xED, 0xF0, 0xFF,
  ]

private func mutated(_ text: String, with generator: inout Seeded) -> [UInt8] {
  var bytes = Array(text.utf8)
  for _ in 0...Int.random(in: 0..<3, using: &generator) {
    let index = Int.random(in: 0..<bytes.count, using: &generator)
    let byte = alphabet.randomElement(using: &generator) ?? 0
    switch Int.random(in: 0..<3, using: &generator) {
    case 0: bytes[index] = byte
    case 1: bytes.insert(byte, at: index)
    default: bytes.remove(at: index)
    }
  }
  return bytes
}

@Test("json-c takes whatever the scanner takes, and the value survives writing", arguments: 0..<9)
func scannerAndParserAgree(seed: UInt64) throws {
  var generator = Seeded(state: seed)
  for _ in 0..<2_000 {
    let bytes = mutated(seedTexts[Int(seed % 3)], with: &generator)
    do throws(JSONSyntaxError) {
      let value = try JSONValue.parse(bytes)
      #expect(try JSONValue.parse(value.utf8) == value.asWritten)
    } catch {
      #expect(error != .refused, "\(String(decoding: bytes, as: UTF8.self))")
    }
  }
}
