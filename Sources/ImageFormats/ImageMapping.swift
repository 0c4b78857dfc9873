package import BlockCore

/// What one layer alone holds for a run of guest bytes.
///
/// Isolation: value.
package struct ImageMapping: Hashable, Sendable {
  /// The guest bytes.
  package var range: ByteRange
  /// What the layer holds for them.
  package var content: ImageContent

  package init(range: ByteRange, content: ImageContent) {
    self.range = range
    self.content = content
  }

  /// The first `count` bytes of the run.
  package func prefix(_ count: Int) -> ImageMapping {
    ImageMapping(range: range.prefix(count), content: content)
  }

  /// Appends `next` to `list`, as one run with the last one where they continue each other.
  package static func append(_ next: ImageMapping, to list: inout [ImageMapping]) {
    if let last = list.last, last.content.continues(into: next.content, after: last.range.length),
      last.range.upper == next.range.lower
    {
      list[list.count - 1].range.length += next.range.length
    } else {
      list.append(next)
    }
  }
}

/// The kinds of content of a run.
package enum ImageContent: Hashable, Sendable {
  /// Nothing: what lies underneath shows through.
  case unallocated
  /// Zero bytes, with space reserved at a host offset or without.
  case zero(reservedAt: Int?)
  /// Bytes at this offset of the data storage, contiguous for the run.
  case data(at: Int)
  /// A compressed cluster; only the driver can read it.
  case compressed

  /// Whether `next`, which begins `length` guest bytes later, is the same run going on.
  package func continues(into next: ImageContent, after length: Int) -> Bool {
    switch (self, next) {
    case (.unallocated, .unallocated), (.compressed, .compressed): true
    case (.zero(nil), .zero(nil)): true
    case (.zero(let a?), .zero(let b?)): a + length == b
    case (.data(let a), .data(let b)): a + length == b
    default: false
    }
  }
}
