import BlockCore

/// One piece of a logged operation that is on the disk after a power loss, or is not: never part of
/// it.
///
/// Isolation: value.
struct CrashChange: Sendable {
  enum Effect: Sendable {
    case write(CrashImage.Patch)
    case zero(ByteRange)
    case punch(ByteRange)
    case truncate(Int)
  }
  /// Which file.
  let file: Int
  /// The operation that it is a piece of: its place in the log.
  let operation: Int
  let effect: Effect

  func apply(to images: inout [CrashImage]) {
    switch effect {
    case .write(let patch): images[file].write(patch)
    case .zero(let range): images[file].zero(range)
    case .punch(let range): images[file].punch(range)
    case .truncate(let size): images[file].truncate(to: size)
    }
  }

  /// The pieces of `event`, torn at the end of the first sector and at multiples of `unit`; none
  /// for what changes no bytes.
  static func pieces(
    of event: StorageLog.Event, file: Int, operation: Int, tornAt unit: Int
  ) -> [CrashChange] {
    let effects: [Effect] =
      switch event {
      case .write(let offset, let bytes):
        cuts(ByteRange(at: offset, length: bytes.count), unit).map {
          .write(
            CrashImage.Patch(bytes[$0.lower - offset..<$0.upper - offset], at: $0.lower))
        }
      case .writeZeroes(let range, _): cuts(range, unit).map { .zero($0) }
      case .discard(let range): cuts(range, unit).map { .punch($0) }
      case .truncate(let size): [.truncate(size)]
      case .flushBegan, .flushed, .note: []
      }
    return effects.map { CrashChange(file: file, operation: operation, effect: $0) }
  }

  private static func cuts(_ range: ByteRange, _ unit: Int) -> [ByteRange] {
    var list: [ByteRange] = []
    var rest = range
    while !rest.isEmpty {
      let end = rest.lower < 512 ? 512 : (rest.lower + 1).roundedUp(to: unit)
      let part = rest.prefix(end - rest.lower)
      list.append(part)
      rest = rest.dropping(part.length)
    }
    return list
  }
}
