/* Order and wording of the report. Every number comes out of the tree. */
#include "eval/report_doc.h"
#include "core/mem.h"
#include "eval/cells.h"
#include "eval/report_text.h"
#include "eval/report_tree.h"
#include <math.h>

#define SUMMARY_SPEC       0.90 /* the operating point that the summary speaks of */
#define SUMMARY_TOP        0.10
#define SUMMARY_PREVALENCE 0.006

/* ---- blocks ---------------------------------------------------------------------------------- */

static doc_block *add(report_doc *d, doc_kind kind)
{
    if (d->n == d->cap) {
        int cap = d->cap ? 2 * d->cap : 32;
        d->block = mem_realloc(d->block, (size_t)d->cap * sizeof *d->block,
                               (size_t)cap * sizeof *d->block);
        d->cap = cap;
    }
    doc_block *b = &d->block[d->n++];
    *b = (doc_block){.kind = kind};
    return b;
}

static void add_text(report_doc *d, doc_kind kind, const char *s)
{
    add(d, kind)->text = mem_strdup(s);
}

static void add_fill(report_doc *d, doc_kind kind, const char *key, const char *const *pairs)
{
    text t;
    text_init(&t);
    report_fill(&t, key, pairs);
    add(d, kind)->text = text_take(&t);
    text_release(&t);
}

static void add_section(report_doc *d, const char *id)
{
    char key[48];
    snprintf(key, sizeof key, "section.%s", id);
    doc_block *b = add(d, DOC_SECTION);
    b->id = id;
    b->text = mem_strdup(report_text(key));
}

static void add_figure(report_doc *d, const json_t *tree, const char *id)
{
    const figure *f = figure_find(id);
    if (f->paint(NULL, tree) > 0)
        add(d, DOC_FIGURE)->fig = f;
}

static void add_table(report_doc *d, const json_t *tree, const char *id, bool fold)
{
    const json_t *t = report_tree_by_id(tree, "tables", id);
    if (!json_array_size(json_object_get(t, "rows")))
        return;
    doc_block *b = add(d, DOC_TABLE);
    b->data = json_incref((json_t *)t);
    b->fold = fold;
    const char *note = json_string_value(json_object_get(t, "note"));
    if (note)
        add_text(d, DOC_NOTE, note);
}

void report_doc_release(report_doc *d)
{
    for (int i = 0; i < d->n; i++) {
        mem_free(d->block[i].text);
        json_decref(d->block[i].data);
    }
    mem_free(d->block);
    mem_free(d->title);
    mem_free(d->subtitle);
    mem_free(d->footer);
    memset(d, 0, sizeof *d);
}

/* ---- numbers as text ------------------------------------------------------------------------- */

typedef struct number {
    char s[40];
} number;

static const char *fixed(number *n, const char *fmt, double v)
{
    if (!strcmp(fmt, "auc"))
        snprintf(n->s, sizeof n->s, "%.3f", v);
    else if (!strcmp(fmt, "0"))
        snprintf(n->s, sizeof n->s, "%.0f", v);
    else if (!strcmp(fmt, "1"))
        snprintf(n->s, sizeof n->s, "%.1f", v);
    else
        snprintf(n->s, sizeof n->s, "%.4g", v);
    return n->s;
}

static const char *count(number *n, const json_t *v)
{
    snprintf(n->s, sizeof n->s, "%lld", (long long)json_integer_value(v));
    return n->s;
}

static double num(const json_t *obj, const char *key)
{
    const json_t *v = json_object_get(obj, key);
    return json_is_number(v) ? json_number_value(v) : NAN;
}

static const char *str(const json_t *obj, const char *key)
{
    const char *v = json_string_value(json_object_get(obj, key));
    return v ? v : "";
}

/* ---- summary --------------------------------------------------------------------------------- */

static void headline(report_doc *d, const json_t *m)
{
    number a, lo, hi, n, p, k;
    const char *reason = str(m, "reason"), *ci = str(m, "ci");
    char key[64];
    text t;
    text_init(&t);
    json_t *h = json_object();
    bool known = !isnan(num(m, "value"));
    json_object_set_new(h, "value",
                        json_string(known ? fixed(&a, "auc", num(m, "value")) : "\xE2\x80\x93"));
    json_object_set_new(h, "caption", json_string(report_text("headline.caption")));
    if (!isnan(num(m, "lo"))) {
        report_fill(&t, "headline.interval",
                    (const char *const[]){"lo", fixed(&lo, "auc", num(m, "lo")), "hi",
                                          fixed(&hi, "auc", num(m, "hi")), NULL});
    } else {
        snprintf(key, sizeof key, "reason.%s", reason[0] ? reason : "none");
        report_fill(&t, known ? "headline.no_interval" : "headline.undefined",
                    (const char *const[]){"reason", report_text(key), NULL});
    }
    json_object_set_new(h, "interval", cells_string(t.s));
    text_clear(&t);
    snprintf(key, sizeof key, "ci.%s", ci[0] ? ci : "none");
    report_fill(&t, "headline.method",
                (const char *const[]){"method", report_text(key), "exams",
                                      count(&n, json_object_get(m, "n_exams")), "patients",
                                      count(&p, json_object_get(m, "n_patients")), "cases",
                                      count(&k, json_object_get(m, "n_events")), NULL});
    json_object_set_new(h, "method", cells_string(t.s));
    text_release(&t);
    add(d, DOC_HEADLINE)->data = h;
}

