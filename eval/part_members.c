/* The single networks of an ensemble, their spread, and other rules to make one score of them.
 * evaluation.md 13. */
#include "eval/part.h"
#include "core/mem.h"
#include "eval/cells.h"
#include "eval/report_text.h"
#include <math.h>

static void row_of(json_t *t, const char *name, double v, double lo, double hi)
{
    json_t *row = cells_row(t);
    cells_text(row, name);
    cells_est(row, v, lo, hi);
}

static metric_value auc_of(const cohort_set *set)
{
    cohort_view v;
    cohort_view_build(set, NULL, set->exams.n, &v);
    metric_value a = metric_auc_report(&v.in);
    cohort_view_release(&v);
    return a;
}

/* The ensemble by every rule; the rule that the headline uses stands first. */
static bool ensembles(report_build *b, json_t *t, err *e)
{
    const scores **s = MEM_ARRAY(const scores *, b->src->n_in);
    cohort_set *member = MEM_ARRAY(cohort_set, b->src->n_in), set = {0};
    cohort_how how = report_build_how(b);
    member_rule mine = how.ensemble;
    bool ok = true;
    for (int i = 0; i < b->src->n_in; i++)
        s[i] = &b->src->in[i].scores;
    for (int k = 0; ok && k < MEMBER_RULES; k++) {
        char key[64];
        how.ensemble = (member_rule)((mine + k) % MEMBER_RULES);
        ok = cohort_set_ensemble(s, b->src->n_in, how, &set, member, e);
        if (ok) {
            metric_value a = auc_of(&set);
            snprintf(key, sizeof key, "ensemble.%s", member_rule_name(how.ensemble));
            row_of(t, report_text(key), a.value, a.lo, a.hi);
            cohort_set_release(&set);
        }
        for (int i = 0; i < b->src->n_in; i++)
            cohort_set_release(&member[i]);
    }
    mem_free(member);
    mem_free(s);
    return ok;
}

/* Over women and runs; undefined when there are too few cases to say an AUC. */
static member_two_way recipe_of(report_build *b, bool few)
{
    member_two_way r = {NAN, NAN, NAN, NAN};
    cohort_view *v = MEM_ARRAY(cohort_view, b->src->n_in);
    metric_in *in = MEM_ARRAY(metric_in, b->src->n_in);
    for (int i = 0; i < b->src->n_in; i++) {
        cohort_view_build(&b->member[i], NULL, b->member[i].exams.n, &v[i]);
        in[i] = v[i].in;
    }
    if (!few && b->opts->cfg.bootstrap > 0)
        r = member_recipe(in, b->src->n_in,
                          &(member_draws){b->opts->cfg.bootstrap, (uint64_t)b->opts->cfg.seed,
                                          b->pool, b->opts->cfg.boot_kind});
    for (int i = 0; i < b->src->n_in; i++)
        cohort_view_release(&v[i]);
    mem_free(in);
    mem_free(v);
    return r;
}

static bool add(report_build *b, err *e)
{
    if (b->src->n_in < 2)
        return true;
    json_t *t = cells_table("members");
    double *value = MEM_ARRAY(double, b->src->n_in);
    cells_column(t, "member", "text");
    cells_column(t, "auc", "auc");
    report_build_table(b, t);
    bool ok = ensembles(b, t, e);
    for (int i = 0; i < b->src->n_in; i++) {
        char name[32];
        metric_value a = auc_of(&b->member[i]);
        snprintf(name, sizeof name, "%d", i + 1);
        row_of(t, name, a.value, a.lo, a.hi);
        value[i] = a.value;
    }
    member_spread m = member_summary(value, b->src->n_in);
    mem_free(value);
    member_two_way two = recipe_of(b, isnan(m.mean));
    row_of(t, report_text("members.mean"), m.mean, two.lo, two.hi);
    row_of(t, report_text("members.sd"), m.sd, NAN, NAN);
    row_of(t, report_text("members.min"), m.min, NAN, NAN);
    row_of(t, report_text("members.max"), m.max, NAN, NAN);
    json_object_set_new(t, "members", json_integer(b->src->n_in));
    return ok;
}

static void show(report_doc *d, const json_t *tree)
{
    const json_t *t = report_tree_by_id(tree, "tables", "members");
    doc_number members;
    char key[64];
    if (!t)
        return;
    report_doc_table(d, tree, "members", false);
    snprintf(key, sizeof key, "ensemble.%s",
             report_tree_str(json_object_get(tree, "options"), "ensemble"));
    report_doc_fill(d, DOC_NOTE, "members.note",
                    (const char *const[]){"n",
                                          doc_number_count(&members, json_object_get(t, "members")),
                                          "rule", report_text(key), NULL});
}

const report_part part_members = {"members", add, show};
