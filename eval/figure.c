/* Layout and drawing of the figures. Sizes are in CSS pixels; type sizes suit print at 70 %. */
#include "eval/figure.h"
#include "core/mem.h"
#include "eval/cells.h"
#include "eval/report_text.h"
#include "eval/report_tree.h"
#include <math.h>

#define SMALL  12.0
#define NORMAL 13.5

static const draw_font label_font = {SMALL, DRAW_MIDDLE, DRAW_MUTED, false, false};
static const draw_font start_font = {SMALL, DRAW_START, DRAW_TEXT, false, false};

static const char *str(const json_t *obj, const char *key)
{
    const char *v = json_string_value(json_object_get(obj, key));
    return v ? v : "";
}

static double num(const json_t *obj, const char *key)
{
    const json_t *v = json_object_get(obj, key);
    return json_is_number(v) ? json_number_value(v) : NAN;
}

/* ---- axes ------------------------------------------------------------------------------------ */

typedef struct axes {
    double x, y, w, h;     /* of the plot area */
    double x0, x1, y0, y1; /* data range */
} axes;

static double ax(const axes *a, double v)
{
    return a->x + a->w * (v - a->x0) / (a->x1 - a->x0);
}

static double ay(const axes *a, double v)
{
    return a->y + a->h * (1 - (v - a->y0) / (a->y1 - a->y0));
}

static void line(draw *d, const double p[4], draw_ink ink, double width, double dash)
{
    draw_line(d, p, ink, width, dash);
}

static void unit_grid(draw *d, const axes *a)
{
    for (int i = 0; i <= 5; i++) {
        double v = i / 5.0, x = ax(a, v), y = ay(a, v);
        char tick[8];
        snprintf(tick, sizeof tick, "%.1f", v);
        line(d, (double[]){x, a->y, x, a->y + a->h}, DRAW_GRID, 1, 0);
        line(d, (double[]){a->x, y, a->x + a->w, y}, DRAW_GRID, 1, 0);
        draw_text(d, x, a->y + a->h + 18, label_font, tick);
        draw_text(d, a->x - 8, y + 4, (draw_font){SMALL, DRAW_END, DRAW_MUTED, false, false}, tick);
    }
    line(d, (double[]){a->x, a->y, a->x, a->y + a->h}, DRAW_EDGE, 1, 0);
    line(d, (double[]){a->x, a->y + a->h, a->x + a->w, a->y + a->h}, DRAW_EDGE, 1, 0);
}

/* ---- ROC ------------------------------------------------------------------------------------- */

static void roc_band(draw *d, const axes *a, const json_t *band)
{
    const json_t *x = json_object_get(band, "x"), *lo = json_object_get(band, "lo"),
                 *hi = json_object_get(band, "hi");
    int n = (int)json_array_size(x);
    double *p = MEM_ARRAY(double, 4 * n + 4);
    for (int i = 0; i < n; i++) {
        double v = json_number_value(json_array_get(x, i));
        int k = 2 * n - 1 - i;
        p[2 * i] = p[2 * k] = ax(a, v);
        p[2 * i + 1] = ay(a, json_number_value(json_array_get(hi, i)));
        p[2 * k + 1] = ay(a, json_number_value(json_array_get(lo, i)));
    }
    if (n > 1)
        draw_path(d, p, 2 * n, DRAW_BAND, DRAW_NONE, 0);
    mem_free(p);
}

static void roc_line(draw *d, const axes *a, const json_t *roc)
{
    const json_t *x = json_object_get(roc, "x"), *y = json_object_get(roc, "y");
    int n = (int)json_array_size(x);
    double *p = MEM_ARRAY(double, 2 * n + 2);
    for (int i = 0; i < n; i++) {
        p[2 * i] = ax(a, json_number_value(json_array_get(x, i)));
        p[2 * i + 1] = ay(a, json_number_value(json_array_get(y, i)));
    }
    draw_path(d, p, n, DRAW_NONE, DRAW_MAIN, 2.2);
    mem_free(p);
}

