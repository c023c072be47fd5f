/* HDF5 helpers and the table of meta columns that the shard's writer and reader share. Private to
 * preprocess/shard*.c; callers hold shard_lock. */
#ifndef PREPROCESS_SHARD_H5_H
#define PREPROCESS_SHARD_H5_H

#include <hdf5.h>
#include <pthread.h>

#include "preprocess/shard.h"

#define SHARD_SCHEMA     2 /* of the layout; a reader takes its own only */
#define SHARD_MAX_SIDE   16384
#define SHARD_SLACK(raw) ((raw) + (raw) / 4 + 4096) /* most bytes of one compressed chunk */

extern pthread_mutex_t shard_lock; /* around every call into HDF5 */

/* No error stack on stderr: paths hide in it. */
void shard_h5_quiet(void);
/* Set e from HDF5's first error, or from errno where the disk is full; returns false. */
bool shard_h5_fail(err *e, const char *what, const char *name);
/* File access: libver bounds V18..V110, no library file locks (the store has its own). -1 failed.
 */
hid_t shard_h5_access(void);
/* A creation list without time stamps. */
hid_t shard_h5_untimed(hid_t cls);
/* Fixed-length UTF-8, padded with NUL. */
hid_t shard_h5_string_type(size_t len);

typedef enum shard_column_kind {
    COLUMN_CHARS,
    COLUMN_F32,
    COLUMN_U32,
    COLUMN_F64
} shard_column_kind;
typedef struct shard_column {
    const char *name;
    shard_column_kind kind;
    size_t offset;
    int width; /* characters, or values per row */
} shard_column;
#define SHARD_COLUMNS 15
extern const shard_column shard_columns[SHARD_COLUMNS];
size_t shard_column_bytes(const shard_column *c); /* of one row */
hid_t shard_column_disk(const shard_column *c);
hid_t shard_column_mem(const shard_column *c);
#endif
