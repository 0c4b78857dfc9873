import BlockCore

extension Qcow2Header {
  /// The header, its extensions and the backing name as a new image's first cluster.
  package var encodedCluster: [UInt8] {
    var bytes = [UInt8](repeating: 0, count: geometry.clusterSize)
    let extensions = HeaderExtension.encodeAll(extensions)
    bytes.replaceSubrange(headerLength..<headerLength + extensions.count, with: extensions)
    bytes.replaceSubrange(backingName.lower..<backingName.upper, with: backingNameBytes)
    bytes.replaceSubrange(
      Qcow2Header.tableFieldsOffset..<Qcow2Header.tableFieldsOffset + tableFields.count,
      with: tableFields)
    bytes.withMutableBytes {
      $0.setBigEndian(Qcow2Header.magic, at: 0)
      $0.setBigEndian(UInt32(version), at: 4)
      $0.setBigEndian(UInt64(backingName.lower), at: 8)
      $0.setBigEndian(UInt32(backingName.length), at: 16)
      $0.setBigEndian(UInt32(geometry.clusterBits), at: 20)
      $0.setBigEndian(UInt64(size), at: 24)
      guard version >= 3 else { return }
      $0.setBigEndian(compatible.rawValue, at: 80)
      $0.setBigEndian(autoclear.rawValue, at: 88)
      $0.setBigEndian(UInt32(geometry.refcountOrder), at: 96)
      $0.setBigEndian(UInt32(headerLength), at: 100)
      $0.setBigEndian(compression.rawValue, at: 104)
    }
    return bytes
  }
}
