/* export: the prepared images as TIFF or PNG files, for programs that read no HDF5. Pseudonymous
 * side: pseudonyms, side, view and geometry, nothing else. docs/formats.md 8. */
#ifndef PREPROCESS_EXPORT_H
#define PREPROCESS_EXPORT_H

#include "core/cfg.h"
#include "preprocess/raster_out.h"

typedef struct export_opts {
    const char *from;  /* a store, or COHORT.h5 */
    bool is_store;     /* then all kept images under the config's prepare id */
    const char *out;   /* folder */
    const cfg *config; /* of a store */
    int fold;          /* of a cohort: cohort_fold, -1 = all */
    int h, w;          /* canvas; 0 = the first one */
    raster_out_format format;
    int threads;
    bool force; /* write again what is there */
} export_opts;
typedef struct export_result {
    int64_t images, written; /* in the table; the others lay there already */
    int64_t repeated;        /* of a store: the same image in a second file, left out */
    int h, w;
    char prepare_id[17];
} export_result;
/* OUT/<image pseudonym>.tiff or .png, OUT/images.csv, OUT/export.json. Resumable: a file that lies
 * there is whole. A folder that holds another export is refused (ERR_INPUT). */
MUST_CHECK bool export_run(const export_opts *o, export_result *out, err *e);
#endif
