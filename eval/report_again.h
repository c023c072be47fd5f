/* Is a report to be made, is it there already, or is another one there? */
#ifndef EVAL_REPORT_AGAIN_H
#define EVAL_REPORT_AGAIN_H

#include "eval/report_tree.h"

/* All that a report is made from, by the words in which it is asked for: hashes of the tables and
 * books as they were read, and every option. A new reference; eval.json keeps it as `inputs`. */
json_t *report_again_inputs(const report_opts *o, const report_sources *src);
/* 1: the folder holds just this report, *tree is its eval.json (a new reference). 0: to be made.
 * -1: it holds a report of other inputs; ERR_USAGE names them. */
int report_again(const report_opts *o, const json_t *inputs, json_t **tree, err *e);
#endif
