/* The reader of shards (shard.h). A shard is checked against the layout when it is opened: what
 * this project did not write is refused with a sentence, never half-read. */
#include "core/fs.h"
#include "core/mem.h"
#include "preprocess/shard_h5.h"

#define SHARD_FLAGS_MAX 4096 /* bytes of one row's flag names */
#define SHARD_JSON_MAX  ((size_t)16 << 20)

struct shard {
    char *name;                /* base name, for messages */
    hid_t file, images, masks; /* masks: -1 = none */
    int n, h, w;
    shard_meta *meta;
};

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

/* A stack of canvases must be exactly what the writer makes: foreign filters or types are refused.
 * dims: of the stack, as found. */
static bool stack_check(hid_t stack, hid_t want, const H5Z_filter_t *filter, int n_filters,
                        hsize_t dims[3])
{
    hid_t space = H5Dget_space(stack), type = H5Dget_type(stack);
    hid_t dcpl = H5Dget_create_plist(stack);
    hsize_t chunk[3] = {0};
    bool ok = space >= 0 && type >= 0 && dcpl >= 0;
    ok = ok && H5Sget_simple_extent_ndims(space) == 3;
    ok = ok && H5Sget_simple_extent_dims(space, dims, NULL) == 3;
    ok = ok && H5Tequal(type, want) > 0 && H5Pget_layout(dcpl) == H5D_CHUNKED;
    ok = ok && H5Pget_chunk(dcpl, 3, chunk) == 3 && chunk[0] == 1 && chunk[1] == dims[1] &&
         chunk[2] == dims[2];
    ok = ok && dims[0] <= INT32_MAX && dims[1] >= 1 && dims[1] <= SHARD_MAX_SIDE && dims[2] >= 1 &&
         dims[2] <= SHARD_MAX_SIDE;
    ok = ok && H5Pget_nfilters(dcpl) == n_filters;
    for (int i = 0; ok && i < n_filters; i++) {
        unsigned flags, config;
        size_t nv = 0;
        ok = H5Pget_filter2(dcpl, (unsigned)i, &flags, &nv, NULL, 0, NULL, &config) == filter[i];
    }
    if (space >= 0)
        H5Sclose(space);
    if (type >= 0)
        H5Tclose(type);
    if (dcpl >= 0)
        H5Pclose(dcpl);
    H5Eclear2(H5E_DEFAULT);
    return ok;
}

static bool images_check(shard *s, err *e)
{
    static const H5Z_filter_t both[] = {H5Z_FILTER_SHUFFLE, H5Z_FILTER_DEFLATE};
    hsize_t dims[3] = {0}, mask[3] = {0};
    if (!stack_check(s->images, H5T_STD_U16LE, both, 2, dims))
        return err_set(e, ERR_INPUT,
                       "%s: /images is not u16 [n,h,w] with one shuffled and deflated chunk per "
                       "image",
                       s->name);
    s->n = (int)dims[0];
    s->h = (int)dims[1];
    s->w = (int)dims[2];
    if (s->masks >= 0 && (!stack_check(s->masks, H5T_STD_U8LE, both + 1, 1, mask) ||
                          memcmp(mask, dims, sizeof mask) != 0))
        return err_set(e, ERR_INPUT,
                       "%s: /mask is not u8 [n,h,w] of the images with one deflated chunk each",
                       s->name);
    return true;
}

static bool schema_check(shard *s, err *e)
{
    int32_t found = 0; /* none recorded */
    hid_t a = H5Aopen(s->file, "schema_version", H5P_DEFAULT),
          space = a >= 0 ? H5Aget_space(a) : -1;
    if (space >= 0 && H5Sget_simple_extent_npoints(space) == 1 &&
        H5Aread(a, H5T_NATIVE_INT32, &found) < 0)
        found = 0;
    if (space >= 0)
        H5Sclose(space);
    if (a >= 0)
        H5Aclose(a);
    H5Eclear2(H5E_DEFAULT);
    return found == SHARD_SCHEMA ||
           err_set(e, ERR_INPUT,
                   "%s: its layout is version %d, this program reads %d; prepare the images again",
                   s->name, found, SHARD_SCHEMA);
}

