/* Configuration: one schema of option tables; values come from defaults, YAML files and key=value.
 * Every value goes through one function (assign), which checks type, range and choice and writes
 * the message; the dump is canonical, so that its hash names the configuration. */
#include "core/cfg.h"

#include <assert.h>
#include <math.h>

#include "core/flat.h"
#include "core/fs.h"
#include "core/mem.h"

#define CFG_FILE_MAX  ((size_t)1 << 20)
#define CFG_SHOWN_MAX 65 /* characters of a foreign value in a message, with the NUL */

typedef struct entry {
    const cfg_option *o;
    const cfg_group *group;
    bool given;
    int load; /* number of the load that gave it last: a repeated key in one file is an error */
    bool b;
    int64_t i;
    double r;
    int choice;
    const char *s;
    cfg_reals reals;
    cfg_texts texts;
    const char *shown; /* as the dump writes it */
} entry;

static_assert(CFG_LIST_MAX == FLAT_LIST_MAX, "a list of a file fits an option");

struct cfg {
    entry *entries;
    size_t n;
    int loads;
    arena *strings; /* kept until cfg_free: structs that were bound hold pointers into it */
};

/* Where a value stands, for messages. line 0: the command line. */
typedef struct place {
    const char *name;
    int line;
} place;

static bool fail(err *e, place at, const char *fmt, ...) PRINTF_LIKE(3, 4);
static bool fail(err *e, place at, const char *fmt, ...)
{
    char msg[900];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(msg, sizeof(msg), fmt, ap);
    va_end(ap);
    if (at.line)
        return err_set(e, ERR_CONFIG, "%s:%d: %s", at.name, at.line, msg);
    return err_set(e, ERR_CONFIG, "%s: %s", at.name, msg);
}

static const char *keep(cfg *c, const char *s, size_t len)
{
    char *p = arena_alloc(c->strings, len + 1);
    memcpy(p, s, len);
    p[len] = '\0';
    return p;
}

static entry *find(const cfg *c, const char *key)
{
    for (size_t i = 0; i < c->n; i++) {
        if (strcmp(c->entries[i].o->key, key) == 0)
            return &c->entries[i];
    }
    return NULL;
}

/* ---- values ---------------------------------------------------------------------------------- */

static const char *type_wanted(cfg_type t)
{
    switch (t) {
    case CFG_BOOL:
        return "true or false";
    case CFG_INT:
        return "a whole number";
    case CFG_REAL:
        return "a number";
    case CFG_TEXT:
        return "a text";
    case CFG_ENUM:
        return "one of its choices";
    case CFG_REALS:
        return "a list of numbers";
    case CFG_TEXTS:
        return "a list of texts";
    }
    BUG("cfg: type %d", (int)t);
}

static bool bounded(const cfg_option *o)
{
    return !(o->min == 0 && o->max == 0); /* the sentinel of the tables, not a computed value */
}

static void range_text(const cfg_option *o, text *out)
{
    char lo[32], hi[32];
    text_shortest(o->min, lo);
    text_shortest(o->max, hi);
    if (isinf(o->max))
        text_addf(out, "at least %s", lo);
    else if (isinf(o->min))
        text_addf(out, "at most %s", hi);
    else
        text_addf(out, "%s to %s", lo, hi);
}

static bool in_range(const cfg_option *o, double v, const char *shown, place at, err *e)
{
    if (!bounded(o) || (v >= o->min && v <= o->max))
        return true;
    text t;
    text_init(&t);
    range_text(o, &t);
    fail(e, at, "%s: %s is out of range (allowed: %s%s%s)", o->key, shown, t.s,
         o->unit && *o->unit ? " " : "", o->unit ? o->unit : "");
    text_release(&t);
    return false;
}

/* Index of `s` in "a|b|c", or -1. */
static int choice_of(const char *choices, const char *s)
{
    size_t len = strlen(s);
    int index = 0;
    for (const char *p = choices;; index++) {
        size_t n = strcspn(p, "|");
        if (n == len && memcmp(p, s, n) == 0)
            return index;
        if (!p[n])
            return -1;
        p += n + 1;
    }
}

