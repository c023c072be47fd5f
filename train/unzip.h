/* Entries of a zip archive, for weight files of PyTorch and NumPy: the only door to libzip. Every
 * size is checked against the file before it is believed; bytes are verified by their CRC. */
#ifndef TRAIN_UNZIP_H
#define TRAIN_UNZIP_H

#include "core/err.h"

#define UNZIP_ENTRIES_MAX 100000

typedef struct unzip unzip;
/* Opens and checks the directory: names without repetition, no encryption, stored or deflated, no
 * entry larger than its compressed bytes can hold. ERR_IO or ERR_INPUT. */
unzip *unzip_open(const char *path, err *e);
void unzip_close(unzip *z);
int unzip_count(const unzip *z);
const char *unzip_name(const unzip *z, int i);    /* borrowed until close */
uint64_t unzip_size(const unzip *z, int i);       /* bytes when unpacked */
bool unzip_is_stored(const unzip *z, int i);      /* not compressed */
int unzip_find(const unzip *z, const char *name); /* -1 = absent */

/* A whole entry of at most max bytes; *data is owned by the caller (mem_free). */
MUST_CHECK bool unzip_read(unzip *z, int i, size_t max, char **data, size_t *n, err *e);

/* The first bytes of an entry, at most `cap`; not verified by the CRC. */
MUST_CHECK bool unzip_head(unzip *z, int i, void *to, size_t cap, size_t *n, err *e);

/* One entry from byte `from` on, in order. An entry that is not read to its last byte
 * is verified once before. */
typedef struct unzip_stream unzip_stream;
unzip_stream *unzip_stream_open(unzip *z, int i, uint64_t from, uint64_t n, err *e);
MUST_CHECK bool unzip_stream_next(void *stream, void *to, size_t n, err *e);
void unzip_stream_close(unzip_stream *s);
#endif
