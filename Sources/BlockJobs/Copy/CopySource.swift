import BlockCore
import BlockGraph
import ImageFormats

/// Some layers of a chain whose bytes are moved, and the layer that they go to: down into the one
/// under them, or up into the one over them.
///
/// Isolation: value.
struct CopySource: Sendable {
  /// The layers, the top first, down to the end of the chain.
  let chain: BackingChain
  /// Where the lower part begins: at least 1, and the number of layers where there is none.
  let base: Int
  /// The lower part's length before anything was done to it.
  let baseSize: Int
  /// The highest layer that is moved: 0, or 1 where the top is what they go to.
  let first: Int

  /// The layers above `base`, to be copied down into it.
  init(_ chain: BackingChain, base: Int) { self.init(chain, base: base, first: 0) }

  /// The layers between the top and `base`, to be copied up into the top.
  init(upInto chain: BackingChain, from base: Int) { self.init(chain, base: base, first: 1) }

  private init(_ chain: BackingChain, base: Int, first: Int) {
    precondition(base > 0 && base <= chain.nodes.count)
    self.chain = chain
    self.base = base
    self.first = first
    baseSize = base < chain.nodes.count ? chain.nodes[base].virtualSize : 0
  }

  /// What lies under the upper layers; nil where nothing does.
  var beneath: (any BackingView)? { chain.view(from: base) }

  /// Whether bytes go up.
  var isUpwards: Bool { first > 0 }

  /// The chain to whose top the bytes are written.
  var target: BackingChain { isUpwards ? chain : remaining }

  /// The chain without the layers that are moved: what is not written must read the same in it.
  var remaining: BackingChain {
    BackingChain(Array(chain.nodes[..<first]) + Array(chain.nodes[base...]))
  }
}
