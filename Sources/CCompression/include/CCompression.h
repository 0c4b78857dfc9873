#ifndef CCOMPRESSION_H
#define CCOMPRESSION_H

// Decompression of one qcow2 cluster. The input comes from an image, is not trusted, and may be
// followed by foreign bytes, because qcow2 counts it in sectors. Nothing is ever written past
// `output_size`.

#include <stddef.h>

/// What became of a cluster.
enum cc_result {
  /// The output is full.
  cc_ok = 0,
  /// The input is not a valid stream, or gives fewer bytes than a cluster.
  cc_corrupt = 1,
  /// The stream wants a larger window than any cluster needs.
  cc_window_too_large = 2,
  /// Memory was refused.
  cc_no_memory = 3
};

/// The working memory of the decompressors, to be used for many clusters by one thread at a time.
typedef struct cc_decoder cc_decoder;

/// NULL when memory was refused.
cc_decoder *cc_decoder_create(void);
void cc_decoder_destroy(cc_decoder *decoder);

/// Fills `output` from a raw deflate stream. As in QEMU the stream need not end with the cluster:
/// one without a final block is accepted. A block that goes on past the cluster is corrupt.
enum cc_result cc_decode_deflate(
    cc_decoder *decoder, const void *input, size_t input_size, void *output, size_t output_size);

/// Fills `output` from zstd frames. A frame that goes on past the cluster is corrupt.
enum cc_result cc_decode_zstd(
    cc_decoder *decoder, const void *input, size_t input_size, void *output, size_t output_size);

#endif
