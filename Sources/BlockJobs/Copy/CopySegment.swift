import BlockCore
import BlockGraph
import ImageFormats

/// Neighbouring runs of data, of one layer or several, that go to the base as one.
///
/// Isolation: value.
struct CopySegment {
  /// A part that one layer holds.
  struct Part: Equatable {
    let layer: Int
    var range: ByteRange
  }

  /// The guest bytes.
  private(set) var range: ByteRange
  /// The parts in order, without gaps.
  private(set) var parts: [Part] = []

  /// The longest segment, up to `limit` bytes, of layers from `first` down, that begins at `offset`
  /// in the first of `runs`, which holds data.
  init(_ runs: ArraySlice<ChainRun>, from offset: Int, layers first: Int, limit: Int) {
    range = ByteRange(at: offset, length: 0)
    for run in runs {
      guard run.layer >= first, run.content.holdsBytes, range.length < limit else { break }
      let part = ByteRange(from: range.upper, to: run.range.upper).prefix(limit - range.length)
      if parts.last?.layer == run.layer {
        parts[parts.count - 1].range.length += part.length
      } else {
        parts.append(Part(layer: run.layer, range: part))
      }
      range.length += part.length
    }
  }
}

extension ImageContent {
  /// Whether there are bytes to be copied.
  fileprivate var holdsBytes: Bool {
    switch self {
    case .data, .compressed: true
    case .unallocated, .zero: false
    }
  }
}
