/* The parts of the report in their order (evaluation.md 17). One analysis is one file
 * eval/part_<name>.c that defines `const report_part part_<name>` and one row of PART_LIST.
 * docs/evaluation.md tells how to add one. */
#ifndef EVAL_PART_H
#define EVAL_PART_H

#include "eval/report_build.h"
#include "eval/report_doc.h"

typedef struct report_part {
    const char *id;
    /* Compute: put tables, metrics, curves and limits into b->tree. Runs in order of the list, so
     * a part finds what the parts before it have added. NULL: nothing to compute. */
    bool (*add)(report_build *b, err *e);
    /* Say it: append blocks to the document. Sees the whole tree and nothing else, so a part may
     * speak of what a later one computed. A part whose table or curve is absent (undefined, columns
     * missing) appends nothing. NULL: the part is shown by another one. */
    void (*show)(report_doc *d, const json_t *tree);
} report_part;

/* clang-format off */
#define PART_LIST(ROW) \
    ROW(summary)       \
    ROW(data)          \
    ROW(participants)  \
    ROW(performance)   \
    ROW(members)       \
    ROW(operating)     \
    ROW(time)          \
    ROW(calibration)   \
    ROW(decision)      \
    ROW(deciles)       \
    ROW(subgroups)     \
    ROW(views)         \
    ROW(sensitivity)   \
    ROW(robustness)    \
    ROW(comparators)   \
    ROW(compare)       \
    ROW(images)        \
    ROW(model)         \
    ROW(limits)        \
    ROW(checklist)     \
    ROW(reproduce)
/* clang-format on */

#define PART_DECLARE(name) extern const report_part part_##name;
PART_LIST(PART_DECLARE)
#undef PART_DECLARE

const report_part *part_at(int i); /* NULL after the last */
#endif
