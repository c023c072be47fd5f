/* The figures of the report, drawn from the eval.json tree on a draw surface. One figure is one
 * file eval/figure_<name>.c that defines `const figure figure_<name>` and one row of FIGURE_LIST.
 */
#ifndef EVAL_FIGURE_H
#define EVAL_FIGURE_H

#include "core/json.h"
#include "eval/draw.h"

typedef struct figure {
    const char *id; /* "roc": title "fig.roc", description "figdesc.roc" in report_text */
    double width;
    /* Draws and returns the height; d == NULL only measures. 0: nothing to show. */
    double (*paint)(draw *d, const json_t *tree);
    /* Where its numbers stand: ids of tree.curves, separated by spaces, or NULL; else the id of a
     * table that the report shows beside it. */
    const char *curves, *table;
} figure;

/* clang-format off */
#define FIGURE_LIST(ROW) \
    ROW(thousand)        \
    ROW(roc)             \
    ROW(scores)          \
    ROW(years)           \
    ROW(robustness)      \
    ROW(flow)            \
    ROW(calibration)     \
    ROW(decision)        \
    ROW(deciles)         \
    ROW(forest)
/* clang-format on */

#define FIGURE_DECLARE(name) extern const figure figure_##name;
FIGURE_LIST(FIGURE_DECLARE)
#undef FIGURE_DECLARE

const figure *figure_find(const char *id); /* BUG when unknown */
const figure *figure_at(int i);            /* NULL after the last */
/* Text alternative in words and numbers. */
void figure_describe(const figure *f, const json_t *tree, text *out);
/* The numbers of a figure as a table of cells.h: its own table, or a new one with the columns
 * curve, x, y, lo, hi. max_rows > 0 thins every curve to about so many points. NULL when there are
 * none. A new reference. */
json_t *figure_data(const figure *f, const json_t *tree, int max_rows);
/* The figure as SVG, owned by the caller; NULL when there is nothing to show. */
char *figure_svg(const figure *f, const json_t *tree, bool standalone);
#endif