/* Column of a table by its id, -1 when absent. */
static int column(const json_t *table, const char *id)
{
    size_t i;
    json_t *c;
    json_array_foreach(json_object_get(table, "columns"), i,
                       c) if (!strcmp(str(c, "id"), id)) return (int)i;
    return -1;
}

static void roc_points(draw *d, const axes *a, const json_t *tree)
{
    const json_t *t = report_tree_by_id(tree, "tables", "operating");
    int sens = column(t, "sens"), spec = column(t, "spec");
    size_t i;
    json_t *row;
    json_array_foreach(json_object_get(t, "rows"), i, row)
    {
        double x = 1 - num(json_array_get(row, spec), "v"), y = num(json_array_get(row, sens), "v");
        if (!isnan(x) && !isnan(y))
            draw_diamond(d, ax(a, x), ay(a, y), 5, DRAW_SECOND);
    }
}

static void legend_roc(draw *d, const axes *a, const json_t *tree)
{
    const json_t *m = report_tree_metric(tree, "auc", "all");
    double x = a->x + a->w - 228, y = a->y + a->h - 92;
    text t;
    text_init(&t);
    draw_rect(d, (double[]){x - 10, y - 18, 230, 102}, DRAW_PAPER, DRAW_GRID);
    json_t *cell = json_object();
    json_object_set(cell, "v", json_object_get(m, "value"));
    json_object_set(cell, "lo", json_object_get(m, "lo"));
    json_object_set(cell, "hi", json_object_get(m, "hi"));
    text_add(&t, "AUC ");
    cells_show(cell, "auc", &t);
    json_decref(cell);
    draw_text(d, x, y, (draw_font){NORMAL, DRAW_START, DRAW_TEXT, true, false}, t.s);
    line(d, (double[]){x, y + 16, x + 26, y + 16}, DRAW_MAIN, 2.2, 0);
    draw_text(d, x + 34, y + 20, start_font, report_text("roc.model"));
    draw_rect(d, (double[]){x, y + 29, 26, 10}, DRAW_BAND, DRAW_NONE);
    draw_text(d, x + 34, y + 38, start_font, report_text("roc.band"));
    draw_diamond(d, x + 13, y + 52, 5, DRAW_SECOND);
    draw_text(d, x + 34, y + 56, start_font, report_text("roc.points"));
    line(d, (double[]){x, y + 70, x + 26, y + 70}, DRAW_MUTED, 1.4, 5);
    draw_text(d, x + 34, y + 74, start_font, report_text("roc.chance"));
    text_release(&t);
}

static double paint_roc(draw *d, const json_t *tree)
{
    const json_t *roc = report_tree_by_id(tree, "curves", "roc");
    axes a = {58, 12, 400, 400, 0, 1, 0, 1};
    if (json_array_size(json_object_get(roc, "x")) < 2)
        return 0;
    unit_grid(d, &a);
    roc_band(d, &a, report_tree_by_id(tree, "curves", "roc_band"));
    line(d, (double[]){ax(&a, 0), ay(&a, 0), ax(&a, 1), ay(&a, 1)}, DRAW_MUTED, 1.4, 5);
    roc_line(d, &a, roc);
    roc_points(d, &a, tree);
    legend_roc(d, &a, tree);
    draw_text(d, a.x + a.w / 2, a.y + a.h + 40,
              (draw_font){NORMAL, DRAW_MIDDLE, DRAW_TEXT, false, false}, report_text("axis.fpr"));
    draw_text(d, 16, a.y + a.h / 2, (draw_font){NORMAL, DRAW_MIDDLE, DRAW_TEXT, false, true},
              report_text("axis.tpr"));
    return a.y + a.h + 52;
}

/* ---- score distribution ---------------------------------------------------------------------- */

/* Round step of a linear axis with about n ticks. */
static double nice_step(double span, int n)
{
    double raw = span / n, mag = pow(10, floor(log10(raw))), f = raw / mag;
    return (f < 1.5 ? 1 : f < 3.5 ? 2 : f < 7.5 ? 5 : 10) * mag;
}

