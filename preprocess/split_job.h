/* Private to the split: the images and persons of one call, shared by preprocess/split*.c. Two
 * million images must fit into a small machine, so an image is numbers only: names of 128 bits,
 * words by their number. */
#ifndef PREPROCESS_SPLIT_JOB_H
#define PREPROCESS_SPLIT_JOB_H

#include "core/csv.h"
#include "core/json.h"
#include "core/pool.h"
#include "dicom/catalog.h"
#include "dicom/pseudo.h"
#include "preprocess/cohort.h"
#include "preprocess/exclude.h"
#include "preprocess/labels.h"
#include "preprocess/prepare.h"
#include "preprocess/split.h"

#define SPLIT_YEAR_BAND  5  /* years of one stratum */
#define SPLIT_AGE_BAND   10 /* years */
#define SPLIT_FOLDS_MOST 20

typedef enum split_mode { /* the choices of split.mode */
                          SPLIT_FRACTIONS,
                          SPLIT_KFOLD,
                          SPLIT_LEAVE_SITE,
                          SPLIT_LEAVE_VENDOR,
                          SPLIT_TEMPORAL,
                          SPLIT_COLUMN
} split_mode;
enum { /* split_cfg.strata */
       SPLIT_BY_OUTCOME = 1,
       SPLIT_BY_VENDOR = 2,
       SPLIT_BY_SITE = 4,
       SPLIT_BY_YEAR = 8,
       SPLIT_BY_AGE = 16,
       SPLIT_BY_DENSITY = 32
};

typedef struct split_cfg {
    int mode;
    int draw; /* 0 hash, 1 torch */
    double test_fraction, val_fraction, val_natural_fraction;
    int val; /* 0 balanced, 1 natural */
    int64_t seed, folds, fold;
    const char *leave_out, *test_from_text, *aliases, *end_text;
    cfg_texts vendors, strata_words;
    int require;        /* exam.require */
    int duplicate_view; /* 0 best, 1 keep */
    int displaced;      /* 0 avoid, 1 prefer */
    bool merge_same_day;
    int64_t detection_days, followup_days;
    bool detection_inclusive;
    int prior_cancer; /* 0 exclude, 1 keep */
    int64_t age_min, age_max;
    bool require_female;
    double noise_quantile;
    /* derived by split_check_cfg */
    unsigned strata;             /* SPLIT_BY_* */
    int32_t test_from, last_day; /* RECORD_UNKNOWN = not set */
} split_cfg;

typedef struct split_id { /* a pseudonym or a hash; all zero = none */
    uint8_t b[16];
} split_id;
typedef struct split_ids { /* distinct names, numbered in the order of first sight */
    split_id *id;
    int32_t n, cap;
    int32_t *slot; /* hash table of number + 1, 0 = free */
    int64_t slots;
} split_ids;

typedef struct item { /* one image that prepare kept */
    split_id image, pixels;
    int64_t file; /* catalogue row */
    label *lab;
    double sums[4];        /* all: sum, sum of squares; breast: the same (size 0) */
    int32_t patient, exam; /* numbers in split_job.patients, .exams */
    int32_t said;          /* whose the label table says it is: number in .said; -1 unsaid */
    int32_t day, time;     /* RECORD_UNKNOWN; seconds since midnight, -1 */
    int32_t shard, row;
    int32_t vendor, model; /* numbers of words */
    uint32_t breast_pixels, modifiers;
    float noise; /* of the breast, relative; 0 unknown */
    int16_t age;
    char side, sex;
    uint8_t view, out; /* record_view; reason, REASON_NONE = in */
    bool processing, synthetic;
    int8_t y[COHORT_HORIZONS];
} item;

typedef struct person { /* an identity class */
    split_id id;        /* smallest pseudonym of the class among those with images */
    int32_t names;      /* pseudonyms with images */
    int32_t first_day;  /* of all her exams */
    int32_t images;     /* still in */
    bool positive;      /* at the first horizon */
    bool conflict;      /* belongs to two splits */
    bool ruled, kept;   /* fold given by the mode's rule; by --keep */
    int8_t fold, cv;    /* -1 = not assigned; cv -1 = in none of the k folds */
    int bin;            /* while folds are filled */
    const char *vendor, *site, *density; /* the first in byte order; borrowed */
    int year_band, age_band;             /* at the first exam that is still in; -1 unknown */
    int32_t in_day;                      /* its day */
    int64_t table_row;                   /* first row of the outcome table that is hers; -1 none */
    uint8_t order[16];                   /* keyed */
} person;

