/* zlib streams (RFC 1950, 1951) of planes of pixels, fast. On processors with SSE4.2 the bytes are
 * a function of the plane alone: repair and merge compare them. Any inflate reads them; ours is
 * libdeflate's. */
#ifndef PREPROCESS_DEFLATE_H
#define PREPROCESS_DEFLATE_H

#include "core/mem.h"

/* Room that the stream of n bytes never exceeds. */
size_t deflate_bound(size_t n);
/* The stream of raw[n] into out[deflate_bound(n)]; returns its length. n below 2^31. a: memory on
 * the way. */
size_t deflate_plane(const uint8_t *raw, size_t n, arena *a, uint8_t *out);
#endif
