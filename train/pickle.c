/* A restricted pickle reader: a stack machine over values of our own. */
#include "train/pickle.h"

#include <stdio.h>
#include <string.h>

#include "core/mem.h"
#include "core/text.h"

#define PROTOCOL_MAX 5
#define SEEN_MAX     200 /* of an unknown name in a message */

typedef pickle_value value;

struct pickle {
    arena *arena;
    value *root, none, inert;
    const uint8_t *at, *end; /* what is left to read */
    int values;
    value **stack;
    int n, cap;
    int *mark; /* heights of the stack */
    int marks, mark_cap;
    value **memo;
    int memo_n, memo_cap;
    text word[2]; /* of a GLOBAL */
};

/* A row of the table of opcodes: what runs, and with which number (bytes, items) and kind. */
typedef struct op {
    uint8_t code;
    bool (*run)(pickle *p, const struct op *o, err *e);
    int n;
    pickle_kind kind;
} op;

/* ---- values and the stack -------------------------------------------------------------------- */

static bool new_value(pickle *p, pickle_kind kind, value **out, err *e)
{
    if (++p->values > PICKLE_VALUES_MAX)
        return err_set(e, ERR_INPUT, "more than %d values", PICKLE_VALUES_MAX);
    *out = arena_calloc(p->arena, sizeof **out);
    (*out)->kind = kind;
    return true;
}

/* Room for one more element in an array of the reader. */
static void *grown(void *array, int n, int *cap, size_t width)
{
    if (n < *cap)
        return array;
    int more = *cap ? 2 * *cap : 64;
    array = mem_realloc(array, (size_t)*cap * width, (size_t)more * width);
    *cap = more;
    return array;
}

static bool push(pickle *p, value *v)
{
    p->stack = grown(p->stack, p->n, &p->cap, sizeof *p->stack);
    p->stack[p->n++] = v;
    return true;
}

static bool push_number(pickle *p, pickle_kind kind, int64_t i, err *e)
{
    value *v = NULL;
    if (!new_value(p, kind, &v, e))
        return false;
    v->i = i;
    return push(p, v);
}

static int floor_of(const pickle *p)
{
    return p->marks ? p->mark[p->marks - 1] : 0;
}

/* The topmost value; what lies below the last mark cannot be reached. */
static bool pop(pickle *p, value **out, err *e)
{
    if (p->n <= floor_of(p))
        return err_set(e, ERR_INPUT, "a value is taken from an empty stack");
    *out = p->stack[--p->n];
    return true;
}

static bool top(pickle *p, value **out, err *e)
{
    return pop(p, out, e) && push(p, *out);
}

/* Take all values above the last mark: they stay readable at *item until the next push. */
static bool pop_mark(pickle *p, value ***item, int *n, err *e)
{
    if (!p->marks)
        return err_set(e, ERR_INPUT, "a mark is missing");
    int from = p->mark[--p->marks];
    *item = p->stack + from;
    *n = p->n - from;
    p->n = from;
    return true;
}

static void add_items(pickle *p, value *to, value *const *item, int n)
{
    if (to->n + n > to->cap) {
        int cap = 2 * to->cap > to->n + n ? 2 * to->cap : to->n + n;
        value **more = arena_alloc(p->arena, (size_t)cap * sizeof(*more));
        if (to->n)
            memcpy(more, to->item, (size_t)to->n * sizeof *more);
        to->item = more;
        to->cap = cap;
    }
    if (n)
        memcpy(to->item + to->n, item, (size_t)n * sizeof(*item));
    to->n += n;
}

static bool push_items(pickle *p, const op *o, err *e)
{
    value *v = NULL;
    if (p->n - floor_of(p) < o->n)
        return err_set(e, ERR_INPUT, "a value is taken from an empty stack");
    if (!new_value(p, o->kind, &v, e))
        return false;
    p->n -= o->n;
    add_items(p, v, p->stack + p->n, o->n);
    return push(p, v);
}

static bool push_marked(pickle *p, const op *o, err *e)
{
    value *v = NULL, **item = NULL;
    int n = 0;
    if (!pop_mark(p, &item, &n, e) || !new_value(p, o->kind, &v, e))
        return false;
    if (o->kind == PICKLE_DICT && n % 2)
        return err_set(e, ERR_INPUT, "a dict with a key that has no value");
    add_items(p, v, item, n);
    return push(p, v);
}

/* Items go into the collection below them: the topmost o->n, or all above the mark where that is 0.
 */
