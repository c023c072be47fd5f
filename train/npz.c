/* NumPy's .npz. The header of every .npy is a Python literal; it is read by a parser that knows
 * this one literal and nothing else. */
#include "train/npz.h"

#include <string.h>

#include "core/mem.h"
#include "core/text.h"

#define MAGIC      "\x93NUMPY"
#define HEADER_MAX 4096 /* bytes, with magic and length; NumPy pads to 64 or 128 */
#define SUFFIX     ".npy"
#define DESCR_MAX  16

typedef struct npz {
    unzip *zip;
    char **name;
    array_info *array; /* at: the entry */
    struct layout {
        uint64_t data_at; /* bytes before the values */
        bool fortran;     /* first dimension fastest */
    } * layout;
    int n;
} npz;

/* ---- the header ------------------------------------------------------------------------------ */

typedef struct literal {
    const char *at, *end;
} literal;

static void skip_spaces(literal *l)
{
    while (l->at < l->end && (*l->at == ' ' || *l->at == '\n'))
        l->at++;
}

static bool accept(literal *l, const char *word)
{
    size_t n = strlen(word);
    skip_spaces(l);
    if ((size_t)(l->end - l->at) < n || memcmp(l->at, word, n))
        return false;
    l->at += n;
    return true;
}

/* A text in quotes of at most DESCR_MAX characters without control characters. */
static bool parse_quoted(literal *l, char out[DESCR_MAX + 1])
{
    skip_spaces(l);
    if (l->at == l->end || (*l->at != '\'' && *l->at != '"'))
        return false;
    char quote = *l->at++;
    int n = 0;
    for (; l->at < l->end && *l->at != quote && *l->at >= ' ' && n < DESCR_MAX; l->at++)
        out[n++] = *l->at;
    out[n] = 0;
    return l->at < l->end && *l->at++ == quote;
}

static bool parse_descr(literal *l, array_info *a, err *e)
{
    static const struct {
        const char *descr;
        array_type type;
    } types[] = {
        {"<f4", ARRAY_F32}, {"<f2", ARRAY_F16}, {"<f8", ARRAY_F64}, {"<i8", ARRAY_I64},
        {"<i4", ARRAY_I32}, {"<i2", ARRAY_I16}, {"|i1", ARRAY_I8},  {"<u8", ARRAY_U64},
        {"<u4", ARRAY_U32}, {"<u2", ARRAY_U16}, {"|u1", ARRAY_U8},  {"|b1", ARRAY_BOOL},
    };
    char descr[DESCR_MAX + 1];
    if (!parse_quoted(l, descr))
        return err_set(e, ERR_INPUT, "'descr' is not the name of one element type");
    for (size_t i = 0; i < COUNT_OF(types); i++) {
        if (strcmp(types[i].descr, descr) == 0) {
            a->type = types[i].type;
            return true;
        }
    }
    return err_set(e, ERR_INPUT, "elements of type '%s' are not read", descr);
}

static bool parse_shape(literal *l, int64_t shape[ARRAY_NDIM_MAX], int *ndim, err *e)
{
    *ndim = 0;
    if (!accept(l, "("))
        return err_set(e, ERR_INPUT, "'shape' is not a tuple");
    while (!accept(l, ")")) {
        int64_t v = 0;
        int digits = 0;
        skip_spaces(l);
        for (; l->at < l->end && *l->at >= '0' && *l->at <= '9'; l->at++, digits++) {
            if (__builtin_mul_overflow(v, (int64_t)10, &v) ||
                __builtin_add_overflow(v, (int64_t)(*l->at - '0'), &v))
                return err_set(e, ERR_INPUT, "a size does not fit 64 bits");
        }
        if (!digits || *ndim == ARRAY_NDIM_MAX)
            return err_set(e, ERR_INPUT, "'shape' is not a tuple of at most %d sizes",
                           ARRAY_NDIM_MAX);
        shape[(*ndim)++] = v;
        bool comma = accept(l, ",");
        if (!comma && (*ndim == 1 || l->at == l->end || *l->at != ')'))
            return err_set(e, ERR_INPUT, "'shape' is not a tuple: a comma is missing");
    }
    return true;
}

/* {'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), } with each key once. */
static bool parse_literal(literal *l, array_info *a, bool *fortran, err *e)
{
    int64_t shape[ARRAY_NDIM_MAX];
    int ndim = -1, order = -1;
    bool descr = false;
    if (!accept(l, "{"))
        return err_set(e, ERR_INPUT, "the header is not a dict");
    while (!accept(l, "}")) {
        if (!descr && accept(l, "'descr':")) {
            if (!parse_descr(l, a, e))
                return false;
            descr = true;
        } else if (order < 0 && accept(l, "'fortran_order':")) {
            order = accept(l, "True") ? 1 : accept(l, "False") ? 0 : -1;
            if (order < 0)
                return err_set(e, ERR_INPUT, "'fortran_order' is neither True nor False");
        } else if (ndim < 0 && accept(l, "'shape':")) {
            if (!parse_shape(l, shape, &ndim, e))
                return false;
        } else {
            return err_set(e, ERR_INPUT,
                           "the header is not a dict of exactly descr, fortran_order and shape");
        }
        skip_spaces(l);
        if (!accept(l, ",") && (l->at == l->end || *l->at != '}'))
            return err_set(e, ERR_INPUT, "a comma is missing in the header");
    }
    skip_spaces(l);
    if (!descr || order < 0 || ndim < 0 || l->at != l->end)
        return err_set(e, ERR_INPUT,
                       "the header is not a dict of exactly descr, fortran_order and shape");
    *fortran = order;
    return array_set_shape(a, ndim, shape, e);
}

