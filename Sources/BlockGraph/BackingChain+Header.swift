package import BlockCore
import BlockIO
package import ImageFormats

extension BackingChain {
  /// Throws `notFound` where the top's file, opened by itself, would not have under it what lies
  /// under it here: its header names another file, or nothing, or what it names was renamed or
  /// replaced. An overlay without data of its own shows nothing but that, so it may not be emptied.
  ///
  /// A set of passed descriptors has no place: where the header's name leads nowhere for us, who
  /// passed it knows what it is. Lane.
  package func requireHeaderLeadsBeneath(_ gate: OpenGate) throws(BlockError) {
    guard top.bottomFile != nil else { return }
    let beneath = nodes.count > 1 ? nodes[1] : nil
    guard let link = top.image.backingLink else {
      guard let beneath else { return }
      throw refusal("names no backing file, and not node '\(beneath.name)'")
    }
    let shown = PrintableText.of(link.bytes)
    guard let beneath else { throw refusal("names '\(shown)', and nothing lies under it here") }
    guard let file = beneath.bottomFile else { return }
    if let format = link.format, format != beneath.image.format {
      throw refusal("says that '\(shown)' is \(format), and node '\(beneath.name)' is not")
    }
    guard !beneath.isPartOfFile else {
      throw refusal("cannot say which part of '\(shown)' node '\(beneath.name)' is")
    }
    let found = try? gate.identity(
      of: OpenGate.path(ofBacking: link.bytes, namedBy: FileName(bytes: top.path)))
    if found == file.identity { return }
    let isPassed = [top, beneath].contains { (try? DescriptorSets.id(named: $0.fileName)) != nil }
    if found == nil && isPassed { return }
    throw refusal("names '\(shown)', which is not the file of node '\(beneath.name)'")
  }

  private func refusal(_ why: String) -> BlockError {
    BlockError(
      .notFound,
      "Node '\(top.name)' keeps its data, for by itself it would not show them any more: its "
        + "header \(why); put the file back, or name it with change-backing-file",
      file: top.fileName)
  }
}
