package import BlockCore
import BlockIO
package import ImageFormats

extension BackingChain {
  /// Throws `notFound` where the top's file, opened by itself, would not have under it what lies
  /// under it here: the header of a layer names another file than the one that is open below, or
  /// nothing, or what it names was renamed or replaced. An overlay without data of its own shows
  /// nothing but that, so it may not be emptied.
  ///
  /// A set of passed descriptors has no place: where we may not look where a header leads, who
  /// passed them knows. Lane.
  package func requireHeadersLeadBeneath(_ gate: OpenGate) throws(BlockError) {
    for (index, layer) in nodes.enumerated() {
      let beneath = index + 1 < nodes.count ? nodes[index + 1] : nil
      guard let why = try layer.headerFault(over: beneath, gate) else { continue }
      throw BlockError(
        .notFound,
        "Node '\(top.name)' keeps its data, for by itself it would not show them any more: the "
          + "header of node '\(layer.name)' \(why); put the file back, or name it with "
          + "change-backing-file", file: layer.fileName)
    }
  }
}

extension BlockNode {
  /// Why its header does not lead to `beneath`; nil where it does, or where that cannot be seen.
  fileprivate func headerFault(
    over beneath: BlockNode?, _ gate: OpenGate
  ) throws(BlockError) -> String? {
    guard let own = bottomFile else { return nil }
    guard let link = image.backingLink else {
      return beneath.map { "names no backing file, and not node '\($0.name)'" }
    }
    let shown = PrintableText.of(link.bytes)
    guard let beneath else { return "names '\(shown)', and nothing lies under it here" }
    guard let file = beneath.bottomFile else { return nil }
    if let format = link.format, !beneath.isOf(format: format) {
      return "says that '\(shown)' is \(format), and node '\(beneath.name)' is not"
    }
    if beneath.isPartOfFile {
      return "cannot say which part of '\(shown)' node '\(beneath.name)' is"
    }
    let path = try FileName(bytes: path)
    if link.bytes.first != UInt8(ascii: "/") {
      // A relative name begins where the overlay is.
      if isPassed { return nil }
      guard (try? gate.identity(of: path)) == own.identity else {
        return "names '\(shown)' from where its file was, which was renamed or replaced"
      }
    }
    do throws(BlockError) {
      let name = try OpenGate.path(ofBacking: link.bytes, namedBy: path)
      if try gate.identity(of: name, .image) == file.identity { return nil }
    } catch {
      if error.code == .permission && (isPassed || beneath.isPassed) { return nil }
    }
    return "names '\(shown)', which is not the file of node '\(beneath.name)'"
  }

  /// Whether its file is one of passed descriptors.
  private var isPassed: Bool { (try? DescriptorSets.id(named: fileName)) != nil }

  /// Whether a header means it by `format`. QEMU's names for plain bytes are those of drivers.
  private func isOf(format: String) -> Bool {
    let isPlain = image.format == FormatSpecification.Format.raw.rawValue
    return format == image.format
      || isPlain && FileSpecification.Kind(rawValue: format) != nil
  }
}
