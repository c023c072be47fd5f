/* What inputs of one report must have in common: several are seeds of one recipe, and --val was
 * scored by the networks that are evaluated. Judged by what the predict stage recorded; a table
 * without records is taken as it is. */
#ifndef EVAL_REPORT_MATCH_H
#define EVAL_REPORT_MATCH_H

#include "eval/report_in.h"

/* ERR_INPUT says what differs: the recipe (anything but its seed), predict.keep_rate, or that two
 * inputs are of one checkpoint. */
MUST_CHECK bool report_match_seeds(const report_in *in, int n, err *e);
/* ERR_INPUT: the columns `checkpoint`, or predict.keep_rate, differ from those of val. */
MUST_CHECK bool report_match_val(const report_in *in, int n, const report_in *val, err *e);
/* Were patches left out when any of them was scored? One is enough to make the mean, or its
 * thresholds, a study of stability. val may be NULL. */
bool report_match_dropped(const report_in *in, int n, const report_in *val);
#endif