static bool extend(pickle *p, const op *o, err *e)
{
    value *to = NULL, **item = NULL;
    int n = o->n;
    if (n && p->n - floor_of(p) < n)
        return err_set(e, ERR_INPUT, "a value is taken from an empty stack");
    if (n)
        p->n -= n;
    else if (!pop_mark(p, &item, &n, e))
        return false;
    if (!top(p, &to, e))
        return false;
    if (to->kind == PICKLE_INERT)
        return true;
    if (to->kind != o->kind || (o->kind == PICKLE_DICT && n % 2))
        return err_set(e, ERR_INPUT, "items are added to something that does not take them");
    add_items(p, to, p->stack + p->n, n);
    return true;
}

/* ---- bytes ----------------------------------------------------------------------------------- */

static bool take(pickle *p, size_t n, const uint8_t **out, err *e)
{
    if ((size_t)(p->end - p->at) < n)
        return err_set(e, ERR_INPUT, "the pickle ends too early");
    *out = p->at;
    p->at += n;
    return true;
}

static bool take_number(pickle *p, int width, uint64_t *out, err *e)
{
    const uint8_t *b = NULL;
    if (!take(p, (size_t)width, &b, e))
        return false;
    *out = 0;
    for (int i = width - 1; i >= 0; i--)
        *out = *out << 8 | b[i];
    return true;
}

static bool push_int(pickle *p, const op *o, err *e)
{
    uint64_t u = 0;
    if (!take_number(p, o->n, &u, e))
        return false;
    return push_number(p, PICKLE_INT, o->n == 4 ? (int64_t)(int32_t)u : (int64_t)u, e);
}

static bool push_bool(pickle *p, const op *o, err *e)
{
    return push_number(p, PICKLE_BOOL, o->n, e);
}

static bool push_none(pickle *p, const op *o, err *e)
{
    return push(p, &p->none);
}

static bool push_set(pickle *p, const op *o, err *e)
{
    return push(p, &p->inert);
}

/* A whole number of any length; beyond 64 bits it can be no size, and its value does not matter. */
static bool push_long(pickle *p, const op *o, err *e)
{
    uint64_t n = 0, u = 0;
    const uint8_t *b = NULL;
    if (!take_number(p, o->n, &n, e) || !take(p, n, &b, e))
        return false;
    if (n > 8)
        return push(p, &p->inert);
    for (uint64_t i = n; i--;)
        u = u << 8 | b[i];
    if (n && n < 8 && b[n - 1] & 0x80)
        u |= ~(uint64_t)0 << 8 * n;
    return push_number(p, PICKLE_INT, (int64_t)u, e);
}

/* Text with a NUL inside can name nothing: it counts as bytes. */
static bool push_text(pickle *p, const op *o, err *e)
{
    uint64_t n = 0;
    const uint8_t *b = NULL;
    value *v = NULL;
    if (!take_number(p, o->n, &n, e) || !take(p, n, &b, e) || !new_value(p, o->kind, &v, e))
        return false;
    char *s = arena_alloc(p->arena, n + 1);
    memcpy(s, b, n);
    s[n] = 0;
    v->text = s;
    v->n = (int)n;
    if (memchr(s, 0, n))
        v->kind = PICKLE_BYTES;
    return push(p, v);
}

static bool push_real(pickle *p, const op *o, err *e)
{
    const uint8_t *b = NULL;
    value *v = NULL;
    uint64_t u = 0;
    if (!take(p, 8, &b, e) || !new_value(p, PICKLE_REAL, &v, e))
        return false;
    for (int i = 0; i < 8; i++)
        u = u << 8 | b[i]; /* big-endian */
    memcpy(&v->d, &u, sizeof u);
    return push(p, v);
}

static bool take_line(pickle *p, text *out, err *e)
{
    const uint8_t *b = memchr(p->at, '\n', (size_t)(p->end - p->at));
    if (!b)
        return err_set(e, ERR_INPUT, "the pickle ends too early");
    text_clear(out);
    text_addn(out, (const char *)p->at, (size_t)(b - p->at));
    p->at = b + 1;
    return true;
}

/* ---- the memo -------------------------------------------------------------------------------- */

/* Number o->n bytes wide, or the next free one where that is 0. */
static bool put(pickle *p, const op *o, err *e)
{
    value *v = NULL;
    uint64_t i = (uint64_t)p->memo_n;
    if ((o->n && !take_number(p, o->n, &i, e)) || !top(p, &v, e))
        return false;
    if (i > (uint64_t)p->memo_n) /* writers number without gaps */
        return err_set(e, ERR_INPUT, "memo %llu is written before %d", (unsigned long long)i,
                       p->memo_n);
    if (i == (uint64_t)p->memo_n) {
        p->memo = grown(p->memo, p->memo_n, &p->memo_cap, sizeof *p->memo);
        p->memo_n++;
    }
    p->memo[i] = v;
    return true;
}

