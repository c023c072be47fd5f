/* The eval.json tree: everything the report says, computed from the inputs. The renderers read this
 * tree and nothing else. Members: schema, run, options, flow, metrics, curves, tables, figures'
 * data, model, limits, notes, pages, privacy. evaluation.md 1. */
#ifndef EVAL_REPORT_TREE_H
#define EVAL_REPORT_TREE_H

#include "core/json.h"
#include "core/pool.h"
#include "eval/report.h"
#include "eval/report_in.h"
#include "eval/report_look.h"

#define REPORT_SCHEMA "mammovit.eval/1"

/* What a report is made from; all borrowed. */
typedef struct report_sources {
    report_in *in; /* [n_in] the members */
    int n_in;
    report_in *val;                /* or NULL */
    report_in *compare;            /* [n_compare] other models on the same exams */
    report_in *const *compare_val; /* [n_compare] their validation exams; NULL: not given */
    const char *const *compare_name;
    int n_compare;
    report_look look;     /* at test exams, before this one */
    const json_t *inputs; /* what tells this report from others: report_again.h */
} report_sources;
/* *out is a new reference. */
MUST_CHECK bool report_tree_build(const report_opts *o, const report_sources *src, pool *p,
                                  json_t **out, err *e);
/* The metric with this id, unit and subset; NULL when absent. */
const json_t *report_tree_metric(const json_t *tree, const char *id, const char *subset);
/* The keys eval.* as they were asked for: a row here for every field of report_cfg. A new
 * reference. */
json_t *report_tree_options(const report_cfg *c);
/* The entry of tree.<list> with this id; NULL when absent. */
const json_t *report_tree_by_id(const json_t *tree, const char *list, const char *id);
/* A member of an object: NaN or "" when it is absent or null. */
double report_tree_num(const json_t *obj, const char *key);
const char *report_tree_str(const json_t *obj, const char *key);
/* Column of a table by its id, -1 when absent. */
int report_tree_column(const json_t *table, const char *id);
#endif
