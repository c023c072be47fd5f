/* The HDF5 file of maps: a table of datasets, each written image by image. No clock in it. */
#include "train/maps_h5.h"

#include <hdf5.h>
#include <string.h>
#include <unistd.h>

#include "core/fs.h"
#include "core/mem.h"
#include "core/text.h"

#define FORMAT     "mammovit.maps/1"
#define NAME_BYTES 32
#define DEFLATE    4

typedef enum set_shape { SHAPE_GRID, SHAPE_LAYERS, SHAPE_BOTH } set_shape;
typedef enum set_type { TYPE_U8, TYPE_I8, TYPE_I32, TYPE_F32, TYPE_F64 } set_type;

typedef struct set {
    const char *name;
    set_type type;
    set_shape shape;
    bool pointer;      /* the field is a pointer to the values, else it holds them */
    size_t offset;     /* in maps_trace */
    bool reduced, ppt; /* only with token reduction; only with PPT */
} set;
#define AT(field) offsetof(maps_trace, field)
static const set sets[] = {
    {"rollout", TYPE_F32, SHAPE_GRID, true, AT(rollout), false, false},
    {"last_attention", TYPE_F32, SHAPE_GRID, true, AT(last), false, false},
    {"survival", TYPE_U8, SHAPE_GRID, true, AT(survival), true, false},
    {"state", TYPE_U8, SHAPE_BOTH, true, AT(state), true, false},
    {"group", TYPE_I32, SHAPE_BOTH, true, AT(group), true, false},
    {"attention", TYPE_F32, SHAPE_BOTH, true, AT(attention), true, false},
    {"breast_kept", TYPE_F64, SHAPE_LAYERS, false, AT(kept), true, false},
    {"breast_there", TYPE_F64, SHAPE_LAYERS, false, AT(there), true, false},
    {"log2_size", TYPE_F32, SHAPE_BOTH, true, AT(log2_size), true, true},
    {"spread", TYPE_F64, SHAPE_LAYERS, false, AT(spread), true, true},
    {"branch", TYPE_I8, SHAPE_LAYERS, false, AT(branch), true, true},
};
static const char *const names[] = {"image_id", "exam_id", "laterality", "view"};

struct maps_h5 {
    hid_t file, set[COUNT_OF(sets)], name[COUNT_OF(names)], text;
    char *path, *tmp;
    hsize_t layers, rows, cols;
};

static hid_t type_disk(set_type t)
{
    return t == TYPE_U8    ? H5T_STD_U8LE
           : t == TYPE_I8  ? H5T_STD_I8LE
           : t == TYPE_I32 ? H5T_STD_I32LE
           : t == TYPE_F32 ? H5T_IEEE_F32LE
                           : H5T_IEEE_F64LE;
}

static hid_t type_memory(set_type t)
{
    return t == TYPE_U8    ? H5T_NATIVE_UINT8
           : t == TYPE_I8  ? H5T_NATIVE_INT8
           : t == TYPE_I32 ? H5T_NATIVE_INT32
           : t == TYPE_F32 ? H5T_NATIVE_FLOAT
                           : H5T_NATIVE_DOUBLE;
}

/* Sizes behind that of the images. */
static int shape_of(const maps_h5 *f, set_shape s, hsize_t dim[3])
{
    int n = 0;
    if (s != SHAPE_GRID)
        dim[n++] = f->layers;
    if (s != SHAPE_LAYERS) {
        dim[n++] = f->rows;
        dim[n++] = f->cols;
    }
    return n;
}

static bool failed(const maps_h5 *f, const char *what, err *e)
{
    H5Eclear2(H5E_DEFAULT);
    return err_set(e, ERR_IO, "'%s': %s cannot be written (disk full?)", fs_base(f->path), what);
}

/* [n, ...], one image a chunk. */
static hid_t create_set(const maps_h5 *f, const char *name, hid_t type, int64_t n,
                        const hsize_t *dim, int dims)
{
    hsize_t all[4] = {(hsize_t)n}, chunk[4] = {1};
    memcpy(all + 1, dim, (size_t)dims * sizeof *dim);
    memcpy(chunk + 1, dim, (size_t)dims * sizeof *dim);
    hid_t plist = H5Pcreate(H5P_DATASET_CREATE), space = H5Screate_simple(1 + dims, all, NULL);
    H5Pset_obj_track_times(plist, false);
    if (dims > 1) {
        H5Pset_chunk(plist, 1 + dims, chunk);
        H5Pset_shuffle(plist);
        H5Pset_deflate(plist, DEFLATE);
    }
    hid_t d = H5Dcreate2(f->file, name, type, space, H5P_DEFAULT, plist, H5P_DEFAULT);
    H5Pclose(plist);
    H5Sclose(space);
    return d;
}

