/* Option structs as JSON objects. */
#include "core/cfg_json.h"

#include <stdlib.h>
#include <string.h>

#include "core/text.h"

static const char *short_key(const cfg_option *o)
{
    const char *dot = strchr(o->key, '.');
    return dot ? dot + 1 : o->key;
}

/* Number `i` of '|'-separated choices as a text of length *n, NULL beyond the last. */
static const char *choice(const char *choices, int i, size_t *n)
{
    const char *s = choices;
    for (; i > 0 && s; i--) {
        s = strchr(s, '|');
        s = s ? s + 1 : NULL;
    }
    *n = s ? strcspn(s, "|") : 0;
    return s;
}

static json_t *make_one(const cfg_option *o, const void *field)
{
    size_t n;
    const char *s;
    switch (o->type) {
    case CFG_BOOL:
        return json_boolean(*(const bool *)field);
    case CFG_INT:
        return json_integer((json_int_t) * (const int64_t *)field);
    case CFG_REAL:
        return json_num(*(const double *)field);
    case CFG_TEXT:
        return json_string(*(const char *const *)field);
    case CFG_ENUM:
        s = choice(o->choices, *(const int *)field, &n);
        return s ? json_stringn(s, n) : json_null();
    case CFG_REALS:
    case CFG_TEXTS:
        break;
    }
    BUG("option %s is a list", o->key);
}

json_t *cfg_json_make(const cfg_group *g, const void *in)
{
    json_t *out = json_object();
    for (size_t i = 0; i < g->n; i++) {
        const cfg_option *o = &g->options[i];
        json_object_set_new(out, short_key(o), make_one(o, (const char *)in + o->offset));
    }
    return out;
}

static bool find_choice(const cfg_option *o, const char *word, int *out)
{
    size_t n;
    const char *s;
    for (int i = 0; (s = choice(o->choices, i, &n)) != NULL; i++) {
        if (strlen(word) == n && memcmp(s, word, n) == 0) {
            *out = i;
            return true;
        }
    }
    return false;
}

static bool in_range(const cfg_option *o, double v)
{
    return (o->min == 0 && o->max == 0) || (v >= o->min && v <= o->max);
}

static bool read_one(const cfg_option *o, const json_t *v, void *field)
{
    switch (o->type) {
    case CFG_BOOL:
        *(bool *)field = json_is_true(v);
        return json_is_boolean(v);
    case CFG_INT:
        *(int64_t *)field = json_integer_value(v);
        return json_is_integer(v) && in_range(o, (double)json_integer_value(v));
    case CFG_REAL:
        *(double *)field = json_number_value(v);
        return json_is_number(v) && in_range(o, json_number_value(v));
    case CFG_TEXT:
        *(const char **)field = json_string_value(v);
        return json_is_string(v);
    case CFG_ENUM:
        return json_is_string(v) && find_choice(o, json_string_value(v), (int *)field);
    case CFG_REALS:
    case CFG_TEXTS:
        break;
    }
    BUG("option %s is a list", o->key);
}

static void set_default(const cfg_option *o, void *field)
{
    int64_t whole = 0;
    double real = 0;
    bool ok = true;
    switch (o->type) {
    case CFG_BOOL:
        *(bool *)field = strcmp(o->def, "true") == 0;
        break;
    case CFG_INT:
        ok = text_i64(o->def, &whole);
        *(int64_t *)field = whole;
        break;
    case CFG_REAL:
        ok = text_ratio(o->def, &real);
        *(double *)field = real;
        break;
    case CFG_TEXT:
        *(const char **)field = o->def;
        break;
    case CFG_ENUM:
        ok = find_choice(o, o->def, (int *)field);
        break;
    case CFG_REALS:
    case CFG_TEXTS:
        ok = false;
    }
    if (!ok)
        BUG("option %s: default '%s'", o->key, o->def);
}

bool cfg_json_read(const cfg_group *g, const json_t *o, void *out, err *e)
{
    size_t known = 0;
    for (size_t i = 0; i < g->n; i++) {
        const cfg_option *k = &g->options[i];
        void *field = (char *)out + k->offset;
        const json_t *v = json_object_get(o, short_key(k));
        if (!v) {
            set_default(k, field);
            continue;
        }
        known++;
        if (!read_one(k, v, field))
            return err_set(e, ERR_INPUT, "'%s' has a value that it cannot have", k->key);
    }
    if (known != json_object_size(o))
        return err_set(e, ERR_INPUT, "an option is not known; the file is of a newer version");
    return true;
}