static void choice_add(const char *choices, int index, text *out)
{
    const char *p = choices;
    for (int i = 0; i < index; i++)
        p += strcspn(p, "|") + 1;
    text_addn(out, p, strcspn(p, "|"));
}

/* A word that every YAML reader takes as a plain string is written plain. */
static bool is_plain(const char *s)
{
    static const char *const reserved[] = {"true", "false", "yes", "no", "on",
                                           "off",  "null",  "y",   "n"};
    for (size_t i = 0; i < COUNT_OF(reserved); i++) {
        if (text_ieq(s, reserved[i]))
            return false;
    }
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_/";
    static const char more[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_/0123456789.-+";
    return *s && strchr(letters, *s) && s[strspn(s, more)] == '\0';
}

/* Length of the UTF-8 character at p and its code point; 0 if it is none. */
static int utf8_at(const unsigned char *p, uint32_t *code)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    int n = *p < 0x80 ? 1 : *p < 0xc0 ? 0 : *p < 0xe0 ? 2 : *p < 0xf0 ? 3 : *p < 0xf8 ? 4 : 0;
    *code = n < 2 ? *p : *p & (0x7fu >> n);
    for (int i = 1; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
        *code = *code << 6 | (p[i] & 0x3fu);
    }
    bool surrogate = *code >= 0xd800 && *code < 0xe000;
    return n && *code >= least[n] && *code <= 0x10ffff && !surrogate ? n : 0;
}

/* What YAML reads as a line break or refuses must be escaped. */
static bool is_special(uint32_t code)
{
    return code < 0x20 || (code >= 0x7f && code < 0xa0) || code == 0x2028 || code == 0x2029 ||
           code == 0xfeff || code == 0xfffe || code == 0xffff;
}

static void quote(const char *s, text *out)
{
    if (is_plain(s)) {
        text_add(out, s);
        return;
    }
    text_add(out, "\"");
    uint32_t code;
    for (int n; *s; s += n) {
        n = utf8_at((const unsigned char *)s, &code);
        if (!n)
            BUG("cfg: a value that is not UTF-8");
        if (*s == '"' || *s == '\\')
            text_addf(out, "\\%c", *s);
        else if (is_special(code))
            text_addf(out, "\\u%04x", code);
        else
            text_addn(out, s, (size_t)n);
    }
    text_add(out, "\"");
}

/* The canonical form of the entry's value; what cfg_dump writes. */
static void show(cfg *c, entry *en)
{
    char num[32];
    text t;
    text_init(&t);
    switch (en->o->type) {
    case CFG_BOOL:
        text_add(&t, en->b ? "true" : "false");
        break;
    case CFG_INT:
        text_addf(&t, "%lld", (long long)en->i);
        break;
    case CFG_REAL:
        text_shortest(en->r, num);
        text_add(&t, num);
        break;
    case CFG_TEXT:
        quote(en->s, &t);
        break;
    case CFG_ENUM:
        choice_add(en->o->choices, en->choice, &t);
        break;
    case CFG_REALS:
        text_add(&t, "[");
        for (int i = 0; i < en->reals.n; i++) {
            text_shortest(en->reals.v[i], num);
            text_addf(&t, "%s%s", i ? ", " : "", num);
        }
        text_add(&t, "]");
        break;
    case CFG_TEXTS:
        text_add(&t, "[");
        for (int i = 0; i < en->texts.n; i++) {
            text_add(&t, i ? ", " : "");
            quote(en->texts.v[i], &t);
        }
        text_add(&t, "]");
        break;
    }
    en->shown = keep(c, t.s, t.len);
    text_release(&t);
}

static bool wrong(const entry *en, const char *shown, place at, err *e)
{
    if (en->o->type != CFG_ENUM)
        return fail(e, at, "%s: '%s' is not %s", en->o->key, shown, type_wanted(en->o->type));
    text t;
    text_init(&t);
    for (const char *p = en->o->choices; *p; p += strspn(p, "|")) {
        size_t n = strcspn(p, "|");
        text_add(&t, t.len ? ", " : "");
        text_addn(&t, p, n);
        p += n;
    }
    fail(e, at, "%s: '%s' is not one of: %s", en->o->key, shown, t.s);
    text_release(&t);
    return false;
}

