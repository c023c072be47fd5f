/* The HDF5 shard: writer and reader (layout: docs/formats.md, dicom.md 7). Responsible for bytes
 * that depend on the images and the configuration only, and for a file that is either whole and
 * checked or absent. Compression is pure and runs in workers; every call into HDF5 happens under
 * one lock. */
#include "preprocess/shard.h"

#include <errno.h>
#include <fcntl.h>
#include <hdf5.h>
#include <isa-l/igzip_lib.h>
#include <libdeflate.h>
#include <pthread.h>
#include <unistd.h>

#include "core/fs.h"
#include "core/mem.h"
#include "core/version.h"

#define SHARD_SCHEMA     1
#define SHARD_PIXEL_MAX  65535
#define SHARD_GROW       64 /* rows by which the dataset is extended at once */
#define SHARD_MAX_SIDE   16384
#define SHARD_HASH_LEN   32
#define SHARD_FLAGS_MAX  4096 /* bytes of one row's flag names */
#define SHARD_JSON_MAX   ((size_t)16 << 20)
#define SHARD_SLACK(raw) ((raw) + (raw) / 4 + 4096)

static pthread_mutex_t shard_lock = PTHREAD_MUTEX_INITIALIZER;

typedef struct shard_row { /* what the writer keeps of one image until commit */
    shard_meta meta;
    char chunk_hash[33];
    size_t chunk_len;
} shard_row;

struct shard_writer {
    char *path, *partial;
    hid_t file, images;
    int h, w;
    int n, cap, extent;
    int64_t bytes;
    shard_row *row;
};

struct shard {
    char *name; /* base name, for messages */
    hid_t file, images;
    int n, h, w;
    shard_meta *meta;
};

/* ---- chunks ---------------------------------------------------------------------------------- */

void *shard_compress(const uint16_t *image, int h, int w, size_t *len)
{
    if (h < 1 || w < 1 || h > SHARD_MAX_SIDE || w > SHARD_MAX_SIDE)
        BUG("shard_compress: image of %d x %d", h, w);
    size_t n = (size_t)h * (size_t)w, raw = n * 2, cap = SHARD_SLACK(raw);
    uint8_t *plane = mem_alloc(raw), *out = mem_alloc(cap);
    void *level = mem_alloc(ISAL_DEF_LVL1_DEFAULT);
    for (size_t i = 0; i < n; i++) {
        plane[i] = (uint8_t)(image[i] & 0xff);
        plane[n + i] = (uint8_t)(image[i] >> 8);
    }
    struct isal_zstream z;
    isal_deflate_stateless_init(&z);
    z.gzip_flag = IGZIP_ZLIB;
    z.level = 1;
    z.level_buf = level;
    z.level_buf_size = ISAL_DEF_LVL1_DEFAULT;
    z.end_of_stream = 1;
    z.flush = NO_FLUSH;
    z.next_in = plane;
    z.avail_in = (uint32_t)raw;
    z.next_out = out;
    z.avail_out = (uint32_t)cap;
    int rc = isal_deflate_stateless(&z);
    if (rc != COMP_OK || z.avail_in != 0)
        BUG("isal_deflate_stateless gave %d with %u bytes left", rc, z.avail_in);
    *len = z.total_out;
    mem_free(level);
    mem_free(plane);
    return out;
}