static double largest(const json_t *list)
{
    double m = 0;
    size_t i;
    json_t *v;
    json_array_foreach(list, i, v) m = fmax(m, json_number_value(v));
    return m;
}

static void bars(draw *d, const axes *a, const json_t *c, bool up)
{
    const json_t *x = json_object_get(c, "x"), *y = json_object_get(c, "y");
    for (size_t k = 0; k < json_array_size(y); k++) {
        double x0 = ax(a, json_number_value(json_array_get(x, k))),
               x1 = ax(a, json_number_value(json_array_get(x, k + 1)));
        double v = json_number_value(json_array_get(y, k)), y0 = ay(a, 0), y1 = ay(a, up ? v : -v);
        if (v > 0)
            draw_rect(d, (double[]){x0 + .6, fmin(y0, y1), x1 - x0 - 1.2, fabs(y1 - y0)},
                      up ? DRAW_SECOND : DRAW_MAIN, DRAW_NONE);
    }
}

static double paint_scores(draw *d, const json_t *tree)
{
    const json_t *c1 = report_tree_by_id(tree, "curves", "hist_case"),
                 *c0 = report_tree_by_id(tree, "curves", "hist_control"),
                 *x = json_object_get(c1, "x");
    double most = fmax(largest(json_object_get(c1, "y")), largest(json_object_get(c0, "y")));
    if (json_array_size(x) < 2 || most <= 0)
        return 0;
    axes a = {58,
              12,
              400,
              300,
              json_number_value(json_array_get(x, 0)),
              json_number_value(json_array_get(x, json_array_size(x) - 1)),
              -1.12 * most,
              1.12 * most};
    double ystep = nice_step(most, 2), xstep = nice_step(a.x1 - a.x0, 5);
    for (int k = (int)ceil(a.y0 / ystep); k * ystep <= a.y1; k++) {
        char tick[16];
        snprintf(tick, sizeof tick, "%.0f %%", 100 * fabs(k * ystep));
        line(d, (double[]){a.x, ay(&a, k * ystep), a.x + a.w, ay(&a, k * ystep)}, DRAW_GRID, 1, 0);
        draw_text(d, a.x - 8, ay(&a, k * ystep) + 4,
                  (draw_font){SMALL, DRAW_END, DRAW_MUTED, false, false}, tick);
    }
    for (int64_t k = (int64_t)ceil(a.x0 / xstep - 1e-9); (double)k * xstep <= a.x1 * (1 + 1e-9);
         k++) {
        char tick[32];
        snprintf(tick, sizeof tick, "%.4g", (double)k * xstep);
        draw_text(d, ax(&a, (double)k * xstep), a.y + a.h + 18, label_font, tick);
    }
    bars(d, &a, c1, true);
    bars(d, &a, c0, false);
    line(d, (double[]){a.x, ay(&a, 0), a.x + a.w, ay(&a, 0)}, DRAW_TEXT, 1.2, 0);
    line(d, (double[]){a.x, a.y + a.h, a.x + a.w, a.y + a.h}, DRAW_EDGE, 1, 0);
    draw_font f = {SMALL, DRAW_END, DRAW_TEXT, true, false};
    draw_text(d, a.x + a.w - 4, a.y + 14, f, report_text("scores.case"));
    draw_text(d, a.x + a.w - 4, a.y + a.h - 8, f, report_text("scores.control"));
    draw_text(d, a.x + a.w / 2, a.y + a.h + 40,
              (draw_font){NORMAL, DRAW_MIDDLE, DRAW_TEXT, false, false}, report_text("axis.score"));
    draw_text(d, 13, a.y + a.h / 2, (draw_font){NORMAL, DRAW_MIDDLE, DRAW_TEXT, false, true},
              report_text("axis.share"));
    return a.y + a.h + 52;
}

/* ---- forest plot ----------------------------------------------------------------------------- */

