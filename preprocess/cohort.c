/* COHORT.h5: one column per fact of an image below /meta, the shards by relative name and SHA-256
 * below /shards, normalisation and provenance. No identifier, no calendar date, no clock. The one
 * table `columns` drives writing and reading. */
#include "preprocess/cohort.h"

#include "core/fs.h"
#include "core/mem.h"

#include <hdf5.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define COHORT_SCHEMA 3

typedef enum column_type {
    COL_TEXT,
    COL_WORD, /* in memory a const char *, on disk a text of `size` */
    COL_CHAR,
    COL_I8,
    COL_I16,
    COL_I32,
    COL_F32,
    COL_I64
} column_type;
typedef struct column {
    const char *name;
    column_type type;
    size_t offset, size; /* size of the text field; of one element otherwise */
} column;

#define ROW(field) offsetof(cohort_row, field), sizeof(((cohort_row *)0)->field)
static const column columns[] = {
    {"image_id", COL_TEXT, ROW(image)},
    {"exam_id", COL_TEXT, ROW(exam)},
    {"patient_id", COL_TEXT, ROW(patient)},
    {"laterality", COL_CHAR, ROW(side)},
    {"view", COL_CHAR, ROW(view)},
    {"days_to_cancer", COL_I32, ROW(days_to_cancer)},
    {"days_to_last_negative", COL_I32, ROW(days_to_last_negative)},
    {"fold", COL_I8, ROW(fold)},
    {"weight", COL_F32, ROW(weight)},
    {"age", COL_I16, ROW(age)},
    {"cv_fold", COL_I8, ROW(cv_fold)},
    {"vendor", COL_WORD, offsetof(cohort_row, vendor), 17},
    {"device_model", COL_WORD, offsetof(cohort_row, device_model), 65},
    {"site", COL_WORD, offsetof(cohort_row, site), 33},
    {"density", COL_WORD, offsetof(cohort_row, density), 17},
    {"exam_day", COL_I32, ROW(exam_day)},
};
#define SHARD(field) offsetof(cohort_shard, field), sizeof(((cohort_shard *)0)->field)
static const column shard_columns[] = {
    {"file", COL_TEXT, SHARD(file)},  {"sha256", COL_TEXT, SHARD(sha256)},
    {"bytes", COL_I64, SHARD(bytes)}, {"n", COL_I64, SHARD(n)},
    {"size", COL_I32, SHARD(size)},
};

static const char *const fold_name[COHORT_FOLDS] = {"train", "val", "test", "val_natural"};

const char *cohort_fold_name(cohort_fold f)
{
    return fold_name[f];
}

int cohort_fold_find(const char *name)
{
    for (int f = 0; f < COHORT_FOLDS; f++)
        if (!strcmp(cohort_fold_name((cohort_fold)f), name))
            return f;
    return -1;
}

/* One copy of every word; which of them a file holds is up to the file, so they are hashed. */
typedef struct cohort_words {
    char **slot;
    size_t n, slots;
} cohort_words;

static char **word_slot(const cohort_words *w, const char *s)
{
    uint64_t h[2];
    fs_xxh128_raw(s, strlen(s), h);
    size_t k = (size_t)(h[0] % w->slots);
    while (w->slot[k] && strcmp(w->slot[k], s))
        k = k + 1 == w->slots ? 0 : k + 1;
    return &w->slot[k];
}

static const char *word_keep(cohort_words *w, const char *s)
{
    if (2 * w->n >= w->slots) {
        cohort_words more = {NULL, w->n, 2 * w->slots + 61};
        more.slot = MEM_ARRAY(char *, more.slots);
        for (size_t i = 0; i < w->slots; i++)
            if (w->slot[i])
                *word_slot(&more, w->slot[i]) = w->slot[i];
        mem_free(w->slot);
        *w = more;
    }
    char **at = word_slot(w, s);
    if (!*at) {
        *at = mem_strdup(s);
        w->n++;
    }
    return *at;
}