bool shard_inflate(const void *chunk, size_t len, int h, int w, uint16_t *out, err *e)
{
    if (h < 1 || w < 1 || h > SHARD_MAX_SIDE || w > SHARD_MAX_SIDE)
        return err_set(e, ERR_INPUT, "shard: image of %d x %d", h, w);
    size_t n = (size_t)h * (size_t)w, got = 0;
    struct libdeflate_decompressor *d = libdeflate_alloc_decompressor();
    if (!d)
        return err_set(e, ERR_MEMORY, "shard: no memory for a decompressor");
    uint8_t *plane = mem_alloc(n * 2);
    enum libdeflate_result rc = libdeflate_zlib_decompress(d, chunk, len, plane, n * 2, &got);
    libdeflate_free_decompressor(d);
    if (rc == LIBDEFLATE_SUCCESS && got == n * 2)
        for (size_t i = 0; i < n; i++)
            out[i] = (uint16_t)(plane[i] | plane[n + i] << 8);
    mem_free(plane);
    if (rc != LIBDEFLATE_SUCCESS || got != n * 2)
        return err_set(e, ERR_INPUT, "shard: a chunk is damaged (%s after %zu of %zu bytes)",
                       rc == LIBDEFLATE_BAD_DATA ? "bad data" : "wrong length", got, n * 2);
    return true;
}

/* ---- HDF5 helpers ---------------------------------------------------------------------------- */

static void h5_quiet(void)
{
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
}

static herr_t h5_first(unsigned n, const H5E_error2_t *desc, void *out)
{
    if (n == 0)
        text_copy(out, 160, desc->desc ? desc->desc : "");
    return 0;
}

static bool h5_fail(err *e, const char *what, const char *name)
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
static hid_t h5_access(void)
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

static hid_t h5_untimed(hid_t cls)
{
    hid_t p = H5Pcreate(cls);
    if (p >= 0 && H5Pset_obj_track_times(p, false) < 0) {
        H5Pclose(p);
        return -1;
    }
    return p;
}

static hid_t h5_string_type(size_t len)
{
    hid_t t = H5Tcopy(H5T_C_S1);
    if (t >= 0 && (H5Tset_size(t, len) < 0 || H5Tset_strpad(t, H5T_STR_NULLPAD) < 0 ||
                   H5Tset_cset(t, H5T_CSET_UTF8) < 0)) {
        H5Tclose(t);
        return -1;
    }
    return t;
}

/* One dataset, contiguous, written whole. rank 0 is a scalar. */
static bool h5_put(hid_t at, const char *name, int rank, const hsize_t *dims, hid_t disk, hid_t mem,
                   const void *data)
{
    bool ok = false;
    hid_t dcpl = h5_untimed(H5P_DATASET_CREATE);
    hid_t space = rank ? H5Screate_simple(rank, dims, NULL) : H5Screate(H5S_SCALAR);
    hid_t d = -1;
    if (dcpl >= 0 && space >= 0)
        d = H5Dcreate2(at, name, disk, space, H5P_DEFAULT, dcpl, H5P_DEFAULT);
    if (d >= 0)
        ok = H5Dwrite(d, mem, H5S_ALL, H5S_ALL, H5P_DEFAULT, data) >= 0;
    if (d >= 0)
        ok = H5Dclose(d) >= 0 && ok;
    if (space >= 0)
        ok = H5Sclose(space) >= 0 && ok;
    if (dcpl >= 0)
        ok = H5Pclose(dcpl) >= 0 && ok;
    return ok;
}

static bool h5_put_attr(hid_t at, const char *name, hid_t disk, hid_t mem, const void *data)
{
    bool ok = false;
    hid_t space = H5Screate(H5S_SCALAR);
    hid_t a = space < 0 ? -1 : H5Acreate2(at, name, disk, space, H5P_DEFAULT, H5P_DEFAULT);
    if (a >= 0) {
        ok = H5Awrite(a, mem, data) >= 0;
        ok = H5Aclose(a) >= 0 && ok;
    }
    if (space >= 0)
        H5Sclose(space);
    return ok;
}

static bool h5_put_attr_int(hid_t at, const char *name, int32_t v)
{
    return h5_put_attr(at, name, H5T_STD_I32LE, H5T_NATIVE_INT32, &v);
}

/* ---- meta columns ---------------------------------------------------------------------------- */

typedef enum column_kind { COLUMN_CHARS, COLUMN_F32, COLUMN_U32, COLUMN_F64 } column_kind;
typedef struct column {
    const char *name;
    column_kind kind;
    size_t offset;
    int width; /* characters, or values per row */
} column;

