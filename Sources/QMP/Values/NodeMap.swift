/// One page of `x-node-map`.
///
/// Isolation: value.
package struct NodeMap: WireRecord {
  package var extents: [MapExtent] = []
  package var next: Int?

  package init() {}

  package static let members: [WireMember<Self>] = [
    .required("extents", \.extents, "The extents, in order and without gaps"),
    .optional("next", \.next, "The offset of the next page; absent on the last"),
  ]
}

/// A run of bytes that live in one place, as `qemu-img map --output=json` tells it.
///
/// Isolation: value.
package struct MapExtent: WireRecord {
  package var start = 0
  package var length = 0
  package var depth = 0
  package var present = false
  package var zero = false
  package var data = false
  package var compressed = false
  package var offset: Int?

  package init() {}

  package static let members: [WireMember<Self>] = [
    .required("start", \.start, "The first byte on the guest's disk"),
    .required("length", \.length, "Bytes in the run"),
    .required("depth", \.depth, "The layer that has them, 0 for the top"),
    .required("present", \.present, "Whether any layer has them"),
    .required("zero", \.zero, "Whether they read as zeros"),
    .required("data", \.data, "Whether they take space"),
    .required("compressed", \.compressed, "Whether they are packed"),
    .optional("offset", \.offset, "Where they stand in the layer's file, if they stand in a row"),
  ]
}
