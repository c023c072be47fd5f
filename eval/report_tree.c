/* Loads the exams, records options and provenance, runs the parts of the report, and looks for
 * identifiers in what they wrote. */
#include "eval/report_tree.h"
#include "core/fs.h"
#include "core/mem.h"
#include "core/version.h"
#include "eval/boot.h"
#include "eval/cells.h"
#include "eval/part.h"
#include "eval/population.h"
#include "eval/recalibrate.h"
#include <ctype.h>
#include <math.h>

#define WHOLE_EXAM 4 /* images, of eval.require: exactly4 */

const json_t *report_tree_by_id(const json_t *tree, const char *list, const char *id)
{
    size_t i;
    json_t *v;
    json_array_foreach(json_object_get(tree, list), i, v)
    {
        const char *have = json_string_value(json_object_get(v, "id"));
        if (have && !strcmp(have, id))
            return v;
    }
    return NULL;
}

const json_t *report_tree_metric(const json_t *tree, const char *id, const char *subset)
{
    size_t i;
    json_t *v;
    json_array_foreach(json_object_get(tree, "metrics"), i, v)
    {
        const char *have = json_string_value(json_object_get(v, "id"));
        const char *sub = json_string_value(json_object_get(v, "subset"));
        if (have && sub && !strcmp(have, id) && !strcmp(sub, subset))
            return v;
    }
    return NULL;
}

double report_tree_num(const json_t *obj, const char *key)
{
    const json_t *v = json_object_get(obj, key);
    return json_is_number(v) ? json_number_value(v) : NAN;
}

const char *report_tree_str(const json_t *obj, const char *key)
{
    const char *v = json_string_value(json_object_get(obj, key));
    return v ? v : "";
}

int report_tree_column(const json_t *table, const char *id)
{
    size_t i;
    json_t *c;
    json_array_foreach(json_object_get(table, "columns"), i, c)
    {
        if (!strcmp(report_tree_str(c, "id"), id))
            return (int)i;
    }
    return -1;
}

/* ---- provenance ------------------------------------------------------------------------------ */

static const char *hash_named(const json_t *hashes, const char *const *names)
{
    for (int i = 0; names[i]; i++) {
        const char *v = json_string_value(json_object_get(hashes, names[i]));
        if (v)
            return v;
    }
    return NULL;
}

static json_t *reals(const cfg_reals *r)
{
    json_t *a = json_array();
    for (int i = 0; i < r->n; i++)
        json_array_append_new(a, json_num(r->v[i]));
    return a;
}

json_t *report_tree_options(const report_cfg *c)
{
    json_t *o = json_object(), *groups = json_array();
    json_object_set_new(o, "rule", json_string(exam_rule_name((exam_rule)c->rule)));
    json_object_set_new(o, "ensemble", json_string(member_rule_name((member_rule)c->ensemble)));
    json_object_set_new(o, "split", cells_string(c->split));
    json_object_set_new(o, "require", json_string(c->require ? "exactly4" : "any"));
    json_object_set_new(o, "bootstrap", json_integer(c->bootstrap));
    json_object_set_new(o, "bootstrap_interval",
                        json_string(c->boot_kind == BOOT_BCA ? "bca" : "percentile"));
    json_object_set_new(o, "seed", json_integer(c->seed));
    json_object_set_new(o, "specificities", reals(&c->spec));
    json_object_set_new(o, "sensitivities", reals(&c->sens));
    json_object_set_new(o, "top", reals(&c->top));
    json_object_set_new(o, "prevalence", reals(&c->prevalence));
    json_object_set_new(o, "screen_days", json_num(c->screen_days));
    json_object_set_new(o, "interval_days", json_num(c->interval_days));
    json_object_set_new(o, "years", reals(&c->years));
    json_object_set_new(o, "tau", json_num(c->tau));
    json_object_set_new(o, "horizon", json_num(c->horizon));
    json_object_set_new(o, "sampling",
                        json_string(population_sampling_name((population_sampling)c->sampling)));
    json_object_set_new(o, "population", json_num(c->population));
    json_object_set_new(o, "recalibration",
                        json_string(recalibrate_name((recalibrate_kind)c->recalibration)));
    json_object_set_new(o, "decision", reals(&c->decision));
    json_object_set_new(o, "risk_groups", json_integer(c->risk_groups));
    json_object_set_new(o, "subgroup_specificity", json_num(c->subgroup_spec));
    for (int i = 0; i < c->subgroups.n; i++)
        json_array_append_new(groups, cells_string(c->subgroups.v[i]));
    json_object_set_new(o, "subgroups", groups);
    json_object_set_new(o, "noninferiority_margin", json_num(c->margin));
    json_object_set_new(o, "label", cells_string(c->label));
    json_object_set_new(o, "follow_up", cells_string(c->follow_up));
    json_object_set_new(o, "title", cells_string(c->title));
    json_object_set_new(o, "pages", json_integer(c->pages));
    json_object_set_new(o, "min_count", json_integer(c->min_count));
    return o;
}

