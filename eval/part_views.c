/* AUC of single images, by view. evaluation.md 12. */
#include "eval/part.h"
#include "core/mem.h"
#include "eval/cells.h"
#include <stdlib.h>

static bool shows(const scores_row *r, int view)
{
    return r->side == (view % 2 ? 'L' : 'R') && r->view == (view < 2 ? 'C' : 'M');
}

static int by_exam(const void *key, const void *row)
{
    return strcmp(key, ((const exam_row *)row)->exam);
}

/* The images of a view count the evaluated exams that have it. */
static tell_sizes exams_with(const report_build *b, int view)
{
    const exam_table *t = &b->set.exams;
    const scores *s = &b->src->in[0].scores;
    bool *in = MEM_ARRAY(bool, t->n + 1);
    int64_t *row = MEM_ARRAY(int64_t, t->n + 1), n = 0;
    for (int64_t i = 0; i < s->n; i++) {
        const exam_row *x = bsearch(s->row[i].exam, t->row, (size_t)t->n, sizeof *t->row, by_exam);
        if (x && shows(&s->row[i], view))
            in[x - t->row] = true;
    }
    for (int64_t i = 0; i < t->n; i++)
        if (in[i])
            row[n++] = i;
    tell_sizes told = report_tell_subset(b, row, n);
    mem_free(in);
    mem_free(row);
    return told;
}

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
    tell_sizes told = {true, true}; /* of all views or of none: beside one that all exams have,
                                       another would tell of the few that lack it */
    for (int v = 0; v < 4; v++) {
        tell_sizes one = exams_with(b, v);
        told = (tell_sizes){told.exams && one.exams, told.cancers && one.cancers};
    }
    for (int v = 0; v < 4; v++) {
        scores one;
        cohort_set set = {0};
        cohort_view view;
        scores_init(&one);
        for (int64_t i = 0; i < s->n; i++) {
            const scores_row *r = &s->row[i];
            if (shows(r, v)) {
                scores_row alone = *r; /* every image is its own unit here */
                alone.exam = r->image[0] ? r->image : r->exam;
                scores_add(&one, &alone);
            }
        }
        if (one.n && cohort_set_build(&one, EXAM_MEAN_IMAGES, &set, NULL) && set.exams.n) {
            cohort_view_build(&set, NULL, set.exams.n, &view);
            metric_value a = metric_auc_report(&view.in);
            report_build_coarse(b, &a, view.events, view.n - view.events, told.cancers);
            json_t *row = cells_row(t);
            cells_text(row, name[v]);
            cells_count(row, view.n, told.exams);
            cells_count(row, view.n_patients, told.exams);
            cells_count(row, view.events, told.cancers);
            report_build_auc(row, &a);
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
