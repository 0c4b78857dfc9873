/// The one error of the engine: a small stable code to act on, a sentence for people, and where it
/// happened.
///
/// Isolation: value.
package struct BlockError: Error, Hashable, Sendable {
  /// What kind of failure it was. Code reacts to this; the sentence is for people only.
  package enum Code: String, Sendable, CaseIterable {
    /// A system call failed; `errno` says how.
    case io
    /// No room left on the device or in the quota.
    case noSpace = "no-space"
    /// A file or node does not exist.
    case notFound = "not-found"
    /// The operating system, or a policy of ours, does not allow it.
    case permission
    /// Another process, or another user in this one, holds the image.
    case locked
    /// A job or a parent uses the node.
    case busy
    /// The bytes of an image are not what the format allows. Refused at open.
    case invalidImage = "invalid-image"
    /// An open image contradicts itself; the touched request fails.
    case corrupt
    /// A valid feature that is not built, or not possible here.
    case unsupported
    /// A write to something that is open read-only.
    case readOnly = "read-only"
    /// A request lies outside the disk.
    case outOfRange = "out-of-range"
    /// What the caller asked for makes no sense.
    case invalidArgument = "invalid-argument"
    /// A job was told to stop.
    case cancelled
    /// Nothing more may be written: an earlier flush failed, so what is on disk is not known.
    case poisoned
  }

  /// What to react to.
  package var code: Code
  /// A sentence without a final full stop, in QEMU's words where QEMU has them.
  package var message: String
  /// The system's error number where one was the cause.
  package var errno: Int32?
  /// The file it happened on, as its user named it.
  package var file: String?
  /// The byte in that file.
  package var offset: Int?
  /// The byte on the guest's disk; `file` then is the image that the disk lies in.
  package var guestOffset: Int?
  /// The node of this daemon that stands in the way, where one does.
  package var node: String?
  /// The job of this daemon that stands in the way, where one does.
  package var job: String?

  /// An error with all that is known about it.
  package init(
    _ code: Code, _ message: String, errno: Int32? = nil, file: String? = nil, offset: Int? = nil,
    guestOffset: Int? = nil
  ) {
    self.code = code
    self.message = message
    self.errno = errno
    self.file = file
    self.offset = offset
    self.guestOffset = guestOffset
  }

  /// The same error with `context` and a colon before its sentence.
  package func prefixed(_ context: String) -> BlockError {
    var copy = self
    copy.message = "\(context): \(message)"
    return copy
  }

  /// The same error, known to have happened on `file` unless it already names one.
  package func on(file: String) -> BlockError {
    var copy = self
    if copy.file == nil { copy.file = file }
    return copy
  }
}

extension BlockError: CustomStringConvertible {
  package var description: String {
    var text = message
    if let file, !message.contains(file) { text += " [\(file)]" }
    if let offset { text += " at byte \(offset)" }
    if let guestOffset, !message.contains("guest offset") {
      text += " at guest offset \(guestOffset)"
    }
    return text
  }
}

extension BlockError {
  /// This error, of a flush: nobody is to try again.
  package var ofFlush: BlockError {
    var error = self
    error.code = .poisoned
    return error
  }

  /// What every later change and flush fails with after this error of a flush.
  package var afterFlush: BlockError {
    var error = ofFlush
    if !isAfterFlush { error.message = BlockError.earlierFlush + message }
    return error
  }

  /// Whether it only says again what a flush has failed with before.
  package var isAfterFlush: Bool {
    code == .poisoned && message.hasPrefix(BlockError.earlierFlush)
  }
  private static var earlierFlush: String { "An earlier flush failed: " }
}