static bool get(pickle *p, const op *o, err *e)
{
    uint64_t i = 0;
    if (!take_number(p, o->n, &i, e))
        return false;
    if (i >= (uint64_t)p->memo_n)
        return err_set(e, ERR_INPUT, "memo %llu is read but was never written",
                       (unsigned long long)i);
    return push(p, p->memo[i]);
}

/* ---- names and what is made of them ---------------------------------------------------------- */

static bool push_name(pickle *p, const char *module, const char *name, err *e)
{
    const pickle_name *known = pickle_name_find(module, name);
    value *v = NULL;
    if (known && !new_value(p, PICKLE_NAME, &v, e))
        return false;
    if (known) {
        v->name = known;
        return push(p, v);
    }
    char full[SEEN_MAX], safe[SEEN_MAX];
    snprintf(full, sizeof full, "%s.%s", module, name);
    text_copy(safe, sizeof safe, full);
    return err_set(e, ERR_INPUT,
                   "it holds a '%s', which is not part of a state dict of tensors; save "
                   "model.state_dict() alone",
                   safe);
}

static bool global(pickle *p, const op *o, err *e)
{
    return take_line(p, &p->word[0], e) && take_line(p, &p->word[1], e) &&
           push_name(p, p->word[0].s, p->word[1].s, e);
}

static bool stack_global(pickle *p, const op *o, err *e)
{
    value *module = NULL, *name = NULL;
    if (!pop(p, &name, e) || !pop(p, &module, e))
        return false;
    if (module->kind != PICKLE_TEXT || name->kind != PICKLE_TEXT)
        return err_set(e, ERR_INPUT, "a name that is no text");
    return push_name(p, module->text, name->text, e);
}

/* ('storage', class, key, location, elements) */
static bool persistent(pickle *p, const op *o, err *e)
{
    value *id = NULL, *v = NULL;
    if (!pop(p, &id, e))
        return false;
    value **k = id->item;
    if (id->kind != PICKLE_TUPLE || id->n != 5 || k[0]->kind != PICKLE_TEXT ||
        strcmp(k[0]->text, "storage") || k[1]->kind != PICKLE_NAME ||
        k[1]->name->role != PICKLE_ROLE_STORAGE || k[2]->kind != PICKLE_TEXT ||
        k[4]->kind != PICKLE_INT || k[4]->i < 0)
        return err_set(e, ERR_INPUT,
                       "a reference that is not ('storage', class, key, place, elements)");
    if (!new_value(p, PICKLE_STORAGE, &v, e))
        return false;
    v->storage = arena_calloc(p->arena, sizeof *v->storage);
    *v->storage = (pickle_storage){k[2]->text, k[1]->name->type, k[4]->i};
    return push(p, v);
}

static bool take_sizes(const value *v, int64_t out[ARRAY_NDIM_MAX], int *n, err *e)
{
    if (v->kind != PICKLE_TUPLE || v->n > ARRAY_NDIM_MAX)
        return err_set(e, ERR_INPUT, "a tensor's shape is not a tuple of at most %d sizes",
                       ARRAY_NDIM_MAX);
    *n = v->n;
    for (int i = 0; i < v->n; i++) {
        if (v->item[i]->kind != PICKLE_INT || v->item[i]->i < 0)
            return err_set(e, ERR_INPUT, "a tensor's size or stride is not a whole number >= 0");
        out[i] = v->item[i]->i;
    }
    return true;
}

/* Every element must lie in the storage, and no more elements than that has. */
static bool check_extent(const pickle_tensor *t, err *e)
{
    int64_t last = t->offset, step;
    bool fits = t->offset <= t->storage->n && t->shape.n <= t->storage->n;
    for (int i = 0; fits && t->shape.n && i < t->shape.ndim; i++) {
        fits = !__builtin_mul_overflow(t->shape.shape[i] - 1, t->stride[i], &step) &&
               !__builtin_add_overflow(last, step, &last);
    }
    if (fits && (t->shape.n == 0 || last < t->storage->n))
        return true;
    return err_set(e, ERR_INPUT,
                   "a tensor of %lld elements from %lld on does not fit its storage of %lld",
                   (long long)t->shape.n, (long long)t->offset, (long long)t->storage->n);
}

