import JSONValue

/// An error as QMP says it: a class for programs, a sentence for people, and, as our extension,
/// where it happened.
///
/// Isolation: value.
package struct QMPError: Error, Hashable, Sendable {
  /// The error classes that QMP has; nearly everything is `genericError`.
  package enum Class: String, Sendable, CaseIterable {
    case genericError = "GenericError"
    case commandNotFound = "CommandNotFound"
    case deviceNotActive = "DeviceNotActive"
    case deviceNotFound = "DeviceNotFound"
    case kvmMissingCap = "KVMMissingCap"
  }

  /// What a program may react to.
  package var errorClass: Class
  /// A sentence without a final full stop, in QEMU's words where QEMU has them.
  package var message: String
  /// What the engine knows beyond the sentence; sent as `x-error`.
  package var detail: QMPErrorDetail?

  /// An error of any class.
  package init(_ errorClass: Class, _ message: String, detail: QMPErrorDetail? = nil) {
    self.errorClass = errorClass
    self.message = message
    self.detail = detail
  }

  /// An error of class `GenericError`.
  package init(_ message: String, detail: QMPErrorDetail? = nil) {
    self.init(.genericError, message, detail: detail)
  }
}

extension QMPError: CustomStringConvertible {
  package var description: String { message }

  /// The sentence for somebody who does not see the detail: it names the file.
  package var sentence: String { detail?.naming(in: message) ?? message }
}

// MARK: - Sentences that users of QEMU know

extension QMPError {
  /// A client's own text as it may stand in a sentence: an answer must not grow with the input.
  package static func quoted(_ text: String) -> String {
    var beginning = String(text.unicodeScalars.prefix(64))
    while beginning.utf8.count > mostQuoted { beginning.unicodeScalars.removeLast() }
    let kept = isCostly(beginning) ? String(text.unicodeScalars.prefix(8)) : beginning
    return kept == text ? text : "\(kept)..."
  }

  /// The most bytes of a client's text in a sentence.
  private static let mostQuoted = 128
  /// The most bytes of a file's name in an answer, which is what the system takes.
  private static let longestName = 4096
  /// The most bytes by which a text may grow in an answer, for what has to be escaped there.
  private static let mostEscapes = 24

  /// The error as it may be sent: an answer must not be many times as long as what it answers.
  package var fitted: QMPError {
    var copy = self
    if let file = detail?.file,
      file.utf8.count > QMPError.longestName || QMPError.isCostly(file)
    {
      copy.detail?.file = nil
    }
    let isLong = message.utf8.count > 2 * QMPError.longestName + 1024
    if isLong || QMPError.isCostly(message) { copy.message = QMPError.shortened(message) }
    return copy
  }

  private static func isCostly(_ text: String) -> Bool { growth(of: text) > mostEscapes }

  /// The bytes by which `text` grows where it is sent.
  private static func growth(of text: String) -> Int {
    JSONValue.string(text).utf8.count - 2 - text.utf8.count
  }

  /// The beginning of a sentence and its end, where the reason stands.
  private static func shortened(_ text: String) -> String {
    func plain(_ scalars: some Sequence<Unicode.Scalar>) -> String {
      scalars.map { growth(of: String($0)) > 1 ? "?" : String($0) }.joined()
    }
    let scalars = text.unicodeScalars
    guard scalars.count > 128 else { return plain(scalars) }
    return "\(plain(scalars.prefix(64)))...\(plain(scalars.suffix(64)))"
  }

  /// There is no command `name`.
  package static func commandNotFound(_ name: String) -> QMPError {
    QMPError(.commandNotFound, "The command \(quoted(name)) has not been found")
  }

  /// A command came before `qmp_capabilities`.
  package static let capabilitiesExpected = QMPError(
    .commandNotFound, "Expecting capabilities negotiation with 'qmp_capabilities'")

  /// `qmp_capabilities` came again.
  package static let capabilitiesDone = QMPError(
    .commandNotFound, "Capabilities negotiation is already complete, command ignored")

  /// The command `name` may not be carried out of band.
  package static func notOutOfBand(_ name: String) -> QMPError {
    QMPError("The command \(name) does not support OOB")
  }

  /// No node or device has this name.
  package static func deviceNotFound(_ name: String) -> QMPError {
    QMPError(.deviceNotFound, "Device '\(quoted(name))' not found", detail: .notFound)
  }

  /// No root node is called `device`, and no node `node`.
  package static func nodeNotFound(device: String = "", node: String = "") -> QMPError {
    QMPError(
      "Cannot find device='\(quoted(device))' nor node-name='\(quoted(node))'", detail: .notFound)
  }

  /// No block job has this name.
  package static func blockJobNotFound(_ name: String) -> QMPError {
    QMPError(.deviceNotActive, "Block job '\(quoted(name))' not found", detail: .notFound)
  }

  /// No job has the given name.
  package static let jobNotFound = QMPError("Job not found", detail: .notFound)

  /// A mandatory parameter is absent.
  package static func missing(_ path: WirePath) -> QMPError {
    QMPError("Parameter '\(path.text)' is missing")
  }

  /// A parameter that nobody asked for.
  package static func unexpected(_ path: WirePath) -> QMPError {
    QMPError("Parameter '\(path.text)' is unexpected")
  }

  /// A parameter has a value of another type than `expected`.
  package static func invalidType(_ path: WirePath, expected: String) -> QMPError {
    QMPError("Invalid parameter type for '\(path.text)', expected: \(expected)")
  }

  /// A parameter has a word that is not among those it knows.
  package static func invalidValue(_ path: WirePath, _ value: String) -> QMPError {
    QMPError("Parameter '\(path.text)' does not accept value '\(quoted(value))'")
  }

  /// A number lies outside of what the parameter can mean; `expectation` completes "expects …".
  package static func outOfRange(_ path: WirePath, expects expectation: String) -> QMPError {
    QMPError("Parameter '\(path.text)' expects \(expectation)")
  }

  /// A parameter that QEMU has and we do not, given with any value.
  package static func unsupported(_ path: WirePath) -> QMPError {
    QMPError("Parameter '\(path.text)' is not supported")
  }
}
