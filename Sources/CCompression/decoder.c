#include "CCompression.h"

#include <libdeflate.h>
#include <stdbool.h>
#include <stdlib.h>
#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

// 8 MiB: what the zstd levels in common use (up to 19) choose when they do not know the length.
// A frame that knows it holds one cluster needs 2 MiB at most.
enum { window_log_max = 23 };

// Each part is made when the first cluster needs it: an image uses one compression, and almost no
// image needs zlib.
struct cc_decoder {
  struct libdeflate_decompressor *deflate;
  ZSTD_DStream *zstd;
  z_stream zlib;
  bool has_zlib;
};

cc_decoder *cc_decoder_create(void) { return calloc(1, sizeof(cc_decoder)); }

void cc_decoder_destroy(cc_decoder *decoder) {
  if (!decoder) return;
  libdeflate_free_decompressor(decoder->deflate);
  ZSTD_freeDStream(decoder->zstd);
  if (decoder->has_zlib) inflateEnd(&decoder->zlib);
  free(decoder);
}

// Whether the block that has filled the output holds more than that. (A stream without a final block
// ends with one of its blocks; what follows in its last sector is foreign.)
static bool block_goes_on(z_stream *stream) {
  Bytef extra;
  stream->next_out = &extra;
  stream->avail_out = 1;
  inflate(stream, Z_BLOCK);
  return stream->avail_out == 0;
}

// The slow way, for streams that libdeflate refuses because they have no final block.
static enum cc_result inflate_until_full(
    cc_decoder *decoder, const void *input, size_t input_size, void *output, size_t output_size) {
  z_stream *stream = &decoder->zlib;
  if (!decoder->has_zlib) {
    if (inflateInit2(stream, -MAX_WBITS) != Z_OK) return cc_no_memory;
    decoder->has_zlib = true;
  } else if (inflateReset(stream) != Z_OK) {
    return cc_corrupt;
  }
  stream->next_in = (z_const Bytef *)input;
  stream->avail_in = (uInt)input_size;
  stream->next_out = output;
  stream->avail_out = (uInt)output_size;
  // A data error in the foreign bytes after the cluster says nothing about the cluster.
  if (inflate(stream, Z_FINISH) == Z_MEM_ERROR) return cc_no_memory;
  return stream->avail_out == 0 && !block_goes_on(stream) ? cc_ok : cc_corrupt;
}

enum cc_result cc_decode_deflate(
    cc_decoder *decoder, const void *input, size_t input_size, void *output, size_t output_size) {
  if (!decoder->deflate) decoder->deflate = libdeflate_alloc_decompressor();
  if (!decoder->deflate) return cc_no_memory;
  size_t consumed, produced;
  enum libdeflate_result result = libdeflate_deflate_decompress_ex(
      decoder->deflate, input, input_size, output, output_size, &consumed, &produced);
  if (result == LIBDEFLATE_SUCCESS) return produced == output_size ? cc_ok : cc_corrupt;
  return inflate_until_full(decoder, input, input_size, output, output_size);
}

static enum cc_result zstd_failure(size_t result) {
  switch (ZSTD_getErrorCode(result)) {
    case ZSTD_error_memory_allocation: return cc_no_memory;
    case ZSTD_error_frameParameter_windowTooLarge: return cc_window_too_large;
    default: return cc_corrupt;
  }
}

// Whether the frame, whose first bytes have filled the cluster, holds more of them.
static bool goes_on(ZSTD_DStream *stream, ZSTD_inBuffer *in) {
  char extra;
  ZSTD_outBuffer out = {.dst = &extra, .size = 1};
  for (;;) {
    size_t before = in->pos;
    size_t result = ZSTD_decompressStream(stream, &out, in);
    if (out.pos > 0) return true;
    if (result == 0 || ZSTD_isError(result) || in->pos == before) return false;
  }
}

enum cc_result cc_decode_zstd(
    cc_decoder *decoder, const void *input, size_t input_size, void *output, size_t output_size) {
  if (!decoder->zstd) decoder->zstd = ZSTD_createDStream();
  ZSTD_DStream *stream = decoder->zstd;
  if (!stream) return cc_no_memory;
  ZSTD_DCtx_reset(stream, ZSTD_reset_session_only);
  size_t set = ZSTD_DCtx_setParameter(stream, ZSTD_d_windowLogMax, window_log_max);
  if (ZSTD_isError(set)) return cc_corrupt;

  ZSTD_inBuffer in = {.src = input, .size = input_size};
  ZSTD_outBuffer out = {.dst = output, .size = output_size};
  size_t result = 0;
  while (out.pos < out.size) {
    size_t consumed = in.pos, produced = out.pos;
    result = ZSTD_decompressStream(stream, &out, &in);
    if (ZSTD_isError(result)) return zstd_failure(result);
    if (in.pos == consumed && out.pos == produced) return cc_corrupt;
  }
  return result != 0 && goes_on(stream, &in) ? cc_corrupt : cc_ok;
}