static void words_free(cohort_words *w)
{
    for (size_t i = 0; w && i < w->slots; i++)
        mem_free(w->slot[i]);
    if (w)
        mem_free(w->slot);
    mem_free(w);
}

void cohort_init(cohort *c)
{
    memset(c, 0, sizeof *c);
}

void cohort_release(cohort *c)
{
    mem_free(c->row);
    words_free(c->words);
    mem_free(c->shard);
    mem_free(c->prepare_yaml);
    mem_free(c->dir);
    if (c->flow)
        json_decref(c->flow);
    cohort_init(c);
}

/* ---- HDF5 in few calls; each closes what it opened ------------------------------------------- */

static hid_t h5_type(column_type t, size_t size)
{
    hid_t type;
    if (t == COL_TEXT || t == COL_WORD || t == COL_CHAR) {
        type = H5Tcopy(H5T_C_S1);
        H5Tset_size(type, t == COL_CHAR ? 1 : size);
        H5Tset_strpad(type, H5T_STR_NULLPAD);
        return type;
    }
    return H5Tcopy(t == COL_I8    ? H5T_STD_I8LE
                   : t == COL_I16 ? H5T_STD_I16LE
                   : t == COL_I32 ? H5T_STD_I32LE
                   : t == COL_I64 ? H5T_STD_I64LE
                                  : H5T_IEEE_F32LE);
}

static bool h5_put(hid_t group, const char *name, hid_t type, hsize_t n, const void *data, err *e)
{
    hid_t space = H5Screate_simple(1, &n, NULL), plist = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_obj_track_times(plist, false);
    hid_t d = H5Dcreate2(group, name, type, space, H5P_DEFAULT, plist, H5P_DEFAULT);
    bool ok = d >= 0 && (!n || H5Dwrite(d, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, data) >= 0);
    ok = (d < 0 || H5Dclose(d) >= 0) && ok;
    H5Pclose(plist);
    H5Sclose(space);
    return ok || err_set(e, ERR_IO, "cannot write dataset '%s'", name);
}

static bool h5_put_text(hid_t group, const char *name, const char *s, err *e)
{
    hid_t type = H5Tcopy(H5T_C_S1), space = H5Screate(H5S_SCALAR);
    hid_t plist = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_obj_track_times(plist, false);
    H5Tset_size(type, strlen(s) + 1);
    hid_t d = H5Dcreate2(group, name, type, space, H5P_DEFAULT, plist, H5P_DEFAULT);
    bool ok = d >= 0 && H5Dwrite(d, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, s) >= 0;
    ok = (d < 0 || H5Dclose(d) >= 0) && ok;
    H5Pclose(plist);
    H5Sclose(space);
    H5Tclose(type);
    return ok || err_set(e, ERR_IO, "cannot write dataset '%s'", name);
}

static hid_t h5_group(hid_t file, const char *name)
{
    hid_t plist = H5Pcreate(H5P_GROUP_CREATE);
    H5Pset_obj_track_times(plist, false);
    hid_t g = H5Gcreate2(file, name, H5P_DEFAULT, plist, H5P_DEFAULT);
    H5Pclose(plist);
    return g;
}

typedef struct row_source { /* n structs in memory, or rows made one by one */
    const void *at;
    size_t stride;
    int64_t n;
    const cohort *c;
} row_source;

/* Gather one field of n structs into a packed array: one column lies in memory at a time. */
static void *gather(const row_source *s, const column *k)
{
    size_t size = k->size;
    uint8_t *out = MEM_ARRAY(uint8_t, (size_t)(s->n ? s->n : 1) * size);
    for (int64_t i = 0; i < s->n; i++) {
        cohort_row made;
        const uint8_t *from = (const uint8_t *)s->at + (size_t)i * s->stride;
        if (!s->at) {
            s->c->fill(s->c->fill_ctx, i, &made);
            from = (const uint8_t *)&made;
        }
        if (k->type == COL_WORD)
            text_copy((char *)out + (size_t)i * size, size, *(char *const *)(from + k->offset));
        else
            memcpy(out + (size_t)i * size, from + k->offset, size);
    }
    return out;
}