static bool assign_scalar(cfg *c, entry *en, const flat_value *v, place at, err *e)
{
    const cfg_option *o = en->o;
    const char *s = v->v[0];
    char shown[CFG_SHOWN_MAX];
    text_copy(shown, sizeof(shown), s);
    if (v->kind == FLAT_LIST)
        return fail(e, at, "%s: one value is wanted (%s), found a list", o->key,
                    type_wanted(o->type));
    bool is_null = !v->quoted && (strcmp(s, "~") == 0 || strcmp(s, "null") == 0);
    switch (o->type) {
    case CFG_BOOL:
        return text_bool(s, &en->b) || wrong(en, shown, at, e);
    case CFG_INT: {
        int64_t i;
        if (!text_i64(s, &i))
            return wrong(en, shown, at, e);
        en->i = i;
        return in_range(o, (double)i, shown, at, e);
    }
    case CFG_REAL: {
        double r;
        if (!text_ratio(s, &r))
            return wrong(en, shown, at, e);
        en->r = r;
        return in_range(o, r, shown, at, e);
    }
    case CFG_ENUM: {
        int k = choice_of(o->choices, s);
        if (k < 0)
            return wrong(en, shown, at, e);
        en->choice = k;
        return true;
    }
    default:
        en->s = is_null ? "" : keep(c, s, strlen(s));
        return true;
    }
}

static bool assign_list(cfg *c, entry *en, const flat_value *v, place at, err *e)
{
    const cfg_option *o = en->o;
    cfg_reals reals = {.n = v->n};
    cfg_texts texts = {.n = v->n};
    for (int i = 0; i < v->n; i++) {
        char shown[CFG_SHOWN_MAX];
        text_copy(shown, sizeof(shown), v->v[i]);
        if (o->type == CFG_TEXTS) {
            texts.v[i] = keep(c, v->v[i], strlen(v->v[i]));
            continue;
        }
        if (!text_ratio(v->v[i], &reals.v[i]))
            return fail(e, at, "%s: item %d, '%s', is not a number", o->key, i + 1, shown);
        if (!in_range(o, reals.v[i], shown, at, e))
            return false;
    }
    en->reals = reals;
    en->texts = texts;
    return true;
}

/* Cut "a, b, c" or "[a, 'b']" into items, which lie in the cfg's memory. */
static bool split(cfg *c, const char *key, const char *s, flat_value *out, place at, err *e)
{
    *out = (flat_value){.kind = FLAT_LIST};
    size_t len = strlen(s);
    const char *end = s + len;
    while (s < end && (*s == ' ' || *s == '\t'))
        s++;
    while (end > s && (end[-1] == ' ' || end[-1] == '\t'))
        end--;
    if (s < end && *s == '[') {
        if (end - s < 2 || end[-1] != ']')
            return fail(e, at, "%s: the list has no closing ']'", key);
        s++;
        end--;
    }
    while (s < end) {
        while (s < end && *s == ' ')
            s++;
        if (s == end && !out->n)
            break;
        const char *from = s, *to;
        if (s < end && (*s == '"' || *s == '\'')) {
            from = s + 1;
            to = memchr(from, *s, (size_t)(end - from));
            if (!to)
                return fail(e, at, "%s: a quote in the list is not closed", key);
            s = to + 1;
            while (s < end && *s == ' ')
                s++;
            if (s < end && *s != ',')
                return fail(e, at, "%s: text after a closing quote in the list", key);
        } else {
            while (s < end && *s != ',')
                s++;
            to = s;
            while (to > from && to[-1] == ' ')
                to--;
            if (to == from)
                return fail(e, at, "%s: item %d of the list is empty", key, out->n + 1);
        }
        if (out->n == CFG_LIST_MAX)
            return fail(e, at, "%s: more than %d items", key, CFG_LIST_MAX);
        out->v[out->n++] = keep(c, from, (size_t)(to - from));
        if (s < end && ++s == end)
            return fail(e, at, "%s: the list ends with a comma", key);
    }
    return true;
}

