/* Private to the split: the images and persons of one call, shared by its three files. */
#ifndef PREPROCESS_SPLIT_JOB_H
#define PREPROCESS_SPLIT_JOB_H

#include "core/csv.h"
#include "core/json.h"
#include "dicom/catalog.h"
#include "preprocess/cohort.h"
#include "preprocess/labels.h"
#include "preprocess/prepare.h"
#include "preprocess/split.h"

typedef struct split_cfg {
    double test_fraction, val_fraction;
    int val; /* 0 balanced, 1 natural */
    int64_t seed;
    cfg_texts vendors;
    int require;        /* exam.require */
    int duplicate_view; /* 0 best, 1 keep */
    int64_t detection_days, followup_days;
    bool detection_inclusive;
    int prior_cancer; /* 0 exclude, 1 keep */
    int64_t age_min, age_max;
    bool require_female;
} split_cfg;

typedef struct item { /* one image that prepare kept */
    int64_t file;     /* catalogue row */
    char image[33], exam[33], patient[33], pixel_hash[33];
    char side, sex;
    record_view view;
    uint32_t modifiers;
    int32_t day;
    int age;
    char vendor[17], model[65];
    int shard, row;
    uint32_t breast_pixels;
    double sums[4]; /* all: sum, sum of squares; breast: the same (size 0) */
    label *lab;
    int group;             /* identity class */
    const char *person_id; /* of the class, borrowed */
    reason out;            /* REASON_NONE = in */
    int8_t y[COHORT_HORIZONS];
} item;

typedef struct person { /* an identity class */
    char id[33];        /* smallest pseudonym of the class */
    int32_t first_day;
    bool used, positive, conflict;
    char vendor[17];
    int fold; /* -1 = not assigned yet */
    uint8_t order[32];
} person;

typedef struct split_job {
    const split_opts *o;
    split_cfg c;
    labels_cfg lc;
    labels *lab;
    catalog *cat;
    item *it;
    int64_t n, cap;
    person *who;
    int n_who;
    char prep_id[17], key_id[17];
    int n_sizes, h[PREPARE_SIZES], w[PREPARE_SIZES];
    int64_t seen, unjudged;
    int64_t by_reason[REASON_COUNT]; /* scan and prepare outcomes */
    int64_t scan_reason[REASON_COUNT];
    json_t *flow;
    csv_writer *excluded;
} split_job;

/* split_judge.c: join pseudonyms that are one person, then judge images and exams. */
void split_identities(split_job *j);
void split_judge(split_job *j);
/* split_folds.c: assign every person that is still in; nobody named by --keep moves. */
MUST_CHECK bool split_folds(split_job *j, err *e);
/* Take an image out with a coded reason and write its row of the exclusion list. */
void split_exclude(split_job *j, item *t, reason r);
#endif