static bool put_columns(hid_t g, const column *k, size_t n_columns, const row_source *s, err *e)
{
    bool ok = true;
    for (size_t i = 0; i < n_columns && ok; i++) {
        hid_t type = h5_type(k[i].type, k[i].size);
        void *data = gather(s, &k[i]);
        ok = h5_put(g, k[i].name, type, (hsize_t)s->n, data, e);
        mem_free(data);
        H5Tclose(type);
    }
    return ok;
}

/* The columns that are arrays: y_h<i>, shard_<i>, row_<i>. */
static bool put_arrays(hid_t g, const cohort *c, const row_source *from, err *e)
{
    for (int i = 0; i < c->n_horizons + 2 * c->n_sizes; i++) {
        char name[32];
        bool is_y = i < c->n_horizons;
        int s = (i - c->n_horizons) / 2, is_row = (i - c->n_horizons) % 2;
        size_t at = is_y     ? offsetof(cohort_row, y) + (size_t)i
                    : is_row ? offsetof(cohort_row, shard_row) + (size_t)s * sizeof(int32_t)
                             : offsetof(cohort_row, shard) + (size_t)s * sizeof(int32_t);
        snprintf(name, sizeof name, is_y ? "y_h%d" : is_row ? "row_%d" : "shard_%d", is_y ? i : s);
        column k = {name, is_y ? COL_I8 : COL_I32, at, is_y ? 1 : sizeof(int32_t)};
        if (!put_columns(g, &k, 1, from, e))
            return false;
    }
    return true;
}

static bool put_scalars(hid_t f, const cohort *c, err *e)
{
    double norm[4] = {c->mean_all, c->sd_all, c->mean_breast, c->sd_breast};
    int32_t sizes[8], head[4] = {COHORT_SCHEMA, (int32_t)c->n_sizes, (int32_t)c->n_horizons,
                                 (int32_t)c->n_shards};
    for (int i = 0; i < c->n_sizes; i++) {
        sizes[2 * i] = c->h[i];
        sizes[2 * i + 1] = c->w[i];
    }
    return h5_put(f, "schema", H5T_STD_I32LE, 4, head, e) &&
           h5_put(f, "normalize", H5T_IEEE_F64LE, 4, norm, e) &&
           h5_put(f, "sizes", H5T_STD_I32LE, (hsize_t)(2 * c->n_sizes), sizes, e) &&
           h5_put(f, "horizon_years", H5T_IEEE_F64LE, (hsize_t)c->n_horizons, c->horizon_years, e);
}

static bool put_provenance(hid_t f, const cohort *c, err *e)
{
    text flow;
    text_init(&flow);
    json_write_text(c->flow, false, &flow);
    hid_t g = h5_group(f, "provenance");
    bool ok = g >= 0 && h5_put_text(g, "prepare_id", c->prepare_id, e) &&
              h5_put_text(g, "key_id", c->key_id, e) &&
              h5_put_text(g, "config_sha256", c->config_sha256, e) &&
              h5_put_text(g, "prepare_yaml", c->prepare_yaml ? c->prepare_yaml : "", e) &&
              h5_put_text(g, "flow", flow.s, e);
    ok = (g < 0 || H5Gclose(g) >= 0) && ok;
    text_release(&flow);
    return ok;
}

static bool write_all(hid_t f, const cohort *c, err *e)
{
    hid_t meta = h5_group(f, "meta"), shards = h5_group(f, "shards");
    row_source rows = {c->row, sizeof *c->row, c->n, c};
    row_source list = {c->shard, sizeof *c->shard, c->n_shards, c};
    bool ok = meta >= 0 && shards >= 0 && put_scalars(f, c, e) &&
              put_columns(meta, columns, COUNT_OF(columns), &rows, e) &&
              put_arrays(meta, c, &rows, e) &&
              put_columns(shards, shard_columns, COUNT_OF(shard_columns), &list, e) &&
              put_provenance(f, c, e);
    ok = (meta < 0 || H5Gclose(meta) >= 0) && ok;
    return (shards < 0 || H5Gclose(shards) >= 0) && ok;
}