typedef struct split_link { /* two patient numbers that are one person */
    int32_t a, b;
    int why; /* split_why */
} split_link;
typedef enum split_why {
    SPLIT_SAME_EXAM,
    SPLIT_SAME_IMAGE,
    SPLIT_SAME_PIXELS,
    SPLIT_SAME_LABEL,
    SPLIT_OTHER_ID,
    SPLIT_ALIAS
} split_why;

typedef struct split_lost { /* a file that scan or prepare left out, as far as it says whose it is
                             */
    split_id exam, patient;
    uint8_t why; /* reason */
    bool scan;   /* left out by scan */
} split_lost;

typedef struct split_job {
    const split_opts *o;
    split_cfg c;
    labels_cfg lc;
    exclude_cfg ec; /* for reasons that the label table gives */
    labels *lab;
    labels_matches matches;
    catalog *cat;
    pseudo *ps;
    pool *threads;
    item *it;
    int64_t n, cap;
    split_lost *lost;
    int64_t n_lost, cap_lost;
    split_ids patients, exams, words, said;
    char **word; /* by number */
    int32_t cap_word;
    split_link *link; /* found while reading: other ids, aliases */
    int64_t n_link, cap_link;
    struct split_aliases *alias;
    split_link *merge; /* joinings of different classes, in the order in which they were found */
    int64_t n_merge;
    person *who;
    int32_t n_who, *group; /* class of a patient number, -1 = no image */
    int32_t *exam_as;      /* [exams.n] the exam that an exam was joined with; NULL = itself */
    char prep_id[17], key_id[17];
    int n_sizes, h[PREPARE_SIZES], w[PREPARE_SIZES];
    int64_t seen, unjudged;
    int64_t by_reason[REASON_COUNT]; /* scan and prepare outcomes */
    int64_t scan_reason[REASON_COUNT];
    int64_t shared[4]; /* distinct patients, exams, images, pictures of the cohort */
    json_t *flow;
    csv_writer *excluded;
} split_job;

static inline person *split_person(const split_job *j, const item *t)
{
    return &j->who[j->group[t->patient]];
}

/* split_ids.c */
split_id split_id_parse(const char *hex); /* "" gives none */
split_id split_id_hash(const char *s);
void split_id_text(const split_id *id, char out[33]);
bool split_id_none(const split_id *id);
int split_id_order(const split_id *a, const split_id *b);
int32_t split_ids_add(split_ids *t, const split_id *id);        /* its number */
int32_t split_ids_find(const split_ids *t, const split_id *id); /* -1 = not there */
void split_ids_release(split_ids *t);
/* Number of a word (vendor, model); the same word always has the same number. */
int32_t split_word(split_job *j, const char *s);

/* split_collect.c: the images that prepare kept, with their labels and the facts in the shards. */
MUST_CHECK bool split_collect(split_job *j, err *e);
void split_collect_release(split_job *j);

/* split_identity.c: join pseudonyms that are one person; split_merges.csv says why. */
MUST_CHECK bool split_aliases_read(split_job *j, err *e);
void split_aliases_free(struct split_aliases *a);
/* The raw ids of an image's header: remember whom they name. */
void split_ids_note(split_job *j, int32_t patient, const record *r);
void split_identities(split_job *j);
/* One row per joining: enough to follow why two pseudonyms of a class are one person. */
MUST_CHECK bool split_merges(const split_job *j, const char *path, err *e);

/* split_judge.c: which images and exams belong to the question. */
void split_judge(split_job *j);
/* Take an image out with a coded reason and write its row of the exclusion list. */
void split_exclude(split_job *j, item *t, reason r);

/* split_modes.c: what split.mode and --keep say of a person before anything is drawn; images of a
 * person in two splits are taken out. */
MUST_CHECK bool split_modes(split_job *j, err *e);
/* split_folds.c: assign every person that is still in and has no fold yet. */
void split_folds(split_job *j);

/* split_books.c: fills j->flow, after split_disjoint. */
void split_books(split_job *j);

/* split_write.c: COHORT.h5 and the tables beside it. */
MUST_CHECK bool split_write(split_job *j, split_result *out, err *e);
char *split_beside(const char *out, const char *name); /* owned by the caller */
/* split_report.c: proves that the folds share nothing (a shared name is a BUG) and counts the
 * names; split_summary.csv. p: the images of the cohort, in the order of its rows. */
void split_disjoint(split_job *j, item *const *p, int64_t n);
MUST_CHECK bool split_summary(const split_job *j, item *const *p, int64_t n, const char *path,
                              split_result *out, err *e);
#endif