/* Check and store; on failure the entry keeps its old value as far as it is shown or bound. */
static bool assign(cfg *c, entry *en, const flat_value *v, place at, err *e)
{
    entry next = *en;
    bool list = en->o->type == CFG_REALS || en->o->type == CFG_TEXTS;
    flat_value cut;
    if (list && v->kind == FLAT_SCALAR) {
        const char *s = v->v[0];
        if (v->quoted) {
            cut = *v;
        } else {
            bool is_null = strcmp(s, "~") == 0 || strcmp(s, "null") == 0;
            if (!split(c, en->o->key, is_null ? "" : s, &cut, at, e))
                return false;
        }
        v = &cut;
    }
    if (!(list ? assign_list(c, &next, v, at, e) : assign_scalar(c, &next, v, at, e)))
        return false;
    show(c, &next);
    *en = next;
    return true;
}

/* ---- keys ------------------------------------------------------------------------------------ */

static const char *last_part(const char *key)
{
    const char *dot = strrchr(key, '.');
    return dot ? dot + 1 : key;
}

/* The known key that is nearest to what was written; a right last part counts as nearly right. */
static const char *nearest(const cfg *c, const char *key)
{
    const char *best = "";
    int best_d = INT32_MAX;
    for (size_t i = 0; i < c->n; i++) {
        const char *known = c->entries[i].o->key;
        int d = 2 * text_distance(key, known);
        int tail = 2 * text_distance(last_part(key), last_part(known)) + 3;
        if (tail < d)
            d = tail;
        if (d < best_d) {
            best_d = d;
            best = known;
        }
    }
    return best;
}

static bool is_section(const cfg *c, const char *key)
{
    size_t n = strlen(key);
    for (size_t i = 0; i < c->n; i++) {
        const char *k = c->entries[i].o->key;
        if (strncmp(k, key, n) == 0 && k[n] == '.')
            return true;
    }
    return false;
}

static bool unknown(const cfg *c, const char *key, place at, err *e)
{
    char shown[CFG_SHOWN_MAX + 64];
    text_copy(shown, sizeof(shown), key);
    if (is_section(c, key))
        return fail(e, at, "'%s' is a section, its keys stand below it", shown);
    return fail(e, at, "unknown key '%s' (nearest known key: '%s')", shown, nearest(c, shown));
}

/* ---- files ----------------------------------------------------------------------------------- */

typedef struct loader {
    cfg *c;
    const char *name;
} loader;

static bool take(void *ctx, const flat_value *v, err *e)
{
    loader *l = ctx;
    cfg *c = l->c;
    place at = {l->name, v->line};
    entry *en = find(c, v->key);
    if (v->kind == FLAT_SECTION)
        return !en || fail(e, at, "%s: a value is wanted, found a mapping", v->key);
    bool empty = v->kind == FLAT_SCALAR && !v->quoted && !*v->v[0];
    if (!en && empty && is_section(c, v->key))
        return true; /* an empty section */
    if (!en)
        return unknown(c, v->key, at, e);
    if (en->load == c->loads)
        return fail(e, at, "%s: the key appears twice in this file", v->key);
    if (!assign(c, en, v, at, e))
        return false;
    en->load = c->loads;
    en->given = true;
    return true;
}

bool cfg_load_text(cfg *c, const char *yaml, size_t len, const char *name, err *e)
{
    loader l = {.c = c, .name = name};
    c->loads++;
    return flat_read(yaml, len, name, take, &l, e);
}

bool cfg_load(cfg *c, const char *path, err *e)
{
    char *data = NULL;
    size_t len = 0;
    err why = {0};
    if (!fs_read(path, CFG_FILE_MAX, &data, &len, &why)) {
        /* A configuration that is not there is a wrong configuration: exit 3, not 4. */
        return err_set(e, ERR_CONFIG, "%s", why.msg);
    }
    bool ok = cfg_load_text(c, data, len, fs_base(path), e);
    mem_free(data);
    return ok;
}