static void sentence_pairs(report_doc *d, const json_t *m)
{
    number a, lo, hi;
    double v = num(m, "value");
    if (isnan(v))
        return;
    const char *const pairs[] = {"auc", fixed(&a, "0", 100 * v),
                                 "lo",  fixed(&lo, "0", 100 * num(m, "lo")),
                                 "hi",  fixed(&hi, "0", 100 * num(m, "hi")),
                                 NULL};
    bool interval = !isnan(num(m, "lo"));
    add_fill(d, DOC_ITEM, interval ? "sum.pairs" : "sum.pairs_bare", pairs);
    if (interval && num(m, "lo") <= 0.5 && num(m, "hi") >= 0.5)
        add_text(d, DOC_ITEM, report_text("sum.chance"));
}

/* Row whose operating point has this name; NULL when absent. */
static const json_t *row_named(const json_t *table, const char *key, double target)
{
    number n;
    text name;
    size_t i;
    json_t *row;
    const json_t *found = NULL;
    text_init(&name);
    report_fill(&name, key, (const char *const[]){"target", fixed(&n, "4g", 100 * target), NULL});
    json_array_foreach(json_object_get(table, "rows"), i, row)
    {
        const char *v = json_string_value(json_array_get(row, 0));
        if (!found && v && !strcmp(v, name.s))
            found = row;
    }
    text_release(&name);
    return found;
}

static void sentence_flag(report_doc *d, const json_t *tree)
{
    number top, share;
    const json_t *row =
        row_named(report_tree_by_id(tree, "tables", "capture"), "point.top", SUMMARY_TOP);
    double v = row ? num(json_array_get(row, 2), "v") : NAN;
    if (isnan(v))
        return;
    add_fill(d, DOC_ITEM, "sum.flag",
             (const char *const[]){"top", fixed(&top, "4g", 100 * SUMMARY_TOP), "capture",
                                   fixed(&share, "0", 100 * v), NULL});
}

static void sentence_thousand(report_doc *d, const json_t *tree)
{
    const json_t *row =
        row_named(report_tree_by_id(tree, "tables", "operating"), "point.spec", SUMMARY_SPEC);
    if (!row)
        return;
    double se = num(json_array_get(row, 2), "v"), sp = num(json_array_get(row, 3), "v");
    if (isnan(se) || isnan(sp))
        return;
    double found = 1000 * se * SUMMARY_PREVALENCE,
           wrong = 1000 * (1 - sp) * (1 - SUMMARY_PREVALENCE);
    bool val = !strcmp(str(json_object_get(tree, "options"), "thresholds"), "val");
    number spec, prevalence, flagged, hit, no, missed;
    add_fill(d, DOC_ITEM, "sum.thousand",
             (const char *const[]){"where", report_text(val ? "where.val" : "where.same"), "spec",
                                   fixed(&spec, "4g", 100 * SUMMARY_SPEC), "prevalence",
                                   fixed(&prevalence, "4g", 100 * SUMMARY_PREVALENCE), "flagged",
                                   fixed(&flagged, "0", found + wrong), "found",
                                   fixed(&hit, "1", found), "false", fixed(&no, "1", wrong),
                                   "missed", fixed(&missed, "1", 1000 * SUMMARY_PREVALENCE - found),
                                   NULL});
}

static void sentence_excluded(report_doc *d, const json_t *tree)
{
    const json_t *flow = json_object_get(tree, "flow"), *first = json_array_get(flow, 0);
    const char *unit = str(first, "unit");
    int64_t left = 0;
    size_t i;
    json_t *row;
    json_array_foreach(flow, i, row) if (!strcmp(str(row, "unit"), unit)) left +=
        json_integer_value(json_object_get(row, "excluded"));
    number n, all;
    fixed(&n, "0", (double)left);
    add_fill(d, DOC_ITEM, "sum.excluded",
             (const char *const[]){"excluded", n.s, "files",
                                   count(&all, json_object_get(first, "n_in")), "unit", unit,
                                   NULL});
}

