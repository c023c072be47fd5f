/* YAML to a mapping: every key is checked, unknown ones name the nearest known. */
#include "preprocess/mapping.h"

#include "core/text.h"

#include <string.h>

#define WORD_MOST 128

static const char *const levels[] = {"patient", "exam", "breast", "image", NULL};
static const char *const merges[] = {"agree", "same", "min", "max", "union", NULL};
static const char *const units[] = {"days", "years", NULL};
static const char *const orders[] = {"ymd", "dmy", "mdy", NULL};
static const char *const bools[] = {"false", "true", NULL};
static const char *const outcomes[] = {"times", "class", NULL};
static const char *const top_keys[] = {"about",          "outcome", "missing",
                                       "sentinel_dates", "tables",  NULL};
static const char *const table_keys[] = {"join", "optional", "ignore", "only", "flags", NULL};
static const char *const use_keys[] = {"level", "merge", "unit", "dates", "optional", NULL};
static const char *const source_keys[] = {"column", "text",   "part", "others", "empty",
                                          "is",     "values", "when", "else",   NULL};

typedef struct parse {
    mapping *m;
    const char *name;
    const flat_value *v;
    text *seen; /* the keys so far, each between line ends */
    err *e;
} parse;

const char *mapping_level_name(mapping_level l)
{
    return levels[l];
}

/* ---- messages -------------------------------------------------------------------------------- */

static bool refuse(const parse *p, const char *what)
{
    return err_set(p->e, ERR_CONFIG, "%s:%d: %s: %s", p->name, p->v->line, p->v->key, what);
}

static void nearer(const char *word, const char *candidate, const char **best, int *distance)
{
    int d = text_distance(word, candidate);
    if (d < *distance) {
        *distance = d;
        *best = candidate;
    }
}

static bool unknown(const parse *p, const char *kind, const char *word, const char *const *a,
                    bool and_fields)
{
    const char *best = "";
    int d = 1000;
    for (; a && *a; a++)
        nearer(word, *a, &best, &d);
    for (int f = 0; f < FIELD_flag && and_fields; f++)
        nearer(word, mapping_field_name((mapping_field)f), &best, &d);
    return err_set(p->e, ERR_CONFIG, "%s:%d: unknown %s '%s'; the nearest known one is '%s'",
                   p->name, p->v->line, kind, word, best);
}

/* ---- values of keys -------------------------------------------------------------------------- */

static bool scalar(const parse *p, const char **out)
{
    if (p->v->kind != FLAT_SCALAR)
        return refuse(p, "one word is wanted");
    *out = mapping_keep(p->m, p->v->v[0]);
    return true;
}

static bool words(const parse *p, mapping_words *out)
{
    if (p->v->kind == FLAT_SECTION)
        return refuse(p, "a word or a list is wanted");
    out->n = p->v->n;
    for (int i = 0; i < p->v->n; i++)
        out->v[i] = mapping_keep(p->m, p->v->v[i]);
    return out->n > 0 || refuse(p, "the list is empty");
}

static bool choice(const parse *p, const char *const *names, int *out)
{
    const char *s = "";
    if (!scalar(p, &s))
        return false;
    for (int i = 0; names[i]; i++)
        if (text_ieq(names[i], s)) {
            *out = i;
            return true;
        }
    return unknown(p, "word", s, names, false);
}

static int find_field(const char *name)
{
    for (int f = 0; f < FIELD_flag; f++)
        if (!strcmp(mapping_field_name((mapping_field)f), name))
            return f;
    return -1;
}

static bool set_join(const parse *p, mapping_table *t)
{
    mapping_words w;
    if (!words(p, &w))
        return false;
    if (w.n > MAPPING_JOIN)
        return refuse(p, "more than four fields");
    t->n_join = w.n;
    for (int i = 0; i < w.n; i++) {
        int f = find_field(w.v[i]);
        if (f < 0 || f > FIELD_view)
            return unknown(p, "key", w.v[i], NULL, true);
        t->join[i] = (mapping_field)f;
    }
    return true;
}

/* The first part of a dotted key; *rest is what follows, NULL at the end. Parts of words of a table
 * may hold dots: they come last and are not cut. */
