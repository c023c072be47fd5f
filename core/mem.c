/* Allocation that either succeeds or ends the program with exit status 5, and the bump allocator.
 * Everything is aligned to 64 bytes: one cache line, and the widest vector register. */
#include "core/mem.h"

#include <inttypes.h>
#include <malloc.h>
#include <unistd.h>

#define MEM_ALIGN 64
#define MEM_LARGE (1 << 20) /* of mem_large_apart */

struct arena_block {
    struct arena_block *next;
    size_t size, used;
    /* data follows, aligned */
};
#define BLOCK_HEAD ((sizeof(struct arena_block) + MEM_ALIGN - 1) / MEM_ALIGN * MEM_ALIGN)

struct arena {
    struct arena_block *first, *current, *last;
    size_t next_size, used, held;
};

NORETURN static void out_of_memory(size_t n)
{
    char line[160];
    int len = snprintf(line, sizeof line,
                       "error out_of_memory bytes=%zu: use fewer threads, a smaller batch or "
                       "smaller images\n",
                       n);
    if (len > 0 && write(STDERR_FILENO, line, (size_t)len) < 0)
        _exit(err_exit(ERR_MEMORY));
    _exit(err_exit(ERR_MEMORY));
}

bool mem_size_mul(size_t a, size_t b, size_t *out, err *e)
{
    if (b && a > SIZE_MAX / b)
        return err_set(e, ERR_RANGE, "a size of %zu times %zu bytes is too large", a, b);
    *out = a * b;
    return true;
}

/* The C library's own limit rises to 32 MiB with the first such block that is freed. Refused where
 * a sanitizer's allocator stands in, which needs no such thing. */
void mem_large_apart(void)
{
    mallopt(M_MMAP_THRESHOLD, MEM_LARGE);
}

/* The limit in a file of the kernel's control groups; "max", or no file: none. */
static int64_t limit_in(const char *path, int64_t none)
{
    FILE *f = fopen(path, "r");
    int64_t n;
    bool found = f && fscanf(f, "%" SCNd64, &n) == 1 && n > 0;
    if (f)
        fclose(f);
    return found && n < none ? n : none;
}

int64_t mem_machine(void)
{
    int64_t n = (int64_t)sysconf(_SC_PHYS_PAGES) * (int64_t)sysconf(_SC_PAGESIZE);
    n = limit_in("/sys/fs/cgroup/memory.max", n);
    return limit_in("/sys/fs/cgroup/memory/memory.limit_in_bytes", n);
}

static size_t round_up(size_t n)
{
    if (n > SIZE_MAX - MEM_ALIGN)
        out_of_memory(n);
    return n ? (n + MEM_ALIGN - 1) / MEM_ALIGN * MEM_ALIGN : MEM_ALIGN;
}

void *mem_alloc(size_t n)
{
    void *p = aligned_alloc(MEM_ALIGN, round_up(n));
    if (!p)
        out_of_memory(n);
    return p;
}

void *mem_calloc(size_t n, size_t size)
{
    size_t bytes;
    if (!mem_size_mul(n, size, &bytes, NULL))
        out_of_memory(SIZE_MAX);
    void *p = mem_alloc(bytes);
    memset(p, 0, bytes);
    return p;
}

void *mem_realloc(void *p, size_t old, size_t n)
{
    void *q = mem_alloc(n);
    if (p && old)
        memcpy(q, p, old < n ? old : n);
    free(p);
    return q;
}

char *mem_strdup(const char *s)
{
    size_t n = strlen(s) + 1;
    return memcpy(mem_alloc(n), s, n);
}

void mem_free(void *p)
{
    free(p);
}

static char *block_data(struct arena_block *b)
{
    return (char *)b + BLOCK_HEAD;
}

static void arena_grow(arena *a, size_t n)
{
    size_t size = n > a->next_size ? n : a->next_size;
    if (size > SIZE_MAX - BLOCK_HEAD)
        out_of_memory(size);
    struct arena_block *b = mem_alloc(BLOCK_HEAD + size);
    b->next = NULL;
    b->size = size;
    b->used = 0;
    if (a->last)
        a->last->next = b;
    else
        a->first = b;
    a->last = b;
    a->current = b;
    a->held += BLOCK_HEAD + size;
    if (a->next_size < SIZE_MAX / 4)
        a->next_size *= 2;
}

arena *arena_new(size_t first_block)
{
    arena *a = MEM_NEW(arena);
    a->next_size = round_up(first_block ? first_block : 4096);
    return a;
}

void *arena_alloc(arena *a, size_t n)
{
    n = round_up(n);
    /* the rest of a block that is too small stays unused until the reset */
    while (a->current && a->current->size - a->current->used < n) {
        if (!a->current->next)
            break;
        a->current = a->current->next;
    }
    if (!a->current || a->current->size - a->current->used < n)
        arena_grow(a, n);
    void *p = block_data(a->current) + a->current->used;
    a->current->used += n;
    a->used += n;
    return p;
}

void *arena_calloc(arena *a, size_t n)
{
    return memset(arena_alloc(a, n), 0, n);
}

void arena_reset(arena *a)
{
    for (struct arena_block *b = a->first; b; b = b->next)
        b->used = 0;
    a->current = a->first;
    a->used = 0;
}

size_t arena_used(const arena *a)
{
    return a->used;
}

size_t arena_held(const arena *a)
{
    return a->held;
}

void arena_free(arena *a)
{
    if (!a)
        return;
    for (struct arena_block *b = a->first; b;) {
        struct arena_block *next = b->next;
        mem_free(b);
        b = next;
    }
    mem_free(a);
}
