/* REPORT/final.log: one line for every report that was made with --final, with its time and hashes.
 * Test exams that were looked at again and again are no test any more, so the count is shown. */
#ifndef EVAL_REPORT_LOOK_H
#define EVAL_REPORT_LOOK_H

#include "core/json.h"

typedef struct report_look {
    int64_t n;      /* lines */
    int64_t models; /* different models among them */
} report_look;
/* What the log of the folder tells; 0 without one. */
MUST_CHECK bool report_look_read(const char *dir, report_look *out, err *e);
/* Add the line of this report; the only file with a clock time. run: tree.run. */
MUST_CHECK bool report_look_add(const char *dir, const json_t *run, err *e);
#endif
