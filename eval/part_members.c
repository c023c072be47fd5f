/* The single networks of an ensemble. evaluation.md 13. */
#include "eval/part.h"
#include "eval/cells.h"
#include "eval/report_text.h"
#include <math.h>

static void members_table(report_build *b)
{
    if (b->src->n_in < 2)
        return;
    json_t *t = cells_table("members");
    double sum = 0, ss = 0, value[CFG_LIST_MAX];
    int n = 0;
    cells_column(t, "member", "text");
    cells_column(t, "auc", "auc");
    for (int i = 0; i < b->src->n_in; i++) {
        cohort_view v;
        char name[32];
        cohort_view_build(&b->member[i], NULL, b->member[i].exams.n, &v);
        metric_value a = metric_auc_report(&v.in);
        json_t *row = cells_row(t);
        snprintf(name, sizeof name, "%d", i + 1);
        cells_text(row, name);
        cells_est(row, a.value, a.lo, a.hi);
        if (!isnan(a.value) && n < CFG_LIST_MAX) {
            value[n++] = a.value;
            sum += a.value;
        }
        cohort_view_release(&v);
    }
    for (int i = 0; i < n; i++)
        ss += (value[i] - sum / n) * (value[i] - sum / n);
    json_t *row = cells_row(t);
    cells_text(row, report_text("members.mean"));
    cells_est(row, n ? sum / n : NAN, NAN, NAN);
    row = cells_row(t);
    cells_text(row, report_text("members.sd"));
    cells_est(row, n > 1 ? sqrt(ss / (n - 1)) : NAN, NAN, NAN);
    report_build_table(b, t);
}

static bool add(report_build *b, err *e)
{
    members_table(b);
    return true;
}

static void show(report_doc *d, const json_t *tree)
{
    const json_t *t = report_tree_by_id(tree, "tables", "members");
    doc_number members;
    if (!t)
        return;
    report_doc_table(d, tree, "members", false);
    doc_number_show(&members, "0", (double)json_array_size(json_object_get(t, "rows")) - 2);
    report_doc_fill(d, DOC_NOTE, "members.note", (const char *const[]){"n", members.s, NULL});
}

const report_part part_members = {"members", add, show};
