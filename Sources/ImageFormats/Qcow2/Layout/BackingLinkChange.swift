import BlockCore

/// How the header's first cluster changes when the backing file's name does: first the new name in
/// bytes that nothing uses, then everything that points to it in one write of the first sector.
///
/// Isolation: value.
struct BackingLinkChange: Hashable, Sendable {
  /// The part of the name that lies past the first sector, to be written and flushed first; nil
  /// where there is none.
  var nameWrite: (offset: Int, bytes: [UInt8])?
  /// The first sector, to be written in one piece.
  var sector: [UInt8]
  /// The header afterwards.
  var header: Qcow2Header

  /// A sector's write is whole or not at all.
  private static let sectorBytes = 512

  /// Plans the change of `header`, whose first cluster holds `cluster`.
  /// - Throws: `outOfRange` where the name does not fit, `unsupported` where the extensions would
  ///   have to move beyond the first sector.
  init(
    _ header: Qcow2Header, cluster: [UInt8], link: BackingLink?, file: String
  ) throws(BlockError) {
    let name = link?.bytes ?? []
    guard name.count <= Limits.backingNameBytes else {
      throw BlockError(
        .outOfRange,
        "The backing file's name has \(name.count) bytes; a header holds at most 1023", file: file)
    }
    guard header.headerLength <= BackingLinkChange.sectorBytes else {
      throw BlockError(
        .unsupported, "The header extensions begin beyond the first sector", file: file)
    }
    var next = header
    next.extensions = try BackingLinkChange.extensions(
      header, cluster: cluster, format: link?.format, file: file)
    let used = header.headerLength + HeaderExtension.encodeAll(next.extensions).count
    let oldEnd = header.headerLength + HeaderExtension.encodeAll(header.extensions).count
    let place = try BackingLinkChange.place(
      name.count, after: used, oldEnd: oldEnd, oldName: header.backingName,
      clusterSize: cluster.count, file: file)
    next.backingName = name.isEmpty ? ByteRange(at: 0, length: 0) : place
    next.backingNameBytes = name
    self.header = next
    sector = BackingLinkChange.sector(next, cluster: cluster)
    if place.upper > sector.count, !name.isEmpty {
      let lower = max(place.lower, sector.count)
      nameWrite = (lower, Array(name[(lower - place.lower)...]))
    }
  }

  static func == (a: Self, b: Self) -> Bool {
    a.sector == b.sector && a.header == b.header && a.nameWrite?.offset == b.nameWrite?.offset
      && a.nameWrite?.bytes == b.nameWrite?.bytes
  }

  func hash(into hasher: inout Hasher) { hasher.combine(sector) }

  /// The extensions with another backing format. What lies beyond the first sector must stay as it
  /// is on disk; where that is not so, the feature names (which only help to print errors) go.
  private static func extensions(
    _ header: Qcow2Header, cluster: [UInt8], format: String?, file: String
  ) throws(BlockError) -> [HeaderExtension] {
    var list = header.extensions.filter { $0.type != HeaderExtension.backingFormat }
    if let format {
      list.insert(
        HeaderExtension(type: HeaderExtension.backingFormat, data: Array(format.utf8)), at: 0)
    }
    if fits(list, header, cluster) { return list }
    list.removeAll { $0.type == HeaderExtension.featureNames }
    if fits(list, header, cluster) { return list }
    throw BlockError(
      .unsupported,
      "The header extensions reach beyond the first sector and would have to move", file: file)
  }

  private static func fits(
    _ list: [HeaderExtension], _ header: Qcow2Header, _ cluster: [UInt8]
  ) -> Bool {
    let bytes = HeaderExtension.encodeAll(list)
    let end = header.headerLength + bytes.count
    if end <= min(sectorBytes, cluster.count) { return true }
    guard end <= cluster.count else { return false }
    return bytes[(sectorBytes - header.headerLength)...] == cluster[sectorBytes..<end]
  }

  /// A place for the name behind the new extensions. What lies past the first sector is written
  /// before the switch, so it must not touch the old extensions or the old name. Two names of more
  /// than about 370 bytes each therefore have no room in a cluster of 1 KiB: both reach into its
  /// only other sector, and two sectors never change together.
  private static func place(
    _ count: Int, after used: Int, oldEnd: Int, oldName: ByteRange, clusterSize: Int, file: String
  ) throws(BlockError) -> ByteRange {
    let inUse = [ByteRange(from: 0, to: oldEnd), oldName]
    for start in [used, max(used, oldEnd), max(used, oldName.upper), clusterSize - count]
    where start >= used && start + count <= clusterSize {
      let place = ByteRange(at: start, length: count)
      let early = ByteRange(from: max(start, sectorBytes), to: max(place.upper, sectorBytes))
      if !inUse.contains(where: early.overlaps) { return place }
    }
    throw BlockError(
      .outOfRange,
      "The backing file's name has \(count) bytes; the header's cluster has no room for it beside "
        + "the old name", file: file)
  }

  /// The first sector as it will be.
  private static func sector(_ header: Qcow2Header, cluster: [UInt8]) -> [UInt8] {
    var sector = Array(cluster.prefix(sectorBytes))
    let extensions = HeaderExtension.encodeAll(header.extensions)
    let end = min(sector.count, header.headerLength + extensions.count)
    sector.replaceSubrange(
      header.headerLength..<end, with: extensions.prefix(end - header.headerLength))
    sector.withMutableBytes {
      $0.setBigEndian(UInt64(header.backingName.lower), at: 8)
      $0.setBigEndian(UInt32(header.backingName.length), at: 16)
    }
    let name = header.backingName.intersection(ByteRange(at: 0, length: sector.count))
    if !name.isEmpty {
      sector.replaceSubrange(
        name.lower..<name.upper, with: header.backingNameBytes.prefix(name.length))
    }
    return sector
  }
}