#define COLUMN(field, kind, width)                                                                 \
    {                                                                                              \
#field, kind, offsetof(shard_meta, field), width                                           \
    }
static const column columns[] = {
    COLUMN(image, COLUMN_CHARS, 32),   COLUMN(exam, COLUMN_CHARS, 32),
    COLUMN(patient, COLUMN_CHARS, 32), COLUMN(pixel_hash, COLUMN_CHARS, 32),
    COLUMN(side, COLUMN_CHARS, 1),     COLUMN(view, COLUMN_CHARS, 1),
    COLUMN(affine, COLUMN_F32, 6),     COLUMN(mm_per_px, COLUMN_F32, 1),
    COLUMN(proc_flags, COLUMN_U32, 1), COLUMN(breast_pixels, COLUMN_U32, 1),
    COLUMN(sum_all, COLUMN_F64, 1),    COLUMN(sumsq_all, COLUMN_F64, 1),
    COLUMN(sum_breast, COLUMN_F64, 1), COLUMN(sumsq_breast, COLUMN_F64, 1),
};

static size_t column_bytes(const column *c)
{
    static const size_t size[] = {1, 4, 4, 8};
    return size[c->kind] * (size_t)c->width;
}

static hid_t column_disk(const column *c)
{
    return c->kind == COLUMN_F32   ? H5T_IEEE_F32LE
           : c->kind == COLUMN_U32 ? H5T_STD_U32LE
                                   : H5T_IEEE_F64LE;
}

static hid_t column_mem(const column *c)
{
    return c->kind == COLUMN_F32   ? H5T_NATIVE_FLOAT
           : c->kind == COLUMN_U32 ? H5T_NATIVE_UINT32
                                   : H5T_NATIVE_DOUBLE;
}

static bool column_write(hid_t meta, const column *c, const shard_writer *s)
{
    size_t each = column_bytes(c);
    char *buf = mem_calloc((size_t)s->n, each);
    for (int i = 0; i < s->n; i++)
        memcpy(buf + (size_t)i * each, (const char *)&s->row[i].meta + c->offset, each);
    hsize_t dims[2] = {(hsize_t)s->n, (hsize_t)c->width};
    bool ok;
    if (c->kind == COLUMN_CHARS) {
        hid_t t = h5_string_type(each);
        ok = t >= 0 && h5_put(meta, c->name, 1, dims, t, t, buf);
        if (t >= 0)
            H5Tclose(t);
    } else {
        ok = h5_put(meta, c->name, c->width > 1 ? 2 : 1, dims, column_disk(c), column_mem(c), buf);
    }
    mem_free(buf);
    return ok;
}

/* Flags are stored as reason names, comma-separated: the numbers of the list stay private. */
static void flags_text(const shard_meta *m, text *out)
{
    reason_set set;
    memcpy(set.bits, m->reasons, sizeof set.bits);
    for (int r = 1; r < REASON_COUNT; r++)
        if (reason_has(&set, (reason)r))
            text_addf(out, "%s%s", out->len ? "," : "", reason_name((reason)r));
}

static bool flags_write(hid_t meta, const shard_writer *s)
{
    size_t each = 1;
    text t;
    text_init(&t);
    for (int i = 0; i < s->n; i++) {
        text_clear(&t);
        flags_text(&s->row[i].meta, &t);
        each = t.len > each ? t.len : each;
    }
    char *buf = mem_calloc((size_t)s->n, each);
    for (int i = 0; i < s->n; i++) {
        text_clear(&t);
        flags_text(&s->row[i].meta, &t);
        memcpy(buf + (size_t)i * each, t.s, t.len);
    }
    text_release(&t);
    hsize_t dims = (hsize_t)s->n;
    hid_t type = h5_string_type(each);
    bool ok = type >= 0 && h5_put(meta, "flags", 1, &dims, type, type, buf);
    if (type >= 0)
        H5Tclose(type);
    mem_free(buf);
    return ok;
}