static bool make_tensor(pickle *p, const value *args, err *e)
{
    value *v = NULL;
    int64_t shape[ARRAY_NDIM_MAX];
    int ndim = 0, strides = 0;
    value **k = args->item;
    if (args->n < 4 || k[0]->kind != PICKLE_STORAGE || k[1]->kind != PICKLE_INT || k[1]->i < 0)
        return err_set(e, ERR_INPUT, "a tensor without storage, offset, size and stride");
    if (!new_value(p, PICKLE_TENSOR, &v, e))
        return false;
    pickle_tensor *t = v->tensor = arena_calloc(p->arena, sizeof *t);
    t->storage = k[0]->storage;
    t->offset = k[1]->i;
    t->shape.type = t->storage->type;
    if (!take_sizes(k[2], shape, &ndim, e) || !take_sizes(k[3], t->stride, &strides, e) ||
        !array_set_shape(&t->shape, ndim, shape, e))
        return false;
    if (strides != ndim)
        return err_set(e, ERR_INPUT, "a tensor with %d sizes and %d strides", ndim, strides);
    return check_extent(t, e) && push(p, v);
}

static bool reduce(pickle *p, const op *o, err *e)
{
    value *args = NULL, *what = NULL;
    if (!pop(p, &args, e) || !pop(p, &what, e))
        return false;
    if (what->kind == PICKLE_INERT)
        return push(p, &p->inert);
    if (what->kind != PICKLE_NAME || args->kind != PICKLE_TUPLE)
        return err_set(e, ERR_INPUT, "something that is no known function is called");
    switch (what->name->role) {
    case PICKLE_ROLE_DICT:
        if (args->n > 1 || (args->n == 1 && args->item[0]->kind != PICKLE_NAME))
            return err_set(e, ERR_INPUT, "a dict is made from something else");
        return push_number(p, PICKLE_DICT, 0, e);
    case PICKLE_ROLE_TENSOR:
        return make_tensor(p, args, e);
    case PICKLE_ROLE_PARAMETER:
        if (args->n < 1 || args->item[0]->kind != PICKLE_TENSOR)
            return err_set(e, ERR_INPUT, "a parameter without a tensor");
        return push(p, args->item[0]);
    case PICKLE_ROLE_INERT:
        return push(p, &p->inert);
    case PICKLE_ROLE_STORAGE:
        break;
    }
    return err_set(e, ERR_INPUT, "a storage is made without a reference");
}

/* The state of an object: the metadata of an OrderedDict, arguments of a Namespace. Not needed. */
static bool build(pickle *p, const op *o, err *e)
{
    value *state = NULL, *to = NULL;
    if (!pop(p, &state, e) || !top(p, &to, e))
        return false;
    if (to->kind == PICKLE_DICT || to->kind == PICKLE_TENSOR || to->kind == PICKLE_INERT)
        return true;
    return err_set(e, ERR_INPUT, "state is given to something that has none");
}

/* ---- opcodes: pickletools.py ------------------------------------------------------------------
 */

static bool marker(pickle *p, const op *o, err *e)
{
    p->mark = grown(p->mark, p->marks, &p->mark_cap, sizeof *p->mark);
    p->mark[p->marks++] = p->n;
    return true;
}

static bool pop_one(pickle *p, const op *o, err *e)
{
    value *v = NULL;
    return pop(p, &v, e);
}

static bool pop_to_mark(pickle *p, const op *o, err *e)
{
    value **item = NULL;
    int n = 0;
    return pop_mark(p, &item, &n, e);
}

static bool dup_top(pickle *p, const op *o, err *e)
{
    value *v = NULL;
    return top(p, &v, e) && push(p, v);
}

static bool protocol(pickle *p, const op *o, err *e)
{
    uint64_t version = 0;
    if (!take_number(p, o->n, &version, e))
        return false;
    if (version > PROTOCOL_MAX)
        return err_set(e, ERR_INPUT, "pickle protocol %d is not known; %d is the newest",
                       (int)version, PROTOCOL_MAX);
    return true;
}

/* The length of a frame helps readers of streams only. */
static bool frame(pickle *p, const op *o, err *e)
{
    uint64_t n = 0;
    return take_number(p, o->n, &n, e);
}