bool cohort_write(const cohort *c, const char *path, err *e)
{
    bool ok = false;
    text tmp;
    text_init(&tmp);
    text_addf(&tmp, "%s.partial", path);
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    hid_t fapl = H5Pcreate(H5P_FILE_ACCESS), fcpl = H5Pcreate(H5P_FILE_CREATE);
    H5Pset_libver_bounds(fapl, H5F_LIBVER_V18, H5F_LIBVER_V110);
    H5Pset_obj_track_times(fcpl, false); /* the root group would hold the time of day */
    hid_t f = H5Fcreate(tmp.s, H5F_ACC_TRUNC, fcpl, fapl);
    if (f < 0) {
        err_set(e, ERR_IO, "cannot create the file");
    } else {
        ok = write_all(f, c, e);
        ok = H5Fclose(f) >= 0 && ok;
        if (!ok && e && e->code == ERR_NONE)
            err_set(e, ERR_IO, "cannot write the file (disk full?)");
    }
    H5Pclose(fapl);
    H5Pclose(fcpl);
    ok = ok && fs_commit(tmp.s, path, e);
    text_release(&tmp);
    return ok || err_wrap(e, "cohort '%s'", fs_base(path));
}

/* ---- reading --------------------------------------------------------------------------------- */

#define DEFLATE_MOST 1100 /* entries that one stored byte can stand for */

/* Length of a dataset, -1 = absent, or it claims more than its bytes can hold. */
static int64_t h5_length(hid_t g, const char *name)
{
    hid_t d = H5Lexists(g, name, H5P_DEFAULT) > 0 ? H5Dopen2(g, name, H5P_DEFAULT) : -1;
    if (d < 0)
        return -1;
    hid_t s = H5Dget_space(d);
    int64_t n = H5Sget_simple_extent_npoints(s);
    if (n > 0 && (uint64_t)n / DEFLATE_MOST > H5Dget_storage_size(d))
        n = -1;
    H5Sclose(s);
    H5Dclose(d);
    return n;
}

static bool h5_get(hid_t g, const char *name, hid_t type, int64_t n, void *data, err *e)
{
    if (h5_length(g, name) != n)
        return err_set(e, ERR_INPUT, "dataset '%s' is missing or has not %lld entries", name,
                       (long long)n);
    hid_t d = H5Dopen2(g, name, H5P_DEFAULT);
    bool ok = d >= 0 && (!n || H5Dread(d, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, data) >= 0);
    if (d >= 0)
        H5Dclose(d);
    return ok || err_set(e, ERR_INPUT, "dataset '%s' cannot be read", name);
}

static bool h5_get_text(hid_t g, const char *name, char **out, err *e)
{
    hid_t d = H5Lexists(g, name, H5P_DEFAULT) > 0 ? H5Dopen2(g, name, H5P_DEFAULT) : -1;
    if (d < 0)
        return err_set(e, ERR_INPUT, "dataset '%s' is missing", name);
    hid_t type = H5Dget_type(d);
    size_t size = H5Tget_size(type);
    bool ok = H5Tget_class(type) == H5T_STRING && H5Tis_variable_str(type) == 0 &&
              size < (64u << 20) && h5_length(g, name) == 1;
    *out = MEM_ARRAY(char, ok ? size + 1 : 1);
    ok = ok && H5Dread(d, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, *out) >= 0;
    H5Tclose(type);
    H5Dclose(d);
    return ok || err_set(e, ERR_INPUT, "dataset '%s' cannot be read", name);
}

static bool h5_get_fixed(hid_t g, const char *name, char *out, size_t cap, err *e)
{
    char *s = NULL;
    bool ok = h5_get_text(g, name, &s, e);
    if (ok)
        text_copy(out, cap, s);
    mem_free(s);
    return ok;
}