static bool flags_parse(const char *s, size_t len, shard_meta *m, const char *name, err *e)
{
    reason_set set = {{0, 0}};
    char one[64];
    for (size_t at = 0; at < len && s[at];) {
        size_t end = at;
        while (end < len && s[end] && s[end] != ',')
            end++;
        if (end - at >= sizeof one)
            return err_set(e, ERR_INPUT, "%s: a flag name of %zu characters", name, end - at);
        memcpy(one, s + at, end - at);
        one[end - at] = 0;
        reason r = reason_find(one);
        if (r == REASON_NONE)
            return err_set(e, ERR_INPUT, "%s: the flag '%s' is unknown", name, one);
        reason_add(&set, r);
        at = end + (end < len && s[end] == ',');
    }
    memcpy(m->reasons, set.bits, sizeof set.bits);
    return true;
}

/* ---- writer ---------------------------------------------------------------------------------- */

static void writer_free(shard_writer *s)
{
    if (!s)
        return;
    if (s->images >= 0)
        H5Dclose(s->images);
    if (s->file >= 0)
        H5Fclose(s->file);
    mem_free(s->row);
    mem_free(s->path);
    mem_free(s->partial);
    mem_free(s);
}

static hid_t images_create(hid_t file, int h, int w)
{
    hsize_t dims[3] = {0, (hsize_t)h, (hsize_t)w}, chunk[3] = {1, (hsize_t)h, (hsize_t)w};
    hsize_t most[3] = {H5S_UNLIMITED, (hsize_t)h, (hsize_t)w};
    hid_t d = -1, space = H5Screate_simple(3, dims, most);
    hid_t dcpl = h5_untimed(H5P_DATASET_CREATE);
    if (space >= 0 && dcpl >= 0 && H5Pset_chunk(dcpl, 3, chunk) >= 0 && H5Pset_shuffle(dcpl) >= 0 &&
        H5Pset_deflate(dcpl, 1) >= 0 && H5Pset_fill_time(dcpl, H5D_FILL_TIME_NEVER) >= 0)
        d = H5Dcreate2(file, "images", H5T_STD_U16LE, space, H5P_DEFAULT, dcpl, H5P_DEFAULT);
    if (space >= 0)
        H5Sclose(space);
    if (dcpl >= 0)
        H5Pclose(dcpl);
    return d;
}

shard_writer *shard_create(const char *path, int h, int w, err *e)
{
    if (h < 1 || w < 1 || h > SHARD_MAX_SIDE || w > SHARD_MAX_SIDE) {
        err_set(e, ERR_RANGE, "shard: a canvas of %d x %d (allowed: 1..%d)", h, w, SHARD_MAX_SIDE);
        return NULL;
    }
    shard_writer *s = MEM_NEW(shard_writer);
    text t;
    text_init(&t);
    text_addf(&t, "%s.partial", path);
    s->path = mem_strdup(path);
    s->partial = text_take(&t);
    s->file = s->images = -1;
    s->h = h;
    s->w = w;
    pthread_mutex_lock(&shard_lock);
    h5_quiet();
    errno = 0;
    hid_t fapl = h5_access(), fcpl = h5_untimed(H5P_FILE_CREATE);
    if (fapl >= 0 && fcpl >= 0)
        s->file = H5Fcreate(s->partial, H5F_ACC_TRUNC, fcpl, fapl);
    if (s->file >= 0)
        s->images = images_create(s->file, h, w);
    if (fapl >= 0)
        H5Pclose(fapl);
    if (fcpl >= 0)
        H5Pclose(fcpl);
    if (s->images < 0) {
        h5_fail(e, "creating the file", fs_base(s->partial));
        writer_free(s);
        s = NULL;
    }
    pthread_mutex_unlock(&shard_lock);
    return s;
}

