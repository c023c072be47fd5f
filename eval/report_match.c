/* Inputs that may stand in one report (report_match.h). Messages count inputs from 1 and never name
 * a path. */
#include "eval/report_match.h"
#include "core/text.h"
#include <math.h>
#include <stdio.h>

/* ---- what was recorded ----------------------------------------------------------------------- */

/* Share of patches kept when scoring; 1 = all, NaN = not recorded. */
static double kept(const report_in *in)
{
    const json_t *v = json_object_get(in->model, "predict_keep_rate");
    if (json_is_number(v))
        return json_number_value(v);
    return json_object_size(in->model) ? 1 : NAN;
}

bool report_match_dropped(const report_in *in, int n, const report_in *val)
{
    bool yes = val && kept(val) < 1;
    for (int i = 0; i < n; i++)
        yes = yes || kept(&in[i]) < 1;
    return yes;
}

static bool is_network(const char *name)
{
    return !strncmp(name, "model", 5);
}

/* ---- seeds of one recipe --------------------------------------------------------------------- */

/* Any network of a among those of b. */
static const char *shared_network(const report_in *a, const report_in *b)
{
    const char *x, *y;
    json_t *va, *vb;
    json_object_foreach(a->hashes, x, va)
    {
        json_object_foreach(b->hashes, y, vb)
        {
            if (is_network(x) && is_network(y) && json_is_string(va) && json_equal(va, vb))
                return json_string_value(va);
        }
    }
    return NULL;
}

/* Keys of the config that change no number of a run. */
static bool changes_nothing(const char *line)
{
    static const char *const keys[] = {"cache_mib:", "save_steps:", "keep_log:"};
    line += strspn(line, " ");
    for (size_t i = 0; i < COUNT_OF(keys); i++)
        if (!strncmp(line, keys[i], strlen(keys[i])))
            return true;
    return false;
}

static const char *next_line(const char *p, char *out, size_t cap)
{
    size_t n = strcspn(p, "\n"), len = n < cap - 1 ? n : cap - 1;
    memcpy(out, p, len);
    out[len] = 0;
    return p + n + (p[n] == '\n');
}

/* The first line in which two resolved configs differ; the seed is no part of them. */
static bool same_config(const char *a, const char *b, err *e)
{
    char x[4096], y[4096], section[64] = "";
    while (*a || *b) {
        a = next_line(a, x, sizeof x);
        b = next_line(b, y, sizeof y);
        if (strcmp(x, y) && !(changes_nothing(x) && changes_nothing(y)))
            return err_set(e, ERR_INPUT, "%s '%.80s' and '%.80s'", section, x + strspn(x, " "),
                           y + strspn(y, " "));
        if (x[0] && x[0] != ' ' && x[0] != '#')
            text_copy(section, sizeof section, x);
    }
    return true;
}

/* The first member of the two model cards that differs. */
static bool same_card(const json_t *a, const json_t *b, err *e)
{
    static const char *const keys[] = {"name",         "image_h",   "image_w",    "patch",
                                       "depth",        "keep_rate", "params",     "keep_schedule",
                                       "optimizer",    "lr",        "batch_size", "pretrained",
                                       "horizon_years"};
    for (size_t i = 0; i < COUNT_OF(keys); i++) {
        const json_t *x = json_object_get(a, keys[i]), *y = json_object_get(b, keys[i]);
        if (x == y || (x && y && json_equal(x, y)))
            continue;
        text l, r;
        text_init(&l);
        text_init(&r);
        if (x)
            json_write_text(x, false, &l);
        if (y)
            json_write_text(y, false, &r);
        err_set(e, ERR_INPUT, "%s is %.80s and %.80s", keys[i], x ? l.s : "absent",
                y ? r.s : "absent");
        text_release(&l);
        text_release(&r);
        return false;
    }
    return true;
}

static bool same_recipe(const report_in *a, const report_in *b, err *e)
{
    double ka = kept(a), kb = kept(b);
    if (ka < kb || ka > kb)
        return err_set(e, ERR_INPUT, "predict.keep_rate is %g and %g", ka, kb);
    if (json_object_size(a->model) && json_object_size(b->model) &&
        !same_card(a->model, b->model, e))
        return false;
    return !a->config || !b->config || same_config(a->config, b->config, e);
}

bool report_match_seeds(const report_in *in, int n, err *e)
{
    for (int k = 1; k < n; k++)
        for (int i = 0; i < k; i++) {
            const char *twice = shared_network(&in[i], &in[k]);
            if (twice)
                return err_set(e, ERR_INPUT,
                               "inputs %d and %d were scored by the same checkpoint (%.12s); "
                               "several inputs are seeds of one recipe",
                               i + 1, k + 1, twice);
            if (!same_recipe(&in[i], &in[k], e))
                return err_wrap(e, "inputs %d and %d are not seeds of one recipe", i + 1, k + 1);
        }
    return true;
}

/* ---- val ------------------------------------------------------------------------------------- */

/* The column `checkpoint` of a member name "a+b|seed", one network at a time, into a set. Rows
 * share interned names, so most are seen at a glance. */
static void add_checkpoints(const scores *s, json_t *set)
{
    const char *before = NULL;
    for (int64_t i = 0; i < s->n; i++) {
        const char *p = s->row[i].member;
        if (p == before)
            continue;
        before = p;
        while (*p && *p != '|') {
            char one[128];
            size_t len = strcspn(p, "+|");
            snprintf(one, sizeof one, "%.*s", (int)(len < sizeof one ? len : sizeof one - 1), p);
            if (len)
                json_object_set_new_nocheck(set, one, json_true());
            p += len + (p[len] == '+');
        }
    }
}

static const char *not_in(json_t *a, const json_t *b)
{
    const char *key;
    json_t *v;
    json_object_foreach(a, key, v)
    {
        if (!json_object_get(b, key))
            return key;
    }
    return NULL;
}

static bool same_checkpoints(json_t *test, json_t *val, err *e)
{
    const char *t = not_in(test, val), *v = not_in(val, test);
    if (!json_object_size(val) || !json_object_size(test) || (!t && !v))
        return true;
    return err_set(e, ERR_INPUT,
                   "the validation exams were not scored by the networks that are evaluated: "
                   "checkpoint '%.24s' is only of the %s ones; thresholds of one network say "
                   "nothing about another",
                   t ? t : v, t ? "evaluated" : "validation");
}

bool report_match_val(const report_in *in, int n, const report_in *val, err *e)
{
    json_t *test = json_object(), *other = json_object();
    double kv = kept(val);
    bool ok = true, all = true;
    for (int i = 0; i < n && ok; i++) {
        double k = kept(&in[i]);
        size_t before = json_object_size(test);
        add_checkpoints(&in[i].scores, test);
        all = all && json_object_size(test) > before;
        if (k < kv || k > kv)
            ok = err_set(
                e, ERR_INPUT,
                "predict.keep_rate was %g for the evaluated exams and %g for the validation exams; "
                "thresholds must come from scores made the same way",
                k, kv);
    }
    add_checkpoints(&val->scores, other);
    ok = ok && (!all || same_checkpoints(test, other, e));
    json_decref(test);
    json_decref(other);
    return ok;
}
