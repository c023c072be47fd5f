/* Flow diagram in the manner of STARD and CONSORT: from files to analysed exams. */
#include "eval/figure.h"
#include "eval/axes.h"
#include "eval/cells.h"
#include "eval/report_number.h"
#include "eval/report_text.h"
#include "eval/report_tree.h"
#include <math.h>

#define FLOW_X     10.0
#define FLOW_W     250.0
#define FLOW_SIDE  310.0
#define FLOW_SIDEW 400.0

static void with_unit(text *out, int64_t n, const char *unit)
{
    char plain[32], key[48];
    snprintf(plain, sizeof plain, "%lld", (long long)n);
    report_number(out, plain);
    snprintf(key, sizeof key, "unit.%.32s", unit);
    if (unit[0])
        text_addf(out, " %s", report_text_find(key) ? report_text_find(key) : unit);
}

/* A text with the exams and women of a row, where it has them. */
static void with_wholes(text *out, const json_t *row, const char *key, const char *name,
                        const char *end)
{
    char exams[32], women[32], n[2][32];
    text t;
    snprintf(exams, sizeof exams, "exams_%s", end);
    snprintf(women, sizeof women, "women_%s", end);
    const json_t *e = json_object_get(row, exams), *w = json_object_get(row, women);
    if (!json_is_integer(e) || !json_is_integer(w))
        return;
    snprintf(n[0], sizeof n[0], "%lld", (long long)json_integer_value(e));
    snprintf(n[1], sizeof n[1], "%lld", (long long)json_integer_value(w));
    report_number_in(n[0], sizeof n[0]);
    report_number_in(n[1], sizeof n[1]);
    text_init(&t);
    report_fill(&t, key, (const char *const[]){name, out->s, "exams", n[0], "women", n[1], NULL});
    text_clear(out);
    text_add(out, t.s);
    text_release(&t);
}

static bool other_split(const json_t *row)
{
    return !strcmp(report_tree_str(row, "reason"), "OTHER_SPLIT");
}

/* A main box; returns the y of its lower edge. */
static double flow_box(draw *d, double y, const char *title, const char *body)
{
    draw_font bold = {AXES_NORMAL, DRAW_START, DRAW_TEXT, true, false};
    double x = FLOW_X + 14, w = FLOW_W - 28;
    double end = draw_text_wrap(NULL, x, y + 22, w, bold, title);
    end = draw_text_wrap(NULL, x, end, w, axes_text, body) - 8;
    draw_rect(d, (double[]){FLOW_X, y, FLOW_W, end - y + 6}, DRAW_PANEL, DRAW_EDGE);
    double at = draw_text_wrap(d, x, y + 22, w, bold, title);
    draw_text_wrap(d, x, at, w, axes_text, body);
    return end + 6;
}

static void arrow_down(draw *d, double y0, double y1)
{
    double x = FLOW_X + FLOW_W / 2, p[] = {x - 4, y1 - 7, x, y1, x + 4, y1 - 7};
    draw_line(d, (double[]){x, y0, x, y1 - 3}, DRAW_EDGE, 1.4, 0);
    draw_path(d, p, 3, DRAW_EDGE, DRAW_NONE, 0);
}

/* The excluded of the rows from..to-1, beside the arrow, or those of other splits, who are not left
 * out but elsewhere; returns the y below the box. */
