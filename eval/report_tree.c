/* Computes the eval.json tree: metrics, curves, books, provenance and limits. The tables are built
 * in report_tables.c. */
#include "eval/report_tree.h"
#include "core/fs.h"
#include "core/mem.h"
#include "core/version.h"
#include "eval/cells.h"
#include "eval/report_match.h"
#include "eval/report_tables.h"
#include "eval/report_text.h"
#include <ctype.h>
#include <math.h>

#define CURVE_MAX      1000 /* points of a curve in eval.json */
#define HIST_BINS      24
#define ENRICHED_ABOVE 0.02 /* share of cancers above which a set is called enriched */
#define WHOLE_EXAM     4    /* images, of eval.require: exactly4 */
#define FEW_CASES      100  /* below this the limits say that cases are few */

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

/* ---- metrics --------------------------------------------------------------------------------- */

json_t *report_metric_new(const report_metric *m)
{
    json_t *j = json_object(), *flags = json_array();
    json_object_set_new(j, "id", json_string(m->id));
    json_object_set_new(j, "unit", json_string(m->unit));
    json_object_set_new(j, "subset", cells_string(m->subset));
    json_object_set_new(j, "horizon", m->horizon ? json_deep_copy(m->horizon) : json_null());
    json_object_set_new(j, "value", json_num(m->value));
    json_object_set_new(j, "lo", json_num(m->lo));
    json_object_set_new(j, "hi", json_num(m->hi));
    json_object_set_new(j, "ci", m->ci && m->ci[0] ? json_string(m->ci) : json_null());
    json_object_set_new(j, "reason", m->reason ? json_string(m->reason) : json_null());
    json_object_set_new(j, "n_exams", json_integer(m->n_exams));
    json_object_set_new(j, "n_patients", json_integer(m->n_patients));
    json_object_set_new(j, "n_events", json_integer(m->n_events));
    if (m->flag)
        json_array_append_new(flags, json_string(m->flag));
    json_object_set_new(j, "flags", flags);
    return j;
}

static json_t *add_metrics(report_build *b)
{
    const cohort_view *v = &b->all;
    json_t *list = json_object_get(b->tree, "metrics");
    metric_value a = metric_auc(&v->in), shown = metric_auc_report(&v->in);
    report_metric m = {.id = "auc",
                       .unit = "exam",
                       .subset = "all",
                       .horizon = json_object_get(b->model, "horizon_years"),
                       .value = shown.value,
                       .lo = shown.lo,
                       .hi = shown.hi,
                       .ci = shown.ci,
                       .reason = shown.reason,
                       .flag = shown.flag,
                       .n_exams = v->n,
                       .n_patients = v->n_patients,
                       .n_events = v->events};
    json_t *headline = report_metric_new(&m);
    json_array_append_new(list, headline);
    bool counts_only = isnan(shown.value);
    const struct {
        const char *id, *ci;
        double lo, hi;
    } other[] = {
        {"auc_wald", a.ci, a.lo, a.hi},
        {"auc_logit", a.ci, a.logit_lo, a.logit_hi},
        {"auc_bootstrap", b->operate.replicates ? "bootstrap" : "", b->operate.metric[0].lo,
         b->operate.metric[0].hi},
    };
    for (size_t i = 0; i < COUNT_OF(other); i++) {
        m.id = other[i].id;
        m.ci = other[i].ci;
        m.lo = counts_only ? NAN : other[i].lo;
        m.hi = counts_only ? NAN : other[i].hi;
        json_array_append_new(list, report_metric_new(&m));
    }
    for (int k = 1; k < metric_table_n; k++) {
        const operate_rate *r = &b->operate.metric[k];
        m.id = metric_table[k].id;
        m.value = counts_only ? NAN : r->value;
        m.lo = counts_only ? NAN : r->lo;
        m.hi = counts_only ? NAN : r->hi;
        m.ci = isnan(m.lo) ? "" : "bootstrap";
        json_array_append_new(list, report_metric_new(&m));
    }
    return headline;
}

/* ---- curves ---------------------------------------------------------------------------------- */

static json_t *curve_new(const char *id)
{
    static const char *const members[] = {"x", "y", "lo", "hi", NULL};
    json_t *c = json_object();
    json_object_set_new(c, "id", json_string(id));
    for (int i = 0; members[i]; i++)
        json_object_set_new(c, members[i], json_array());
    return c;
}

static void curve_add(json_t *c, const char *member, double v)
{
    json_array_append_new(json_object_get(c, member), json_num(v));
}

