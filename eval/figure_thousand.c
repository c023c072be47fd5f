/* A thousand women as a thousand marks: flagged or not, with cancer or not. Whole women are drawn,
 * so the marks are the rounded numbers of the table. */
#include "eval/figure.h"
#include "eval/axes.h"
#include "eval/report_text.h"
#include "eval/report_tree.h"
#include <math.h>

#define ROWS   20
#define PITCH  10.0
#define LEGEND 528.0 /* x of the words */

enum { FOUND, FALSE_FLAG, MISSED, REST, KINDS };

/* Each kind has its own shape, so that grey print tells them apart. */
static void mark(draw *d, int kind, double x, double y)
{
    switch (kind) {
    case FOUND:
        draw_diamond(d, x, y, 5, DRAW_SECOND);
        break;
    case FALSE_FLAG:
        draw_rect(d, (double[]){x - 3, y - 3, 6, 6}, DRAW_MAIN, DRAW_NONE);
        break;
    case MISSED:
        draw_rect(d, (double[]){x - 3.5, y - 3.5, 7, 7}, DRAW_PAPER, DRAW_SECOND);
        break;
    default:
        draw_rect(d, (double[]){x - 1, y - 1, 2, 2}, DRAW_EDGE, DRAW_NONE);
    }
}

static double paint_thousand(draw *d, const json_t *tree)
{
    const json_t *rows = json_object_get(report_tree_by_id(tree, "tables", "thousand"), "rows");
    int count[KINDS], at = 0, sum = 0;
    if (json_array_size(rows) != KINDS)
        return 0;
    for (int k = 0; k < REST; k++) {
        double v = json_number_value(json_array_get(json_array_get(rows, (size_t)k), 1));
        count[k] = (int)lround(v);
        sum += count[k];
    }
    count[REST] = sum < 1000 ? 1000 - sum : 0;
    for (int k = 0; k < KINDS; k++)
        for (int i = 0; i < count[k] && at < 1000; i++, at++)
            mark(d, k, 10 + PITCH * (at / ROWS), 12 + PITCH * (at % ROWS));
    for (int k = 0; k < KINDS; k++) {
        char n[16];
        double y = 34 + 48 * k;
        snprintf(n, sizeof n, "%d", count[k]);
        mark(d, k, LEGEND, y - 5);
        draw_text(d, LEGEND + 14, y, (draw_font){AXES_NORMAL, DRAW_START, DRAW_TEXT, true, false},
                  n);
        draw_text_wrap(d, LEGEND + 14, y + 17, 180, axes_text,
                       json_string_value(json_array_get(json_array_get(rows, (size_t)k), 0)));
    }
    return 12 + PITCH * ROWS + 8;
}

const figure figure_thousand = {"thousand", 722, paint_thousand, NULL, "thousand"};