bool shard_append(shard_writer *s, const void *chunk, size_t len, const shard_meta *m, err *e)
{
    if (s->n == s->cap) {
        int cap = s->cap ? s->cap * 2 : SHARD_GROW;
        s->row = mem_realloc(s->row, (size_t)s->cap * sizeof *s->row, (size_t)cap * sizeof *s->row);
        s->cap = cap;
    }
    bool ok = true;
    pthread_mutex_lock(&shard_lock);
    errno = 0;
    if (s->n == s->extent) {
        hsize_t dims[3] = {(hsize_t)s->extent + SHARD_GROW, (hsize_t)s->h, (hsize_t)s->w};
        ok = H5Dset_extent(s->images, dims) >= 0;
        s->extent += SHARD_GROW;
    }
    hsize_t at[3] = {(hsize_t)s->n, 0, 0};
    ok = ok && H5Dwrite_chunk(s->images, H5P_DEFAULT, 0, at, len, chunk) >= 0;
    if (!ok)
        h5_fail(e, "writing an image", fs_base(s->partial));
    pthread_mutex_unlock(&shard_lock);
    if (!ok)
        return false;
    shard_row *r = &s->row[s->n++];
    r->meta = *m;
    r->chunk_len = len;
    fs_xxh128_of(chunk, len, r->chunk_hash);
    s->bytes += (int64_t)len;
    return true;
}

int64_t shard_bytes(const shard_writer *s)
{
    return s->bytes;
}

int shard_rows(const shard_writer *s)
{
    return s->n;
}

static bool writer_meta(shard_writer *s, const char *json)
{
    hid_t gcpl = h5_untimed(H5P_GROUP_CREATE), meta = -1, prov = -1;
    bool ok = gcpl >= 0;
    if (ok)
        meta = H5Gcreate2(s->file, "meta", H5P_DEFAULT, gcpl, H5P_DEFAULT);
    if (ok)
        prov = H5Gcreate2(s->file, "provenance", H5P_DEFAULT, gcpl, H5P_DEFAULT);
    ok = ok && meta >= 0 && prov >= 0;
    for (size_t i = 0; ok && i < COUNT_OF(columns); i++)
        ok = column_write(meta, &columns[i], s);
    ok = ok && flags_write(meta, s);
    size_t len = strlen(json);
    hid_t t = ok ? h5_string_type(len ? len : 1) : -1;
    ok = ok && t >= 0 && h5_put(prov, "json", 0, NULL, t, t, json);
    ok = ok && h5_put_attr_int(s->file, "schema_version", SHARD_SCHEMA) &&
         h5_put_attr_int(s->file, "n", s->n) && h5_put_attr_int(s->file, "height", s->h) &&
         h5_put_attr_int(s->file, "width", s->w) &&
         h5_put_attr_int(s->file, "pixel_max", SHARD_PIXEL_MAX);
    hid_t v = ok ? h5_string_type(strlen(version_number())) : -1;
    ok = ok && v >= 0 && h5_put_attr(s->file, "tool_version", v, v, version_number());
    if (t >= 0)
        H5Tclose(t);
    if (v >= 0)
        H5Tclose(v);
    if (meta >= 0)
        ok = H5Gclose(meta) >= 0 && ok;
    if (prov >= 0)
        ok = H5Gclose(prov) >= 0 && ok;
    if (gcpl >= 0)
        H5Pclose(gcpl);
    return ok;
}

/* Final extent, columns, close. The handles are gone afterwards. */
static bool writer_finish(shard_writer *s, const char *json, err *e)
{
    pthread_mutex_lock(&shard_lock);
    errno = 0;
    hsize_t dims[3] = {(hsize_t)s->n, (hsize_t)s->h, (hsize_t)s->w};
    bool ok = H5Dset_extent(s->images, dims) >= 0 && writer_meta(s, json);
    ok = ok && H5Fflush(s->file, H5F_SCOPE_LOCAL) >= 0;
    ok = H5Dclose(s->images) >= 0 && ok;
    ok = H5Fclose(s->file) >= 0 && ok;
    s->images = s->file = -1;
    if (!ok)
        h5_fail(e, "finishing the file", fs_base(s->partial));
    pthread_mutex_unlock(&shard_lock);
    return ok;
}

