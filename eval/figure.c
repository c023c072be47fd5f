/* The table of figures, and a figure as SVG with its text alternative. */
#include "eval/figure.h"
#include "core/mem.h"
#include "eval/report_text.h"
#include "eval/report_tree.h"
#include <math.h>

#define FIGURE_ROW(name) &figure_##name,
static const figure *const figures[] = {FIGURE_LIST(FIGURE_ROW)};

const figure *figure_at(int i)
{
    return i < (int)COUNT_OF(figures) ? figures[i] : NULL;
}

const figure *figure_find(const char *id)
{
    for (size_t i = 0; i < COUNT_OF(figures); i++)
        if (!strcmp(figures[i]->id, id))
            return figures[i];
    BUG("no figure '%s'", id);
}

void figure_describe(const figure *f, const json_t *tree, text *out)
{
    const json_t *m = report_tree_metric(tree, "auc", "all");
    char key[32], auc[32] = "?", lo[32] = "?", hi[32] = "?", n[32], cases[32];
    if (json_is_number(json_object_get(m, "value")))
        snprintf(auc, sizeof auc, "%.3f", report_tree_num(m, "value"));
    if (json_is_number(json_object_get(m, "lo"))) {
        snprintf(lo, sizeof lo, "%.3f", report_tree_num(m, "lo"));
        snprintf(hi, sizeof hi, "%.3f", report_tree_num(m, "hi"));
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
