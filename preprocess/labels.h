/* Outcome tables: one or more clinical CSVs, read through a mapping (preprocess/mapping.h) or by
 * the labels.* keys -> a label for every image that has a row. Hospital side: keys are raw
 * identifiers. dicom.md 4, 6 and 9; docs/importing.md. */
#ifndef PREPROCESS_LABELS_H
#define PREPROCESS_LABELS_H

#include "core/cfg.h"
#include "core/json.h"
#include "dicom/catalog.h"

/* Options "labels.*". */
typedef struct labels_cfg {
    const char *id;  /* patient | accession | sop | file | map:FILE */
    const char *key; /* column that holds the id */
    const char *diagnosis_date, *last_negative_date, *prior_cancer_date, *laterality;
    const char *label;                           /* column with a ready class; "" = dates decide */
    cfg_reals horizons;                          /* years */
    int level;                                   /* 0 exam, 1 breast */
    const char *site, *density, *split, *weight; /* columns, read where the table has them */
    const char *mapping;                         /* name or file; "" = the keys above */
    cfg_texts tables;                            /* further files of the mapping */
    bool strict;                                 /* a column that nobody knows is an error */
    int normalise;                               /* none, spaces, zeros, case, all */
} labels_cfg;
extern const cfg_group labels_options;

/* The largest whole that has one outcome: its images must agree. */
typedef enum labels_scope {
    LABELS_OF_PATIENT,
    LABELS_OF_EXAM,
    LABELS_OF_BREAST,
    LABELS_OF_IMAGE
} labels_scope;

/* Days and years are INT32_MIN where nothing is said. Where the table gives a year or a class, a
 * day is known as a range. */
typedef struct label {
    const char *key;                  /* what rows and images share; borrowed as the next one */
    const char *person;               /* who it is of, in the table's words; "" = unsaid */
    int32_t diagnosis, diagnosis_end; /* first and last possible day since 1970-01-01 */
    int32_t last_negative;            /* last day known to be free of cancer */
    int32_t prior;                    /* an earlier cancer */
    bool had_cancer;                  /* an earlier cancer of unknown day */
    int32_t cancer_lo, cancer_hi;     /* days from the exam to the cancer; -1 = none; hi INT32_MAX:
                                         no upper end */
    int32_t free_for;                 /* days after the exam that are known to be free of cancer */
    int32_t exam_day;                 /* for images without a date */
    int32_t age_lo, age_hi;           /* years */
    char side;                        /* of the cancer: L, R, B; 0 unknown */
    char image_side;                  /* of the image, as the table has it: L, R; 0 unknown */
    signed char cls;                  /* ready class, -1 = times decide */
    reason_set flags;                 /* reasons to leave the image out */
    float weight;                     /* sampling weight; 1 where none is given */
    uint16_t site, density, split;    /* labels_word; rows that differ: the first in byte order */
    bool conflict;                    /* two rows contradict each other */
    bool split_conflict;              /* two rows name different splits */
    bool used;                        /* set by labels_find */
    uint64_t owner;                   /* labels_find's: the patient of the first image */
    int64_t first_member, n_members;  /* its rows */
} label;

/* What a label says of one exam, in days from it. A table of years or classes knows a cancer's day
 * only as a range; a calendar date is a range of one day. */
typedef struct label_times {
    bool known;                   /* false: the day of the exam would have to be known */
    bool before;                  /* a cancer before the exam */
    int32_t cancer_lo, cancer_hi; /* first and last day that the cancer may have been found; -1 =
                                     none known; hi INT32_MAX = some day */
    int32_t free_days;            /* known to be free of cancer for so long; -1 = unknown */
} label_times;

typedef struct labels labels;
/* Fails on a missing column, an unreadable date or an unknown side, naming the line (never the
 * key). */
labels *labels_read(const char *path, const labels_cfg *c, err *e);
void labels_free(labels *l);
labels_scope labels_scope_of(const labels *l);
bool labels_ready(const labels *l); /* a ready class decides, not the times */
/* Is the breast of the image what a row speaks of? Then the class of a row is that of its breast.
 */
bool labels_knows_breast(const labels *l);
/* The outcome is known, but nothing of its time at this exam. */
bool labels_silent(const label *x);
/* exam_day may be RECORD_UNKNOWN. */
label_times labels_times(const label *x, int32_t exam_day);
/* A site, density or split as the table writes it; 0 gives "". Borrowed. */
const char *labels_word(const labels *l, uint16_t word);
bool labels_has_split(const labels *l); /* does the table have such a column? */
/* The label of an image; NULL = none. Counts and remembers images without one. A side that differs
 * from the image's becomes the flag LAT_CONFLICT; a row that names files and is met by images of
 * two patients becomes a conflict. */
label *labels_find(labels *l, const catalog_row *image);
/* Do two labels say the same (whatever their keys)? */
bool labels_same(const label *a, const label *b);

/* ---- labels_book.c: what matched, after the images were looked up */
typedef struct labels_matches {
    int64_t images, images_matched; /* looked up; with a row */
    int64_t rows, rows_matched;     /* lines of all tables; with an image */
    int64_t would;                  /* further images that labels.normalise=how would match */
    const char *how;                /* "" = no such setting helps */
} labels_matches;
void labels_count(const labels *l, labels_matches *out);
/* Number of the first row of a label in the table (the first one, with a mapping), from 0. */
int64_t labels_first_row(const labels *l, const label *x);
/* Images without a row and rows without an image, by pseudonym and line (docs/formats.md). */
MUST_CHECK bool labels_write_unmatched(const labels *l, const char *store, const char *path,
                                       err *e);
/* One table row of {table, column, becomes, filled} for every column of every file; owned by the
 * caller. */
json_t *labels_columns(const labels *l);
/* Look up every image candidate of the store's catalogue; nothing is written. */
MUST_CHECK bool labels_try(labels *l, const char *store, err *e);
#endif