/* The ROC and precision-recall points: corners only, thinned when there are very many. */
static void add_curves(report_build *b)
{
    curve c = {0};
    json_t *list = json_object_get(b->tree, "curves"), *roc = curve_new("roc"),
           *pr = curve_new("pr");
    json_t *band = curve_new("roc_band"), *threshold = json_array();
    if (b->all.events >= METRIC_FEW && b->all.n - b->all.events >= METRIC_FEW &&
        curve_build(&b->all.in, &c)) {
        int64_t every = c.n > CURVE_MAX ? c.n / CURVE_MAX + 1 : 1;
        for (int64_t i = 0; i < c.n; i++) {
            const curve_point *p = &c.p[i];
            if (i % every && i != c.n - 1)
                continue;
            curve_add(roc, "x", p->fpr);
            curve_add(roc, "y", p->tpr);
            json_array_append_new(threshold, json_num(p->threshold));
            if (i == 0)
                continue;
            curve_add(pr, "x", p->tpr);
            curve_add(pr, "y", p->flagged1 / (p->flagged1 + p->flagged0));
        }
        for (int g = 0; b->operate.band && g < OPERATE_GRID; g++) {
            curve_add(band, "x", (double)g / (OPERATE_GRID - 1));
            curve_add(band, "y", b->operate.tpr[g]);
            curve_add(band, "lo", b->operate.tpr_lo[g]);
            curve_add(band, "hi", b->operate.tpr_hi[g]);
        }
    }
    json_object_set_new(roc, "threshold", threshold);
    json_array_append_new(list, roc);
    json_array_append_new(list, band);
    json_array_append_new(list, pr);
    curve_release(&c);
}

/* Share of the exams of each class per score bin; x = left edges, plus the last right edge. */
static void add_histogram(report_build *b)
{
    double lo = INFINITY, hi = -INFINITY, bin[2][HIST_BINS] = {{0}}, total[2] = {0};
    json_t *list = json_object_get(b->tree, "curves");
    for (int64_t i = 0; i < b->all.n; i++) {
        lo = fmin(lo, b->all.score[i]);
        hi = fmax(hi, b->all.score[i]);
    }
    if (!(hi > lo)) {
        lo = lo - 0.01;
        hi = lo + 0.02;
    }
    for (int64_t i = 0; i < b->all.n; i++) {
        int k = (int)((b->all.score[i] - lo) / (hi - lo) * HIST_BINS);
        k = k < 0 ? 0 : k >= HIST_BINS ? HIST_BINS - 1 : k;
        bin[b->all.y[i]][k]++;
        total[b->all.y[i]]++;
    }
    for (int y = 0; y < 2; y++) {
        json_t *c = curve_new(y ? "hist_case" : "hist_control");
        for (int k = 0; k <= HIST_BINS; k++)
            curve_add(c, "x", lo + (hi - lo) * k / HIST_BINS);
        for (int k = 0; k < HIST_BINS; k++)
            curve_add(c, "y", total[y] >= METRIC_FEW ? bin[y][k] / total[y] : 0);
        json_array_append_new(list, c);
    }
}

/* ---- books ----------------------------------------------------------------------------------- */

typedef struct flow_step {
    const char *step, *unit, *reason;
    int64_t n_in, n_out;
} flow_step;

static void flow_add(json_t *flow, const flow_step *s)
{
    json_t *r = json_object();
    json_object_set_new(r, "stage", json_string("report"));
    json_object_set_new(r, "step", json_string(report_text(s->step)));
    json_object_set_new(r, "unit", json_string(s->unit));
    json_object_set_new(r, "reason", json_string(s->reason));
    json_object_set_new(r, "n_in", json_integer(s->n_in));
    json_object_set_new(r, "n_out", json_integer(s->n_out));
    json_array_append_new(flow, r);
}