static void summary(report_doc *d, const json_t *tree)
{
    const json_t *m = report_tree_metric(tree, "auc", "all");
    number n, p, k;
    add_section(d, "summary");
    headline(d, m);
    sentence_pairs(d, m);
    add_fill(d, DOC_ITEM, "sum.size",
             (const char *const[]){"exams", count(&n, json_object_get(m, "n_exams")), "patients",
                                   count(&p, json_object_get(m, "n_patients")), "cases",
                                   count(&k, json_object_get(m, "n_events")), NULL});
    sentence_flag(d, tree);
    sentence_thousand(d, tree);
    sentence_excluded(d, tree);
    add_text(d, DOC_ITEM, report_text("sum.use"));
    add_figure(d, tree, "roc");
}

/* ---- data ------------------------------------------------------------------------------------ */

static void pair(json_t *list, const char *label, const char *value)
{
    json_t *p = json_array();
    json_array_append_new(p, cells_string(label));
    json_array_append_new(p, cells_string(value && value[0] ? value : report_text("not_recorded")));
    json_array_append_new(list, p);
}

/* A member of the model card as one line of text. */
static void show_value(const json_t *v, text *out)
{
    if (json_is_string(v))
        text_add(out, json_string_value(v));
    else if (json_is_boolean(v))
        text_add(out, report_text(json_is_true(v) ? "yes" : "no"));
    else if (v && !json_is_null(v))
        json_write_text(v, false, out);
}

static void data_section(report_doc *d, const json_t *tree)
{
    const json_t *m = report_tree_metric(tree, "auc", "all"), *o = json_object_get(tree, "options"),
                 *model = json_object_get(tree, "model"), *flow = json_object_get(tree, "flow");
    json_t *list = json_array();
    number n;
    text t;
    char key[48];
    text_init(&t);
    add_section(d, "data");
    text_add(&t, str(o, "label"));
    if (!t.len)
        show_value(json_object_get(model, "label"), &t);
    pair(list, report_text("data.label"), t.s);
    text_clear(&t);
    text_add(&t, str(o, "follow_up"));
    if (!t.len)
        show_value(json_object_get(model, "follow_up"), &t);
    pair(list, report_text("data.follow_up"), t.s);
    pair(list, report_text("data.split"), str(o, "split"));
    snprintf(key, sizeof key, "rule.%s", str(o, "rule"));
    pair(list, report_text("data.rule"), report_text(key));
    pair(list, report_text("data.exams"), count(&n, json_object_get(m, "n_exams")));
    pair(list, report_text("data.patients"), count(&n, json_object_get(m, "n_patients")));
    pair(list, report_text("data.cases"), count(&n, json_object_get(m, "n_events")));
    text_clear(&t);
    double share = num(m, "n_events") / num(m, "n_exams");
    text_addf(&t, "%.1f %%", 100 * share);
    pair(list, report_text("data.share"), t.s);
    if (!strcmp(str(o, "thresholds"), "val"))
        pair(list, report_text("data.shared"), "0"); /* any other number fails the report */
    add(d, DOC_PAIRS)->data = list;
    if (json_array_size(flow)) {
        add_figure(d, tree, "flow");
        add_table(d, tree, "flow", true);
    }
    text_release(&t);
}

/* ---- the other sections ---------------------------------------------------------------------- */

static void performance(report_doc *d, const json_t *tree)
{
    const json_t *boot = json_object_get(tree, "bootstrap");
    number r, again, seed, members;
    add_section(d, "performance");
    add_figure(d, tree, "scores");
    add_table(d, tree, "metrics", false);
    if (json_integer_value(json_object_get(boot, "replicates")) > 0)
        add_fill(d, DOC_NOTE, "bootstrap.note",
                 (const char *const[]){
                     "replicates", count(&r, json_object_get(boot, "replicates")), "redrawn",
                     count(&again, json_object_get(boot, "redrawn")), "seed",
                     count(&seed, json_object_get(json_object_get(tree, "run"), "seed")), NULL});
    else
        add_text(d, DOC_NOTE, report_text("bootstrap.none"));
    const json_t *t = report_tree_by_id(tree, "tables", "members");
    if (t) {
        add_table(d, tree, "members", false);
        fixed(&members, "0", (double)json_array_size(json_object_get(t, "rows")) - 2);
        add_fill(d, DOC_NOTE, "members.note", (const char *const[]){"n", members.s, NULL});
    }
}