static const op ops[] = {
    {0x80, protocol, 1, 0},
    {0x95, frame, 8, 0},
    {'N', push_none, 0, 0},
    {0x88, push_bool, 1, 0},
    {0x89, push_bool, 0, 0},
    {'J', push_int, 4, 0},
    {'K', push_int, 1, 0},
    {'M', push_int, 2, 0},
    {0x8a, push_long, 1, 0},
    {0x8b, push_long, 4, 0},
    {'G', push_real, 8, 0},
    {'X', push_text, 4, PICKLE_TEXT},
    {0x8c, push_text, 1, PICKLE_TEXT},
    {0x8d, push_text, 8, PICKLE_TEXT},
    {'T', push_text, 4, PICKLE_TEXT}, /* names as Python 2 wrote them */
    {'U', push_text, 1, PICKLE_TEXT},
    {'B', push_text, 4, PICKLE_BYTES},
    {'C', push_text, 1, PICKLE_BYTES},
    {0x8e, push_text, 8, PICKLE_BYTES},
    {'(', marker, 0, 0},
    {')', push_items, 0, PICKLE_TUPLE},
    {0x85, push_items, 1, PICKLE_TUPLE},
    {0x86, push_items, 2, PICKLE_TUPLE},
    {0x87, push_items, 3, PICKLE_TUPLE},
    {'t', push_marked, 0, PICKLE_TUPLE},
    {']', push_items, 0, PICKLE_LIST},
    {'l', push_marked, 0, PICKLE_LIST},
    {'a', extend, 1, PICKLE_LIST},
    {'e', extend, 0, PICKLE_LIST},
    {'}', push_items, 0, PICKLE_DICT},
    {'d', push_marked, 0, PICKLE_DICT},
    {'s', extend, 2, PICKLE_DICT},
    {'u', extend, 0, PICKLE_DICT},
    {0x8f, push_set, 0, 0},
    {0x90, extend, 0, PICKLE_INERT},
    {'0', pop_one, 0, 0},
    {'1', pop_to_mark, 0, 0},
    {'2', dup_top, 0, 0},
    {'q', put, 1, 0},
    {'r', put, 4, 0},
    {0x94, put, 0, 0},
    {'h', get, 1, 0},
    {'j', get, 4, 0},
    {'c', global, 0, 0},
    {0x93, stack_global, 0, 0},
    {'Q', persistent, 0, 0},
    {'R', reduce, 0, 0},
    {0x81, reduce, 0, 0}, /* NEWOBJ: a class is called like a function */
    {'b', build, 0, 0},
};

static const op *find_op(uint8_t code)
{
    for (size_t i = 0; i < COUNT_OF(ops); i++) {
        if (ops[i].code == code)
            return &ops[i];
    }
    return NULL;
}

static bool run(pickle *p, err *e)
{
    const uint8_t *code = NULL;
    for (;;) {
        if (!take(p, 1, &code, e))
            return false;
        if (*code == '.')
            break;
        const op *o = find_op(*code);
        if (!o)
            return err_set(e, ERR_INPUT, "pickle opcode 0x%02x is not one a state dict needs",
                           *code);
        if (!o->run(p, o, e))
            return false;
    }
    if (p->marks || p->n != 1 || p->at != p->end)
        return err_set(e, ERR_INPUT, "the pickle does not end with exactly one value");
    p->root = p->stack[0];
    return true;
}

pickle *pickle_new(const void *bytes, size_t n, err *e)
{
    if (n > PICKLE_BYTES_MAX) {
        err_set(e, ERR_INPUT, "a pickle of %zu bytes; at most %zu are read", n, PICKLE_BYTES_MAX);
        return NULL;
    }
    pickle *p = MEM_NEW(pickle);
    p->arena = arena_new(65536);
    p->none.kind = PICKLE_NONE;
    p->inert.kind = PICKLE_INERT;
    p->at = bytes;
    p->end = p->at + n;
    text_init(&p->word[0]);
    text_init(&p->word[1]);
    if (run(p, e))
        return p;
    pickle_free(p);
    return NULL;
}

void pickle_free(pickle *p)
{
    if (!p)
        return;
    arena_free(p->arena);
    mem_free(p->stack);
    mem_free(p->mark);
    mem_free(p->memo);
    text_release(&p->word[0]);
    text_release(&p->word[1]);
    mem_free(p);
}

const pickle_value *pickle_root(const pickle *p)
{
    return p->root;
}

const pickle_value *pickle_get(const pickle_value *dict, const char *key)
{
    for (int i = dict->n - 2; dict->kind == PICKLE_DICT && i >= 0; i -= 2) {
        if (dict->item[i]->kind == PICKLE_TEXT && strcmp(dict->item[i]->text, key) == 0)
            return dict->item[i + 1];
    }
    return NULL;
}
