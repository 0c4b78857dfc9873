/// Why a text is not one good JSON value. The sentences are QEMU's where it has one for the case.
///
/// Isolation: value.
package enum JSONSyntaxError: Error, Hashable, Sendable {
  /// Bytes that begin no token, or a token that these bytes break.
  case stray(String)
  /// A bare word that is not `true`, `false` or `null`.
  case invalidKeyword(String)
  /// A value had to come here.
  case expectingValue
  /// An object's member begins with something else than a string.
  case keyIsNoString
  /// No colon after a member's name.
  case missingColon
  /// Two members of an object without a comma between them.
  case expectedSeparatorInObject
  /// Two elements of an array without a comma between them.
  case expectedSeparatorInArray
  /// The object already has a member with this name; escapes do not make it another.
  case duplicateKey
  /// A backslash and a byte that JSON gives no meaning.
  case invalidEscape
  /// A `\u` escape that names no character: not four hex digits, half a surrogate pair, or NUL,
  /// which C strings and file names cannot hold.
  case invalidCharacter(String)
  /// A string's bytes are not well-formed UTF-8.
  case invalidUTF8
  /// A control character stands in a string without an escape.
  case controlCharacter(UInt8)
  /// A number too large for a double.
  case numberOutOfRange(String)
  /// More containers open than `JSONLimits.depth`.
  case tooDeep
  /// More tokens than `JSONLimits.tokens`.
  case tooManyTokens
  /// More bytes than `JSONLimits.bytes`.
  case tooLong
  /// The text ends before its value does.
  case endOfInput
  /// Something follows the value.
  case trailingText
  /// json-c refused what our scanner took; the two should never differ.
  case refused
}

extension JSONSyntaxError: CustomStringConvertible {
  package var description: String {
    switch self {
    case .stray(let text): "JSON parse error, stray '\(text)'"
    case .invalidKeyword(let text): "JSON parse error, invalid keyword '\(text)'"
    case .expectingValue: "JSON parse error, expecting value"
    case .keyIsNoString: "JSON parse error, key is not a string in object"
    case .missingColon: "JSON parse error, missing : in object pair"
    case .expectedSeparatorInObject: "JSON parse error, expected separator in dict"
    case .expectedSeparatorInArray: "JSON parse error, expected separator in list"
    case .duplicateKey: "JSON parse error, duplicate key"
    case .invalidEscape: "JSON parse error, invalid escape sequence in string"
    case .invalidCharacter(let text):
      "JSON parse error, \(text) is not a valid Unicode character"
    case .invalidUTF8: "JSON parse error, invalid UTF-8 sequence in string"
    case .controlCharacter(let byte):
      "JSON parse error, control character \(byte) in string"
    case .numberOutOfRange(let text): "JSON parse error, number \(text) is out of range"
    case .tooDeep: "JSON nesting depth limit exceeded"
    case .tooManyTokens: "JSON token count limit exceeded"
    case .tooLong: "JSON message size limit exceeded"
    case .endOfInput: "JSON parse error, premature end of input"
    case .trailingText: "JSON parse error, text after the value"
    case .refused: "JSON parse error, refused by the parser"
    }
  }

  /// `bytes` as they may stand in a sentence: at most 32, anything but printable ASCII as `\xNN`.
  static func quote(_ bytes: [UInt8]) -> String {
    var text = ""
    for byte in bytes.prefix(32) {
      if (0x20..<0x7F).contains(byte) {
        text.unicodeScalars.append(Unicode.Scalar(byte))
      } else {
        let digits = String(byte, radix: 16)
        text += digits.count == 1 ? "\\x0\(digits)" : "\\x\(digits)"
      }
    }
    return bytes.count > 32 ? text + "..." : text
  }
}