/* ---- schema ---------------------------------------------------------------------------------- */

cfg *cfg_new(const cfg_group *const *groups, size_t n_groups)
{
    cfg *c = MEM_NEW(cfg);
    c->strings = arena_new(4096);
    size_t n = 0;
    for (size_t g = 0; g < n_groups; g++)
        n += groups[g]->n;
    c->entries = MEM_ARRAY(entry, n);
    for (size_t g = 0; g < n_groups; g++) {
        for (size_t i = 0; i < groups[g]->n; i++) {
            const cfg_option *o = &groups[g]->options[i];
            err e = {0};
            if (find(c, o->key) || is_section(c, o->key))
                BUG("cfg: key '%s' appears twice or is a section too", o->key);
            if ((o->type == CFG_ENUM) != (o->choices != NULL))
                BUG("cfg: key '%s': choices do not fit the type", o->key);
            entry *en = &c->entries[c->n++];
            *en = (entry){.o = o, .group = groups[g], .s = ""};
            flat_value v = {.kind = FLAT_SCALAR, .n = 1, .v = {o->def}};
            if (!assign(c, en, &v, (place){"default", 0}, &e))
                BUG("cfg: %s", e.msg);
        }
    }
    for (size_t i = 0; i < c->n; i++) {
        if (is_section(c, c->entries[i].o->key))
            BUG("cfg: key '%s' is a section too", c->entries[i].o->key);
    }
    return c;
}

void cfg_free(cfg *c)
{
    if (!c)
        return;
    arena_free(c->strings);
    mem_free(c->entries);
    mem_free(c);
}

static bool is_utf8(const char *s)
{
    uint32_t code;
    for (int n; *s; s += n) {
        n = utf8_at((const unsigned char *)s, &code);
        if (!n)
            return false;
    }
    return true;
}

bool cfg_set(cfg *c, const char *key_value, err *e)
{
    place at = {"--set", 0};
    const char *eq = strchr(key_value, '=');
    if (!eq || eq == key_value)
        return fail(e, at, "'key=value' is wanted");
    if (!is_utf8(key_value))
        return fail(e, at, "the text is not UTF-8");
    char key[256] = "";
    size_t n = (size_t)(eq - key_value);
    memcpy(key, key_value, n < sizeof(key) ? n : sizeof(key) - 1);
    entry *en = n < sizeof(key) ? find(c, key) : NULL;
    if (!en)
        return unknown(c, key, at, e);
    flat_value v = {.kind = FLAT_SCALAR, .n = 1, .v = {eq + 1}};
    if (!assign(c, en, &v, at, e))
        return false;
    en->given = true;
    return true;
}

static void store(const entry *en, void *field)
{
    switch (en->o->type) {
    case CFG_BOOL:
        *(bool *)field = en->b;
        break;
    case CFG_INT:
        *(int64_t *)field = en->i;
        break;
    case CFG_REAL:
        *(double *)field = en->r;
        break;
    case CFG_TEXT:
        *(const char **)field = en->s;
        break;
    case CFG_ENUM:
        memcpy(field, &en->choice, sizeof(int));
        break;
    case CFG_REALS:
        *(cfg_reals *)field = en->reals;
        break;
    case CFG_TEXTS:
        *(cfg_texts *)field = en->texts;
        break;
    }
}

void cfg_bind(const cfg *c, const cfg_group *g, void *out)
{
    bool found = g->n == 0;
    for (size_t i = 0; i < c->n; i++) {
        if (c->entries[i].group != g)
            continue;
        store(&c->entries[i], (char *)out + c->entries[i].o->offset);
        found = true;
    }
    if (!found)
        BUG("cfg_bind: the group '%s' is not part of the schema", g->title);
}

bool cfg_given(const cfg *c, const char *key)
{
    const entry *en = find(c, key);
    if (!en)
        BUG("cfg_given: unknown key '%s'", key);
    return en->given;
}

