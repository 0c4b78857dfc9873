package import JSONValue

/// The answer to one request.
///
/// Isolation: value.
package struct QMPResponse: Hashable, Sendable {
  /// What the command gave, or why it gave nothing.
  package var result: Result<JSONValue, QMPError>
  /// The request's `id`, if it had one.
  package var id: JSONValue?

  /// An answer with any outcome.
  package init(_ result: Result<JSONValue, QMPError>, id: JSONValue? = nil) {
    self.result = result
    self.id = id
  }

  /// The message that says this: `return`, or `error` and perhaps `x-error`; then `id`.
  package var message: JSONValue {
    var message = JSONObject()
    switch result {
    case .success(let value):
      message.append("return", value)
    case .failure(let error):
      message.append(
        "error",
        ["class": .string(error.errorClass.rawValue), "desc": .string(error.message)])
      if let detail = error.detail { message.append("x-error", detail.wire) }
    }
    if let id { message.append("id", id) }
    return .object(message)
  }

  /// The text of the answer that gives `value`, up to where the `id` would stand: the same for all
  /// who ask the same.
  package static func beginning(_ value: JSONValue) -> [UInt8] {
    var text = Array(#"{"return": "#.utf8)
    value.append(to: &text)
    return text
  }

  /// What follows `beginning` in the answer to a request with `id`, its line's end included.
  package static func ending(id: JSONValue?) -> [UInt8] {
    var text: [UInt8] = []
    if let id {
      text += Array(#", "id": "#.utf8)
      id.append(to: &text)
    }
    return text + Array("}\r\n".utf8)
  }

  /// The answer that `message` is; nil when it is something else, such as an event.
  init?(_ message: JSONObject) throws(QMPError) {
    id = message["id"]
    if let value = message["return"] {
      result = .success(value)
    } else if let error = message["error"] {
      // A class that a newer server may have is still an error with a sentence.
      let errorClass = error["class"]?.stringValue.flatMap(QMPError.Class.init) ?? .genericError
      let sentence = error["desc"]?.stringValue ?? "an error without a sentence"
      var detail: QMPErrorDetail?
      if let value = message["x-error"] { detail = try QMPErrorDetail(wire: value, at: .reply) }
      result = .failure(QMPError(errorClass, sentence, detail: detail))
    } else {
      return nil
    }
  }
}