static void add_options(report_build *b)
{
    json_t *o = report_tree_options(&b->opts->cfg);
    json_object_set_new(o, "split", cells_string(b->split)); /* the one that was found */
    json_object_set_new(o, "thresholds", json_string(b->src->val ? "val" : "same"));
    json_object_set_new(b->tree, "options", o);
}

static void add_run(report_build *b)
{
    static const char *const model[] = {"model_sha256", "model", "checkpoint", "checkpoint_sha256",
                                        NULL};
    static const char *const config[] = {"config_sha256", "config", NULL};
    const report_in *in = &b->src->in[0];
    json_t *r = json_object();
    text t;
    char hash[65];
    text_init(&t);
    text_addf(&t, "mammovit %s", version_number());
    json_object_set_new(r, "tool", json_string(t.s));
    json_object_set_new(r, "git", json_string(version_git()));
    const char *v = hash_named(in->hashes, config);
    if (!v && in->config) {
        fs_sha256_of(in->config, strlen(in->config), hash);
        v = hash;
    }
    json_object_set_new(r, "config_sha256", v ? cells_string(v) : json_null());
    v = hash_named(in->hashes, model);
    json_object_set_new(r, "model_sha256", v ? cells_string(v) : json_null());
    json_object_set_new(r, "data_sha256", json_string(b->data_sha256));
    text_clear(&t);
    json_write_text(json_object_get(b->tree, "options"), false, &t);
    fs_sha256_of(t.s, t.len, hash);
    json_object_set_new(r, "eval_options_sha256", json_string(hash));
    json_object_set_new(r, "seed", json_integer(b->opts->cfg.seed));
    json_object_set_new(r, "hashes", json_deep_copy(in->hashes));
    json_object_set_new(r, "config_yaml", in->config ? cells_string(in->config) : json_null());
    json_object_set_new(b->tree, "run", r);
    text_release(&t);
}

/* ---- the check for identifiers --------------------------------------------------------------- */

/* Text that looks like a DICOM person name (a^b), a DICOM UID, or a date of birth with a serial. */
static bool suspicious(const char *s)
{
    for (const char *p = s; *p; p++) {
        if (*p == '^' && p > s && isalpha((unsigned char)p[-1]))
            return true;
        if (p > s && (isalnum((unsigned char)p[-1]) || p[-1] == '.'))
            continue;
        int digits = 0, dots = 0, i = 0;
        for (; isdigit((unsigned char)p[i]) || p[i] == '.'; i++) {
            dots += p[i] == '.';
            digits += p[i] != '.';
        }
        if (dots >= 5 && digits >= 8)
            return true;
        if (dots == 0 && (digits == 8 || digits == 6) && p[i] == '-') {
            int tail = 0;
            while (isdigit((unsigned char)p[i + 1 + tail]))
                tail++;
            if (tail == 4)
                return true;
        }
    }
    return false;
}

static void scan_strings(const json_t *j, int64_t *n, int64_t *hits)
{
    size_t i;
    const char *key;
    json_t *v;
    if (json_is_string(j)) {
        ++*n;
        *hits += suspicious(json_string_value(j));
    } else if (json_is_array(j)) {
        json_array_foreach(j, i, v) scan_strings(v, n, hits);
    } else if (json_is_object(j)) {
        json_object_foreach((json_t *)j, key, v) scan_strings(v, n, hits);
    }
}

