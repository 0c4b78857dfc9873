import BlockCore
import CCompression

/// The decompressor of an image's compressed clusters, with its working memory.
///
/// Isolation: one thread at a time.
@safe
struct ClusterDecoder: ~Copyable {
  private let type: CompressionType
  private let decoder: OpaquePointer

  /// - Throws: `noSpace` when memory is refused.
  init(_ type: CompressionType) throws(BlockError) {
    guard let decoder = unsafe cc_decoder_create() else {
      throw BlockError(.noSpace, "No memory for a decompressor")
    }
    self.type = type
    unsafe self.decoder = decoder
  }

  deinit { unsafe cc_decoder_destroy(decoder) }

  /// Fills `output` from `input`; nothing is written past it, whatever the input says.
  /// - Returns: nil, or what is wrong with the input.
  func decode(_ input: RawSpan, into output: inout MutableRawSpan) -> String? {
    let type = self.type
    let decoder = unsafe self.decoder
    let result = unsafe input.withUnsafeBytes { source in
      unsafe output.withUnsafeMutableBytes { target in
        switch type {
        case .zlib:
          unsafe cc_decode_deflate(
            decoder, source.baseAddress, source.count, target.baseAddress, target.count)
        case .zstd:
          unsafe cc_decode_zstd(
            decoder, source.baseAddress, source.count, target.baseAddress, target.count)
        }
      }
    }
    return switch result {
    case cc_ok: nil
    case cc_window_too_large: "wants a window larger than any cluster"
    case cc_no_memory: "needs memory that the system refuses"
    default: "does not decompress to a whole cluster"
    }
  }
}
