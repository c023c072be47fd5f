/* What was found out about a card at some cost and holds for the next run too: the algorithms that
 * were chosen for matrix products, the plans that cuDNN compiled. One small file for each, in a
 * folder that any number of programs share: a file appears whole under its name, names its key and
 * has a checksum. What is damaged or foreign is left aside with one warning and made again.
 * docs/formats.md 9. */
#ifndef MODEL_CUDA_CACHE_H
#define MODEL_CUDA_CACHE_H

#include "core/err.h"

#ifdef __cplusplus
extern "C" {
#endif

#define CACHE_KEY_MAX  1024
#define CACHE_DATA_MAX ((size_t)8 << 20)
#define CACHE_LIMIT    ((uint64_t)512 << 20) /* bytes of a folder; what was used longest ago goes */

typedef struct cache cache;

/* folder: "" = mammovit in $XDG_CACHE_HOME, which is ~/.cache where it is not set. A folder that
 * cannot be had is one warning, and a cache that finds nothing and keeps nothing. */
cache *cache_open(const char *folder, uint64_t limit);
void cache_close(cache *c); /* accepts NULL, as the calls below do: nothing is found or kept */
/* What is kept under the key: owned by the caller (mem_free), with a NUL behind it; or NULL. */
char *cache_get(cache *c, const char *key, size_t *len);
/* Replaces what is there. A disk that takes nothing is one warning. */
void cache_put(cache *c, const char *key, const void *data, size_t len);

#ifdef __cplusplus
}
#endif
#endif