/* Whole dataset meta/<name> with n rows of `width` values; strings give their own width. */
static char *column_read(shard *s, const char *name, shard_column_kind kind, int *width, err *e)
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
        shard_column c = {name, kind, 0, *width};
        buf = mem_calloc((size_t)s->n, shard_column_bytes(&c));
        hid_t mem = kind == COLUMN_CHARS ? type : shard_column_mem(&c);
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
    for (size_t k = 0; k < SHARD_COLUMNS; k++) {
        const shard_column *c = &shard_columns[k];
        char path[64];
        int width = c->width;
        snprintf(path, sizeof path, "meta/%s", c->name);
        char *buf = column_read(s, path, c->kind, &width, e);
        if (!buf)
            return false;
        size_t each = shard_column_bytes(c);
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
    s->file = s->images = s->masks = -1;
    pthread_mutex_lock(&shard_lock);
    shard_h5_quiet();
    hid_t fapl = shard_h5_access();
    if (fapl >= 0)
        s->file = H5Fopen(path, H5F_ACC_RDONLY, fapl);
    if (fapl >= 0)
        H5Pclose(fapl);
    if (s->file >= 0)
        s->images = H5Dopen2(s->file, "images", H5P_DEFAULT);
    if (s->images >= 0 && H5Lexists(s->file, "mask", H5P_DEFAULT) > 0)
        s->masks = H5Dopen2(s->file, "mask", H5P_DEFAULT);
    H5Eclear2(H5E_DEFAULT);
    bool ok = s->images >= 0;
    if (!ok)
        err_set(e, fs_exists(path) ? ERR_INPUT : ERR_IO, "%s: %s", s->name,
                fs_exists(path) ? "not a shard, or damaged" : "no such file");
    ok = ok && images_check(s, e) && schema_check(s, e) && meta_load(s, e);
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
    if (s->masks >= 0)
        H5Dclose(s->masks);
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

const shard_meta *shard_meta_all(const shard *s)
{
    return s->meta;
}

/* One chunk of a stack whose plain canvas has `raw` bytes. */
static bool read_raw(hid_t stack, int row, size_t raw, void **buf, size_t *cap, size_t *len)
{
    hsize_t at[3] = {(hsize_t)row, 0, 0}, size = 0;
    uint32_t mask = 0;
    pthread_mutex_lock(&shard_lock);
    bool ok =
        H5Dget_chunk_storage_size(stack, at, &size) >= 0 && size > 0 && size <= SHARD_SLACK(raw);
    if (ok && *cap < size) {
        mem_free(*buf);
        *buf = mem_alloc((size_t)size);
        *cap = (size_t)size;
    }
    ok = ok && H5Dread_chunk(stack, H5P_DEFAULT, at, &mask, *buf) >= 0 && mask == 0;
    H5Eclear2(H5E_DEFAULT);
    pthread_mutex_unlock(&shard_lock);
    *len = (size_t)size;
    return ok;
}

bool shard_read_chunk(shard *s, int row, void **buf, size_t *cap, size_t *len, err *e)
{
    if (row < 0 || row >= s->n)
        return err_set(e, ERR_RANGE, "%s: image %d of %d", s->name, row, s->n);
    return read_raw(s->images, row, (size_t)s->h * (size_t)s->w * 2, buf, cap, len) ||
           err_set(e, ERR_INPUT, "%s: image %d cannot be read", s->name, row);
}

bool shard_has_mask(const shard *s)
{
    return s->masks >= 0;
}

bool shard_read_mask(shard *s, int row, void **buf, size_t *cap, size_t *len, err *e)
{
    if (s->masks < 0)
        return err_set(e, ERR_INPUT, "%s: no masks; prepare.mask was off", s->name);
    if (row < 0 || row >= s->n)
        return err_set(e, ERR_RANGE, "%s: mask %d of %d", s->name, row, s->n);
    return read_raw(s->masks, row, (size_t)s->h * (size_t)s->w, buf, cap, len) ||
           err_set(e, ERR_INPUT, "%s: mask %d cannot be read", s->name, row);
}

bool shard_check_mask(shard *s, int row, err *e)
{
    void *chunk = NULL;
    size_t cap = 0, len, n = (size_t)s->h * (size_t)s->w;
    uint32_t sum = 0;
    if (s->masks < 0)
        return true;
    uint8_t *mask = mem_alloc(n), odd = 0;
    bool ok = shard_read_mask(s, row, &chunk, &cap, &len, e) &&
              shard_inflate_mask(chunk, len, s->h, s->w, mask, e);
    for (size_t i = 0; ok && i < n; i++) {
        sum += mask[i];
        odd |= mask[i];
    }
    mem_free(chunk);
    mem_free(mask);
    return ok && ((odd <= 1 && sum == s->meta[row].breast_pixels) ||
                  err_set(e, ERR_MISMATCH, "%s: mask %d does not mark the %u pixels of its row",
                          s->name, row, (unsigned)s->meta[row].breast_pixels));
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
