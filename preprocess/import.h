/* Clinical tables read through a mapping: rows with keys, sides and values, put together by
 * patient, exam, breast and image. Hospital side: keys are raw identifiers. */
#ifndef PREPROCESS_IMPORT_H
#define PREPROCESS_IMPORT_H

#include "core/text.h"
#include "preprocess/mapping.h"

/* A value of a row. Times and dates are ranges of days (what is known by years or classes), ages of
 * years; else lo == hi. NaN: nothing is said. Words are numbers of import_word; sides are letters;
 * "no cancer" as a time is infinity. */
typedef struct import_value {
    float lo, hi;
} import_value;

typedef struct import_row {
    int line;                      /* of its file */
    const char *key[MAPPING_KEYS]; /* NULL = empty or not in the table */
    const char *join;              /* the keys it is joined by, as one text; NULL = one is empty */
    char side;                     /* L, R, B, 0 */
    signed char view;              /* record_view; -1 = the table does not say */
    bool conflict;                 /* rows that were put together contradict each other */
    bool split_conflict;
    bool used; /* for the caller */
} import_row;

/* What one column of a file became. */
typedef struct import_column {
    const char *name;
    char becomes[160]; /* "cancer_in (exam), flag SPOT_COMPRESSION (image)"; "" = not used */
    bool known;        /* named by the mapping, if only to be ignored */
    int64_t filled;    /* rows whose cell is not empty, of columns that are used */
} import_column;

typedef struct import_table {
    const mapping_table *map; /* NULL = the optional table was not given */
    import_row *row;
    import_value *value; /* [n][slots] */
    int64_t n, cap;
    int64_t lines, passed_over; /* rows of the file; those that `only` left out */
    import_column *column;
    int n_columns;
} import_table;

typedef struct importer {
    const mapping *map; /* borrowed */
    import_table table[MAPPING_TABLES];
    bool found[MAPPING_TABLES * MAPPING_USES]; /* by slot: a column was there */
    char **word; /* distinct sites, densities and splits; word[0] is "" */
    int n_words, cap_words;
    struct import_text *texts;
} importer;

/* path[0] is the first table of the mapping; path[n..] of optional tables may be missing.
 * `normalise`: how keys are compared, see import_normalise. Fails on a missing column, a value that
 * its field does not understand, a wrong number of files; with `strict` also on a column that the
 * mapping does not name. Messages name file, line and column, never a value. */
importer *import_read(const mapping *m, const char *const *path, int n, unsigned normalise,
                      bool strict, err *e);
void import_free(importer *im);
bool import_has(const importer *im, mapping_field f); /* a column of it was found */
import_value import_get(const importer *im, int table, int64_t row, int slot);
const char *import_word(const importer *im, uint16_t word);

/* What a row of the first table shares with rows of table `to`; false = a key is empty. */
bool import_link(const importer *im, int to, int64_t row, text *out);

enum { IMPORT_SPACES = 1, IMPORT_ZEROS = 2, IMPORT_CASE = 4 };
/* How keys of images and rows are compared: without inner spaces, leading zeros, or difference of
 * case. Works on each part of a joined key. */
void import_normalise(unsigned how, const char *key, text *out);

/* Parts of a joined key: the text of one field as it is compared; false = nothing to join by. */
bool import_key_of_file(mapping_field f, const char *path, text *out);
#define IMPORT_PART '\x1f' /* between the parts of a joined key */
#endif
