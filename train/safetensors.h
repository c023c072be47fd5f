/* The safetensors container: named f32 arrays behind an 8-byte length and a JSON header.
 * The reader is strict: it is given files from other machines and trusts none of their numbers.
 * Source: the format's README (huggingface/safetensors). Knows nothing of networks. */
#ifndef TRAIN_SAFETENSORS_H
#define TRAIN_SAFETENSORS_H

#include "core/err.h"
#include "core/json.h"

#define SAFETENSORS_NDIM_MAX   8
#define SAFETENSORS_HEADER_MAX 100000000 /* bytes */

typedef enum safetensors_type {
    SAFETENSORS_F32,
    SAFETENSORS_F16,
    SAFETENSORS_BF16,
    SAFETENSORS_OTHER /* a known element type that this program does not read as numbers */
} safetensors_type;

typedef struct safetensors_array {
    const char *name; /* owned by the file */
    safetensors_type type;
    const char *type_name; /* "F32", "I64" */
    int ndim;              /* 0 = a single number */
    int64_t shape[SAFETENSORS_NDIM_MAX];
    int64_t n;      /* elements */
    uint64_t begin; /* offset of the first byte in the data part */
    uint64_t end;
} safetensors_array;

typedef struct safetensors safetensors;
/* Map the file and check all of it: header length, JSON without duplicate keys, known types, sizes
 * in 64 bits, every byte of the data part in exactly one array. ERR_IO or ERR_INPUT with the path.
 */
safetensors *safetensors_open(const char *path, err *e);
void safetensors_close(safetensors *s);
int safetensors_count(const safetensors *s);
/* Arrays in order of their data; i in 0..count-1. Borrowed until close. */
const safetensors_array *safetensors_at(const safetensors *s, int i);
const safetensors_array *safetensors_get(const safetensors *s,
                                         const char *name);          /* NULL = absent */
const char *safetensors_meta(const safetensors *s, const char *key); /* "__metadata__", or NULL */
/* Values as f32 into out[a->n]; F16 and BF16 are converted. ERR_INPUT for other types. */
MUST_CHECK bool safetensors_read(const safetensors *s, const safetensors_array *a, float *out,
                                 err *e);

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
void safetensors_writer_free(safetensors_writer *w); /* give up without a file; NULL is fine */
#endif
