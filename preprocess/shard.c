/* The HDF5 shard: chunks and writer (layout: docs/formats.md, dicom.md 7). Responsible for bytes
 * that depend on the images and the configuration only, and for a file that is either whole and
 * checked or absent. Compression is pure and runs in workers; every call into HDF5 happens under
 * one lock. The reader is shard_read.c. */
#include "preprocess/shard.h"

#include <errno.h>
#include <libdeflate.h>
#include <unistd.h>

#include "core/fs.h"
#include "core/kill.h"
#include "core/mem.h"
#include "core/version.h"
#include "preprocess/deflate.h"
#include "preprocess/shard_h5.h"

#define SHARD_PIXEL_MAX 65535
#define SHARD_GROW      64 /* rows by which the dataset is extended at once */

typedef struct shard_row { /* what the writer keeps of one image until commit */
    shard_meta meta;
    char chunk_hash[33], mask_hash[33]; /* "" = without a mask */
    size_t chunk_len;
} shard_row;

struct shard_writer {
    char *path, *partial;
    hid_t file, images, masks; /* masks: -1 while there is none */
    int h, w;
    int n, cap, extent, n_masks;
    int64_t bytes;
    shard_row *row;
};

/* ---- chunks ---------------------------------------------------------------------------------- */

/* HDF5's shuffle: low bytes first, then high bytes. */
WIDE_LOOPS static void shuffle(const uint16_t *restrict image, size_t n, uint8_t *restrict plane)
{
    for (size_t i = 0; i < n; i++) {
        plane[i] = (uint8_t)image[i];
        plane[n + i] = (uint8_t)(image[i] >> 8);
    }
}

/* raw[n] as a zlib stream. */
static void deflate_bytes(const uint8_t *raw, size_t n, arena *a, shard_chunk *out)
{
    size_t cap = deflate_bound(n);
    if (out->cap < cap) {
        mem_free(out->data);
        out->data = mem_alloc(cap);
        out->cap = cap;
    }
    out->len = deflate_plane(raw, n, a, out->data);
}

static bool inflate_bytes(const void *chunk, size_t len, uint8_t *raw, size_t n, err *e)
{
    size_t got = 0;
    struct libdeflate_decompressor *d = libdeflate_alloc_decompressor();
    if (!d)
        return err_set(e, ERR_MEMORY, "shard: no memory for a decompressor");
    enum libdeflate_result rc = libdeflate_zlib_decompress(d, chunk, len, raw, n, &got);
    libdeflate_free_decompressor(d);
    if (rc != LIBDEFLATE_SUCCESS || got != n)
        return err_set(e, ERR_INPUT, "shard: a chunk is damaged (%s after %zu of %zu bytes)",
                       rc == LIBDEFLATE_BAD_DATA ? "bad data" : "wrong length", got, n);
    return true;
}

static bool side_ok(int h, int w)
{
    return h >= 1 && w >= 1 && h <= SHARD_MAX_SIDE && w <= SHARD_MAX_SIDE;
}

void shard_chunk_release(shard_chunk *c)
{
    mem_free(c->data);
    *c = (shard_chunk){0};
}

void shard_pack(const uint16_t *image, int h, int w, arena *a, shard_chunk *out)
{
    if (!side_ok(h, w))
        BUG("shard_pack: image of %d x %d", h, w);
    size_t n = (size_t)h * (size_t)w;
    uint8_t *plane = arena_alloc(a, n * 2);
    shuffle(image, n, plane);
    deflate_bytes(plane, n * 2, a, out);
}

void shard_pack_mask(const uint8_t *mask, int h, int w, arena *a, shard_chunk *out)
{
    if (!side_ok(h, w))
        BUG("shard_pack_mask: mask of %d x %d", h, w);
    size_t n = (size_t)h * (size_t)w;
    uint8_t *plain = arena_alloc(a, n);
    for (size_t i = 0; i < n; i++)
        plain[i] = mask[i] != 0; /* whatever a worker wrote */
    deflate_bytes(plain, n, a, out);
}

void *shard_compress(const uint16_t *image, int h, int w, size_t *len)
{
    arena *a = arena_new((size_t)1 << 20);
    shard_chunk out = {0};
    shard_pack(image, h, w, a, &out);
    arena_free(a);
    *len = out.len;
    return out.data;
}

void *shard_compress_mask(const uint8_t *mask, int h, int w, size_t *len)
{
    arena *a = arena_new((size_t)1 << 20);
    shard_chunk out = {0};
    shard_pack_mask(mask, h, w, a, &out);
    arena_free(a);
    *len = out.len;
    return out.data;
}