static double forest_low(const json_t *rows, int auc)
{
    double low = 0.45;
    size_t i;
    json_t *row;
    json_array_foreach(rows, i, row)
    {
        double lo = num(json_array_get(row, auc), "lo");
        if (!isnan(lo))
            low = fmin(low, lo);
    }
    return fmax(0, floor(low * 10) / 10);
}

static void forest_row(draw *d, const axes *a, double y, const json_t *cell, bool all)
{
    double v = num(cell, "v"), lo = num(cell, "lo"), hi = num(cell, "hi");
    text t;
    text_init(&t);
    cells_show(cell, "auc", &t);
    draw_text(d, a->x + a->w + 12, y + 4, (draw_font){SMALL, DRAW_START, DRAW_TEXT, all, false},
              t.s);
    text_release(&t);
    if (isnan(v))
        return;
    if (!isnan(lo) && !isnan(hi))
        line(d, (double[]){ax(a, lo), y, ax(a, hi), y}, DRAW_MAIN, 2, 0);
    if (all)
        draw_diamond(d, ax(a, v), y, 7, DRAW_MAIN);
    else
        draw_rect(d, (double[]){ax(a, v) - 4, y - 4, 8, 8}, DRAW_MAIN, DRAW_PAPER);
}

#define LEVEL_W 152.0 /* room for the name of a group */

/* The name of a group, cut to its room. */
static void forest_level(draw *d, double y, const char *level)
{
    text t;
    text_init(&t);
    text_add(&t, level);
    while (draw_text_width(SMALL, t.s) > LEVEL_W && t.len > 4) {
        size_t cut = t.len - 4; /* the last letter and the ellipsis of the round before */
        while (cut > 0 && ((unsigned char)t.s[cut] & 0xC0) == 0x80)
            cut--;
        t.s[cut] = 0;
        t.len = cut;
        text_add(&t, "\xE2\x80\xA6");
    }
    draw_text(d, 22, y, start_font, t.s);
    text_release(&t);
}

static double paint_forest(draw *d, const json_t *tree)
{
    const json_t *t = report_tree_by_id(tree, "tables", "subgroups"),
                 *rows = json_object_get(t, "rows");
    const json_t *all = report_tree_metric(tree, "auc", "all");
    int auc = column(t, "auc"), level = column(t, "level"), variable = column(t, "variable"),
        exams = column(t, "exams"), cancers = column(t, "cancers");
    if (!json_array_size(rows) || isnan(num(all, "value")))
        return 0;
    double step = 24, y = 46, bottom = y + step * ((double)json_array_size(rows) + 1.2);
    const char *before = "";
    size_t i;
    json_t *row;
    json_array_foreach(rows, i, row)
    {
        const char *v = json_string_value(json_array_get(row, variable));
        bottom += strcmp(v, before) ? step : 0;
        before = v;
    }
    axes a = {300, 34, 250, bottom - 34, forest_low(rows, auc), 1, 0, 1};
    draw_font head = {SMALL, DRAW_START, DRAW_MUTED, false, false};
    draw_text(d, 10, 20, head, report_text("forest.group"));
    draw_text(d, 180, 20, head, report_text("forest.sizes"));
    draw_text(d, a.x + a.w + 12, 20, head, report_text("forest.auc"));
    for (double v = ceil(a.x0 * 10 - 1e-9) / 10; v <= 1.0001; v += 0.1) {
        char tick[8];
        snprintf(tick, sizeof tick, "%.1f", v);
        line(d, (double[]){ax(&a, v), a.y, ax(&a, v), a.y + a.h}, DRAW_GRID, 1, 0);
        draw_text(d, ax(&a, v), a.y + a.h + 16, label_font, tick);
    }
    line(d, (double[]){ax(&a, .5), a.y, ax(&a, .5), a.y + a.h}, DRAW_MUTED, 1.4, 5);
    double overall = ax(&a, num(all, "value"));
    line(d, (double[]){overall, a.y, overall, a.y + a.h}, DRAW_MAIN, 1, 2);
    json_t *cell = json_object();
    json_object_set(cell, "v", json_object_get(all, "value"));
    json_object_set(cell, "lo", json_object_get(all, "lo"));
    json_object_set(cell, "hi", json_object_get(all, "hi"));
    draw_text(d, 10, y + 12, (draw_font){SMALL, DRAW_START, DRAW_TEXT, true, false},
              report_text("forest.all"));
    forest_row(d, &a, y + 8, cell, true);
    json_decref(cell);
    y += step;
    before = "";
    json_array_foreach(rows, i, row)
    {
        const char *v = json_string_value(json_array_get(row, variable));
        text sizes;
        if (strcmp(v, before)) {
            y += step;
            draw_text(d, 10, y, (draw_font){SMALL, DRAW_START, DRAW_TEXT, true, false}, v);
        }
        before = v;
        y += step;
        text_init(&sizes);
        cells_show(json_array_get(row, exams), "int", &sizes);
        text_add(&sizes, " / ");
        cells_show(json_array_get(row, cancers), "int", &sizes);
        forest_level(d, y, json_string_value(json_array_get(row, level)));
        draw_text(d, 180, y, start_font, sizes.s);
        forest_row(d, &a, y - 4, json_array_get(row, auc), false);
        text_release(&sizes);
    }
    draw_text(d, a.x + a.w / 2, a.y + a.h + 36, label_font, report_text("forest.axis"));
    return a.y + a.h + 46;
}

