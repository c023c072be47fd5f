/* The safetensors container: named f32 arrays behind an 8-byte length and a JSON header.
 * The reader is strict: it is given files from other machines and trusts none of their numbers.
 * Source: the format's README (huggingface/safetensors). Knows nothing of networks. */
#ifndef TRAIN_SAFETENSORS_H
#define TRAIN_SAFETENSORS_H

#include "core/err.h"
#include "core/json.h"
#include "train/array.h"

#define SAFETENSORS_HEADER_MAX 100000000 /* bytes */

/* array_info.at: offset of the first byte in the data part. */
typedef struct safetensors safetensors;
/* Map the file and check all of it: header length, JSON without duplicate keys, known types, sizes
 * in 64 bits, every byte of the data part in exactly one array. ERR_IO or ERR_INPUT with the path.
 */
safetensors *safetensors_open(const char *path, err *e);
void safetensors_close(safetensors *s);
int safetensors_count(const safetensors *s);
/* Arrays in order of their data; i in 0..count-1. Borrowed until close. */
const array_info *safetensors_at(const safetensors *s, int i);
const array_info *safetensors_get(const safetensors *s, const char *name); /* NULL = absent */
const char *safetensors_meta(const safetensors *s, const char *key); /* "__metadata__", or NULL */
/* Values as f32 into out[a->n]; all floating-point types of array.h. ERR_INPUT for others. */
MUST_CHECK bool safetensors_read(const safetensors *s, const array_info *a, float *out, err *e);

/* Writer: declare every array in order with add (values are borrowed until finish), then finish
 * once. The file appears under its name only when whole (temporary name, fsync, rename). The bytes
 * depend on the arguments only. metadata: object of strings, borrowed, or NULL. */
typedef struct safetensors_writer safetensors_writer;
safetensors_writer *safetensors_writer_new(const char *path, const json_t *metadata);
/* Adding a name twice, an empty name or "__metadata__" is a BUG. */
void safetensors_writer_add(safetensors_writer *w, const char *name, int ndim, const int64_t *shape,
                            const float *x);
/* Write and commit. The writer is freed in any case. */
MUST_CHECK bool safetensors_writer_finish(safetensors_writer *w, err *e);
#endif
