/* Outcome tables: a clinical CSV -> one label per patient, accession, SOP instance or file.
 * Hospital side: keys are raw identifiers. dicom.md 6 and 9. */
#ifndef PREPROCESS_LABELS_H
#define PREPROCESS_LABELS_H

#include "core/cfg.h"

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

typedef enum labels_by { LABELS_PATIENT, LABELS_ACCESSION, LABELS_SOP, LABELS_FILE } labels_by;

typedef struct label {
    char *key;                     /* owned by the table */
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

typedef struct labels labels;
/* Fails on a missing column, an unreadable date or an unknown side, naming the line (never the
 * key). */
labels *labels_read(const char *path, const labels_cfg *c, err *e);
void labels_free(labels *l);
labels_by labels_key_kind(const labels *l);
/* A site, density or split as the table writes it; 0 gives "". Borrowed. */
const char *labels_word(const labels *l, uint16_t word);
bool labels_has_split(const labels *l); /* does the table have such a column? */
/* The label of an image's raw id (after the map, if one is configured); NULL = none. */
label *labels_find(labels *l, const char *id);
/* Do two labels say the same (whatever their keys)? */
bool labels_same(const label *a, const label *b);
int64_t labels_count(const labels *l);
int64_t labels_unused(const labels *l); /* rows that no image asked for */
#endif