/* ---- flow diagram ---------------------------------------------------------------------------- */

#define FLOW_X     10.0
#define FLOW_W     250.0
#define FLOW_SIDE  310.0
#define FLOW_SIDEW 400.0

static void with_unit(text *out, int64_t n, const char *unit)
{
    text_addf(out, "%lld", (long long)n);
    if (unit[0])
        text_addf(out, " %s", unit);
}

/* A main box; returns the y of its lower edge. */
static double flow_box(draw *d, double y, const char *title, const char *body)
{
    draw_font bold = {NORMAL, DRAW_START, DRAW_TEXT, true, false};
    double x = FLOW_X + 14, w = FLOW_W - 28;
    double end = draw_text_wrap(NULL, x, y + 22, w, bold, title);
    end = draw_text_wrap(NULL, x, end, w, start_font, body) - 8;
    draw_rect(d, (double[]){FLOW_X, y, FLOW_W, end - y + 6}, DRAW_PANEL, DRAW_EDGE);
    double at = draw_text_wrap(d, x, y + 22, w, bold, title);
    draw_text_wrap(d, x, at, w, start_font, body);
    return end + 6;
}

static void arrow_down(draw *d, double y0, double y1)
{
    double x = FLOW_X + FLOW_W / 2, p[] = {x - 4, y1 - 7, x, y1, x + 4, y1 - 7};
    line(d, (double[]){x, y0, x, y1 - 3}, DRAW_EDGE, 1.4, 0);
    draw_path(d, p, 3, DRAW_EDGE, DRAW_NONE, 0);
}

