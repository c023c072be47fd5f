/* The report: prediction tables -> eval.json, report.html, report.pdf, CSV of every table and the
 * figures as SVG. The HTML and the PDF are rendered from the eval.json tree alone (and the PNG
 * files that it names). Outputs hold no clock time and do not depend on row order or number of
 * threads. evaluation.md 1-6, 17-19. */
#ifndef EVAL_REPORT_H
#define EVAL_REPORT_H

#include "core/cfg.h"
#include "core/err.h"

/* Bound from eval_options. */
typedef struct report_cfg {
    int rule;                  /* exam_rule */
    int ensemble;              /* member_rule */
    int require;               /* 0 any exam, 1 of exactly four images */
    const char *split;         /* evaluate rows of this split; "" = the only one in the table */
    int64_t bootstrap;         /* replicates; 0 = no bootstrap */
    int boot_kind;             /* of its intervals */
    int64_t seed;              /* of the bootstrap */
    cfg_reals spec, sens, top; /* operating points, fractions */
    cfg_reals prevalence;      /* for predictive values, fractions */
    int sampling;              /* population_sampling */
    double population;         /* prevalence that an enriched set is computed for */
    int recalibration;         /* recalibrate_kind, learnt on val */
    cfg_reals decision;        /* threshold risks of the decision table and ends of its curve */
    int64_t risk_groups;       /* groups of equal count */
    cfg_texts subgroups;       /* names of strata.h */
    double screen_days;        /* cancers until this day after the exam: found by it */
    double interval_days;      /* until this day: between two rounds; beyond: later */
    cfg_reals years;           /* at which AUC is given, years after the exam */
    double tau;                /* years that Uno's C looks at; 0 = the largest of `years` */
    double horizon;            /* year that the score is the risk of; 0 = as the model says */
    double subgroup_spec;      /* the subgroup table's threshold keeps this specificity */
    const char *label;         /* one sentence: what y = 1 means; "" = not recorded */
    const char *follow_up;     /* one sentence: how y = 0 was confirmed; "" = not recorded */
    double margin;             /* of non-inferiority, a difference of AUC */
    const char *title;         /* of the report */
    const char *strings;       /* JSON of translated words; "" = English */
    int64_t pages;             /* exams shown on the image page */
    int64_t min_count;         /* counts of fewer women are hidden; 0 or 1: none */
} report_cfg;
extern const cfg_group eval_options; /* keys "eval.*" */

typedef struct report_opts {
    const char *const *inputs; /* PRED folders or CSV files; several = members of an ensemble */
    int n_inputs;
    const char *out_dir;
    /* [n_compare] NAME=PRED or PRED: other models on the same exams. previous: the release before;
     * whole: the same model with all patches. PRED,VALPRED: with its own validation exams. */
    const char *const *compare;
    int n_compare;
    const char *val; /* PRED or CSV that thresholds come from; NULL = the evaluated set itself */
    bool final;      /* metrics of a split called "test" are wanted */
    bool force;      /* make it again, whatever is there */
    bool replace;    /* make it again when the folder holds a report of other inputs */
    int threads;     /* 0 = all cores */
    report_cfg cfg;
} report_opts;

typedef struct report_headline {
    double auc, lo, hi; /* NaN = undefined */
    char ci[32];        /* "delong", "clustered", "clustered-logit", ... */
    char reason[32];    /* "" or why a number is undefined */
    int64_t n_exams, n_patients, n_events;
    char html[4096]; /* path of report.html */
} report_headline;

/* A PRED folder holds predictions.csv and, where recorded, predictions.json and pages/index.json:
 *   predictions.json {"flow":[{"stage","step","n_in","n_out","reason"[,"unit"][,"excluded"]}],
 *                     "model":{...}, "hashes":{name: hex}, "config_yaml": text}
 *   pages/index.json [{"exam_id","view","file","score","note"}]
 * A folder that holds just this report stays as it is; a look at test exams is logged when one is
 * made. Fails: ERR_USAGE (`final` missing for the test split or given for train or validation
 * exams, a report of other inputs without `force`), ERR_INPUT (tables, flow rows that do not add
 * up: n_out > n_in, excluded != n_in - n_out, or a row that does not begin with the n_out of the
 * row before it in the same stage or with the same unit), ERR_IO.
 */
MUST_CHECK bool report_write(const report_opts *o, report_headline *out, err *e);
#endif
