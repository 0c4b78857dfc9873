/// What `x-node-info` tells of a node.
///
/// Isolation: value.
package struct NodeInfo: WireRecord {
  package var nodeName = ""
  package var driver = BlockDriver.raw
  package var filename = ""
  package var readOnly = false
  package var virtualSize = 0
  package var fileSize = 0
  package var allocatedSize = 0
  package var clusterSize: Int?
  package var backingNode: String?
  package var backingFilename: String?
  package var backingFormat: String?
  package var snapshots: [String] = []
  package var snapshotCount: Int?
  package var snapshotDamage: String?
  package var qcow2: Qcow2NodeInfo?

  package init() {}

  package static let members: [WireMember<Self>] = [
    .required("node-name", \.nodeName, "The node"),
    .required("driver", \.driver, "The image's format"),
    .required("filename", \.filename, "The file or device that holds the image"),
    .required("read-only", \.readOnly, "Whether nothing may be written"),
    .required("virtual-size", \.virtualSize, "The size of the guest's disk in bytes"),
    .required("file-size", \.fileSize, "The file's length in bytes"),
    .required("allocated-size", \.allocatedSize, "Bytes that the file takes on its disk"),
    .optional("cluster-size", \.clusterSize, "The allocation unit in bytes"),
    .optional("backing-node", \.backingNode, "The node below"),
    .optional("backing-filename", \.backingFilename, "The backing file as the image names it"),
    .optional("backing-format", \.backingFormat, "The backing file's format as the image says"),
    .defaulted("snapshots", \.snapshots, "Names of internal snapshots, at most 64 KiB of them"),
    .optional("snapshot-count", \.snapshotCount, "How many internal snapshots there are"),
    .optional("snapshot-damage", \.snapshotDamage, "What is wrong with the first damaged one"),
    .optional("qcow2", \.qcow2, "What only a qcow2 image has"),
  ]
}

/// What only a qcow2 image has to tell.
///
/// Isolation: value.
package struct Qcow2NodeInfo: WireRecord {
  package var version = Qcow2Version.v3
  package var refcountBits = 16
  package var compressionType = "zlib"
  package var lazyRefcounts = false
  package var dirty = false
  package var corrupt = false
  package var extendedL2 = false
  package var bitmaps = 0

  package init() {}

  package static let members: [WireMember<Self>] = [
    .required("version", \.version, "The version of the header"),
    .required("refcount-bits", \.refcountBits, "The width of a refcount"),
    .required("compression-type", \.compressionType, "How compressed clusters are packed"),
    .required("lazy-refcounts", \.lazyRefcounts, "Whether refcounts may be left for later"),
    .required("dirty", \.dirty, "Whether refcounts have been left for later"),
    .required("corrupt", \.corrupt, "Whether somebody found the image damaged"),
    .required("extended-l2", \.extendedL2, "Whether clusters have subclusters"),
    .required("bitmaps", \.bitmaps, "How many persistent bitmaps there are"),
  ]
}