/* Read the closed file back: every chunk and column must be what was appended. */
static bool writer_verify(const shard_writer *s, err *e)
{
    shard *r = shard_open(s->partial, e);
    if (!r)
        return false;
    void *buf = NULL;
    size_t cap = 0, len = 0;
    bool ok = true;
    if (r->n != s->n || r->h != s->h || r->w != s->w)
        ok = err_set(e, ERR_IO, "%s: read back %d images, wrote %d", r->name, r->n, s->n);
    for (int i = 0; ok && i < s->n; i++) {
        char hash[33];
        shard_meta m;
        ok = shard_read_chunk(r, i, &buf, &cap, &len, e) && shard_read_meta(r, i, &m, e);
        if (!ok)
            break;
        fs_xxh128_of(buf, len, hash);
        const shard_row *w = &s->row[i];
        if (strcmp(hash, w->chunk_hash) != 0 || strcmp(m.image, w->meta.image) != 0 ||
            m.sumsq_all != w->meta.sumsq_all ||
            memcmp(m.reasons, w->meta.reasons, sizeof m.reasons) != 0)
            ok = err_set(e, ERR_IO, "%s: image %d reads back different from what was written",
                         r->name, i);
    }
    mem_free(buf);
    shard_close(r);
    return ok;
}

bool shard_commit(shard_writer *s, const char *provenance_json, char sha256[65], err *e)
{
    bool ok = writer_finish(s, provenance_json, e) && writer_verify(s, e) &&
              fs_sha256_file(s->partial, sha256, e) && fs_commit(s->partial, s->path, e);
    if (!ok)
        unlink(s->partial);
    writer_free(s);
    return ok;
}

void shard_discard(shard_writer *s)
{
    if (!s)
        return;
    pthread_mutex_lock(&shard_lock);
    char *partial = mem_strdup(s->partial);
    writer_free(s);
    pthread_mutex_unlock(&shard_lock);
    unlink(partial);
    mem_free(partial);
}

/* ---- reader ---------------------------------------------------------------------------------- */

/* /images must be exactly what the writer makes: foreign filters or types are refused. */
static bool images_check(shard *s, err *e)
{
    hid_t space = H5Dget_space(s->images), type = H5Dget_type(s->images);
    hid_t dcpl = H5Dget_create_plist(s->images);
    hsize_t dims[3] = {0}, chunk[3] = {0};
    bool ok = space >= 0 && type >= 0 && dcpl >= 0;
    ok = ok && H5Sget_simple_extent_ndims(space) == 3;
    ok = ok && H5Sget_simple_extent_dims(space, dims, NULL) == 3;
    ok = ok && H5Tequal(type, H5T_STD_U16LE) > 0 && H5Pget_layout(dcpl) == H5D_CHUNKED;
    ok = ok && H5Pget_chunk(dcpl, 3, chunk) == 3 && chunk[0] == 1 && chunk[1] == dims[1] &&
         chunk[2] == dims[2];
    ok = ok && dims[0] <= INT32_MAX && dims[1] >= 1 && dims[1] <= SHARD_MAX_SIDE && dims[2] >= 1 &&
         dims[2] <= SHARD_MAX_SIDE;
    ok = ok && H5Pget_nfilters(dcpl) == 2;
    for (unsigned i = 0; ok && i < 2; i++) {
        unsigned flags, config;
        size_t nv = 0;
        H5Z_filter_t f = H5Pget_filter2(dcpl, i, &flags, &nv, NULL, 0, NULL, &config);
        ok = f == (i ? H5Z_FILTER_DEFLATE : H5Z_FILTER_SHUFFLE);
    }
    if (space >= 0)
        H5Sclose(space);
    if (type >= 0)
        H5Tclose(type);
    if (dcpl >= 0)
        H5Pclose(dcpl);
    H5Eclear2(H5E_DEFAULT);
    if (!ok)
        return err_set(e, ERR_INPUT,
                       "%s: /images is not u16 [n,h,w] with one shuffled and deflated chunk per "
                       "image",
                       s->name);
    s->n = (int)dims[0];
    s->h = (int)dims[1];
    s->w = (int)dims[2];
    return true;
}

