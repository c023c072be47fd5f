/* Files: walk, atomic write, read, hashes. Temporary names end in ".partial"; a file with its final
 * name is whole. Messages name the path that the caller gave: whoever reads files whose names may
 * hold an identifier (an archive) replaces the message. */
#ifndef CORE_FS_H
#define CORE_FS_H

#include "core/err.h"
#include "core/text.h"

#include <sys/types.h>

typedef struct fs_entry {
    const char *path;     /* root + relative, borrowed for the call */
    const char *relative; /* below the walked root; the base name if the root is a file */
    uint64_t size;
    int64_t mtime_ns;
    const char *bad; /* NULL, or why it cannot be read: "not a regular file", "permission denied" */
} fs_entry;
/* Visit every file below root (or root itself when it is a file) in byte order of the relative
 * path, so that the order never depends on the directory. Symbolic links are not followed; FIFOs,
 * devices and unreadable entries (a link is one: "symbolic link") are visited with `bad` set. Each
 * directory (dev+inode) is entered once. The callback returns false (with e set) to stop. */
typedef bool fs_visit(void *ctx, const fs_entry *entry, err *e);
MUST_CHECK bool fs_walk(const char *root, fs_visit *visit, void *ctx, err *e);

bool fs_exists(const char *path);
bool fs_is_dir(const char *path);
MUST_CHECK bool fs_mkdirs(const char *path, err *e);
/* Whole file; *data owned by the caller (mem_free), with a NUL after the last byte. Files larger
 * than max are refused (ERR_RANGE). */
MUST_CHECK bool fs_read(const char *path, size_t max, char **data, size_t *len, err *e);
/* Atomic, fsynced; with the mode that the umask leaves, or 0600. */
MUST_CHECK bool fs_write(const char *path, const void *data, size_t len, err *e);
MUST_CHECK bool fs_write_private(const char *path, const void *data, size_t len, err *e);
/* As fs_write_private, where several programs may write the path at once: each has a temporary name
 * of its own, "<path>.<digits>.partial", which nobody else takes away; the last one stays. */
MUST_CHECK bool fs_write_among(const char *path, const void *data, size_t len, err *e);
/* fsync the finished temporary file `tmp`, rename it to `path`, fsync the folder. */
MUST_CHECK bool fs_commit(const char *tmp, const char *path, err *e);
/* The same in steps, for streams: create "<path>.partial" (an older one is replaced) and write to
 * the descriptor; then close it and fs_commit, or unlink. mode: before the umask, 0666 or, for
 * the owner alone, 0600. *tmp is owned by the caller; -1 on failure. */
int fs_create_partial(const char *path, mode_t mode, char **tmp, err *e);
MUST_CHECK bool fs_write_all(int fd, const void *data, size_t len); /* false: errno is set */
MUST_CHECK bool fs_remove_tree(const char *path, err *e);           /* a missing path is fine */
char *fs_join(const char *a, const char *b); /* owned by the caller, mem_free;
                                 an absolute b stays as it is */
const char *fs_base(const char *path);       /* points into path */
/* Exclusive advisory lock of a folder (path/.lock with pid and host); fails ERR_IO naming the
 * owner. */
typedef struct fs_lock fs_lock;
fs_lock *fs_lock_take(const char *dir, err *e);
void fs_lock_release(fs_lock *l);

/* SHA-256 (OpenSSL) and XXH3-128 (xxHash), lower-case hex. */
typedef struct fs_sha256 fs_sha256;
fs_sha256 *fs_sha256_new(void);
void fs_sha256_add(fs_sha256 *h, const void *data, size_t len);
void fs_sha256_end(fs_sha256 *h, char out[65]); /* frees h */
void fs_sha256_of(const void *data, size_t len, char out[65]);
MUST_CHECK bool fs_sha256_file(const char *path, char out[65], err *e);
/* HMAC-SHA-256 of many values under one key; not for two threads at once. */
typedef struct fs_hmac fs_hmac;
fs_hmac *fs_hmac_new(const void *key, size_t key_len);
void fs_hmac_of(fs_hmac *h, const void *data, size_t len, uint8_t out[32]);
void fs_hmac_free(fs_hmac *h);
void fs_hmac_sha256(const void *key, size_t key_len, const void *data, size_t len, uint8_t out[32]);
typedef struct fs_xxh128 fs_xxh128;
fs_xxh128 *fs_xxh128_new(void);
void fs_xxh128_add(fs_xxh128 *h, const void *data, size_t len);
void fs_xxh128_end(fs_xxh128 *h, char out[33]); /* frees h */
void fs_xxh128_of(const void *data, size_t len, char out[33]);
void fs_xxh128_raw(const void *data, size_t len, uint64_t out[2]);
MUST_CHECK bool fs_random(void *out, size_t len,
                          err *e); /* for keys and names, never for science */
#endif