static void add_privacy(report_build *b)
{
    int64_t n = 0, hits = 0;
    json_t *p = json_object();
    scan_strings(b->tree, &n, &hits);
    json_object_set_new(p, "strings", json_integer(n));
    json_object_set_new(p, "suspicious", json_integer(hits));
    json_object_set_new(b->tree, "privacy", p);
}

/* ---- all together ---------------------------------------------------------------------------- */

/* Test exams are looked at with --final, exams to choose on without: what `final` counts are looks
 * at test exams. A split of another name, or of none, is what the caller says it is. */
static bool check_final(const report_build *b, err *e)
{
    static const char *const choosing[] = {"train", "val", "val_natural", "validation"};
    if (text_ieq(b->split, "test") && !b->opts->final)
        return err_set(e, ERR_USAGE,
                       "test metrics need --final (choose epoch, seed and threshold on the "
                       "validation split first)");
    for (size_t i = 0; i < COUNT_OF(choosing) && b->opts->final; i++)
        if (text_ieq(b->split, choosing[i]))
            return err_set(e, ERR_USAGE,
                           "--final is for test exams; these are of the split '%s', which is "
                           "reported without it",
                           choosing[i]);
    return true;
}

/* The one split that is evaluated; fails on a mixture. */
static bool choose_split(report_build *b, err *e)
{
    const char *want = b->opts->cfg.split;
    for (int i = 0; i < b->src->n_in; i++) {
        scores *s = &b->src->in[i].scores;
        if (i == 0)
            b->rows_read = s->n + s->n_merged;
        scores_keep_split(s, want);
        if (!s->n)
            return err_set(e, ERR_INPUT, "no row has the split '%s' (eval.split)", want);
        for (int64_t k = 0; k < s->n; k++) {
            if (!b->split)
                b->split = s->row[k].split;
            if (strcmp(b->split, s->row[k].split))
                return err_set(e, ERR_INPUT,
                               "the table holds several splits ('%s' and '%s'); choose one "
                               "with eval.split",
                               b->split, s->row[k].split);
        }
    }
    b->rows_split = b->src->in[0].scores.n;
    return check_final(b, e);
}

/* eval.require, for the evaluated exams and for those that thresholds come from. */
static bool require_whole(report_build *b, err *e)
{
    for (int i = 0; i < b->src->n_in + (b->src->val != NULL) && b->opts->cfg.require; i++) {
        scores *s = i < b->src->n_in ? &b->src->in[i].scores : &b->src->val->scores;
        scores_keep_whole(s, WHOLE_EXAM);
        if (!s->n)
            return err_set(e, ERR_INPUT, "no exam has exactly %d images (eval.require)",
                           WHOLE_EXAM);
    }
    b->rows_whole = b->src->in[0].scores.n;
    return true;
}

/* Thresholds may not come from patients who are evaluated. */
static bool check_val(const report_build *b, err *e)
{
    int64_t shared = cohort_set_shared(&b->set, &b->val_set);
    if (shared)
        return err_set(e, ERR_INPUT,
                       "%lld evaluated exams are of patients who are also in --val; "
                       "thresholds must come from other patients",
                       (long long)shared);
    return true;
}

static void hash_data(report_build *b)
{
    text all;
    text_init(&all);
    for (int i = 0; i < b->src->n_in; i++) {
        char one[65];
        scores_hash(&b->src->in[i].scores, one);
        text_add(&all, one);
    }
    if (b->src->n_in == 1)
        text_copy(b->data_sha256, sizeof b->data_sha256, all.s);
    else
        fs_sha256_of(all.s, all.len, b->data_sha256);
    text_release(&all);
}

/* Networks inside one table are averaged exam by exam (exam.h); other rules want a table each. */
static bool check_ensemble(const report_build *b, err *e)
{
    for (int k = 0; k < b->src->n_in && b->opts->cfg.ensemble != MEMBER_MEAN_PROB; k++) {
        const scores *s = &b->src->in[k].scores;
        for (int64_t i = 1; i < s->n; i++)
            if (strcmp(s->row[i].member, s->row[0].member))
                return err_set(e, ERR_INPUT,
                               "input %d holds scores of several networks; eval.ensemble=%s needs "
                               "one table for each network",
                               k + 1, member_rule_name((member_rule)b->opts->cfg.ensemble));
    }
    return true;
}

