/* PyTorch's zip container. Every tensor is checked against its storage, every storage against the
 * size of its entry, before a value is read. */
#include "train/torch_file.h"

#include <string.h>

#include "core/mem.h"
#include "core/text.h"
#include "train/pickle.h"

#define PICKLE "data.pkl"
#define NESTED 3 /* a state dict lies at most so deep */

typedef struct torch_file {
    unzip *zip;
    pickle *pickle;
    text root; /* of the entries' names: "archive/" */
    array_info *array;
    const pickle_tensor **tensor; /* of every array */
    int n;
} torch_file;

static int find_entry(torch_file *f, const char *name)
{
    text full;
    text_init(&full);
    text_add(&full, f->root.s);
    text_add(&full, name);
    int i = unzip_find(f->zip, full.s);
    text_release(&full);
    return i;
}

/* The one pickle; the folder it lies in is the root of all entries. */
static int find_pickle(torch_file *f, err *e)
{
    int found = -1;
    for (int i = 0; i < unzip_count(f->zip); i++) {
        const char *name = unzip_name(f->zip, i);
        if (!text_ends(name, "/" PICKLE))
            continue;
        if (found >= 0) {
            err_set(e, ERR_INPUT, "more than one '" PICKLE "' in the archive");
            return -1;
        }
        found = i;
        text_clear(&f->root);
        text_addn(&f->root, name, strlen(name) - strlen(PICKLE));
    }
    if (found < 0)
        err_set(e, ERR_INPUT,
                "a zip archive without '" PICKLE "' and not of .npy files: neither PyTorch's "
                "nor NumPy's");
    return found;
}

static bool check_kind(torch_file *f, err *e)
{
    char *order = NULL;
    size_t n;
    if (find_entry(f, "constants.pkl") >= 0)
        return err_set(e, ERR_INPUT,
                       "a TorchScript archive holds a program; save model.state_dict() with "
                       "torch.save");
    int i = find_entry(f, "byteorder");
    if (i < 0)
        return true;
    if (!unzip_read(f->zip, i, 64, &order, &n, e))
        return false;
    bool ok =
        strcmp(order, "little") == 0 ||
        err_set(e, ERR_INPUT, "written on a machine of another byte order than little-endian");
    mem_free(order);
    return ok;
}

static bool has_tensor(const pickle_value *v)
{
    for (int i = 1; v && v->kind == PICKLE_DICT && i < v->n; i += 2) {
        if (v->item[i]->kind == PICKLE_TENSOR)
            return true;
    }
    return false;
}

/* The state dict in v, at most `deep` wrappers down; NULL = none. */
static const pickle_value *find_state(const pickle_value *v, int deep)
{
    static const char *const keys[] = {"model", "state_dict", "model_ema", "state_dict_ema"};
    for (size_t k = 0; deep > 0 && v->kind == PICKLE_DICT && k < COUNT_OF(keys); k++) {
        const pickle_value *inner = pickle_get(v, keys[k]);
        const pickle_value *found = inner ? find_state(inner, deep - 1) : NULL;
        if (found)
            return found;
    }
    return has_tensor(v) ? v : NULL;
}

static bool add_tensor(torch_file *f, const char *name, const pickle_tensor *t, err *e)
{
    char safe[ARRAY_SHOWN];
    text entry;
    array_shown(name, safe);
    text_init(&entry);
    text_addf(&entry, "data/%s", t->storage->key);
    int i = find_entry(f, entry.s);
    text_release(&entry);
    if (i < 0)
        return err_set(e, ERR_INPUT, "the storage of '%s' is missing in the archive", safe);
    uint64_t width = (uint64_t)array_width(t->storage->type), bytes = unzip_size(f->zip, i);
    if (!unzip_is_stored(f->zip, i))
        return err_set(e, ERR_INPUT, "the storage of '%s' is compressed; PyTorch's never is", safe);
    if (bytes % width || bytes / width != (uint64_t)t->storage->n)
        return err_set(e, ERR_INPUT,
                       "the storage of '%s' should hold %lld elements of %s, its entry holds %llu "
                       "bytes",
                       safe, (long long)t->storage->n, array_type_name(t->storage->type),
                       (unsigned long long)bytes);
    array_info *a = &f->array[f->n];
    *a = t->shape;
    a->name = name;
    a->at = (uint64_t)i;
    f->tensor[f->n++] = t;
    return true;
}