static bool parse_header(npz *f, int entry, array_info *a, struct layout *where, err *e)
{
    uint8_t head[HEADER_MAX];
    size_t got, fixed = strlen(MAGIC) + 2, wide;
    if (!unzip_head(f->zip, entry, head, sizeof head, &got, e))
        return false;
    if (got < fixed + 4 || memcmp(head, MAGIC, strlen(MAGIC)))
        return err_set(e, ERR_INPUT, "not a .npy file");
    if (head[fixed - 2] < 1 || head[fixed - 2] > 3 || head[fixed - 1] != 0)
        return err_set(e, ERR_INPUT, ".npy version %d.%d is not known", head[fixed - 2],
                       head[fixed - 1]);
    wide = head[fixed - 2] == 1 ? 2 : 4;
    uint32_t n = (uint32_t)head[fixed] | (uint32_t)head[fixed + 1] << 8;
    if (wide == 4)
        n |= (uint32_t)head[fixed + 2] << 16 | (uint32_t)head[fixed + 3] << 24;
    if (n > got - fixed - wide)
        return err_set(e, ERR_INPUT, "a header of %u bytes in a file of %llu (at most %d are read)",
                       n, (unsigned long long)unzip_size(f->zip, entry), HEADER_MAX);
    literal l = {(const char *)head + fixed + wide, (const char *)head + fixed + wide + n};
    if (!parse_literal(&l, a, &where->fortran, e))
        return false;
    where->data_at = fixed + wide + n;
    uint64_t want = (uint64_t)a->n * (uint64_t)array_width(a->type);
    if (unzip_size(f->zip, entry) - where->data_at != want)
        return err_set(e, ERR_INPUT, "%lld elements of %s do not fill %llu bytes", (long long)a->n,
                       array_type_name(a->type),
                       (unsigned long long)(unzip_size(f->zip, entry) - where->data_at));
    return true;
}

/* ---- the container --------------------------------------------------------------------------- */

bool npz_is(const unzip *z)
{
    for (int i = 0; i < unzip_count(z); i++) {
        if (!text_ends(unzip_name(z, i), SUFFIX))
            return false;
    }
    return true;
}

static void close_file(void *self)
{
    npz *f = self;
    for (int i = 0; i < f->n; i++)
        mem_free(f->name[i]);
    mem_free(f->name);
    mem_free(f->array);
    mem_free(f->layout);
    unzip_close(f->zip);
    mem_free(f);
}

static bool load(npz *f, err *e)
{
    int n = unzip_count(f->zip);
    f->name = MEM_ARRAY(char *, n);
    f->array = MEM_ARRAY(array_info, n);
    f->layout = MEM_ARRAY(struct layout, n);
    for (int i = 0; i < n; i++) {
        char safe[ARRAY_SHOWN];
        f->name[i] = mem_strdup(unzip_name(f->zip, i));
        f->name[i][strlen(f->name[i]) - strlen(SUFFIX)] = 0;
        f->n = i + 1;
        f->array[i].name = f->name[i];
        f->array[i].at = (uint64_t)i;
        array_shown(f->name[i], safe);
        if (!parse_header(f, i, &f->array[i], &f->layout[i], e))
            return err_wrap(e, "array '%s'", safe);
    }
    return true;
}

static bool read_values(void *self, const array_info *a, float *out, err *e)
{
    npz *f = self;
    const struct layout *where = &f->layout[a - f->array];
    unzip_stream *s = unzip_stream_open(f->zip, (int)a->at, where->data_at,
                                        unzip_size(f->zip, (int)a->at) - where->data_at, e);
    if (!s)
        return false;
    bool turn = where->fortran && a->ndim > 1;
    float *raw = turn ? mem_alloc((size_t)a->n * sizeof *raw) : out;
    bool ok = array_read(a->type, a->n, unzip_stream_next, s, raw, e);
    unzip_stream_close(s);
    if (ok && turn) {
        int64_t stride[ARRAY_NDIM_MAX] = {1};
        for (int d = 1; d < a->ndim; d++)
            stride[d] = stride[d - 1] * a->shape[d - 1];
        array_gather(a, stride, raw, out);
    }
    if (turn)
        mem_free(raw);
    return ok;
}

source *npz_open(unzip *z, err *e)
{
    static const source_kind kind = {read_values, NULL, close_file};
    npz *f = MEM_NEW(npz);
    f->zip = z;
    if (load(f, e))
        return source_new(&kind, f, f->array, f->n, e);
    close_file(f);
    return NULL;
}