static bool get_columns(hid_t g, const column *k, size_t n_columns, void *rows, size_t stride,
                        int64_t n, cohort_words *words, err *e)
{
    bool ok = true;
    for (size_t i = 0; i < n_columns && ok; i++) {
        size_t size = k[i].size;
        hid_t type = h5_type(k[i].type, size);
        uint8_t *data = MEM_ARRAY(uint8_t, (size_t)(n ? n : 1) * size);
        ok = h5_get(g, k[i].name, type, n, data, e);
        for (int64_t r = 0; r < n && ok; r++) {
            uint8_t *to = (uint8_t *)rows + (size_t)r * stride + k[i].offset;
            uint8_t *from = data + (size_t)r * size;
            if (k[i].type == COL_TEXT || k[i].type == COL_WORD)
                from[size - 1] = 0;
            if (k[i].type == COL_WORD)
                *(const char **)to = word_keep(words, (const char *)from);
            else
                memcpy(to, from, size);
        }
        mem_free(data);
        H5Tclose(type);
    }
    return ok;
}

static bool get_arrays(hid_t g, cohort *c, err *e)
{
    for (int i = 0; i < c->n_horizons + 2 * c->n_sizes; i++) {
        char name[32];
        bool is_y = i < c->n_horizons;
        int s = (i - c->n_horizons) / 2, is_row = (i - c->n_horizons) % 2;
        size_t at = is_y     ? offsetof(cohort_row, y) + (size_t)i
                    : is_row ? offsetof(cohort_row, shard_row) + (size_t)s * sizeof(int32_t)
                             : offsetof(cohort_row, shard) + (size_t)s * sizeof(int32_t);
        snprintf(name, sizeof name, is_y ? "y_h%d" : is_row ? "row_%d" : "shard_%d", is_y ? i : s);
        column k = {name, is_y ? COL_I8 : COL_I32, at, is_y ? 1 : sizeof(int32_t)};
        if (!get_columns(g, &k, 1, c->row, sizeof *c->row, c->n, c->words, e))
            return false;
    }
    return true;
}

static bool get_scalars(hid_t f, cohort *c, err *e)
{
    double norm[4];
    int32_t sizes[8], head[4] = {0};
    if (!h5_get(f, "schema", H5T_NATIVE_INT32, 4, head, e))
        return false;
    if (head[0] != COHORT_SCHEMA)
        return err_set(e, ERR_INPUT, "schema version %d, this program reads %d", head[0],
                       COHORT_SCHEMA);
    if (head[1] < 1 || head[1] > 4 || head[2] < 1 || head[2] > COHORT_HORIZONS || head[3] < 0)
        return err_set(e, ERR_INPUT, "sizes, horizons or shards out of range");
    c->n_sizes = head[1];
    c->n_horizons = head[2];
    c->n_shards = head[3];
    if (!h5_get(f, "normalize", H5T_NATIVE_DOUBLE, 4, norm, e) ||
        !h5_get(f, "sizes", H5T_NATIVE_INT32, 2 * c->n_sizes, sizes, e) ||
        !h5_get(f, "horizon_years", H5T_NATIVE_DOUBLE, c->n_horizons, c->horizon_years, e))
        return false;
    c->mean_all = norm[0];
    c->sd_all = norm[1];
    c->mean_breast = norm[2];
    c->sd_breast = norm[3];
    for (int i = 0; i < 4; i++)
        if (!isfinite(norm[i]) || (i % 2 && norm[i] < 0))
            return err_set(e, ERR_INPUT, "normalisation out of range");
    for (int i = 0; i < c->n_horizons; i++)
        if (!(c->horizon_years[i] > (i ? c->horizon_years[i - 1] : 0)))
            return err_set(e, ERR_INPUT, "horizons do not increase");
    for (int i = 0; i < c->n_sizes; i++) {
        c->h[i] = sizes[2 * i];
        c->w[i] = sizes[2 * i + 1];
        if (c->h[i] < 1 || c->w[i] < 1 || c->h[i] > 16384 || c->w[i] > 16384)
            return err_set(e, ERR_INPUT, "image size %d x %d out of range", c->h[i], c->w[i]);
    }
    return true;
}