/* The excluded of the rows from..to-1, beside the arrow; returns the y below the box. */
static double flow_side(draw *d, double y, const json_t *flow, size_t from, size_t to)
{
    draw_font bold = {SMALL, DRAW_START, DRAW_TEXT, true, false};
    double x = FLOW_SIDE + 12, w = FLOW_SIDEW - 24, at = y + 20;
    int64_t total = 0;
    for (size_t i = from; i < to; i++)
        total += json_integer_value(json_object_get(json_array_get(flow, i), "excluded"));
    if (!total)
        return y;
    for (int pass = d ? 0 : 1; pass < 2; pass++) {
        draw *on = pass ? d : NULL;
        char n[32];
        text head;
        if (pass && d)
            draw_rect(d, (double[]){FLOW_SIDE, y, FLOW_SIDEW, at - y - 6}, DRAW_PAPER, DRAW_EDGE);
        at = y + 20;
        text_init(&head);
        snprintf(n, sizeof n, "%lld", (long long)total);
        report_fill(&head, "flow.excluded", (const char *const[]){"n", n, NULL});
        at = draw_text_wrap(on, x, at, w, bold, head.s);
        text_release(&head);
        for (size_t i = from; i < to; i++) {
            const json_t *row = json_array_get(flow, i);
            int64_t k = json_integer_value(json_object_get(row, "excluded"));
            text why;
            if (!k)
                continue;
            snprintf(n, sizeof n, "%lld", (long long)k);
            draw_text(on, x + 44, at, (draw_font){SMALL, DRAW_END, DRAW_TEXT, false, false}, n);
            text_init(&why);
            text_add(&why, str(row, "step"));
            if (str(row, "reason")[0])
                text_addf(&why, " (%s)", str(row, "reason"));
            at = draw_text_wrap(on, x + 54, at, w - 54, start_font, why.s);
            text_release(&why);
        }
    }
    double middle = y + 14, from_x = FLOW_X + FLOW_W / 2;
    line(d, (double[]){from_x, middle, FLOW_SIDE - 3, middle}, DRAW_EDGE, 1.4, 0);
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
               !strcmp(str(json_array_get(flow, end), "stage"), str(first, "stage")) &&
               !strcmp(str(json_array_get(flow, end), "unit"), str(first, "unit")))
            end++;
        if (!strcmp(str(first, "unit"), "rows")) /* of tables: no images pass through them */
            continue;
        text_clear(&title);
        text_clear(&body);
        with_unit(&title, json_integer_value(json_object_get(first, "n_in")), str(first, "unit"));
        stage_title(str(first, "stage"), &body);
        double bottom = flow_box(d, y, title.s, body.s),
               side = flow_side(d, bottom + 10, flow, i, end);
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
    return y + 8;
}

/* ---- table of figures ------------------------------------------------------------------------ */

static const figure figures[] = {
    {"roc", 470, paint_roc},
    {"scores", 470, paint_scores},
    {"flow", 722, paint_flow},
    {"forest", 722, paint_forest},
};

const figure *figure_at(int i)
{
    return i < (int)COUNT_OF(figures) ? &figures[i] : NULL;
}

const figure *figure_find(const char *id)
{
    for (size_t i = 0; i < COUNT_OF(figures); i++)
        if (!strcmp(figures[i].id, id))
            return &figures[i];
    BUG("no figure '%s'", id);
}

void figure_describe(const figure *f, const json_t *tree, text *out)
{
    const json_t *m = report_tree_metric(tree, "auc", "all");
    char key[32], auc[32] = "?", lo[32] = "?", hi[32] = "?", n[32], cases[32];
    if (json_is_number(json_object_get(m, "value")))
        snprintf(auc, sizeof auc, "%.3f", num(m, "value"));
    if (json_is_number(json_object_get(m, "lo"))) {
        snprintf(lo, sizeof lo, "%.3f", num(m, "lo"));
        snprintf(hi, sizeof hi, "%.3f", num(m, "hi"));
    }
    snprintf(n, sizeof n, "%lld", (long long)json_integer_value(json_object_get(m, "n_exams")));
    snprintf(cases, sizeof cases, "%lld",
             (long long)json_integer_value(json_object_get(m, "n_events")));
    snprintf(key, sizeof key, "figdesc.%s", f->id);
    report_fill(
        out, key,
        (const char *const[]){"auc", auc, "lo", lo, "hi", hi, "exams", n, "cases", cases, NULL});
}

char *figure_svg(const figure *f, const json_t *tree, bool standalone)
{
    double h = f->paint(NULL, tree);
    if (h <= 0)
        return NULL;
    char key[32], id[32];
    text desc;
    text_init(&desc);
    figure_describe(f, tree, &desc);
    snprintf(key, sizeof key, "fig.%s", f->id);
    snprintf(id, sizeof id, "fig-%s", f->id);
    draw *d =
        draw_svg_new(&(draw_svg_spec){f->width, ceil(h), id, report_text(key), desc.s, standalone});
    f->paint(d, tree);
    text_release(&desc);
    return draw_svg_end(d);
}
