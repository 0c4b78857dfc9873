import BlockCore
import BlockGraph
import ImageFormats

/// The upper layers of a chain, and what lies under them.
///
/// Isolation: value.
struct CopySource: Sendable {
  /// The layers, the top first, down to the end of the chain.
  let chain: BackingChain
  /// Where the lower part begins: at least 1, and the number of layers where there is none.
  let base: Int
  /// The lower part's length before anything was done to it.
  let baseSize: Int

  init(_ chain: BackingChain, base: Int) {
    precondition(base > 0 && base <= chain.nodes.count)
    self.chain = chain
    self.base = base
    baseSize = base < chain.nodes.count ? chain.nodes[base].virtualSize : 0
  }

  /// What lies under the upper layers; nil where nothing does.
  var beneath: (any BackingView)? { chain.view(from: base) }
}
