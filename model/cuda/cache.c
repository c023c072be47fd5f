/* The folder of cached findings. A file's name is the hash of its key. Every writer has a temporary
 * name of its own, so that two programs never write into one file; renaming replaces the whole. */
#include "model/cuda/cache.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/fs.h"
#include "core/log.h"
#include "core/mem.h"

#define NAME_LEN 32 /* hexadecimal digits */

struct cache {
    char *folder; /* NULL: nothing is kept */
    uint64_t limit, held;
    bool told_damage, told_disk;
};

/* What stands before the key and the data; numbers in the machine's own order. */
typedef struct head {
    char magic[16];
    uint32_t key_len, data_len;
    char hash[NAME_LEN]; /* of key and data */
} head;
static const char magic[16] = "mammovit-cache-1";

static void hash_of(const char *key, size_t key_len, const void *data, size_t len, char out[33])
{
    fs_xxh128 *h = fs_xxh128_new();
    fs_xxh128_add(h, key, key_len);
    fs_xxh128_add(h, data, len);
    fs_xxh128_end(h, out);
}

static char *path_of(const cache *c, const char *key)
{
    char name[NAME_LEN + 1];
    fs_xxh128_of(key, strlen(key), name);
    return fs_join(c->folder, name);
}

/* ---- the folder ------------------------------------------------------------------------------ */

static char *usual_folder(void)
{
    const char *base = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    if (base && base[0] == '/')
        return fs_join(base, "mammovit");
    return home && home[0] == '/' ? fs_join(home, ".cache/mammovit") : NULL;
}

typedef struct item {
    char *path;
    uint64_t size;
    int64_t mtime_ns;
} item;

typedef struct items {
    item *at;
    size_t n, cap;
    uint64_t bytes;
} items;

/* Files of ours, finished or left behind by a program that was killed. */
static bool is_ours(const char *name)
{
    size_t n = strspn(name, "0123456789abcdef");
    return n == NAME_LEN && (!name[n] || name[n] == '.');
}

static bool collect(void *ctx, const fs_entry *f, err *e)
{
    items *all = ctx;
    if (f->bad || !is_ours(f->relative))
        return true;
    if (all->n == all->cap) {
        size_t cap = all->cap ? 2 * all->cap : 64;
        all->at = mem_realloc(all->at, all->cap * sizeof *all->at, cap * sizeof *all->at);
        all->cap = cap;
    }
    all->at[all->n++] = (item){mem_strdup(f->path), f->size, f->mtime_ns};
    all->bytes += f->size;
    return true;
}

static int by_age(const void *a, const void *b)
{
    const item *x = a, *y = b;
    return (x->mtime_ns > y->mtime_ns) - (x->mtime_ns < y->mtime_ns);
}

/* Counts what the folder holds, other programs' too, and takes the oldest files away until `more`
 * bytes fit. */
static void make_room(cache *c, uint64_t more)
{
    items all = {0};
    err ignored = {0};
    if (!fs_walk(c->folder, collect, &all, &ignored))
        all.bytes = 0;
    if (all.n)
        qsort(all.at, all.n, sizeof *all.at, by_age);
    for (size_t i = 0; i < all.n; i++) {
        if (all.bytes + more > c->limit && unlink(all.at[i].path) == 0)
            all.bytes -= all.at[i].size;
        mem_free(all.at[i].path);
    }
    mem_free(all.at);
    c->held = all.bytes;
}

cache *cache_open(const char *folder, uint64_t limit)
{
    cache *c = MEM_NEW(cache);
    err e = {0};
    c->limit = limit;
    c->folder = *folder ? mem_strdup(folder) : usual_folder();
    if (!c->folder)
        err_set(&e, ERR_CONFIG, "neither XDG_CACHE_HOME nor HOME names a folder");
    if (c->folder && fs_mkdirs(c->folder, &e)) {
        make_room(c, 0);
        return c;
    }
    log_warn("cuda_cache_off", "why=\"%s; algorithms and plans are made anew in every run\"",
             e.msg);
    mem_free(c->folder);
    c->folder = NULL;
    return c;
}

void cache_close(cache *c)
{
    if (c)
        mem_free(c->folder);
    mem_free(c);
}