/* Every index a reader will follow is checked here, once. */
static bool check_rows(const cohort *c, err *e)
{
    for (int64_t i = 0; i < c->n; i++) {
        const cohort_row *r = &c->row[i];
        if (r->fold < 0 || r->fold >= COHORT_FOLDS)
            return err_set(e, ERR_INPUT, "row %lld: fold %d", (long long)i, r->fold);
        for (int h = 0; h < c->n_horizons; h++)
            if (r->y[h] < -1)
                return err_set(e, ERR_INPUT, "row %lld: class %d", (long long)i, r->y[h]);
        for (int s = 0; s < c->n_sizes; s++)
            if (r->shard[s] < 0 || r->shard[s] >= c->n_shards || r->shard_row[s] < 0 ||
                r->shard_row[s] >= c->shard[r->shard[s]].n || c->shard[r->shard[s]].size != s)
                return err_set(e, ERR_INPUT, "row %lld names shard %d row %d, which is not there",
                               (long long)i, r->shard[s], r->shard_row[s]);
    }
    for (int i = 0; i < c->n_shards; i++)
        if (c->shard[i].file[0] == '/' || !c->shard[i].file[0])
            return err_set(e, ERR_INPUT, "shard %d has no relative name", i);
    return true;
}

static bool read_all(hid_t f, cohort *c, err *e)
{
    char *flow = NULL;
    if (!get_scalars(f, c, e))
        return false;
    hid_t meta = H5Gopen2(f, "meta", H5P_DEFAULT), shards = H5Gopen2(f, "shards", H5P_DEFAULT),
          prov = H5Gopen2(f, "provenance", H5P_DEFAULT);
    bool ok = meta >= 0 && shards >= 0 && prov >= 0;
    if (!ok)
        err_set(e, ERR_INPUT, "a group is missing; not a cohort?");
    c->n = ok ? h5_length(meta, "fold") : 0;
    if (c->n < 0 || c->n > (INT64_C(1) << 32))
        ok = err_set(e, ERR_INPUT, "column 'fold' is missing or too long for its bytes");
    if (ok && h5_length(shards, "n") != c->n_shards)
        ok = err_set(e, ERR_INPUT, "the list of shards has not %d entries", c->n_shards);
    c->row = MEM_ARRAY(cohort_row, ok && c->n ? c->n : 1);
    c->shard = MEM_ARRAY(cohort_shard, ok && c->n_shards ? c->n_shards : 1);
    c->words = MEM_NEW(cohort_words);
    ok = ok &&
         get_columns(meta, columns, COUNT_OF(columns), c->row, sizeof *c->row, c->n, c->words, e) &&
         get_arrays(meta, c, e) &&
         get_columns(shards, shard_columns, COUNT_OF(shard_columns), c->shard, sizeof *c->shard,
                     c->n_shards, NULL, e) &&
         h5_get_fixed(prov, "prepare_id", c->prepare_id, sizeof c->prepare_id, e) &&
         h5_get_fixed(prov, "key_id", c->key_id, sizeof c->key_id, e) &&
         h5_get_fixed(prov, "config_sha256", c->config_sha256, sizeof c->config_sha256, e) &&
         h5_get_text(prov, "prepare_yaml", &c->prepare_yaml, e) &&
         h5_get_text(prov, "flow", &flow, e) &&
         json_parse(flow, strlen(flow), "flow", &c->flow, e) && check_rows(c, e);
    if (ok && !json_is_array(c->flow))
        ok = err_set(e, ERR_INPUT, "the flow is no list");
    mem_free(flow);
    if (meta >= 0)
        H5Gclose(meta);
    if (shards >= 0)
        H5Gclose(shards);
    if (prov >= 0)
        H5Gclose(prov);
    return ok;
}

