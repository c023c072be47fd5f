/* Mappings: what the columns of a clinical table become. A mapping is a YAML file (configs/import/,
 * or the user's own): knowledge about tables that needs no code. docs/importing.md describes the
 * format; preprocess/import.h applies it. */
#ifndef PREPROCESS_MAPPING_H
#define PREPROCESS_MAPPING_H

#include "core/err.h"
#include "core/flat.h"
#include "core/mem.h"
#include "dicom/reason.h"

/* The internal fields: X(name, kind, meaning). Keys come first. */
#define MAPPING_FIELDS(X)                                                                          \
    X(patient, KEY, "who the image is of")                                                         \
    X(exam, KEY, "names an exam of the patient; not in the images")                                \
    X(accession, KEY, "AccessionNumber of the images")                                             \
    X(study, KEY, "StudyInstanceUID")                                                              \
    X(series, KEY, "SeriesInstanceUID")                                                            \
    X(sop, KEY, "SOPInstanceUID")                                                                  \
    X(file, KEY, "base name of the file, with or without its extension")                           \
    X(file_start, KEY, "base name of the file up to the first underscore")                         \
    X(path, KEY, "end of the file's path, or a path that the file's path is the end of")           \
    X(folder, KEY, "the same for the folder that the file lies in")                                \
    X(side, SIDE, "side of the image")                                                             \
    X(view, VIEW, "view of the image")                                                             \
    X(cancer, CLASS, "ready class, 0 or 1")                                                        \
    X(diagnosis_date, DATE, "day of the breast cancer")                                            \
    X(last_negative_date, DATE, "last day known to be free of breast cancer")                      \
    X(prior_cancer_date, DATE, "day of an earlier breast cancer")                                  \
    X(prior_cancer, CLASS, "1: a breast cancer before the exam")                                   \
    X(cancer_in, TIME, "time from the exam to the cancer")                                         \
    X(free_for, TIME, "cancer-free follow-up after the exam")                                      \
    X(cancer_side, SIDE, "side of the cancer")                                                     \
    X(exam_date, DATE, "day of the exam, for images without one")                                  \
    X(age, AGE, "age at the exam, for images without one; a band keeps its bounds")                \
    X(density, WORD, "class of breast density")                                                    \
    X(site, WORD, "where the patient was examined")                                                \
    X(split, WORD, "split that the table gives")                                                   \
    X(weight, WEIGHT, "sampling weight")

typedef enum mapping_field {
#define MAPPING_ENUM(name, kind, text) FIELD_##name,
    MAPPING_FIELDS(MAPPING_ENUM)
#undef MAPPING_ENUM
        FIELD_flag, /* a reason code */
    FIELD_COUNT
} mapping_field;
#define MAPPING_KEYS FIELD_side /* fields below are keys: texts that identify */

typedef enum mapping_kind {
    MAPPING_KEY,
    MAPPING_SIDE,
    MAPPING_VIEW,
    MAPPING_CLASS,
    MAPPING_DATE,
    MAPPING_TIME,
    MAPPING_AGE,
    MAPPING_WORD,
    MAPPING_WEIGHT,
    MAPPING_FLAG
} mapping_kind;

typedef enum mapping_level {
    MAPPING_PATIENT,
    MAPPING_EXAM,
    MAPPING_BREAST,
    MAPPING_IMAGE
} //
mapping_level;

/* What several rows of one patient (exam, breast, image: the level) make of a column. */
typedef enum mapping_merge {
    MAPPING_AGREE, /* empty cells say nothing; two values are a contradiction */
    MAPPING_SAME,  /* an empty cell contradicts a value, too */
    MAPPING_MIN,
    MAPPING_MAX,
    MAPPING_UNION /* of sides */
} mapping_merge;

typedef struct mapping_words { /* in the mapping's arena */
    int n;
    const char *v[FLAT_LIST_MAX];
} mapping_words;

/* Where a value comes from. */
typedef struct mapping_source {
    mapping_words column;   /* names of one column: the first that the table has */
    const char *pattern;    /* "{folder_type}/{dir}" instead of a column; NULL */
    int part;               /* of a path: 1.. from the left, -1.. from the right; 0 = all of it */
    mapping_words from, to; /* words and what they mean */
    const char *others;     /* meaning of every other word; NULL = as it stands */
    const char *empty;      /* meaning of an empty cell; NULL = nothing */
    mapping_words yes;      /* key "is": the words that hold, of a flag or a condition */
    const char *when;       /* the value counts only where this column ... */
    mapping_words when_is;  /* ... holds one of these words */
    struct mapping_source *otherwise; /* when this one says nothing; NULL */
} mapping_source;

typedef struct mapping_use {
    mapping_field field;
    reason flag; /* of FIELD_flag */
    mapping_level level;
    mapping_merge merge;
    bool optional, years;
    int date_order; /* 0 year first, 1 day first, 2 month first */
    int slot;       /* number among the values of a row; -1 = a key */
    mapping_source source;
} mapping_use;

#define MAPPING_TABLES 4
#define MAPPING_USES   48
#define MAPPING_JOIN   4
typedef struct mapping_table {
    const char *name;
    bool optional;
    /* first table: what a row and an image share; further ones: what a row and one of the first
     * table share */
    mapping_field join[MAPPING_JOIN];
    int n_join;
    mapping_use *use[MAPPING_USES];
    int n_uses;
    mapping_source *only; /* rows that do not hold are passed over; NULL */
    mapping_words ignore; /* columns that are known and not used */
} mapping_table;

typedef struct mapping {
    arena *mem;
    const char *name, *about;
    bool ready;         /* the ready class decides, not the times */
    bool keys_required; /* an empty key is an error, not a row without a partner */
    mapping_words missing, sentinel;
    mapping_table table[MAPPING_TABLES];
    int n_tables, n_slots;
    mapping_use *slot[MAPPING_TABLES * MAPPING_USES];
} mapping;

mapping *mapping_new(const char *name);
/* A name of configs/import, or the path of a YAML file (one with a slash or ending in .yaml).
 * ERR_CONFIG "name:line: reason"; an unknown name or key comes with its nearest known one. */
mapping *mapping_load(const char *name, err *e);
mapping *mapping_parse(const char *yaml, size_t len, const char *name, err *e);
void mapping_free(mapping *m);
const char *mapping_keep(mapping *m, const char *s); /* a copy in the mapping's arena */
/* Building by hand, for the mapping that the labels.* keys describe. */
mapping_table *mapping_add_table(mapping *m, const char *name);
mapping_use *mapping_add(mapping *m, mapping_table *t, mapping_field f, const char *column);
/* Check the whole and number the values; both builders end with it. */
MUST_CHECK bool mapping_finish(mapping *m, err *e);

/* What the field says is said of at least this level, if the keys for that exist; several rows: the
 * largest. Before mapping rows are read. */
void mapping_coarsen(mapping *m, mapping_field f, mapping_level level);
/* What the rows of a table speak of when a use is of level image: the level of its join. */
mapping_level mapping_reach(const mapping_table *t, const mapping_use *u);

const mapping_use *mapping_find_use(const mapping_table *t, mapping_field f); /* NULL = none */
const char *mapping_field_name(mapping_field f);
mapping_kind mapping_field_kind(mapping_field f);
const char *mapping_level_name(mapping_level l);
bool mapping_has_word(const mapping_words *w, const char *word); /* case and number aside */
#endif
