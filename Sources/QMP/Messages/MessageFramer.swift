package import JSONValue

/// Cuts a stream of bytes into QMP messages.
///
/// A message ends where its top-level value closes, not at a newline: `qemu.qmp` sends none. A
/// wrong message gives one error, as soon as it is wrong. Where its end is still clear, the rest of
/// it is skipped up to there, and the next message begins right behind it; where it is not,
/// everything up to the next newline is skipped. A newline inside a
/// string ends the message, too, because a quote may be missing. The byte 0xFF ends whatever stands
/// before it. Either may also be a part of the string that is wrong, the rest of which is skipped.
///
/// Isolation: value.
package struct MessageFramer: Sendable {
  /// What the stream held.
  package enum Frame: Hashable, Sendable {
    /// A whole message.
    case message(JSONObject)
    /// Something that is no message.
    case error(QMPError)
  }

  /// Whether a message, or the skipping of a bad one, has begun and not ended.
  package var isInsideMessage: Bool { scanner.hasBegun || skipping == .line }

  /// Where the message that has begun began in the stream, in bytes.
  package var startOfPresent: Int {
    isTold || skipping != .nothing ? startOfLast : forgotten + start
  }

  /// How many bytes the message had that `next` gave last.
  package private(set) var messageBytes = 0

  /// Where the last message, good or bad, began in the stream, in bytes; and where it ended, with
  /// what was skipped of it since.
  package private(set) var startOfLast = 0
  package private(set) var endOfLast = 0
  /// Where the message before the last one ended, with all that was skipped of it.
  package private(set) var endOfBefore = 0

  /// How many bytes are kept of what was received. A bad message whose end is still to come counts
  /// with all its bytes, though only its brackets are kept.
  package var heldBytes: Int { max(input.count - start, scanner.length) }

  private enum Skipping {
    case nothing
    /// Up to the end of the line.
    case line
    /// Up to a brace or the end of the line: what may be the rest of a string.
    case string
  }

  private let limits: JSONLimits
  private var scanner: JSONScanner
  /// Bytes received; those before `start` are done with, those before `position` are scanned.
  private var input: [UInt8] = []
  private var start = 0
  private var position = 0
  /// Bytes of the stream that stood before `input`.
  private var forgotten = 0
  private var skipping = Skipping.nothing
  /// Whether the error of the message that has begun is out, and the rest of it is skipped.
  private var isTold = false

  /// A framer at the beginning of a stream. It holds at most one message of `limits` and the bytes
  /// received since `next` last gave nil.
  package init(limits: JSONLimits = .request) {
    self.limits = limits
    scanner = JSONScanner(limits: limits)
  }

  /// Adds bytes that the stream brought, cut anywhere. Call `next` until it gives nil before
  /// reading more.
  package mutating func receive(_ bytes: some Sequence<UInt8>) {
    if start > 0 {
      input.removeFirst(start)
      forgotten += start
      position -= start
      start = 0
    }
    input.append(contentsOf: bytes)
  }

  /// The next message or error; nil when more bytes are needed.
  package mutating func next() -> Frame? {
    while position < input.count {
      let byte = input[position]
      if skips(byte) {
        position += 1
        passSkipped()
        continue
      }
      switch scanner.scan(byte) {
      case .more:
        position += 1
        if !scanner.hasBegun {
          start = position
        } else if isTold {
          passSkipped()
        } else if let fault = scanner.fault {
          isTold = true
          passMessage()
          return .error(QMPError(fault.description))
        }
      case .ended(let before, let fault):
        if !before { position += 1 }
        let text = input[start..<position]
        let judge = scanner
        guard endMessage() else { continue }
        return fault.map { .error(QMPError($0.description)) } ?? frame(text, goodTo: judge)
      case .failed(let error):
        position += 1
        if !MessageFramer.ends(byte) {
          skipping = .line
        } else if scanner.isInsideString {
          skipping = .string
        }
        guard endMessage() else { continue }
        return .error(QMPError(error.description))
      }
    }
    // The memory of what is done with goes with it: most clients say nothing for a long time.
    if start == input.count {
      forgotten += start
      (input, start, position) = ([], 0, 0)
    }
    return nil
  }

  /// Whether a new message may begin behind `byte`, whatever stands before it.
  private static func ends(_ byte: UInt8) -> Bool { byte == UInt8(ascii: "\n") || byte == 0xFF }

  /// Whether `byte` is one of those that are skipped.
  private mutating func skips(_ byte: UInt8) -> Bool {
    guard skipping != .nothing else { return false }
    let isNext = skipping == .string && byte == UInt8(ascii: "{")
    if isNext || MessageFramer.ends(byte) { skipping = .nothing }
    return !isNext
  }

  /// The message ends at `position`. Returns whether that is what the stream held next, and not
  /// the end of what was told already.
  private mutating func endMessage() -> Bool {
    scanner = JSONScanner(limits: limits)
    if isTold { passSkipped() } else { passMessage() }
    defer { isTold = false }
    return !isTold
  }

  /// What stands before `position` is the last message, as far as it is known.
  private mutating func passMessage() {
    messageBytes = position - start
    endOfBefore = endOfLast
    startOfLast = forgotten + start
    passSkipped()
  }

  /// What stands before `position` belongs to the last message.
  private mutating func passSkipped() {
    start = position
    endOfLast = forgotten + start
  }

  private func frame(_ text: ArraySlice<UInt8>, goodTo scanner: JSONScanner) -> Frame {
    do throws(JSONSyntaxError) {
      guard case .object(let message) = try JSONValue.known(good: text, to: scanner) else {
        return .error(QMPError("QMP input must be a JSON object"))
      }
      return .message(message)
    } catch {
      return .error(QMPError(error.description))
    }
  }
}
