/* Zip archives for tests, and a file's bytes changed one by one. */
#ifndef TESTS_UNIT_ZIP_FILE_H
#define TESTS_UNIT_ZIP_FILE_H

#include <stdio.h>
#include <string.h>
#include <zip.h>

#include "core/fs.h"
#include "core/mem.h"

typedef struct zip_part {
    const char *name;
    const void *data;
    size_t n;
    bool deflated;
} zip_part;

/* An archive of parts up to a NULL name. */
static inline void zip_file_write(const char *path, const zip_part *part)
{
    int code;
    zip_t *z = zip_open(path, ZIP_CREATE | ZIP_TRUNCATE, &code);
    if (!z)
        BUG("zip '%s': %d", path, code);
    for (; part->name; part++) {
        zip_source_t *s = zip_source_buffer(z, part->data, part->n, 0);
        zip_int64_t i = zip_file_add(z, part->name, s, 0);
        if (i < 0 || zip_set_file_compression(z, (zip_uint64_t)i,
                                              part->deflated ? ZIP_CM_DEFLATE : ZIP_CM_STORE, 0))
            BUG("zip '%s': %s", path, zip_strerror(z));
    }
    if (zip_close(z))
        BUG("zip '%s': %s", path, zip_strerror(z));
}

/* Without the fsync of fs_write: thousands of variants of one file are written. */
static inline void zip_file_put(const char *path, const void *b, size_t n)
{
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(b, 1, n, f) != n || fclose(f))
        BUG("cannot write '%s'", path);
}

/* Offset of the k-th central directory record in b[n]. */
static inline size_t zip_file_record(const char *b, size_t n, int k)
{
    for (size_t i = 0; i + 46 <= n; i++) {
        if (memcmp(b + i, "PK\1\2", 4) == 0 && k-- == 0)
            return i;
    }
    BUG("no such record");
}
#endif
