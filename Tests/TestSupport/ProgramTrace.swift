import BlockCore

/// What a program has done to files, as the library of `Tests/TraceRecorder` writes it down.
///
/// Isolation: value.
package struct ProgramTrace: Sendable {
  /// A line that is not of the trace's form.
  package struct Malformed: Error, CustomStringConvertible {
    /// Its number, from 1.
    package let line: Int
    /// Its beginning.
    package let text: String

    package var description: String { "line \(line) of the trace is '\(text)'" }
  }

  /// What happened, in this order.
  package let entries: [StorageLog.Entry]

  /// What stands in a log.
  package init(_ entries: [StorageLog.Entry]) { self.entries = entries }

  /// How many bytes of it were copied inside the kernel.
  package private(set) var copiedBytes = 0

  /// Reads the text of a trace.
  package init(_ text: String) throws(Malformed) {
    var entries: [StorageLog.Entry] = []
    for (index, line) in text.split(separator: "\n").enumerated() {
      guard let entry = ProgramTrace.entry(line.split(separator: " ")) else {
        throw Malformed(line: index + 1, text: String(line.prefix(60)))
      }
      entries.append(entry)
      if case .write(_, let bytes) = entry.event, line.hasPrefix("copy ") {
        copiedBytes += bytes.count
      }
    }
    self.entries = entries
  }

  /// Changes and flushes, which the recorder counts.
  package var operations: Int {
    entries.count {
      switch $0.event {
      case .flushed, .note: false
      case .write, .writeZeroes, .discard, .truncate, .flushBegan: true
      }
    }
  }

  /// The `files` after all of it.
  package func replayed(
    over files: [(name: String, image: CrashImage)]
  ) -> [CrashImage] {
    var images = files.map(\.image)
    for entry in entries {
      guard let file = files.firstIndex(where: { $0.name == entry.storage }) else { continue }
      let pieces = CrashChange.pieces(
        of: entry.event, file: file, operation: 0, tornAt: CrashImage.pageSize)
      for piece in pieces { piece.apply(to: &images) }
    }
    return images
  }

  private static func entry(_ words: [Substring]) -> StorageLog.Entry? {
    guard words.count > 1 else { return nil }
    let numbers = words.dropFirst(2).map { Int($0) ?? -1 }
    let event: StorageLog.Event
    switch (words[0], words.count) {
    case ("event", 2): return StorageLog.Entry("", .note(String(words[1])))
    case ("flush-begin", 2): event = .flushBegan
    case ("flush-end", 2): event = .flushed
    case ("truncate", 3) where numbers[0] >= 0: event = .truncate(numbers[0])
    case ("write", 4) where numbers[0] >= 0, ("copy", 4) where numbers[0] >= 0:
      guard let bytes = bytes(words[3]) else { return nil }
      event = .write(offset: numbers[0], bytes: bytes)
    case ("zero", 4) where numbers.allSatisfy { $0 >= 0 }:
      event = .writeZeroes(ByteRange(at: numbers[0], length: numbers[1]), deallocate: false)
    case ("punch", 4) where numbers.allSatisfy { $0 >= 0 }:
      event = .discard(ByteRange(at: numbers[0], length: numbers[1]))
    default: return nil
    }
    return StorageLog.Entry(String(words[1]), event)
  }

  private static func bytes(_ word: Substring) -> [UInt8]? {
    let digits = Array(word.utf8)
    guard digits.count % 2 == 0 else { return nil }
    var bytes: [UInt8] = []
    bytes.reserveCapacity(digits.count / 2)
    for index in stride(from: 0, to: digits.count, by: 2) {
      guard let high = value(of: digits[index]), let low = value(of: digits[index + 1]) else {
        return nil
      }
      bytes.append(high << 4 | low)
    }
    return bytes
  }

  private static func value(of digit: UInt8) -> UInt8? {
    switch digit {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): digit - UInt8(ascii: "0")
    case UInt8(ascii: "a")...UInt8(ascii: "f"): digit - UInt8(ascii: "a") + 10
    default: nil
    }
  }
}
