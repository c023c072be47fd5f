/* deid-check: does any original identifier of a store occur in files that are to leave the
 * hospital? dicom.md 8. */
#ifndef PREPROCESS_DEID_H
#define PREPROCESS_DEID_H

#include "core/err.h"

/* What was found in one file, one kind at a time. The value itself is never told. */
typedef struct deid_hit {
    const char *file; /* as given, or below a given folder; borrowed for the call */
    const char *kind; /* "patient_id", "study_uid", "exam date"... */
    int64_t count;
    int64_t at; /* offset of the first one: in the file; -1: in its name or a value in HDF5 */
} deid_hit;
typedef void deid_found(void *ctx, const deid_hit *hit);

typedef struct deid_result {
    int64_t identifiers; /* different values that were looked for */
    int64_t too_short;   /* values that cannot be told from ordinary numbers, words and fillers */
    int64_t files, bytes, hits;
    bool key_known; /* the key of the pseudonyms lies in the store and was looked for */
} deid_result;

/* Takes the identifiers of STORE/catalog.db (UIDs, patient, accession, issuer, dates, file names)
 * and STORE/key, and searches `paths` (files or folders): every byte of every file, and the
 * inflated values and attributes of HDF5 files. Upper and lower case are alike. A value below 10
 * characters counts as a whole word only, a long number where it is not part of a longer one, a
 * long text anywhere. Not looked into: compressed streams of PNG and PDF; the pixels themselves.
 * ERR_IO: a file cannot be read. */
MUST_CHECK bool deid_check(const char *store, const char *const *paths, int n, deid_found *found,
                           void *ctx, deid_result *out, err *e);
#endif