static bool add_flow(report_build *b, err *e)
{
    const report_in *in = &b->src->in[0];
    json_t *flow = json_deep_copy(in->flow);
    json_object_set_new(b->tree, "flow", flow);
    const json_t *last = json_array_get(flow, json_array_size(flow) - 1);
    const char *unit = json_string_value(json_object_get(last, "unit"));
    int64_t left = json_integer_value(json_object_get(last, "n_out"));
    if (unit && !strcmp(unit, "images") && left != b->rows_read)
        return err_set(e, ERR_INPUT,
                       "predictions.json: the flow ends with %lld images, but predictions.csv has "
                       "%lld rows",
                       (long long)left, (long long)b->rows_read);
    int64_t exams = b->set.exams.n + b->set.n_unlabelled;
    const flow_step steps[] = {
        {"flow.repeated", "images", "REPEATED_ROW", b->rows_read,
         b->rows_read - in->scores.n_merged},
        {"flow.other_split", "images", "OTHER_SPLIT", b->rows_read - in->scores.n_merged,
         b->rows_split},
        {"flow.incomplete", "images", "INCOMPLETE_EXAM", b->rows_split, b->rows_whole},
        {"flow.unlabelled", "exams", "LABEL_UNKNOWN", exams, b->set.exams.n},
    };
    for (size_t i = 0; i < COUNT_OF(steps); i++)
        if ((i != 1 && i != 2) || steps[i].n_in != steps[i].n_out)
            flow_add(flow, &steps[i]);
    return report_in_check_flow(flow, e);
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

static void add_options(report_build *b)
{
    const report_cfg *c = &b->opts->cfg;
    json_t *o = json_object(), *groups = json_array();
    json_object_set_new(o, "rule", json_string(exam_rule_name((exam_rule)c->rule)));
    json_object_set_new(o, "split", cells_string(b->split));
    json_object_set_new(o, "require", json_string(c->require ? "exactly4" : "any"));
    json_object_set_new(o, "bootstrap", json_integer(c->bootstrap));
    json_object_set_new(o, "seed", json_integer(c->seed));
    json_object_set_new(o, "specificities", reals(&c->spec));
    json_object_set_new(o, "sensitivities", reals(&c->sens));
    json_object_set_new(o, "top", reals(&c->top));
    json_object_set_new(o, "prevalence", reals(&c->prevalence));
    json_object_set_new(o, "subgroup_specificity", json_num(c->subgroup_spec));
    for (int i = 0; i < c->subgroups.n; i++)
        json_array_append_new(groups, cells_string(c->subgroups.v[i]));
    json_object_set_new(o, "subgroups", groups);
    json_object_set_new(o, "label", cells_string(c->label));
    json_object_set_new(o, "follow_up", cells_string(c->follow_up));
    json_object_set_new(o, "title", cells_string(c->title));
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

/* ---- notes, limits, pages -------------------------------------------------------------------- */

static void sentence(json_t *list, const char *key, const char *const *pairs)
{
    text t;
    text_init(&t);
    report_fill(&t, key, pairs);
    json_array_append_new(list, cells_string(t.s));
    text_release(&t);
}

static bool one_vendor(const report_build *b)
{
    const exam_table *t = &b->set.exams;
    for (int64_t i = 1; i < t->n; i++)
        if (strcmp(t->row[i].vendor, t->row[0].vendor))
            return false;
    return t->n > 0 && t->row[0].vendor[0];
}

static void add_limits(report_build *b)
{
    static const char *const none[] = {NULL};
    json_t *l = json_array();
    const cohort_view *v = &b->all;
    const report_cfg *c = &b->opts->cfg;
    unsigned columns = b->src->in[0].scores.columns;
    char share[32], cases[32];
    snprintf(share, sizeof share, "%.1f", v->n ? 100.0 * (double)v->events / (double)v->n : 0.0);
    snprintf(cases, sizeof cases, "%lld", (long long)v->events);
    sentence(l, "limit.research", none);
    if (report_match_dropped(b->src->in, b->src->n_in, b->src->val))
        sentence(l, "limit.dropped", none);
    if (text_ieq(b->split, "train") || text_ieq(b->split, "training"))
        sentence(l, "limit.train", none);
    else if (!text_ieq(b->split, "test"))
        sentence(l, b->split[0] ? "limit.not_test" : "limit.split_unknown",
                 (const char *const[]){"split", b->split, NULL});
    if (v->events < FEW_CASES)
        sentence(l, "limit.few", (const char *const[]){"cases", cases, NULL});
    if (v->n && (double)v->events / (double)v->n > ENRICHED_ABOVE)
        sentence(l, "limit.enriched", (const char *const[]){"share", share, NULL});
    if (one_vendor(b))
        sentence(l, "limit.one_vendor", none);
    if (!(columns & SCORES_HAS_VENDOR))
        sentence(l, "limit.no_vendor", none);
    if (!(columns & SCORES_HAS_PATIENT))
        sentence(l, "limit.no_patient", none);
    if (!c->label[0] && !json_object_get(b->model, "label"))
        sentence(l, "limit.no_label", none);
    if (!c->follow_up[0] && !json_object_get(b->model, "follow_up"))
        sentence(l, "limit.no_follow_up", none);
    if (!b->src->val)
        sentence(l, "limit.exploratory", none);
    sentence(l, "limit.calibration", none);
    json_object_set_new(b->tree, "limits", l);
}

static void add_pages(report_build *b)
{
    json_t *pages = json_array();
    const report_in *in = &b->src->in[0];
    for (int i = 0; i < in->n_images; i++) {
        const report_image *m = &in->image[i];
        json_t *page = NULL, *view = json_object(), *p;
        size_t k;
        json_array_foreach(
            pages, k, p) if (!strcmp(json_string_value(json_object_get(p, "exam_id")), m->exam))
            page = p;
        if (!page) {
            page = json_object();
            json_object_set_new(page, "exam_id", cells_string(m->exam));
            json_object_set_new(page, "views", json_array());
            json_array_append_new(pages, page);
        }
        json_object_set_new(view, "view", cells_string(m->view));
        json_object_set_new(view, "file", cells_string(m->file));
        json_object_set_new(view, "note", cells_string(m->note));
        json_object_set_new(view, "sha256", json_string(m->sha256));
        json_object_set_new(view, "score", json_num(m->score));
        json_object_set_new(view, "width", json_integer(m->width));
        json_object_set_new(view, "height", json_integer(m->height));
        json_object_set_new(view, "image", json_integer(i));
        json_array_append_new(json_object_get(page, "views"), view);
    }
    json_object_set_new(b->tree, "pages", pages);
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
    const exam_table *v = &b->val_set.exams, *t = &b->set.exams;
    json_t *seen = json_object();
    int64_t shared = 0;
    for (int64_t i = 0; i < v->n; i++)
        json_object_set_new_nocheck(seen, v->row[i].patient, json_true());
    for (int64_t i = 0; i < t->n; i++)
        shared += json_object_get(seen, t->row[i].patient) != NULL;
    json_decref(seen);
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

static bool load_sets(report_build *b, err *e)
{
    const scores **s = MEM_ARRAY(const scores *, b->src->n_in);
    for (int i = 0; i < b->src->n_in; i++)
        s[i] = &b->src->in[i].scores;
    bool ok = cohort_set_ensemble(s, b->src->n_in, b->opts->cfg.rule, &b->set, b->member, e);
    mem_free(s);
    if (ok && b->set.exams.n == 0)
        ok = err_set(e, ERR_INPUT, "no exam has a label (column y)");
    if (ok && b->src->val)
        ok = (cohort_set_build(&b->src->val->scores, b->opts->cfg.rule, &b->val_set, e) ||
              err_wrap(e, "--val")) &&
             check_val(b, e);
    return ok;
}

static bool fill(report_build *b, pool *p, err *e)
{
    static const char *const lists[] = {"metrics", "curves", "tables", NULL};
    cohort_view_build(&b->set, NULL, b->set.exams.n, &b->all);
    if (b->src->val)
        cohort_view_build(&b->val_set, NULL, b->val_set.exams.n, &b->val);
    operate_run(&b->all, b->src->val ? &b->val : NULL, b->set.repeated, &b->opts->cfg, p,
                &b->operate);
    json_object_set_new(b->tree, "schema", json_string(REPORT_SCHEMA));
    for (int i = 0; lists[i]; i++)
        json_object_set_new(b->tree, lists[i], json_array());
    json_object_set_new(b->tree, "model", json_deep_copy(b->model));
    hash_data(b);
    add_options(b);
    add_run(b);
    add_metrics(b);
    add_curves(b);
    add_histogram(b);
    if (!add_flow(b, e) || !report_tables_add(b, e))
        return false;
    add_limits(b);
    add_pages(b);
    json_t *boot = json_object();
    json_object_set_new(boot, "replicates", json_integer(b->operate.replicates));
    json_object_set_new(boot, "redrawn", json_integer(b->operate.redrawn));
    json_object_set_new(boot, "failed", json_integer(b->operate.failed));
    json_object_set_new(boot, "auc_sd", json_num(b->operate.metric_sd[0]));
    json_object_set_new(b->tree, "bootstrap", boot);
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
    bool ok = choose_split(b, e) && require_whole(b, e) && load_sets(b, e) && fill(b, p, e);
    if (ok)
        *out = json_incref(b->tree);
    json_decref(b->tree);
    cohort_view_release(&b->all);
    cohort_view_release(&b->val);
    cohort_set_release(&b->set);
    cohort_set_release(&b->val_set);
    for (int i = 0; i < src->n_in; i++)
        cohort_set_release(&b->member[i]);
    mem_free(b->member);
    mem_free(b);
    return ok;
}