static double flow_side(draw *d, double y, const json_t *flow, size_t from, size_t to, bool others)
{
    draw_font bold = {AXES_SMALL, DRAW_START, DRAW_TEXT, true, false};
    double x = FLOW_SIDE + 12, w = FLOW_SIDEW - 24, at = y + 20;
    int64_t total = 0;
    for (size_t i = from; i < to; i++)
        if (other_split(json_array_get(flow, i)) == others)
            total += json_integer_value(json_object_get(json_array_get(flow, i), "excluded"));
    if (!total)
        return y;
    for (int pass = d ? 0 : 1; pass < 2; pass++) {
        draw *on = pass ? d : NULL;
        const char *unit = report_tree_str(json_array_get(flow, from), "unit");
        char n[32], key[48];
        text head;
        if (pass && d)
            draw_rect(d, (double[]){FLOW_SIDE, y, FLOW_SIDEW, at - y - 6}, DRAW_PAPER, DRAW_EDGE);
        at = y + 20;
        text_init(&head);
        snprintf(n, sizeof n, "%lld", (long long)total);
        report_number_in(n, sizeof n);
        snprintf(key, sizeof key, "unit.%.32s", unit);
        report_fill(&head, others ? "flow.others" : "flow.excluded",
                    (const char *const[]){"n", n, "unit",
                                          report_text_find(key) ? report_text_find(key) : unit,
                                          NULL});
        at = draw_text_wrap(on, x, at, w, bold, head.s);
        text_release(&head);
        for (size_t i = from; i < to; i++) {
            const json_t *row = json_array_get(flow, i);
            int64_t k = json_integer_value(json_object_get(row, "excluded"));
            text why;
            if (!k || other_split(row) != others)
                continue;
            snprintf(n, sizeof n, "%lld", (long long)k);
            draw_text(on, x + 44, at, (draw_font){AXES_SMALL, DRAW_END, DRAW_TEXT, false, false},
                      n);
            text_init(&why);
            text_add(&why, report_tree_str(row, "step"));
            if (report_tree_str(row, "reason")[0] && !json_is_true(json_object_get(row, "joined")))
                text_addf(&why, " (%s)", report_tree_str(row, "reason"));
            with_wholes(&why, row, "flow.lost", "step", "lost");
            at = draw_text_wrap(on, x + 54, at, w - 54, axes_text, why.s);
            text_release(&why);
        }
    }
    double middle = y + 14, from_x = FLOW_X + FLOW_W / 2;
    draw_line(d, (double[]){from_x, middle, FLOW_SIDE - 3, middle}, DRAW_EDGE, 1.4, 0);
    draw_path(d,
              (double[]){FLOW_SIDE - 7, middle - 4, FLOW_SIDE, middle, FLOW_SIDE - 7, middle + 4},
              3, DRAW_EDGE, DRAW_NONE, 0);
    return at - 6;
}

static void stage_title(const char *stage, text *out)
{
    char key[80];
    snprintf(key, sizeof key, "stage.%.60s", stage);
    const char *known = report_text_find(key);
    text_add(out, known ? known : stage[0] ? stage : report_text("stage.none"));
}

/* The last step of STARD: the analysed exams by the result of the index test. */
static double flow_result(draw *d, double y, const json_t *tree)
{
    const json_t *t = report_tree_by_id(tree, "tables", "crosstab");
    draw_font bold = {AXES_NORMAL, DRAW_START, DRAW_TEXT, true, false};
    double h = 58, top = y + 34, from = FLOW_X + FLOW_W / 2;
    size_t i;
    json_t *row;
    if (!json_array_size(json_object_get(t, "rows")))
        return y;
    draw_line(d, (double[]){from, y, from, y + 16}, DRAW_EDGE, 1.4, 0);
    draw_line(d, (double[]){from, y + 16, from + FLOW_W + 20, y + 16}, DRAW_EDGE, 1.4, 0);
    json_array_foreach(json_object_get(t, "rows"), i, row)
    {
        double x = FLOW_X + (double)i * (FLOW_W + 20), middle = x + FLOW_W / 2;
        const char *const keys[] = {"exams", "cancers", "controls"};
        text cell[3], body;
        text_init(&body);
        for (size_t k = 0; k < 3; k++) {
            text_init(&cell[k]);
            cells_show(json_array_get(row, (size_t)report_tree_column(t, keys[k])), "int",
                       &cell[k]);
        }
        draw_rect(d, (double[]){x, top, FLOW_W, h}, DRAW_PANEL, DRAW_EDGE);
        draw_line(d, (double[]){middle, y + 16, middle, top - 3}, DRAW_EDGE, 1.4, 0);
        draw_path(d, (double[]){middle - 4, top - 7, middle, top, middle + 4, top - 7}, 3,
                  DRAW_EDGE, DRAW_NONE, 0);
        report_fill(&body, "flow.result",
                    (const char *const[]){"exams", cell[0].s, "result",
                                          json_string_value(json_array_get(row, 0)), NULL});
        draw_text(d, x + 14, top + 23, bold, body.s);
        text_clear(&body);
        report_fill(&body, "flow.result_body",
                    (const char *const[]){"cases", cell[1].s, "controls", cell[2].s, NULL});
        draw_text(d, x + 14, top + 43, axes_text, body.s);
        for (size_t k = 0; k < 3; k++)
            text_release(&cell[k]);
        text_release(&body);
    }
    return top + h;
}

