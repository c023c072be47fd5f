/* Outcome tables: a clinical CSV -> one label per patient, accession, SOP instance or file.
 * Hospital side: keys are raw identifiers. dicom.md 6 and 9. */
#ifndef PREPROCESS_LABELS_H
#define PREPROCESS_LABELS_H

#include "core/cfg.h"
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
} labels_cfg;
extern const cfg_group labels_options;

/* The largest whole that has one outcome: its images must agree. */
typedef enum labels_scope {
    LABELS_OF_PATIENT,
    LABELS_OF_EXAM,
    LABELS_OF_BREAST,
    LABELS_OF_IMAGE
} labels_scope;

typedef struct label {
    char *key;                     /* owned by the table */
    const char *person;            /* who it is of, in the table's words; "" = unsaid */
    int32_t diagnosis;             /* days since 1970-01-01; INT32_MIN = none */
    int32_t last_negative;         /* last day known to be free of cancer; INT32_MIN = unknown */
    int32_t prior;                 /* an earlier cancer; INT32_MIN = none */
    char side;                     /* of the cancer: L, R, B; 0 unknown */
    int cls;                       /* ready class, -1 = dates decide */
    float weight;                  /* sampling weight; 1 where none is given */
    uint16_t site, density, split; /* labels_word; rows that differ: the first in byte order */
    bool conflict;                 /* two rows contradict each other */
    bool split_conflict;           /* two rows name different splits */
    bool used;                     /* set by labels_find */
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
/* exam_day may be RECORD_UNKNOWN. */
label_times labels_times(const label *x, int32_t exam_day);
/* A site, density or split as the table writes it; 0 gives "". Borrowed. */
const char *labels_word(const labels *l, uint16_t word);
bool labels_has_split(const labels *l); /* does the table have such a column? */
/* The label of an image (its raw id goes through the map, if one is configured); NULL = none. */
label *labels_find(labels *l, const catalog_row *image);
/* Do two labels say the same (whatever their keys)? */
bool labels_same(const label *a, const label *b);
int64_t labels_count(const labels *l);
int64_t labels_unused(const labels *l); /* rows that no image asked for */
#endif