/* ---- entries --------------------------------------------------------------------------------- */

/* Why the bytes are no entry of this key, or NULL. */
static const char *fault_of(const char *bytes, size_t n, const char *key)
{
    head h;
    char sum[NAME_LEN + 1];
    if (n < sizeof h)
        return "it is too short";
    memcpy(&h, bytes, sizeof h);
    if (memcmp(h.magic, magic, sizeof magic))
        return "it is no file of this program";
    if (h.key_len > CACHE_KEY_MAX || h.data_len > CACHE_DATA_MAX ||
        n != sizeof h + h.key_len + h.data_len)
        return "its size is not the one it names";
    hash_of(bytes + sizeof h, h.key_len, bytes + sizeof h + h.key_len, h.data_len, sum);
    if (memcmp(h.hash, sum, NAME_LEN))
        return "its checksum is wrong";
    if (h.key_len != strlen(key) || memcmp(bytes + sizeof h, key, h.key_len))
        return "it belongs to another key";
    return NULL;
}

/* Whoever may write the file decides what code a card runs. */
static const char *stranger(const char *path)
{
    struct stat st;
    if (lstat(path, &st) != 0 || !S_ISREG(st.st_mode))
        return "it is no regular file";
    if (st.st_uid != geteuid() || st.st_mode & (S_IWGRP | S_IWOTH))
        return "others than this user may write it";
    return NULL;
}

static void tell_damage(cache *c, const char *path, const char *why)
{
    if (!c->told_damage)
        log_warn("cuda_cache_ignored", "file=\"%s\" why=\"%s\" action=made_again", path, why);
    c->told_damage = true;
}

char *cache_get(cache *c, const char *key, size_t *len)
{
    if (!c || !c->folder)
        return NULL;
    char *path = path_of(c, key), *bytes = NULL, *out = NULL;
    size_t n = 0;
    err e = {0};
    struct stat st;
    const char *why = NULL;
    if (lstat(path, &st) == 0 || errno != ENOENT) {
        why = stranger(path);
        if (!why && !fs_read(path, sizeof(head) + CACHE_KEY_MAX + CACHE_DATA_MAX, &bytes, &n, &e))
            why = "it cannot be read";
        if (why && !fs_exists(path)) /* another program made room just now */
            why = NULL;
        if (bytes)
            why = fault_of(bytes, n, key);
    }
    if (why)
        tell_damage(c, path, why);
    if (bytes && !why) {
        size_t from = sizeof(head) + strlen(key);
        *len = n - from;
        out = mem_alloc(*len + 1);
        memcpy(out, bytes + from, *len);
        out[*len] = 0;
        utimensat(AT_FDCWD, path, NULL, 0); /* used now; where that is refused, nothing is lost */
    }
    mem_free(bytes);
    mem_free(path);
    return out;
}

void cache_put(cache *c, const char *key, const void *data, size_t len)
{
    size_t key_len = strlen(key);
    if (!c || !c->folder)
        return;
    if (key_len > CACHE_KEY_MAX)
        BUG("cache: a key of %zu bytes", key_len);
    head h = {.key_len = (uint32_t)key_len, .data_len = (uint32_t)len};
    uint64_t size = sizeof h + key_len + len;
    if (len > CACHE_DATA_MAX || size > c->limit)
        return; /* larger than anything that is read again */
    char sum[NAME_LEN + 1], *path = path_of(c, key), *bytes = mem_alloc(size);
    err e = {0};
    memcpy(h.magic, magic, sizeof magic);
    hash_of(key, key_len, data, len, sum);
    memcpy(h.hash, sum, NAME_LEN);
    memcpy(bytes, &h, sizeof h);
    memcpy(bytes + sizeof h, key, key_len);
    memcpy(bytes + sizeof h + key_len, data, len);
    if (c->held + size > c->limit)
        make_room(c, size);
    if (fs_write_among(path, bytes, size, &e)) {
        c->held += size;
    } else if (!c->told_disk) {
        log_warn("cuda_cache_not_written", "why=\"%s\"", e.msg);
        c->told_disk = true;
    }
    mem_free(bytes);
    mem_free(path);
}
