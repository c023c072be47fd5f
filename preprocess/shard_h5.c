/* What the shard's writer and reader share (shard_h5.h). */
#include "preprocess/shard_h5.h"

#include <errno.h>

#include "core/text.h"

pthread_mutex_t shard_lock = PTHREAD_MUTEX_INITIALIZER;

void shard_h5_quiet(void)
{
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
}

static herr_t h5_first(unsigned n, const H5E_error2_t *desc, void *out)
{
    if (n == 0)
        text_copy(out, 160, desc->desc ? desc->desc : "");
    return 0;
}

bool shard_h5_fail(err *e, const char *what, const char *name)
{
    char desc[160] = "";
    int saved = errno;
    H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, h5_first, desc);
    H5Eclear2(H5E_DEFAULT);
    if (saved == ENOSPC || saved == EDQUOT) {
        errno = saved;
        return err_errno(e, "%s: %s", name, what);
    }
    return err_set(e, ERR_IO, "%s: %s failed in HDF5 (%s)", name, what, desc);
}

/* libver bounds V18..V110, no library file locks: the store has its own lock. */
hid_t shard_h5_access(void)
{
    hid_t p = H5Pcreate(H5P_FILE_ACCESS);
    if (p < 0)
        return p;
    if (H5Pset_libver_bounds(p, H5F_LIBVER_V18, H5F_LIBVER_V110) < 0 ||
        H5Pset_file_locking(p, false, true) < 0 || H5Pset_fclose_degree(p, H5F_CLOSE_STRONG) < 0) {
        H5Pclose(p);
        return -1;
    }
    return p;
}

hid_t shard_h5_untimed(hid_t cls)
{
    hid_t p = H5Pcreate(cls);
    if (p >= 0 && H5Pset_obj_track_times(p, false) < 0) {
        H5Pclose(p);
        return -1;
    }
    return p;
}

hid_t shard_h5_string_type(size_t len)
{
    hid_t t = H5Tcopy(H5T_C_S1);
    if (t >= 0 && (H5Tset_size(t, len) < 0 || H5Tset_strpad(t, H5T_STR_NULLPAD) < 0 ||
                   H5Tset_cset(t, H5T_CSET_UTF8) < 0)) {
        H5Tclose(t);
        return -1;
    }
    return t;
}

#define COLUMN(field, kind, width)                                                                 \
    {                                                                                              \
#field, kind, offsetof(shard_meta, field), width                                           \
    }
const shard_column shard_columns[SHARD_COLUMNS] = {
    COLUMN(image, COLUMN_CHARS, 32),     COLUMN(exam, COLUMN_CHARS, 32),
    COLUMN(patient, COLUMN_CHARS, 32),   COLUMN(pixel_hash, COLUMN_CHARS, 32),
    COLUMN(side, COLUMN_CHARS, 1),       COLUMN(view, COLUMN_CHARS, 1),
    COLUMN(affine, COLUMN_F32, 6),       COLUMN(mm_per_px, COLUMN_F32, 1),
    COLUMN(proc_flags, COLUMN_U32, 1),   COLUMN(breast_pixels, COLUMN_U32, 1),
    COLUMN(noise, COLUMN_F32, 1),        COLUMN(sum_all, COLUMN_F64, 1),
    COLUMN(sumsq_all, COLUMN_F64, 1),    COLUMN(sum_breast, COLUMN_F64, 1),
    COLUMN(sumsq_breast, COLUMN_F64, 1),
};

size_t shard_column_bytes(const shard_column *c)
{
    static const size_t size[] = {1, 4, 4, 8};
    return size[c->kind] * (size_t)c->width;
}

hid_t shard_column_disk(const shard_column *c)
{
    return c->kind == COLUMN_F32   ? H5T_IEEE_F32LE
           : c->kind == COLUMN_U32 ? H5T_STD_U32LE
                                   : H5T_IEEE_F64LE;
}

hid_t shard_column_mem(const shard_column *c)
{
    return c->kind == COLUMN_F32   ? H5T_NATIVE_FLOAT
           : c->kind == COLUMN_U32 ? H5T_NATIVE_UINT32
                                   : H5T_NATIVE_DOUBLE;
}