/* Whole dataset meta/<name> with n rows of `width` values; strings give their own width. */
static char *column_read(shard *s, const char *name, column_kind kind, int *width, err *e)
{
    char *buf = NULL;
    hid_t d = H5Dopen2(s->file, name, H5P_DEFAULT), space = -1, type = -1;
    hsize_t dims[2] = {0, 1};
    bool ok = d >= 0;
    if (ok) {
        space = H5Dget_space(d);
        type = H5Dget_type(d);
    }
    int rank = ok && space >= 0 ? H5Sget_simple_extent_ndims(space) : -1;
    ok = (rank == 1 || rank == 2) && type >= 0 &&
         H5Sget_simple_extent_dims(space, dims, NULL) == rank && dims[0] == (hsize_t)s->n;
    if (ok && kind == COLUMN_CHARS) {
        size_t size = H5Tget_size(type);
        ok = rank == 1 && H5Tget_class(type) == H5T_STRING && H5Tis_variable_str(type) == 0 &&
             size >= 1 && size <= SHARD_FLAGS_MAX && (*width == 0 || (size_t)*width == size);
        *width = ok ? (int)size : 0;
    } else if (ok) {
        ok = dims[1] == (hsize_t)*width && H5Tget_class(type) != H5T_STRING;
    }
    if (ok) {
        column c = {name, kind, 0, *width};
        buf = mem_calloc((size_t)s->n, column_bytes(&c));
        hid_t mem = kind == COLUMN_CHARS ? type : column_mem(&c);
        ok = s->n == 0 || H5Dread(d, mem, H5S_ALL, H5S_ALL, H5P_DEFAULT, buf) >= 0;
    }
    if (type >= 0)
        H5Tclose(type);
    if (space >= 0)
        H5Sclose(space);
    if (d >= 0)
        H5Dclose(d);
    H5Eclear2(H5E_DEFAULT);
    if (!ok) {
        mem_free(buf);
        err_set(e, ERR_INPUT, "%s: the column %s is missing, damaged or not of %d rows", s->name,
                name, s->n);
        return NULL;
    }
    return buf;
}

static bool meta_load(shard *s, err *e)
{
    s->meta = MEM_ARRAY(shard_meta, s->n ? s->n : 1);
    for (size_t k = 0; k < COUNT_OF(columns); k++) {
        const column *c = &columns[k];
        char path[64];
        int width = c->width;
        snprintf(path, sizeof path, "meta/%s", c->name);
        char *buf = column_read(s, path, c->kind, &width, e);
        if (!buf)
            return false;
        size_t each = column_bytes(c);
        for (int i = 0; i < s->n; i++)
            memcpy((char *)&s->meta[i] + c->offset, buf + (size_t)i * each, each);
        mem_free(buf);
    }
    int width = 0;
    char *buf = column_read(s, "meta/flags", COLUMN_CHARS, &width, e);
    bool ok = buf != NULL;
    for (int i = 0; ok && i < s->n; i++)
        ok = flags_parse(buf + (size_t)i * (size_t)width, (size_t)width, &s->meta[i], s->name, e);
    mem_free(buf);
    return ok;
}