static bool load_sets(report_build *b, err *e)
{
    if (!check_ensemble(b, e))
        return false;
    const scores **s = MEM_ARRAY(const scores *, b->src->n_in);
    for (int i = 0; i < b->src->n_in; i++)
        s[i] = &b->src->in[i].scores;
    bool ok = cohort_set_ensemble(s, b->src->n_in, report_build_how(b), &b->set, b->member, e);
    mem_free(s);
    if (ok && b->set.exams.n == 0)
        ok = err_set(e, ERR_INPUT, "no exam has a label (column y)");
    if (ok && b->src->val)
        ok = (cohort_set_build(&b->src->val->scores, b->opts->cfg.rule, &b->val_set, e) ||
              err_wrap(e, "--val")) &&
             check_val(b, e);
    for (int i = 0; ok && i < b->src->n_compare; i++) {
        report_in *in = &b->src->compare[i];
        b->compare[i].card = in->model;
        ok = compare_load(&in->scores, b->src->compare_name[i], &b->set, b->split, &b->opts->cfg,
                          &b->compare[i], e) &&
             (!b->src->compare_val[i] || compare_load_val(&b->src->compare_val[i]->scores, &b->set,
                                                          &b->opts->cfg, &b->compare[i], e));
    }
    return ok;
}

static bool fill(report_build *b, pool *p, err *e)
{
    static const char *const lists[] = {"metrics", "curves", "tables", "limits", NULL};
    b->pool = p;
    cohort_view_build(&b->set, NULL, b->set.exams.n, &b->all);
    if (b->src->val)
        cohort_view_build(&b->val_set, NULL, b->val_set.exams.n, &b->val);
    operate_run(&b->all, b->src->val ? &b->val : NULL, b->set.repeated, &b->opts->cfg, p,
                &b->operate);
    risks_build(&b->all, b->src->val ? &b->val : NULL, &b->opts->cfg, &b->risks);
    for (int i = 0; i < b->src->n_compare; i++)
        compare_judge(&b->compare[i], &b->opts->cfg);
    report_tell_init(b);
    json_object_set_new(b->tree, "schema", json_string(REPORT_SCHEMA));
    for (int i = 0; lists[i]; i++)
        json_object_set_new(b->tree, lists[i], json_array());
    json_object_set_new(b->tree, "model", json_deep_copy(b->model));
    json_object_set_new(b->tree, "inputs", json_deep_copy(b->src->inputs));
    hash_data(b);
    add_options(b);
    add_run(b);
    for (int i = 0; part_at(i); i++)
        if (part_at(i)->add && !part_at(i)->add(b, e))
            return false;
    add_privacy(b);
    return true;
}

bool report_tree_build(const report_opts *o, const report_sources *src, pool *p, json_t **out,
                       err *e)
{
    report_build *b = MEM_NEW(report_build);
    b->opts = o;
    b->src = src;
    b->model = src->in[0].model;
    b->tree = json_object();
    b->member = MEM_ARRAY(cohort_set, src->n_in);
    b->compare = MEM_ARRAY(compare_model, src->n_compare + 1);
    bool ok = choose_split(b, e) && require_whole(b, e) && load_sets(b, e) && fill(b, p, e);
    if (ok)
        *out = json_incref(b->tree);
    json_decref(b->tree);
    risks_release(&b->risks);
    report_tell_release(&b->tell);
    cohort_view_release(&b->all);
    cohort_view_release(&b->val);
    cohort_set_release(&b->set);
    cohort_set_release(&b->val_set);
    for (int i = 0; i < src->n_in; i++)
        cohort_set_release(&b->member[i]);
    for (int i = 0; i < src->n_compare; i++)
        compare_release(&b->compare[i]);
    mem_free(b->compare);
    mem_free(b->member);
    mem_free(b);
    return ok;
}
