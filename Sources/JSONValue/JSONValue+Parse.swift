import CJSON

extension JSONValue {
  /// The one value that `text` holds, with nothing but whitespace around it.
  package static func parse(
    _ text: [UInt8], limits: JSONLimits = .request
  ) throws(JSONSyntaxError) -> JSONValue {
    var scanner = JSONScanner(limits: limits)
    var end: Int?
    for (index, byte) in text.enumerated() {
      if end != nil {
        guard whitespace.contains(byte) else { throw .trailingText }
        continue
      }
      switch scanner.scan(byte) {
      case .more: continue
      case .failed(let error): throw error
      case .ended(let before, let fault):
        if let fault { throw fault }
        if before, !whitespace.contains(byte) { throw .trailingText }
        end = before ? index : index + 1
      }
    }
    if end == nil {
      switch scanner.finish() {
      case .ended(_, fault: nil): break
      case .ended(_, let fault?), .failed(let fault): throw fault
      case .more: throw .endOfInput
      }
    }
    let last = end ?? text.count
    return try known(good: text[(last - scanner.length)..<last], to: scanner)
  }

  /// The one value that `text` holds.
  package static func parse(
    _ text: String, limits: JSONLimits = .request
  ) throws(JSONSyntaxError) -> JSONValue {
    try parse(Array(text.utf8), limits: limits)
  }

  /// The value of a text that `scanner` has just found good, from its first byte to its last, by
  /// json-c.
  package static func known(
    good text: ArraySlice<UInt8>, to scanner: JSONScanner
  ) throws(JSONSyntaxError) -> JSONValue {
    let text = pointed(text, at: scanner.wideIntegers)
    let depth = Int32(scanner.limits.depth)
    let value = unsafe text.withUnsafeBytes { bytes -> JSONValue? in
      // The bytes outlive the call, and json-c reads no further than the count.
      guard let start = bytes.baseAddress else { return nil }
      let characters = unsafe start.assumingMemoryBound(to: CChar.self)
      var tree: OpaquePointer?
      guard unsafe cjson_parse(characters, bytes.count, depth, &tree) else { return nil }
      // The copy shares nothing with the tree, which is freed here and only here.
      defer { unsafe cjson_release(tree) }
      return unsafe JSONValue(copying: tree)
    }
    guard let value else { throw .refused }
    return value
  }

  /// `text` with a fraction of zero at the end of each of these integers: json-c makes a double of
  /// what has one, and refuses integers that 64 bits do not hold.
  private static func pointed(_ text: ArraySlice<UInt8>, at ends: [Int]) -> ArraySlice<UInt8> {
    guard !ends.isEmpty else { return text }
    var copy: [UInt8] = []
    copy.reserveCapacity(text.count + 2 * ends.count)
    var rest = text
    for end in ends {
      let place = text.startIndex + end
      copy += rest[..<place]
      copy += ".0".utf8
      rest = rest[place...]
    }
    copy += rest
    return copy[...]
  }

  private static let whitespace = [
    UInt8(ascii: " "), UInt8(ascii: "\t"), UInt8(ascii: "\n"), UInt8(ascii: "\r"),
  ]

  /// A copy of json-c's `tree`, which the caller keeps alive meanwhile. Its depth was bounded when
  /// it was parsed, so this recursion is too.
  private init(copying tree: OpaquePointer?) {
    guard let tree = unsafe tree else {
      self = .null
      return
    }
    switch unsafe cjson_get_type(tree) {
    case .null: self = .null
    case .bool: self = unsafe .bool(cjson_get_bool(tree))
    case .double: self = unsafe .double(cjson_get_double(tree))
    case .integer:
      var above: UInt64 = 0
      var isAbove = false
      let value = unsafe cjson_get_integer(tree, &above, &isAbove)
      self = isAbove ? .unsigned(above) : .integer(Int(value))
    case .string:
      var length = 0
      let start = unsafe cjson_get_string(tree, &length)
      let bytes = unsafe UnsafeBufferPointer(start: start, count: length)
      self = unsafe .string(
        bytes.withMemoryRebound(to: UInt8.self) { unsafe String(decoding: $0, as: UTF8.self) })
    case .array:
      self = unsafe .array(
        (0..<cjson_count(tree)).map { unsafe JSONValue(copying: cjson_element(tree, $0)) })
    case .object:
      var object = JSONObject()
      var next = unsafe cjson_first_member(tree)
      while let member = unsafe next {
        let name = unsafe String(cString: cjson_member_name(member))
        let value = unsafe JSONValue(copying: cjson_member_value(member))
        object.append(name, value)
        unsafe next = cjson_next_member(member)
      }
      self = .object(object)
    }
  }
}
