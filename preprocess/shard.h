/* The HDF5 shard: layout, writer, reader (dicom.md 7, design.md 5). Chunk = one image, stock
 * shuffle+deflate made by deflate.c and written raw; read raw and inflated by libdeflate
 * in the readers. All HDF5 calls happen in one thread at a time (a lock inside shard.c). */
#ifndef PREPROCESS_SHARD_H
#define PREPROCESS_SHARD_H

#include "core/err.h"
#include "core/json.h"
#include "core/mem.h"
#include "dicom/reason.h"

/* Compressed chunk of one u16 [h,w] image; pure, called by parallel workers. Owned: mem_free. */
void *shard_compress(const uint16_t *image, int h, int w, size_t *len);
/* The same for many images one after the other: memory of the chunk is used again, what is needed
 * on the way comes from the arena. */
typedef struct shard_chunk {
    void *data;
    size_t len, cap; /* len 0: none, whatever room there is */
} shard_chunk;
void shard_chunk_release(shard_chunk *c);
void shard_pack(const uint16_t *image, int h, int w, arena *a, shard_chunk *out);
void shard_pack_mask(const uint8_t *mask, int h, int w, arena *a, shard_chunk *out);
MUST_CHECK bool shard_inflate(const void *chunk, size_t len, int h, int w, uint16_t *out, err *e);
/* The same for a u8 mask [h,w] of 0 and 1: deflate without shuffle. */
void *shard_compress_mask(const uint8_t *mask, int h, int w, size_t *len);
MUST_CHECK bool shard_inflate_mask(const void *chunk, size_t len, int h, int w, uint8_t *out,
                                   err *e);

typedef struct shard_meta { /* one image; no identifiers, pseudonyms only */
    char image[33], exam[33], patient[33], pixel_hash[33];
    char side, view; /* 'L' 'R'; 'C' 'M' */
    float affine[6];
    float mm_per_px;
    uint32_t breast_pixels;
    float noise; /* residual noise / contrast of the breast in stored pixels; 0 unknown */
    double sum_all, sumsq_all, sum_breast, sumsq_breast;
    uint32_t proc_flags; /* image.h IMAGE_*: what the pixel chain did */
    uint64_t reasons[2]; /* flags, reason_set bits; on disk as names */
} shard_meta;

typedef struct shard_writer shard_writer;
shard_writer *shard_create(const char *path, int h, int w, err *e); /* path.partial until commit */
MUST_CHECK bool shard_append(shard_writer *s, const void *chunk, size_t len, const shard_meta *m,
                             err *e);
/* The mask of the image that was appended last; a shard has one for every image, or none. */
MUST_CHECK bool shard_append_mask(shard_writer *s, const void *chunk, size_t len, err *e);
int64_t shard_bytes(const shard_writer *s);
int shard_rows(const shard_writer *s);
/* Provenance JSON in, fsync, re-read, rename. sha256 of the finished file out. Frees s. */
MUST_CHECK bool shard_commit(shard_writer *s, const char *provenance_json, char sha256[65], err *e);
void shard_discard(shard_writer *s);

typedef struct shard shard;
shard *shard_open(const char *path, err *e);
void shard_close(shard *s);
int shard_n(const shard *s);
void shard_size(const shard *s, int *h, int *w);
MUST_CHECK bool shard_read_meta(shard *s, int row, shard_meta *m, err *e);
const shard_meta *shard_meta_all(const shard *s); /* of all shard_n rows; borrowed */
/* Raw chunk into *buf (grown with mem_realloc), then shard_inflate outside the lock. */
MUST_CHECK bool shard_read_chunk(shard *s, int row, void **buf, size_t *cap, size_t *len, err *e);
/* The same for the mask of an image: ERR_INPUT where the shard has none (shard_has_mask). */
bool shard_has_mask(const shard *s);
MUST_CHECK bool shard_read_mask(shard *s, int row, void **buf, size_t *cap, size_t *len, err *e);
/* Does the mask of a row, where there are masks, hold 0 and 1 only, and as many as breast_pixels?
 */
MUST_CHECK bool shard_check_mask(shard *s, int row, err *e);
/* The provenance JSON given at commit; owned by the caller, mem_free. */
char *shard_provenance(shard *s, err *e);
#endif