bool cohort_read(cohort *c, const char *path, err *e)
{
    cohort_init(c);
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    if (!fs_exists(path))
        return err_set(e, ERR_INPUT, "cohort '%s' does not exist; make it with 'mammovit split'",
                       path);
    hid_t f = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT);
    if (f < 0)
        return err_set(e, ERR_INPUT, "cohort '%s' is no readable HDF5 file", path);
    bool ok = read_all(f, c, e);
    H5Fclose(f);
    if (ok) {
        const char *base = fs_base(path);
        size_t len = (size_t)(base - path);
        c->dir = MEM_ARRAY(char, len + 3);
        memcpy(c->dir, len ? path : ".", len ? len : 1);
        return true;
    }
    cohort_release(c);
    return err_wrap(e, "cohort '%s'", path);
}

const char *cohort_shard_fault(const cohort *c, int i, bool deep, char why[160])
{
    const cohort_shard *s = &c->shard[i];
    char *path = fs_join(c->dir, s->file), sum[65] = "";
    struct stat st;
    const char *fault = NULL;
    if (stat(path, &st) != 0) {
        fault = "missing";
        snprintf(why, 160, "missing");
    } else if (deep && !fs_sha256_file(path, sum, NULL)) {
        fault = "damaged";
        snprintf(why, 160, "damaged: it cannot be read");
    } else if (deep ? strcmp(sum, s->sha256) != 0 : st.st_size != s->bytes) {
        fault = st.st_size < s->bytes ? "truncated" : "damaged";
        if (st.st_size != s->bytes)
            snprintf(why, 160, "%s: %lld of %lld bytes", fault, (long long)st.st_size,
                     (long long)s->bytes);
        else
            snprintf(why, 160, "damaged: its bytes are not those of the split (SHA-256)");
    }
    for (int k = 0; fault && sum[0] && k < c->n_shards; k++)
        if (strcmp(sum, c->shard[k].sha256) == 0) {
            fault = "swapped";
            snprintf(why, 160, "swapped: it holds the bytes of %.100s", c->shard[k].file);
        }
    mem_free(path);
    return fault;
}

bool cohort_check(const cohort *c, err *e)
{
    char why[160];
    for (int i = 0; i < c->n_shards; i++)
        if (cohort_shard_fault(c, i, false, why))
            return err_set(e, ERR_MISMATCH, "shard '%s' is %s", c->shard[i].file, why);
    return true;
}

/* ---- as text -----------------------------------------------------------------------------------
 */

void cohort_csv_head(const cohort *c, csv_writer *w)
{
    static const char *const head[] = {
        "image_id", "exam_id", "patient_id",     "laterality",
        "view",     "split",   "days_to_cancer", "days_to_last_negative",
        "exam_day", "age",     "vendor",         "device_model",
        "site",     "density", "weight",         "cv_fold"};
    for (size_t i = 0; i < COUNT_OF(head); i++)
        csv_put(w, head[i]);
    for (int h = 0; h < c->n_horizons; h++) {
        char name[16];
        snprintf(name, sizeof name, "y_h%d", h);
        csv_put(w, name);
    }
}

void cohort_csv_row(const cohort *c, const cohort_row *r, csv_writer *w)
{
    char side[2] = {r->side, 0};
    csv_put(w, r->image);
    csv_put(w, r->exam);
    csv_put(w, r->patient);
    csv_put(w, side);
    csv_put(w, r->view == 'C' ? "CC" : r->view == 'M' ? "MLO" : "");
    csv_put(w, cohort_fold_name((cohort_fold)r->fold));
    csv_put_i64(w, r->days_to_cancer);
    csv_put_i64(w, r->days_to_last_negative);
    csv_put_i64(w, r->exam_day);
    csv_put_i64(w, r->age);
    csv_put(w, r->vendor);
    csv_put(w, r->device_model);
    csv_put(w, r->site);
    csv_put(w, r->density);
    csv_put_f64(w, (double)r->weight);
    csv_put_i64(w, r->cv_fold);
    for (int h = 0; h < c->n_horizons; h++)
        csv_put_i64(w, r->y[h]);
}
