package import BlockCore
import BlockIO
import Glibc
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
    // Each header is read from where the one above it leads, which need not be the name by which
    // the layer is open here: links of both kinds give a file more than one place.
    var place: FileName? = top.isPassed ? nil : try FileName(bytes: top.path)
    for (index, layer) in nodes.enumerated() {
      let beneath = index + 1 < nodes.count ? nodes[index + 1] : nil
      guard let why = try layer.headerFault(over: beneath, at: &place, gate) else { continue }
      throw BlockError(
        .notFound,
        "Node '\(top.name)' keeps its data, for by itself it would not show them any more: the "
          + "header of node '\(layer.name)' \(why); put the file back, or name it with "
          + "change-backing-file", file: layer.fileName)
    }
  }
}

extension BlockNode {
  /// Why its header, in the file `place`, does not lead to `beneath`; nil where it does, or where
  /// that cannot be seen. `place` becomes where it leads; nil: that is not known.
  fileprivate func headerFault(
    over beneath: BlockNode?, at place: inout FileName?, _ gate: OpenGate
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
    if let why = OpenGate.fault(inBacking: link.bytes) { return "has \(why)" }
    let isAbsolute = link.bytes.first == UInt8(ascii: "/")
    // A relative name begins where the overlay is; an absolute one anywhere.
    if place == nil && isAbsolute { place = try FileName(bytes: path) }
    guard let from = place else { return nil }
    place = nil
    if !isAbsolute, (try? gate.identity(of: from, .image)) != own.identity {
      return "names '\(shown)' from where its file was, which was renamed or replaced"
    }
    let name = try OpenGate.path(ofBacking: link.bytes, namedBy: from)
    do throws(BlockError) {
      if try gate.identity(of: name, .image) == file.identity {
        place = name
        return nil
      }
    } catch {
      if error.errno == EACCES && (isPassed || beneath.isPassed) { return nil }
    }
    return "names '\(shown)', which is not the file of node '\(beneath.name)'"
  }

  /// Whether its file is one of passed descriptors.
  fileprivate var isPassed: Bool { (try? DescriptorSets.id(named: fileName)) != nil }

  /// Whether a header means it by `format`. QEMU's names for plain bytes are those of drivers.
  private func isOf(format: String) -> Bool {
    let isPlain = image.format == FormatSpecification.Format.raw.rawValue
    return format == image.format
      || isPlain && FileSpecification.Kind(rawValue: format) != nil
  }
}
