/* predict --robustness: how the score of an exam changes when patches or whole views are taken away
 * (evaluation.md 14). Writes PRED/robustness.csv and robustness.json (docs/formats.md 5). */
#ifndef TRAIN_ROBUSTNESS_H
#define TRAIN_ROBUSTNESS_H

#include "core/cfg.h"
#include "core/json.h"
#include "train/checkpoint.h"
#include "train/loader.h"

/* Options "robust.*". */
typedef struct robustness_cfg {
    cfg_reals keep;
    cfg_texts masks;
    int64_t repeats, seed, exams;
} robustness_cfg;
extern const cfg_group robust_options;

typedef struct robustness_job { /* all borrowed */
    const char *out;            /* PRED */
    const cfg *config;
    model *net;
    backend *be;
    const checkpoint_info *info;
    loader *load;
    const cohort *data;
    const int64_t *row; /* [n]; the rows of an exam are neighbours */
    int64_t n;
    const json_t *inputs; /* what the prediction is made from */
} robustness_job;
/* Is what the job would make there already? */
bool robustness_made(const robustness_job *j);
/* Goes on where an earlier call with the same inputs was stopped or killed. ERR_CONFIG: masks that
 * the network or the shards cannot have. ERR_STOPPED on request. */
MUST_CHECK bool robustness_write(const robustness_job *j, err *e);
/* Remove what earlier calls left in PRED, finished or not. */
MUST_CHECK bool robustness_clear(const char *pred, err *e);
#endif