shard *shard_open(const char *path, err *e)
{
    shard *s = MEM_NEW(shard);
    s->name = mem_strdup(fs_base(path));
    s->file = s->images = -1;
    pthread_mutex_lock(&shard_lock);
    h5_quiet();
    hid_t fapl = h5_access();
    if (fapl >= 0)
        s->file = H5Fopen(path, H5F_ACC_RDONLY, fapl);
    if (fapl >= 0)
        H5Pclose(fapl);
    if (s->file >= 0)
        s->images = H5Dopen2(s->file, "images", H5P_DEFAULT);
    H5Eclear2(H5E_DEFAULT);
    bool ok = s->images >= 0;
    if (!ok)
        err_set(e, fs_exists(path) ? ERR_INPUT : ERR_IO, "%s: %s", s->name,
                fs_exists(path) ? "not a shard, or damaged" : "no such file");
    ok = ok && images_check(s, e) && meta_load(s, e);
    pthread_mutex_unlock(&shard_lock);
    if (ok)
        return s;
    shard_close(s);
    return NULL;
}

void shard_close(shard *s)
{
    if (!s)
        return;
    pthread_mutex_lock(&shard_lock);
    if (s->images >= 0)
        H5Dclose(s->images);
    if (s->file >= 0)
        H5Fclose(s->file);
    pthread_mutex_unlock(&shard_lock);
    mem_free(s->meta);
    mem_free(s->name);
    mem_free(s);
}

int shard_n(const shard *s)
{
    return s->n;
}

void shard_size(const shard *s, int *h, int *w)
{
    *h = s->h;
    *w = s->w;
}

bool shard_read_meta(shard *s, int row, shard_meta *m, err *e)
{
    if (row < 0 || row >= s->n)
        return err_set(e, ERR_RANGE, "%s: image %d of %d", s->name, row, s->n);
    *m = s->meta[row];
    return true;
}

bool shard_read_chunk(shard *s, int row, void **buf, size_t *cap, size_t *len, err *e)
{
    if (row < 0 || row >= s->n)
        return err_set(e, ERR_RANGE, "%s: image %d of %d", s->name, row, s->n);
    hsize_t at[3] = {(hsize_t)row, 0, 0}, size = 0;
    uint32_t mask = 0;
    size_t most = SHARD_SLACK((size_t)s->h * (size_t)s->w * 2);
    pthread_mutex_lock(&shard_lock);
    bool ok = H5Dget_chunk_storage_size(s->images, at, &size) >= 0 && size > 0 && size <= most;
    if (ok && *cap < size) {
        mem_free(*buf);
        *buf = mem_alloc((size_t)size);
        *cap = (size_t)size;
    }
    ok = ok && H5Dread_chunk(s->images, H5P_DEFAULT, at, &mask, *buf) >= 0 && mask == 0;
    H5Eclear2(H5E_DEFAULT);
    pthread_mutex_unlock(&shard_lock);
    if (!ok)
        return err_set(e, ERR_INPUT, "%s: image %d cannot be read", s->name, row);
    *len = (size_t)size;
    return true;
}

char *shard_provenance(shard *s, err *e)
{
    char *out = NULL;
    pthread_mutex_lock(&shard_lock);
    hid_t d = H5Dopen2(s->file, "provenance/json", H5P_DEFAULT);
    hid_t type = d < 0 ? -1 : H5Dget_type(d);
    hid_t space = d < 0 ? -1 : H5Dget_space(d);
    size_t size = type < 0 ? 0 : H5Tget_size(type);
    if (size && size <= SHARD_JSON_MAX && H5Tget_class(type) == H5T_STRING &&
        H5Tis_variable_str(type) == 0 && space >= 0 && H5Sget_simple_extent_npoints(space) == 1) {
        out = mem_calloc(size + 1, 1);
        if (H5Dread(d, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, out) < 0) {
            mem_free(out);
            out = NULL;
        }
    }
    if (space >= 0)
        H5Sclose(space);
    if (type >= 0)
        H5Tclose(type);
    if (d >= 0)
        H5Dclose(d);
    H5Eclear2(H5E_DEFAULT);
    pthread_mutex_unlock(&shard_lock);
    if (!out)
        err_set(e, ERR_INPUT, "%s: /provenance/json is missing or damaged", s->name);
    return out;
}
