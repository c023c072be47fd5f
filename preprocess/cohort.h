/* COHORT.h5: all that training opens (design.md 5). Pseudonymous side. */
#ifndef PREPROCESS_COHORT_H
#define PREPROCESS_COHORT_H

#include "core/csv.h"
#include "core/err.h"
#include "core/json.h"

typedef enum cohort_fold { /* "split" column */
                           COHORT_TRAIN,
                           COHORT_VAL,
                           COHORT_TEST,
                           COHORT_VAL_NATURAL,
                           COHORT_FOLDS
} cohort_fold;
const char *cohort_fold_name(cohort_fold f); /* "train" "val" "test" "val_natural" */
int cohort_fold_find(const char *name);      /* -1 = no such fold */

#define COHORT_HORIZONS 8
typedef struct cohort_row { /* one image; rows in the order patient, exam, side, view, image */
    char image[33], exam[33], patient[33];
    char side, view;        /* 'L' 'R'; 'C' 'M', 0 = another view that the configuration let in */
    int32_t days_to_cancer; /* from the exam; -1 = none known */
    int32_t days_to_last_negative; /* follow-up; -1 = unknown */
    int8_t y[COHORT_HORIZONS];     /* per configured horizon, -1 = not evaluable */
    int8_t fold;                   /* cohort_fold */
    int8_t cv_fold;                /* number of the k-fold split, -1 = none */
    float weight;
    int16_t age;                       /* -1 */
    const char *vendor, *device_model; /* at most 16 and 64 bytes; borrowed, never NULL */
    const char *site,
        *density;     /* of the label tables; at most 32 and 16 bytes; borrowed; "" none */
    int32_t exam_day; /* days since the patient's first exam: no calendar dates leave */
    int32_t shard[4], shard_row[4]; /* per size; index into cohort.shard */
} cohort_row;

typedef struct cohort_shard {
    char file[256]; /* relative to the folder of COHORT.h5 */
    char sha256[65];
    int64_t bytes, n;
    int size; /* index into h[], w[] */
} cohort_shard;

/* Makes row i, for cohort_write of a table that is too long to lie in memory. */
typedef void cohort_fill(const void *ctx, int64_t i, cohort_row *out);

typedef struct cohort {
    cohort_row *row; /* owned; NULL where fill makes the rows */
    int64_t n;
    cohort_fill *fill;
    const void *fill_ctx;       /* borrowed */
    struct cohort_words *words; /* vendors and models that were read; owned */
    cohort_shard *shard;
    int n_shards;
    int n_sizes, h[4], w[4];
    int n_horizons;
    double horizon_years[COHORT_HORIZONS];
    double mean_all, sd_all, mean_breast, sd_breast; /* training rows, size 0, [0,1] */
    char prepare_id[17], key_id[17], config_sha256[65];
    char *prepare_yaml; /* owned */
    json_t *flow;       /* array of {stage, step, reason, n_in, n_out, unit}; owned */
    char *dir;          /* folder of the file, for shards; owned */
} cohort;

void cohort_init(cohort *c);
void cohort_release(cohort *c);
MUST_CHECK bool cohort_write(const cohort *c, const char *path, err *e);
MUST_CHECK bool cohort_read(cohort *c, const char *path, err *e);
/* What is wrong with shard i on disk: NULL, or missing, truncated, damaged or swapped, with the
 * reason in words. deep: its bytes are hashed; else its size is looked at. */
const char *cohort_shard_fault(const cohort *c, int i, bool deep, char why[160]);
/* Every shard is there with its size; ERR_MISMATCH names the first that is not. */
MUST_CHECK bool cohort_check(const cohort *c, err *e);
/* The columns of split.csv, a row without its end: tables made from a cohort begin with them. */
void cohort_csv_head(const cohort *c, csv_writer *w);
void cohort_csv_row(const cohort *c, const cohort_row *r, csv_writer *w);
#endif