static void model_section(report_doc *d, const json_t *tree)
{
    const json_t *model = json_object_get(tree, "model");
    json_t *list = json_array(), *v;
    const char *member;
    text t;
    text_init(&t);
    add_section(d, "model");
    for (int i = 0; i < report_text_count(); i++) {
        const char *key = report_text_key(i);
        if (strncmp(key, "card.", 5))
            continue;
        text_clear(&t);
        show_value(json_object_get(model, key + 5), &t);
        pair(list, report_text(key), t.s);
    }
    json_object_foreach((json_t *)model, member, v)
    {
        char key[80];
        snprintf(key, sizeof key, "card.%.64s", member);
        if (report_text_find(key) || !strcmp(member, "history")) /* the curve is in eval.json */
            continue;
        text_clear(&t);
        show_value(v, &t);
        pair(list, member, t.s);
    }
    add(d, DOC_PAIRS)->data = list;
    text_release(&t);
}

static void limits(report_doc *d, const json_t *tree)
{
    size_t i;
    json_t *v;
    add_section(d, "limits");
    json_array_foreach(json_object_get(tree, "limits"), i, v)
        add_text(d, DOC_ITEM, json_string_value(v));
}

static void provenance(report_doc *d, const json_t *tree)
{
    static const char *const known[] = {
        "tool", "git", "data_sha256", "model_sha256", "config_sha256", "eval_options_sha256",
        "seed", NULL};
    const json_t *run = json_object_get(tree, "run"), *privacy = json_object_get(tree, "privacy");
    json_t *list = json_array(), *v;
    const char *name;
    number n, hits;
    text t;
    text_init(&t);
    add_section(d, "reproduce");
    for (int i = 0; known[i]; i++) {
        char key[48];
        snprintf(key, sizeof key, "run.%s", known[i]);
        text_clear(&t);
        show_value(json_object_get(run, known[i]), &t);
        pair(list, report_text(key), t.s);
    }
    json_object_foreach(json_object_get(run, "hashes"), name, v)
    {
        text_clear(&t);
        show_value(v, &t);
        pair(list, name, t.s);
    }
    add(d, DOC_PAIRS)->data = list;
    int64_t found = json_integer_value(json_object_get(privacy, "suspicious"));
    add_fill(d, found ? DOC_WARN : DOC_NOTE, found ? "privacy.hits" : "privacy.clean",
             (const char *const[]){"n", count(&n, json_object_get(privacy, "strings")), "hits",
                                   count(&hits, json_object_get(privacy, "suspicious")), NULL});
    if (str(run, "config_yaml")[0]) {
        add_text(d, DOC_CODE, str(run, "config_yaml"));
        d->block[d->n - 1].fold = true;
    }
    text_release(&t);
}

static void frame(report_doc *d, const json_t *tree)
{
    const json_t *m = report_tree_metric(tree, "auc", "all"), *o = json_object_get(tree, "options"),
                 *run = json_object_get(tree, "run");
    const char *name = str(json_object_get(tree, "model"), "name");
    number n, p;
    text t;
    char data[17];
    text_init(&t);
    report_fill(&t, "subtitle",
                (const char *const[]){
                    "model", name[0] ? name : "a model", "exams",
                    count(&n, json_object_get(m, "n_exams")), "patients",
                    count(&p, json_object_get(m, "n_patients")), "split",
                    str(o, "split")[0] ? str(o, "split") : report_text("not_recorded"), NULL});
    d->subtitle = text_take(&t);
    text_copy(data, sizeof data, str(run, "data_sha256"));
    report_fill(&t, "footer",
                (const char *const[]){"tool", str(run, "tool"), "git", str(run, "git"), "data",
                                      data, NULL});
    d->footer = text_take(&t);
    d->title = mem_strdup(str(o, "title"));
    text_release(&t);
}

void report_doc_build(const json_t *tree, report_doc *d)
{
    memset(d, 0, sizeof *d);
    frame(d, tree);
    summary(d, tree);
    data_section(d, tree);
    performance(d, tree);
    add_section(d, "operating");
    add_table(d, tree, "operating", false);
    add_table(d, tree, "capture", false);
    add_table(d, tree, "predictive", false);
    add_section(d, "subgroups");
    add_figure(d, tree, "forest");
    add_table(d, tree, "subgroups", false);
    add_table(d, tree, "views", false);
    add_table(d, tree, "sensitivity", false);
    const json_t *pages = json_object_get(tree, "pages");
    if (json_array_size(pages)) {
        add_section(d, "images");
        add_text(d, DOC_NOTE, report_text("images.note"));
        add(d, DOC_PAGES)->data = json_incref((json_t *)pages);
    }
    model_section(d, tree);
    limits(d, tree);
    provenance(d, tree);
}
