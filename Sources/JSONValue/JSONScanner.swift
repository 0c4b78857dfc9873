/// Finds where one JSON value ends in a stream of bytes, and is the strict judge of its text.
///
/// json-c lets much through that JSON forbids (names twice, `NaN`, `-01`, lone surrogates), and
/// somebody has to walk every byte to find a message's end anyway. So this machine checks
/// everything: RFC 8259's grammar, UTF-8, names that differ within an object, characters and
/// numbers that we can hold, and `JSONLimits`. It takes one byte at a time, so that it does not
/// matter how a stream is cut; its time is linear in the text, its memory at most the text's size.
///
/// What is wrong within brackets is noted, and behind it brackets and quotes still show where the
/// value ends.
///
/// Isolation: value.
package struct JSONScanner: Sendable {
  /// What a byte did to the value.
  package enum Step: Hashable, Sendable {
    /// The value, or the whitespace before it, goes on.
    case more
    /// The value is over. A number or word at the top level ends only at the byte behind it,
    /// which then belongs to what follows: `before` is true and the byte has not been used.
    case ended(before: Bool, fault: JSONSyntaxError?)
    /// The text is so wrong that nobody can say where the value ends.
    case failed(JSONSyntaxError)
  }

  private enum Mode {
    case between, string, number, word
  }

  /// Whether the value has begun, so that the bytes so far are more than whitespace.
  package var hasBegun: Bool { length > 0 }
  /// Whether the last byte was one of a string's.
  package var isInsideString: Bool { mode == .string }
  /// What is wrong with the value so far.
  package var fault: JSONSyntaxError? { grammar.fault }
  /// Bytes of the value so far.
  package private(set) var length = 0
  /// Where integers ended that 64 bits do not hold, in bytes from the value's first.
  private(set) var wideIntegers: [Int] = []
  let limits: JSONLimits

  private var mode = Mode.between
  private var grammar = JSONGrammar()
  private var string = StringLexer()
  private var number = NumberLexer()
  private var word: [UInt8] = []
  private var tokens = 0

  /// A scanner before a value's first byte.
  package init(limits: JSONLimits) {
    self.limits = limits
  }

  /// Takes the next byte. After `ended` and `failed` the scanner is used up.
  package mutating func scan(_ byte: UInt8) -> Step {
    switch mode {
    case .number:
      switch number.scan(byte) {
      case .more: return count()
      case .endedBefore(let fault):
        if let fault { grammar.note(fault) }
        if number.isWide { wideIntegers.append(length) }
      case .broken:
        // A megabyte of zeros is as many broken numbers, and only the first is told.
        let error = grammar.fault ?? number.complaint(about: byte)
        // Outside of brackets nothing tells where the number was to end.
        guard grammar.depth > 0 else { return .failed(error) }
        grammar.note(error)
      }
      return finishToken(.scalar, thenScan: byte)
    case .word:
      if Self.isWordByte(byte) {
        if word.count <= Self.wordBytes { word.append(byte) }
        return count()
      }
      if !Self.words.contains(word) { grammar.note(.invalidKeyword(JSONSyntaxError.quote(word))) }
      return finishToken(.scalar, thenScan: byte)
    case .string:
      switch string.scan(byte) {
      case .more: return count()
      case .failed(let error): return .failed(grammar.fault ?? error)
      case .closed: return finishString()
      }
    case .between: return scanBetween(byte)
    }
  }

  /// Ends the text. `more` never comes back: a value that is not complete has failed.
  package mutating func finish() -> Step {
    // A space ends a number or a word and changes nothing else.
    let step = scan(UInt8(ascii: " "))
    return step == .more ? .failed(grammar.fault ?? .endOfInput) : step
  }

  // MARK: - Tokens

  private mutating func scanBetween(_ byte: UInt8) -> Step {
    switch byte {
    case UInt8(ascii: " "), UInt8(ascii: "\t"), UInt8(ascii: "\n"), UInt8(ascii: "\r"):
      return hasBegun ? count() : .more
    case UInt8(ascii: "{"): return take(.openObject)
    case UInt8(ascii: "}"): return take(.closeObject)
    case UInt8(ascii: "["): return take(.openArray)
    case UInt8(ascii: "]"): return take(.closeArray)
    case UInt8(ascii: ","): return take(.comma)
    case UInt8(ascii: ":"): return take(.colon)
    case UInt8(ascii: "\""):
      string.reset(keeping: grammar.expectsName)
      mode = .string
      return count()
    case _ where NumberLexer.begins(with: byte):
      number.reset()
      _ = number.scan(byte)
      mode = .number
      return count()
    case _ where Self.isWordByte(byte):
      word = [byte]
      mode = .word
      return count()
    default: return .failed(grammar.fault ?? .stray(JSONSyntaxError.quote([byte])))
    }
  }

  private mutating func finishString() -> Step {
    mode = .between
    if let fault = string.fault { grammar.note(fault) }
    return take(.string(string.decoded))
  }

  /// Ends a number or word whose end shows only at `byte`, which then gets its own turn.
  private mutating func finishToken(_ token: JSONGrammar.Token, thenScan byte: UInt8) -> Step {
    mode = .between
    switch judge(token) {
    case .more: return scanBetween(byte)
    case .ended: return .ended(before: true, fault: grammar.fault)
    case .failed(let error): return .failed(error)
    }
  }

  /// Takes a token that ends with the byte just read.
  private mutating func take(_ token: JSONGrammar.Token) -> Step {
    if case .failed(let error) = count() { return .failed(error) }
    switch judge(token) {
    case .more: return .more
    case .ended: return .ended(before: false, fault: grammar.fault)
    case .failed(let error): return .failed(error)
    }
  }

  // MARK: - Limits

  private mutating func judge(_ token: JSONGrammar.Token) -> JSONGrammar.Step {
    tokens += 1
    if tokens > limits.tokens { grammar.note(.tooManyTokens) }
    let step = grammar.take(token)
    if grammar.depth > limits.depth { grammar.note(.tooDeep) }
    return step
  }

  /// Counts the byte just read as one of the value's.
  private mutating func count() -> Step {
    length += 1
    return length <= limits.bytes ? .more : .failed(grammar.fault ?? .tooLong)
  }

  // MARK: - Words

  private static let words: [[UInt8]] = [
    Array("true".utf8), Array("false".utf8), Array("null".utf8),
  ]

  /// Bytes of a word that are kept: enough to quote it and to know that it is none of ours.
  private static let wordBytes = 32

  private static func isWordByte(_ byte: UInt8) -> Bool {
    (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte)
  }
}
