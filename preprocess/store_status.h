/* How far the tasks of a store are: scan and its parts, every preparation and its parts. Reads
 * only, also while they run. */
#ifndef PREPROCESS_STORE_STATUS_H
#define PREPROCESS_STORE_STATUS_H

#include "dicom/catalog.h"

typedef struct store_status {
    const char *task; /* "scan", "prepare" */
    char id[17];      /* prepare id, "" for scan */
    int k, n;         /* part k of n; 0, 1 = the whole */
    bool started;
    int64_t done, failed;                /* rows recorded; of these broken */
    int64_t left;                        /* -1 = not known */
    int64_t session_done, session_total; /* of the running or last session; 0, 0 = not known */
    double per_second;                   /* of the running or last session, NaN = not known */
    double eta_seconds;                  /* NaN = not known */
} store_status;
typedef void store_status_visit(void *ctx, const store_status *s);
/* `id`: a preparation to name even where nothing was done for it yet. */
MUST_CHECK bool store_status_each(catalog *c, const char *store, const char *id,
                                  store_status_visit *fn, void *ctx, err *e);
#endif
