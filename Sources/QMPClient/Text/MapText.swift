import BlockCore
package import QMP

/// What `qemu-img map` prints, from the pages of `x-node-map`.
///
/// Isolation: value.
package struct MapText {
  /// How it is printed.
  package enum Form: String, CaseIterable, Sendable {
    /// A table of the extents that hold data.
    case human
    /// An array of all extents.
    case json
  }

  /// Why a table cannot be made; the same words as QEMU's.
  package enum Refusal: Error, Hashable, Sendable {
    /// Data that stands nowhere in a file as it is.
    case notInARow
  }

  private let form: Form
  /// The file of each layer, the top first.
  private let files: [String]
  /// The extent that the next page may go on with.
  private var last: MapExtent?
  private var isFirst = true

  /// A map in `form` of a chain whose layers lie in `files`, the top first; a table needs them all.
  package init(_ form: Form, files: [String]) {
    self.form = form
    self.files = files
  }

  /// What comes before the first extent.
  package var head: String {
    form == .human ? Self.row("Offset", "Length", "Mapped to") + "File\n" : "["
  }

  /// The lines of all extents of `page` that no later page can go on with.
  package mutating func lines(_ page: [MapExtent]) throws(Refusal) -> String {
    var text = ""
    for extent in page {
      if let last, last.goesOn(in: extent) {
        self.last?.length += extent.length
      } else {
        text += try flush()
        last = extent
      }
    }
    return text
  }

  /// What is left when there is no further page.
  package mutating func end() throws(Refusal) -> String {
    if form == .json && isFirst && last == nil { last = MapExtent() }
    return try flush() + (form == .json ? "]\n" : "")
  }

  private mutating func flush() throws(Refusal) -> String {
    guard let extent = last else { return "" }
    last = nil
    defer { isFirst = false }
    return form == .human ? try row(extent) : (isFirst ? "" : ",\n") + Self.object(extent)
  }

  private func row(_ extent: MapExtent) throws(Refusal) -> String {
    guard extent.data else { return "" }
    guard let offset = extent.offset else { throw .notInARow }
    guard !extent.zero else { return "" }
    let file = files.indices.contains(extent.depth) ? files[extent.depth] : ""
    return Self.row(Self.hex(extent.start), Self.hex(extent.length), Self.hex(offset))
      + file.printable + "\n"
  }

  /// The members of an extent as QEMU 7.2 prints them.
  private static func object(_ extent: MapExtent) -> String {
    let offset = extent.offset.map { ", \"offset\": \($0)" } ?? ""
    return """
      { "start": \(extent.start), "length": \(extent.length), "depth": \(extent.depth), \
      "present": \(extent.present), "zero": \(extent.zero), "data": \(extent.data)\(offset)}
      """
  }

  private static func hex(_ value: Int) -> String {
    value == 0 ? "0" : "0x\(String(value, radix: 16))"
  }

  private static func row(_ columns: String...) -> String {
    columns.map { $0 + String(repeating: " ", count: max(0, 16 - $0.count)) }.joined()
  }
}

extension MapExtent {
  /// Whether `next` says the same of the bytes that follow, so that both are one extent.
  fileprivate func goesOn(in next: MapExtent) -> Bool {
    start + length == next.start && depth == next.depth && present == next.present
      && zero == next.zero && data == next.data && compressed == next.compressed
      && offset.map { $0 + length } == next.offset
  }
}
