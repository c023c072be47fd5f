/* Checked sizes, allocation that never returns NULL silently, and the arena.
 * mem_* allocation aborts the program with a clear line (exit 5) when memory is exhausted, so that
 * callers stay simple; sizes that come from data are checked with mem_size_mul first. */
#ifndef CORE_MEM_H
#define CORE_MEM_H

#include "core/err.h"

#ifdef __cplusplus
extern "C" {
#endif

/* *out = a * b; false (ERR_RANGE) on overflow of size_t. */
MUST_CHECK bool mem_size_mul(size_t a, size_t b, size_t *out, err *e);
void *mem_alloc(size_t n); /* uninitialised, 64-byte aligned; n == 0 gives a valid pointer */
void *mem_calloc(size_t n, size_t size); /* zeroed, 64-byte aligned, overflow-checked */
/* Grow `p` (from mem_alloc, or NULL) from old to n bytes; the content is kept. */
void *mem_realloc(void *p, size_t old, size_t n);
char *mem_strdup(const char *s);
void mem_free(void *p); /* accepts NULL */
/* From now on, for the whole program: a block of a MiB or more goes back to the system as soon as
 * it is freed. For work that makes many large arrays of changing sizes: their holes would be kept.
 * It costs page faults where such a block is made again and again. */
void mem_large_apart(void);
/* Bytes that this program may use: of the machine, or of the container where that is less. */
int64_t mem_machine(void);
#define MEM_NEW(type)      ((type *)mem_calloc(1, sizeof(type)))
#define MEM_ARRAY(type, n) ((type *)mem_calloc((size_t)(n), sizeof(type)))

/* Bump allocator: everything freed at once by reset. Blocks grow as needed and are kept by reset.
 * Not thread-safe: one arena per thread or per step. */
typedef struct arena arena;
arena *arena_new(size_t first_block);
void *arena_alloc(arena *a, size_t n); /* uninitialised, 64-byte aligned */
void *arena_calloc(arena *a, size_t n);
void arena_reset(arena *a);
size_t arena_used(const arena *a); /* bytes handed out since the last reset */
size_t arena_held(const arena *a); /* bytes owned */
void arena_free(arena *a);

#ifdef __cplusplus
}
#endif
#endif