const char *cfg_text(const cfg *c, const char *key)
{
    const entry *en = find(c, key);
    if (!en)
        BUG("cfg_text: unknown key '%s'", key);
    return en->shown;
}

/* ---- dump and help --------------------------------------------------------------------------- */

static void facts_text(const cfg_option *o, text *out)
{
    static const char *const names[] = {"true|false", "integer", "number", "text",
                                        "",           "numbers", "texts"};
    text_add(out, o->type == CFG_ENUM ? o->choices : names[o->type]);
    if (o->unit && *o->unit)
        text_addf(out, ", %s", o->unit);
    if (bounded(o)) {
        text_add(out, ", ");
        range_text(o, out);
    }
    text_addf(out, "; default: %s", *o->def ? o->def : "empty");
}

typedef struct dumper {
    const cfg *c;
    const cfg_group *const *groups;
    bool with_help;
    const cfg_group *last; /* whose title was written last */
    text *out;
} dumper;

static bool wanted(const dumper *d, const entry *en)
{
    if (!d->groups)
        return true;
    for (size_t i = 0; d->groups[i]; i++) {
        if (d->groups[i] == en->group)
            return true;
    }
    return false;
}

static void indent(text *out, int depth)
{
    for (int i = 0; i < depth; i++)
        text_add(out, "  ");
}

static void dump_leaf(dumper *d, const entry *en, const char *name, int depth)
{
    if (d->with_help) {
        indent(d->out, depth);
        text_addf(d->out, "# %s\n", en->o->help);
        indent(d->out, depth);
        text_add(d->out, "# (");
        facts_text(en->o, d->out);
        text_add(d->out, ")\n");
    }
    indent(d->out, depth);
    text_addf(d->out, "%s: %s\n", name, en->shown);
}

/* Write the wanted entries whose key starts with the first `n` characters of `prefix`: each
 * section once, where its first key stands in the tables. */
static void dump_below(dumper *d, const char *prefix, size_t n, int depth)
{
    for (size_t i = 0; i < d->c->n; i++) {
        const entry *en = &d->c->entries[i];
        const char *key = en->o->key;
        if (!wanted(d, en) || strncmp(key, prefix, n) != 0)
            continue;
        const char *name = key + n;
        size_t part = strcspn(name, ".");
        bool first = true;
        for (size_t k = 0; k < i && first && name[part]; k++)
            first = !(wanted(d, &d->c->entries[k]) &&
                      strncmp(d->c->entries[k].o->key, key, n + part + 1) == 0);
        if (!first)
            continue;
        if (d->with_help && depth == 0 && d->last != en->group) {
            text_addf(d->out, "%s# ---- %s ----\n", d->out->len ? "\n" : "", en->group->title);
            d->last = en->group;
        }
        if (!name[part]) {
            dump_leaf(d, en, name, depth);
            continue;
        }
        indent(d->out, depth);
        text_addn(d->out, name, part);
        text_add(d->out, ":\n");
        dump_below(d, key, n + part + 1, depth + 1);
    }
}

void cfg_dump(const cfg *c, const cfg_group *const *groups, bool with_help, text *out)
{
    text body;
    text_init(&body);
    dumper d = {.c = c, .groups = groups, .with_help = with_help, .out = &body};
    dump_below(&d, "", 0, 0);
    text_addn(out, body.s, body.len);
    text_release(&body);
}

void cfg_hash(const cfg *c, const cfg_group *const *groups, char out[65])
{
    text t;
    text_init(&t);
    cfg_dump(c, groups, false, &t);
    fs_sha256_of(t.s, t.len, out);
    text_release(&t);
}

void cfg_help(const cfg *c, text *out)
{
    const cfg_group *last = NULL;
    for (size_t i = 0; i < c->n; i++) {
        const entry *en = &c->entries[i];
        if (en->group != last)
            text_addf(out, "%s%s\n", last ? "\n" : "", en->group->title);
        last = en->group;
        text_addf(out, "  %s\n      %s\n      (", en->o->key, en->o->help);
        facts_text(en->o, out);
        text_add(out, ")\n");
    }
}
