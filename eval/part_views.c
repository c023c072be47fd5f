/* AUC of single images, by view. evaluation.md 12. */
#include "eval/part.h"
#include "eval/cells.h"

static bool add(report_build *b, err *e)
{
    static const char *const name[] = {"RCC", "LCC", "RMLO", "LMLO"};
    json_t *t = cells_table("views");
    const scores *s = &b->src->in[0].scores;
    cells_column(t, "view", "text");
    cells_column(t, "images", "int");
    cells_column(t, "patients", "int");
    cells_column(t, "cancers", "int");
    cells_column(t, "auc", "auc");
    cells_column(t, "remark", "text");
    for (int v = 0; v < 4; v++) {
        scores one;
        cohort_set set = {0};
        cohort_view view;
        scores_init(&one);
        for (int64_t i = 0; i < s->n; i++) {
            const scores_row *r = &s->row[i];
            if (r->side == (v % 2 ? 'L' : 'R') && r->view == (v < 2 ? 'C' : 'M')) {
                scores_row alone = *r; /* every image is its own unit here */
                alone.exam = r->image[0] ? r->image : r->exam;
                scores_add(&one, &alone);
            }
        }
        if (one.n && cohort_set_build(&one, EXAM_MEAN_IMAGES, &set, NULL) && set.exams.n) {
            cohort_view_build(&set, NULL, set.exams.n, &view);
            metric_value a = metric_auc_report(&view.in);
            json_t *row = cells_row(t);
            cells_text(row, name[v]);
            cells_count(row, view.n);
            cells_count(row, view.n_patients);
            cells_count(row, view.events);
            cells_est(row, a.value, a.lo, a.hi);
            report_build_remark(row, &a);
            cohort_view_release(&view);
        }
        cohort_set_release(&set);
        scores_release(&one);
    }
    if (json_array_size(json_object_get(t, "rows")))
        report_build_table(b, t);
    else
        json_decref(t);
    return true;
}

static void show(report_doc *d, const json_t *tree)
{
    report_doc_table(d, tree, "views", false);
}

const report_part part_views = {"views", add, show};
