/* A file of weights as named arrays, whatever its container: safetensors, a PyTorch zip file or
 * NumPy's .npz. Which one it is, its first bytes say, not its name. */
#ifndef TRAIN_SOURCE_H
#define TRAIN_SOURCE_H

#include "train/array.h"

#define SOURCE_ELEMENTS_MAX ((int64_t)1 << 28) /* of one array that is read: 1 GiB as f32 */

typedef struct source source;
/* Opens and checks all but the values. ERR_IO or ERR_INPUT with the path. */
source *source_open(const char *path, err *e);
void source_close(source *s);
int source_count(const source *s);
const array_info *source_at(const source *s, int i); /* borrowed until close, as all below */
const array_info *source_get(const source *s, const char *name); /* NULL = absent */
const char *source_meta(const source *s, const char *key);       /* a note in the file, or NULL */
/* Values as f32, owned by the caller (mem_free). NULL and ERR_INPUT for integers, for more than
 * SOURCE_ELEMENTS_MAX and for bytes that are not as announced. */
float *source_values(const source *s, const array_info *a, err *e);

/* For containers: what one does behind the calls above. */
typedef struct source_kind {
    bool (*read)(void *self, const array_info *a, float *out, err *e);
    const char *(*meta)(void *self, const char *key); /* NULL = it holds none */
    void (*close)(void *self);
} source_kind;
/* Takes over `self`, also on failure; arrays live as long as it. Fails on a name that is there
 * twice. */
source *source_new(const source_kind *kind, void *self, const array_info *array, int n, err *e);
#endif