static bool cut(const parse *p, const char *key, char out[WORD_MOST], const char **rest)
{
    size_t n = strcspn(key, ".");
    if (n >= WORD_MOST)
        return refuse(p, "the key is too long");
    memcpy(out, key, n);
    out[n] = 0;
    *rest = key[n] ? key + n + 1 : NULL;
    return true;
}

static bool section(const parse *p)
{
    return p->v->kind == FLAT_SECTION || refuse(p, "indented keys are wanted");
}

static bool source_key(const parse *p, mapping_source *s, const char *key);

static bool set_value_word(const parse *p, mapping_source *s, const char *word)
{
    const char *to;
    if (s->from.n == FLAT_LIST_MAX)
        return refuse(p, "more than 64 words");
    if (mapping_has_word(&s->from, word))
        return refuse(p, "the word is there twice");
    if (!scalar(p, &to))
        return false;
    s->from.v[s->from.n++] = mapping_keep(p->m, word);
    s->to.v[s->to.n++] = to;
    return true;
}

static bool set_part(const parse *p, mapping_source *s)
{
    int64_t n;
    const char *word;
    if (!scalar(p, &word))
        return false;
    if (!text_i64(word, &n) || !n || n < -64 || n > 64)
        return refuse(p, "a number of -64..64 but 0 is wanted");
    s->part = (int)n;
    return true;
}

static bool set_when(const parse *p, mapping_source *s, const char *column)
{
    if (s->when && strcmp(s->when, column))
        return refuse(p, "one condition at most");
    s->when = mapping_keep(p->m, column);
    return words(p, &s->when_is);
}

/* `else` holds keys of a source, or only the name of a column. */
static bool set_else(const parse *p, mapping_source *s, const char *rest)
{
    if (!s->otherwise)
        s->otherwise = arena_calloc(p->m->mem, sizeof *s->otherwise);
    if (rest)
        return source_key(p, s->otherwise, rest);
    return p->v->kind == FLAT_SECTION || words(p, &s->otherwise->column);
}

static bool source_key(const parse *p, mapping_source *s, const char *key)
{
    char head[WORD_MOST];
    const char *rest;
    if (!cut(p, key, head, &rest))
        return false;
    if (!strcmp(head, "values"))
        return rest ? set_value_word(p, s, rest) : section(p);
    if (!strcmp(head, "when"))
        return rest ? set_when(p, s, rest) : section(p);
    if (!strcmp(head, "else"))
        return set_else(p, s, rest);
    if (rest)
        return unknown(p, "key", key, source_keys, false);
    if (!strcmp(head, "column"))
        return words(p, &s->column);
    if (!strcmp(head, "text"))
        return scalar(p, &s->pattern);
    if (!strcmp(head, "part"))
        return set_part(p, s);
    if (!strcmp(head, "others"))
        return scalar(p, &s->others);
    if (!strcmp(head, "empty"))
        return scalar(p, &s->empty);
    if (!strcmp(head, "is"))
        return words(p, &s->yes);
    return unknown(p, "key", head, source_keys, false);
}

static bool use_key(const parse *p, mapping_use *u, const char *key)
{
    int i;
    if (!strcmp(key, use_keys[0])) {
        if (!choice(p, levels, &i))
            return false;
        u->level = (mapping_level)i;
        return true;
    }
    if (!strcmp(key, use_keys[1])) {
        if (!choice(p, merges, &i))
            return false;
        u->merge = (mapping_merge)i;
        return true;
    }
    if (!strcmp(key, use_keys[2])) {
        if (!choice(p, units, &i))
            return false;
        u->years = i == 1;
        return true;
    }
    if (!strcmp(key, use_keys[3]))
        return choice(p, orders, &u->date_order);
    if (!strcmp(key, use_keys[4])) {
        if (!choice(p, bools, &i))
            return false;
        u->optional = i == 1;
        return true;
    }
    return source_key(p, &u->source, key);
}

static mapping_use *use_of(const parse *p, mapping_table *t, mapping_field f, reason flag)
{
    for (int i = 0; i < t->n_uses; i++)
        if (t->use[i]->field == f && t->use[i]->flag == flag)
            return t->use[i];
    mapping_use *u = mapping_add(p->m, t, f, NULL);
    if (!u)
        refuse(p, "more than 48 fields of one table");
    else
        u->flag = flag;
    return u;
}