/* A stage that leaves nothing out, before another one of the same unit. */
static bool said_again(const json_t *flow, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++)
        if (json_integer_value(json_object_get(json_array_get(flow, i), "excluded")))
            return false;
    return from > 0 && to < json_array_size(flow) &&
           !strcmp(report_tree_str(json_array_get(flow, from), "unit"),
                   report_tree_str(json_array_get(flow, to), "unit"));
}

static double paint_flow(draw *d, const json_t *tree)
{
    const json_t *flow = json_object_get(tree, "flow"),
                 *all = report_tree_metric(tree, "auc", "all");
    double y = 8;
    text title, body;
    text_init(&title);
    text_init(&body);
    for (size_t i = 0, end; i < json_array_size(flow); i = end) {
        const json_t *first = json_array_get(flow, i);
        end = i + 1;
        while (end < json_array_size(flow) &&
               !strcmp(report_tree_str(json_array_get(flow, end), "stage"),
                       report_tree_str(first, "stage")) &&
               !strcmp(report_tree_str(json_array_get(flow, end), "unit"),
                       report_tree_str(first, "unit")))
            end++;
        if (!strcmp(report_tree_str(first, "unit"),
                    "rows")) /* of tables: no images pass through them */
            continue;
        if (said_again(flow, i, end))
            continue;
        text_clear(&title);
        text_clear(&body);
        with_unit(&title, json_integer_value(json_object_get(first, "n_in")),
                  report_tree_str(first, "unit"));
        stage_title(report_tree_str(first, "stage"), &body);
        with_wholes(&body, first, "flow.of", "stage", "in");
        double bottom = flow_box(d, y, title.s, body.s),
               side = flow_side(d, bottom + 10, flow, i, end, false);
        if (side > bottom + 10)
            side += 14;
        side = flow_side(d, side, flow, i, end, true);
        double next = fmax(bottom + 30, side + 14);
        arrow_down(d, bottom, next);
        y = next;
    }
    char exams[32], cases[32], controls[32], patients[32];
    int64_t n = json_integer_value(json_object_get(all, "n_exams")),
            m = json_integer_value(json_object_get(all, "n_events"));
    snprintf(exams, sizeof exams, "%lld", (long long)n);
    snprintf(cases, sizeof cases, "%lld", (long long)m);
    snprintf(controls, sizeof controls, "%lld", (long long)(n - m));
    snprintf(patients, sizeof patients, "%lld",
             (long long)json_integer_value(json_object_get(all, "n_patients")));
    const char *const pairs[] = {"exams",  exams,      "cases",  cases, "controls",
                                 controls, "patients", patients, NULL};
    text_clear(&title);
    text_clear(&body);
    report_fill(&title, "flow.analysed", pairs);
    report_fill(&body, "flow.analysed_body", pairs);
    y = flow_box(d, y, title.s, body.s);
    text_release(&title);
    text_release(&body);
    return flow_result(d, y, tree) + 8;
}

const figure figure_flow = {"flow", 722, paint_flow, NULL, "flow"};