bool shard_inflate(const void *chunk, size_t len, int h, int w, uint16_t *out, err *e)
{
    if (!side_ok(h, w))
        return err_set(e, ERR_INPUT, "shard: image of %d x %d", h, w);
    size_t n = (size_t)h * (size_t)w;
    uint8_t *plane = mem_alloc(n * 2);
    bool ok = inflate_bytes(chunk, len, plane, n * 2, e);
    for (size_t i = 0; ok && i < n; i++)
        out[i] = (uint16_t)(plane[i] | plane[n + i] << 8);
    mem_free(plane);
    return ok;
}

bool shard_inflate_mask(const void *chunk, size_t len, int h, int w, uint8_t *out, err *e)
{
    if (!side_ok(h, w))
        return err_set(e, ERR_INPUT, "shard: mask of %d x %d", h, w);
    return inflate_bytes(chunk, len, out, (size_t)h * (size_t)w, e);
}

/* ---- columns -------------------------------------------------------------------------------- */

/* One dataset, contiguous, written whole. rank 0 is a scalar. */
static bool h5_put(hid_t at, const char *name, int rank, const hsize_t *dims, hid_t disk, hid_t mem,
                   const void *data)
{
    bool ok = false;
    hid_t dcpl = shard_h5_untimed(H5P_DATASET_CREATE);
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

static bool column_write(hid_t meta, const shard_column *c, const shard_writer *s)
{
    size_t each = shard_column_bytes(c);
    char *buf = mem_calloc((size_t)s->n, each);
    for (int i = 0; i < s->n; i++)
        memcpy(buf + (size_t)i * each, (const char *)&s->row[i].meta + c->offset, each);
    hsize_t dims[2] = {(hsize_t)s->n, (hsize_t)c->width};
    bool ok;
    if (c->kind == COLUMN_CHARS) {
        hid_t t = shard_h5_string_type(each);
        ok = t >= 0 && h5_put(meta, c->name, 1, dims, t, t, buf);
        if (t >= 0)
            H5Tclose(t);
    } else {
        ok = h5_put(meta, c->name, c->width > 1 ? 2 : 1, dims, shard_column_disk(c),
                    shard_column_mem(c), buf);
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
    hid_t type = shard_h5_string_type(each);
    bool ok = type >= 0 && h5_put(meta, "flags", 1, &dims, type, type, buf);
    if (type >= 0)
        H5Tclose(type);
    mem_free(buf);
    return ok;
}

/* ---- writer ---------------------------------------------------------------------------------- */

static void writer_free(shard_writer *s)
{
    if (!s)
        return;
    if (s->masks >= 0)
        H5Dclose(s->masks);
    if (s->images >= 0)
        H5Dclose(s->images);
    if (s->file >= 0)
        H5Fclose(s->file);
    mem_free(s->row);
    mem_free(s->path);
    mem_free(s->partial);
    mem_free(s);
}

/* /images u16, shuffled and deflated, or /mask u8, deflated. */
static hid_t stack_create(hid_t file, const char *name, int h, int w, bool wide)
{
    hsize_t dims[3] = {0, (hsize_t)h, (hsize_t)w}, chunk[3] = {1, (hsize_t)h, (hsize_t)w};
    hsize_t most[3] = {H5S_UNLIMITED, (hsize_t)h, (hsize_t)w};
    hid_t d = -1, space = H5Screate_simple(3, dims, most);
    hid_t dcpl = shard_h5_untimed(H5P_DATASET_CREATE);
    if (space >= 0 && dcpl >= 0 && H5Pset_chunk(dcpl, 3, chunk) >= 0 &&
        (!wide || H5Pset_shuffle(dcpl) >= 0) && H5Pset_deflate(dcpl, 1) >= 0 &&
        H5Pset_fill_time(dcpl, H5D_FILL_TIME_NEVER) >= 0)
        d = H5Dcreate2(file, name, wide ? H5T_STD_U16LE : H5T_STD_U8LE, space, H5P_DEFAULT, dcpl,
                       H5P_DEFAULT);
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
    s->file = s->images = s->masks = -1;
    s->h = h;
    s->w = w;
    pthread_mutex_lock(&shard_lock);
    shard_h5_quiet();
    errno = 0;
    hid_t fapl = shard_h5_access(), fcpl = shard_h5_untimed(H5P_FILE_CREATE);
    if (fapl >= 0 && fcpl >= 0)
        s->file = H5Fcreate(s->partial, H5F_ACC_TRUNC, fcpl, fapl);
    if (s->file >= 0)
        s->images = stack_create(s->file, "images", h, w, true);
    if (fapl >= 0)
        H5Pclose(fapl);
    if (fcpl >= 0)
        H5Pclose(fcpl);
    if (s->images < 0) {
        shard_h5_fail(e, "creating the file", fs_base(s->partial));
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
        shard_h5_fail(e, "writing an image", fs_base(s->partial));
    pthread_mutex_unlock(&shard_lock);
    if (!ok)
        return false;
    shard_row *r = &s->row[s->n++];
    r->meta = *m;
    r->chunk_len = len;
    r->mask_hash[0] = 0;
    fs_xxh128_of(chunk, len, r->chunk_hash);
    s->bytes += (int64_t)len;
    return true;
}

bool shard_append_mask(shard_writer *s, const void *chunk, size_t len, err *e)
{
    if (s->n_masks + 1 != s->n)
        BUG("shard: mask %d for image %d", s->n_masks + 1, s->n);
    bool ok = true;
    pthread_mutex_lock(&shard_lock);
    errno = 0;
    if (s->masks < 0)
        s->masks = stack_create(s->file, "mask", s->h, s->w, false);
    ok = s->masks >= 0;
    if (ok && s->n_masks % SHARD_GROW == 0) {
        hsize_t dims[3] = {(hsize_t)s->n_masks + SHARD_GROW, (hsize_t)s->h, (hsize_t)s->w};
        ok = H5Dset_extent(s->masks, dims) >= 0;
    }
    hsize_t at[3] = {(hsize_t)s->n_masks, 0, 0};
    ok = ok && H5Dwrite_chunk(s->masks, H5P_DEFAULT, 0, at, len, chunk) >= 0;
    if (!ok)
        shard_h5_fail(e, "writing a mask", fs_base(s->partial));
    pthread_mutex_unlock(&shard_lock);
    if (!ok)
        return false;
    fs_xxh128_of(chunk, len, s->row[s->n_masks++].mask_hash);
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
    hid_t gcpl = shard_h5_untimed(H5P_GROUP_CREATE), meta = -1, prov = -1;
    bool ok = gcpl >= 0;
    if (ok)
        meta = H5Gcreate2(s->file, "meta", H5P_DEFAULT, gcpl, H5P_DEFAULT);
    if (ok)
        prov = H5Gcreate2(s->file, "provenance", H5P_DEFAULT, gcpl, H5P_DEFAULT);
    ok = ok && meta >= 0 && prov >= 0;
    for (size_t i = 0; ok && i < SHARD_COLUMNS; i++)
        ok = column_write(meta, &shard_columns[i], s);
    ok = ok && flags_write(meta, s);
    size_t len = strlen(json);
    hid_t t = ok ? shard_h5_string_type(len ? len : 1) : -1;
    ok = ok && t >= 0 && h5_put(prov, "json", 0, NULL, t, t, json);
    ok = ok && h5_put_attr_int(s->file, "schema_version", SHARD_SCHEMA) &&
         h5_put_attr_int(s->file, "n", s->n) && h5_put_attr_int(s->file, "height", s->h) &&
         h5_put_attr_int(s->file, "width", s->w) &&
         h5_put_attr_int(s->file, "pixel_max", SHARD_PIXEL_MAX);
    hid_t v = ok ? shard_h5_string_type(strlen(version_number())) : -1;
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
    bool ok = H5Dset_extent(s->images, dims) >= 0 &&
              (s->masks < 0 || H5Dset_extent(s->masks, dims) >= 0) && writer_meta(s, json);
    ok = ok && H5Fflush(s->file, H5F_SCOPE_LOCAL) >= 0;
    ok = (s->masks < 0 || H5Dclose(s->masks) >= 0) && ok;
    ok = H5Dclose(s->images) >= 0 && ok;
    ok = H5Fclose(s->file) >= 0 && ok;
    s->images = s->masks = s->file = -1;
    if (!ok)
        shard_h5_fail(e, "finishing the file", fs_base(s->partial));
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
    if (shard_n(r) != s->n)
        ok = err_set(e, ERR_IO, "%s: read back %d images, wrote %d", fs_base(s->path), shard_n(r),
                     s->n);
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
                         fs_base(s->path), i);
        if (!ok || !s->n_masks)
            continue;
        ok = shard_read_mask(r, i, &buf, &cap, &len, e);
        if (ok)
            fs_xxh128_of(buf, len, hash);
        if (ok && strcmp(hash, w->mask_hash) != 0)
            ok = err_set(e, ERR_IO, "%s: mask %d reads back different from what was written",
                         fs_base(s->path), i);
    }
    mem_free(buf);
    shard_close(r);
    return ok;
}

bool shard_commit(shard_writer *s, const char *provenance_json, char sha256[65], err *e)
{
    if (s->n_masks && s->n_masks != s->n)
        BUG("shard: %d masks for %d images", s->n_masks, s->n);
    bool ok = writer_finish(s, provenance_json, e);
    kill_point("shard_closed");
    ok = ok && writer_verify(s, e) && fs_sha256_file(s->partial, sha256, e);
    kill_point("shard_verified");
    ok = ok && fs_commit(s->partial, s->path, e);
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