/* Keys of a field: "patient: column", "patient: [names of one column]", or indented keys. */
static bool use_value(const parse *p, mapping_use *u, const char *rest)
{
    if (!u)
        return false;
    if (rest)
        return use_key(p, u, rest);
    return p->v->kind == FLAT_SECTION || words(p, &u->source.column);
}

static bool flag_key(const parse *p, mapping_table *t, const char *key)
{
    char code[WORD_MOST];
    const char *rest;
    if (!key)
        return section(p);
    if (!cut(p, key, code, &rest))
        return false;
    reason r = reason_find(code);
    if (r == REASON_NONE) {
        const char *best = "";
        int d = 1000;
        for (int k = 1; k < REASON_COUNT; k++)
            nearer(code, reason_name((reason)k), &best, &d);
        return err_set(p->e, ERR_CONFIG,
                       "%s:%d: unknown reason code '%s'; the nearest known one is '%s'", p->name,
                       p->v->line, code, best);
    }
    return use_value(p, use_of(p, t, FIELD_flag, r), rest);
}

static bool table_key(const parse *p, mapping_table *t, const char *key)
{
    char head[WORD_MOST];
    const char *rest;
    int i;
    if (!cut(p, key, head, &rest))
        return false;
    if (!strcmp(head, "flags"))
        return flag_key(p, t, rest);
    if (!strcmp(head, "only")) {
        if (!t->only)
            t->only = arena_calloc(p->m->mem, sizeof *t->only);
        return rest ? source_key(p, t->only, rest) : section(p);
    }
    int f = find_field(head);
    if (f >= 0)
        return use_value(p, use_of(p, t, (mapping_field)f, REASON_NONE), rest);
    if (!rest && !strcmp(head, "join"))
        return set_join(p, t);
    if (!rest && !strcmp(head, "ignore"))
        return words(p, &t->ignore);
    if (!rest && !strcmp(head, "optional")) {
        if (!choice(p, bools, &i))
            return false;
        t->optional = i == 1;
        return true;
    }
    return unknown(p, "field or key", head, table_keys, true);
}

static bool tables_key(const parse *p, const char *key)
{
    char name[WORD_MOST];
    const char *rest;
    mapping_table *t = NULL;
    if (!key)
        return section(p);
    if (!cut(p, key, name, &rest))
        return false;
    for (int i = 0; i < p->m->n_tables && !t; i++)
        if (!strcmp(p->m->table[i].name, name))
            t = &p->m->table[i];
    if (!t)
        t = mapping_add_table(p->m, name);
    if (!t)
        return refuse(p, "more than four tables");
    return rest ? table_key(p, t, rest) : section(p);
}

static bool first_time(const parse *p)
{
    text line;
    text_init(&line);
    text_addf(&line, "\n%s\n", p->v->key);
    bool again = strstr(p->seen->s, line.s) != NULL;
    text_add(p->seen, line.s);
    text_release(&line);
    return !again || refuse(p, "the key is there twice");
}

static bool visit(void *ctx, const flat_value *v, err *e)
{
    parse p = *(parse *)ctx;
    char head[WORD_MOST];
    const char *rest;
    int i;
    p.v = v;
    p.e = e;
    if (!first_time(&p) || !cut(&p, v->key, head, &rest))
        return false;
    if (!strcmp(head, "tables"))
        return tables_key(&p, rest);
    if (rest)
        return unknown(&p, "key", head, top_keys, false);
    if (!strcmp(head, "about"))
        return scalar(&p, &p.m->about);
    if (!strcmp(head, "missing"))
        return words(&p, &p.m->missing);
    if (!strcmp(head, "sentinel_dates"))
        return words(&p, &p.m->sentinel);
    if (strcmp(head, "outcome"))
        return unknown(&p, "key", head, top_keys, false);
    if (!choice(&p, outcomes, &i))
        return false;
    p.m->ready = i == 1;
    return true;
}

mapping *mapping_parse(const char *yaml, size_t len, const char *name, err *e)
{
    mapping *m = mapping_new(name);
    text seen;
    parse p = {.m = m, .name = name, .seen = &seen};
    text_init(&seen);
    bool ok = flat_read(yaml, len, name, visit, &p, e) && mapping_finish(m, e);
    text_release(&seen);
    if (ok)
        return m;
    mapping_free(m);
    return NULL;
}