static bool put_attribute(maps_h5 *f, const char *name, hid_t type, hid_t memory, hsize_t n,
                          const void *data)
{
    hid_t space = n ? H5Screate_simple(1, &n, NULL) : H5Screate(H5S_SCALAR);
    hid_t a = H5Acreate2(f->file, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
    bool ok = a >= 0 && H5Awrite(a, memory, data) >= 0;
    if (a >= 0)
        H5Aclose(a);
    H5Sclose(space);
    return ok;
}

static bool put_word(maps_h5 *f, const char *name, const char *s)
{
    hid_t t = H5Tcopy(H5T_C_S1);
    H5Tset_size(t, strlen(s) + 1);
    H5Tset_cset(t, H5T_CSET_UTF8);
    bool ok = put_attribute(f, name, t, t, 0, s);
    H5Tclose(t);
    return ok;
}

static bool put_head(maps_h5 *f, const maps_h5_spec *s, const maps_trace *like)
{
    static const char *const reduction[] = {"none", "evit", "ppt"};
    const int64_t size[3] = {s->model->image_h, s->model->image_w, s->model->patch};
    return put_word(f, "format", FORMAT) &&
           put_word(f, "note", "where the network read and what it weighed; no map of disease") &&
           put_word(f, "model", s->model->name) &&
           put_word(f, "reduction", reduction[s->model->reduction]) &&
           put_word(f, "checkpoint", s->checkpoint) && put_word(f, "prepare_id", s->prepare_id) &&
           put_word(f, "breast_unknown", s->no_mask) &&
           put_attribute(f, "image_h_w_patch", H5T_STD_I64LE, H5T_NATIVE_INT64, 3, size) &&
           (!like->layers || put_attribute(f, "blocks", H5T_STD_I32LE, H5T_NATIVE_INT32,
                                           (hsize_t)like->layers, like->block));
}

static bool create_sets(maps_h5 *f, const maps_h5_spec *s, const maps_trace *like)
{
    for (size_t i = 0; i < COUNT_OF(names); i++)
        if ((f->name[i] = create_set(f, names[i], f->text, s->n, NULL, 0)) < 0)
            return false;
    for (size_t i = 0; i < COUNT_OF(sets); i++) {
        const set *k = &sets[i];
        hsize_t dim[3];
        if ((k->reduced && !like->layers) || (k->ppt && like->reduction != MODEL_PPT))
            continue;
        int dims = shape_of(f, k->shape, dim);
        f->set[i] = create_set(f, k->name, type_disk(k->type), s->n, dim, dims);
        if (f->set[i] < 0)
            return false;
    }
    return true;
}

maps_h5 *maps_h5_create(const maps_h5_spec *s, const maps_trace *like, err *e)
{
    maps_h5 *f = MEM_NEW(maps_h5);
    text tmp;
    text_init(&tmp);
    text_addf(&tmp, "%s.partial", s->path);
    f->tmp = text_take(&tmp);
    text_release(&tmp);
    f->path = mem_strdup(s->path);
    f->layers = (hsize_t)like->layers;
    f->rows = (hsize_t)like->rows;
    f->cols = (hsize_t)like->cols;
    for (size_t i = 0; i < COUNT_OF(sets); i++)
        f->set[i] = -1;
    for (size_t i = 0; i < COUNT_OF(names); i++)
        f->name[i] = -1;
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    f->text = H5Tcopy(H5T_C_S1);
    H5Tset_size(f->text, NAME_BYTES);
    H5Tset_strpad(f->text, H5T_STR_NULLPAD);
    hid_t fapl = H5Pcreate(H5P_FILE_ACCESS), fcpl = H5Pcreate(H5P_FILE_CREATE);
    H5Pset_libver_bounds(fapl, H5F_LIBVER_V18, H5F_LIBVER_V110);
    H5Pset_obj_track_times(fcpl, false);
    f->file = H5Fcreate(f->tmp, H5F_ACC_TRUNC, fcpl, fapl);
    H5Pclose(fapl);
    H5Pclose(fcpl);
    if (f->file >= 0 && put_head(f, s, like) && create_sets(f, s, like))
        return f;
    failed(f, "the file", e);
    maps_h5_discard(f);
    return NULL;
}

/* Image i of a dataset [n, dim...]. */
static bool put_image(hid_t d, hid_t memory, int64_t i, const hsize_t *dim, int dims,
                      const void *data)
{
    hsize_t from[4] = {(hsize_t)i}, count[4] = {1};
    memcpy(count + 1, dim, (size_t)dims * sizeof *dim);
    hid_t file = H5Dget_space(d), mem = H5Screate_simple(1 + dims, count, NULL);
    bool ok = H5Sselect_hyperslab(file, H5S_SELECT_SET, from, NULL, count, NULL) >= 0 &&
              H5Dwrite(d, memory, mem, file, H5P_DEFAULT, data) >= 0;
    H5Sclose(file);
    H5Sclose(mem);
    return ok;
}

bool maps_h5_put(maps_h5 *f, int64_t i, const maps_h5_names *who, const maps_trace *t, err *e)
{
    const char *const word[] = {who->image, who->exam, who->laterality, who->view};
    if ((hsize_t)t->layers != f->layers || (hsize_t)t->rows != f->rows ||
        (hsize_t)t->cols != f->cols)
        BUG("maps: %d layers of %d x %d", t->layers, t->rows, t->cols);
    for (size_t k = 0; k < COUNT_OF(names); k++) {
        char fixed[NAME_BYTES + 1] = "";
        text_copy(fixed, sizeof fixed, word[k]);
        if (!put_image(f->name[k], f->text, i, NULL, 0, fixed))
            return failed(f, names[k], e);
    }
    for (size_t k = 0; k < COUNT_OF(sets); k++) {
        hsize_t dim[3];
        const char *at = (const char *)t + sets[k].offset;
        if (f->set[k] < 0)
            continue;
        int dims = shape_of(f, sets[k].shape, dim);
        if (!put_image(f->set[k], type_memory(sets[k].type), i, dim, dims,
                       sets[k].pointer ? *(const void *const *)at : at))
            return failed(f, sets[k].name, e);
    }
    return true;
}

/* Everything closed; false: not all of it reached the file. */
static bool shut(maps_h5 *f)
{
    bool ok = true;
    for (size_t i = 0; i < COUNT_OF(sets); i++)
        ok &= f->set[i] < 0 || H5Dclose(f->set[i]) >= 0;
    for (size_t i = 0; i < COUNT_OF(names); i++)
        ok &= f->name[i] < 0 || H5Dclose(f->name[i]) >= 0;
    H5Tclose(f->text);
    return (f->file < 0 || H5Fclose(f->file) >= 0) && ok;
}

static void drop(maps_h5 *f)
{
    mem_free(f->path);
    mem_free(f->tmp);
    mem_free(f);
}

bool maps_h5_commit(maps_h5 *f, err *e)
{
    bool ok = shut(f);
    ok = ok ? fs_commit(f->tmp, f->path, e) : failed(f, "the file", e);
    if (!ok)
        unlink(f->tmp);
    drop(f);
    return ok;
}

void maps_h5_discard(maps_h5 *f)
{
    if (!f)
        return;
    shut(f);
    unlink(f->tmp);
    drop(f);
}

/* ---- reading --------------------------------------------------------------------------------- */

/* A text of fixed length, as put_word writes it; the file may be anybody's. */
static bool get_word(hid_t f, const char *name, char *out, size_t cap)
{
    char read[256] = "";
    hid_t a = H5Aopen(f, name, H5P_DEFAULT), t = a < 0 ? -1 : H5Aget_type(a),
          space = a < 0 ? -1 : H5Aget_space(a);
    bool ok = t >= 0 && H5Tget_class(t) == H5T_STRING && H5Tis_variable_str(t) == 0 &&
              H5Tget_size(t) < sizeof read && H5Sget_simple_extent_npoints(space) == 1 &&
              H5Aread(a, t, read) >= 0;
    if (ok)
        text_copy(out, cap, read);
    if (space >= 0)
        H5Sclose(space);
    if (t >= 0)
        H5Tclose(t);
    if (a >= 0)
        H5Aclose(a);
    return ok;
}

/* Sizes of a dataset of so many dimensions. */
static bool get_sizes(hid_t f, const char *name, int dims, hsize_t *size)
{
    hid_t d = H5Dopen2(f, name, H5P_DEFAULT), space = d < 0 ? -1 : H5Dget_space(d);
    bool ok = space >= 0 && H5Sget_simple_extent_ndims(space) == dims &&
              H5Sget_simple_extent_dims(space, size, NULL) == dims;
    for (int i = 0; i < dims && ok; i++)
        ok = size[i] <= INT32_MAX;
    if (space >= 0)
        H5Sclose(space);
    if (d >= 0)
        H5Dclose(d);
    return ok;
}

static bool is_ours(hid_t f)
{
    char format[32];
    return f >= 0 && get_word(f, "format", format, sizeof format) && !strcmp(format, FORMAT);
}

bool maps_h5_is(const char *path)
{
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    hid_t f = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT);
    bool ours = is_ours(f);
    if (f >= 0)
        H5Fclose(f);
    H5Eclear2(H5E_DEFAULT);
    return ours;
}

bool maps_h5_read_head(const char *path, maps_h5_head *out, err *e)
{
    hsize_t grid[3] = {0}, state[4] = {0};
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    memset(out, 0, sizeof *out);
    hid_t f = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT);
    bool ok = is_ours(f) && get_word(f, "model", out->model, sizeof out->model) &&
              get_word(f, "reduction", out->reduction, sizeof out->reduction) &&
              get_word(f, "checkpoint", out->checkpoint, sizeof out->checkpoint) &&
              get_word(f, "prepare_id", out->prepare_id, sizeof out->prepare_id) &&
              get_word(f, "note", out->note, sizeof out->note) && get_sizes(f, "rollout", 3, grid);
    if (ok && H5Lexists(f, "state", H5P_DEFAULT) > 0)
        ok = get_sizes(f, "state", 4, state);
    if (f >= 0)
        H5Fclose(f);
    H5Eclear2(H5E_DEFAULT);
    out->n = (int64_t)grid[0];
    out->rows = (int)grid[1];
    out->cols = (int)grid[2];
    out->layers = (int)state[1];
    return ok || err_set(e, ERR_INPUT, "'%s': no whole file of maps (%s)", fs_base(path), FORMAT);
}
