/// The image in a node, as `query-named-block-nodes` tells it.
///
/// Isolation: value.
package struct NodeImageInfo: WireRecord {
  package var filename = ""
  package var format = BlockDriver.raw
  package var virtualSize = 0
  package var actualSize: Int?
  package var clusterSize: Int?
  package var dirty: Bool?
  package var backingFilename: String?
  package var fullBackingFilename: String?
  package var backingFilenameFormat: String?
  /// The image below, and so on; an array of none or one, because a struct cannot hold itself.
  package var below: [NodeImageInfo] = []

  package init() {}

  package static let members: [WireMember<Self>] = [
    .required("filename", \.filename, "The file or device"),
    .required("format", \.format, "The image's format"),
    .required("virtual-size", \.virtualSize, "The size of the guest's disk in bytes"),
    .optional("actual-size", \.actualSize, "Bytes that the file takes on its disk"),
    .optional("cluster-size", \.clusterSize, "The allocation unit in bytes"),
    .optional("dirty-flag", \.dirty, "Whether the image was not closed cleanly"),
    .optional("backing-filename", \.backingFilename, "The backing file as the image names it"),
    .optional("full-backing-filename", \.fullBackingFilename, "The backing file's whole path"),
    .optional(
      "backing-filename-format", \.backingFilenameFormat,
      "The backing file's format as the image says"),
    .optional("backing-image", \.backingImage, "The image below; absent with flat=true"),
  ]

  /// The image below this one.
  package var backingImage: NodeImageInfo? {
    get { below.first }
    set { below = newValue.map { [$0] } ?? [] }
  }
}
