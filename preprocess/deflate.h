/* zlib streams (RFC 1950, 1951) of planes of pixels, fast. The bytes are a function of the plane
 * alone: repair and merge compare them. Any inflate reads them; ours is libdeflate's. */
#ifndef PREPROCESS_DEFLATE_H
#define PREPROCESS_DEFLATE_H

#include "core/mem.h"

/* Room that the stream of n bytes never exceeds. */
size_t deflate_bound(size_t n);
/* The stream of raw[n] into out[deflate_bound(n)]; returns its length. n below 2^32. raw can be
 * read DEFLATE_SLACK bytes beyond its end; what lies there does not matter. a: memory
 * on the way. */
#define DEFLATE_SLACK 8
size_t deflate_plane(const uint8_t *raw, size_t n, arena *a, uint8_t *out);
#endif