static bool collect(torch_file *f, err *e)
{
    const pickle_value *state = find_state(pickle_root(f->pickle), NESTED);
    if (!state)
        return err_set(e, ERR_INPUT,
                       "no state dict: neither the file nor its model, state_dict, model_ema or "
                       "state_dict_ema is a dict of tensors");
    f->array = MEM_ARRAY(array_info, state->n / 2);
    f->tensor = MEM_ARRAY(const pickle_tensor *, state->n / 2);
    for (int i = 0; i < state->n; i += 2) {
        const pickle_value *name = state->item[i], *v = state->item[i + 1];
        if (v->kind != PICKLE_TENSOR)
            continue; /* a count of steps and the like */
        if (name->kind != PICKLE_TEXT)
            return err_set(e, ERR_INPUT, "a tensor of the state dict has no name");
        if (!add_tensor(f, name->text, v->tensor, e))
            return false;
    }
    return true;
}

static bool load(torch_file *f, err *e)
{
    char *bytes = NULL;
    size_t n;
    int i = find_pickle(f, e);
    if (i < 0 || !check_kind(f, e) || !unzip_read(f->zip, i, PICKLE_BYTES_MAX, &bytes, &n, e))
        return false;
    f->pickle = pickle_new(bytes, n, e);
    mem_free(bytes);
    return f->pickle && collect(f, e);
}

static void close_file(void *self)
{
    torch_file *f = self;
    unzip_close(f->zip);
    pickle_free(f->pickle);
    text_release(&f->root);
    mem_free(f->array);
    mem_free(f->tensor);
    mem_free(f);
}

/* Elements from the first to the last that the tensor uses; 0 for a row-major tensor, which uses
 * all from its offset on in order. */
static int64_t scattered(const pickle_tensor *t)
{
    int64_t dense = 1, extent = 1;
    bool in_order = true;
    for (int d = t->shape.ndim - 1; t->shape.n && d >= 0; d--) {
        in_order = in_order && (t->shape.shape[d] == 1 || t->stride[d] == dense);
        dense *= t->shape.shape[d];
        extent += (t->shape.shape[d] - 1) * t->stride[d];
    }
    return in_order ? 0 : extent;
}

static bool read_values(void *self, const array_info *a, float *out, err *e)
{
    torch_file *f = self;
    const pickle_tensor *t = f->tensor[a - f->array];
    uint64_t width = (uint64_t)array_width(a->type);
    int64_t extent = scattered(t), n = extent ? extent : a->n;
    unzip_stream *s =
        unzip_stream_open(f->zip, (int)a->at, (uint64_t)t->offset * width, (uint64_t)n * width, e);
    if (!s)
        return false;
    float *raw = extent ? mem_alloc((size_t)n * sizeof *raw) : out;
    bool ok = array_read(a->type, n, unzip_stream_next, s, raw, e);
    unzip_stream_close(s);
    if (ok && extent)
        array_gather(a, t->stride, raw, out);
    if (extent)
        mem_free(raw);
    return ok;
}

source *torch_file_open(unzip *z, err *e)
{
    static const source_kind kind = {read_values, NULL, close_file};
    torch_file *f = MEM_NEW(torch_file);
    f->zip = z;
    text_init(&f->root);
    if (load(f, e))
        return source_new(&kind, f, f->array, f->n, e);
    close_file(f);
    return NULL;
}
