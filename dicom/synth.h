/* demo-archive: a synthetic CSAW-style screening archive with its clinical CSV. */
#ifndef DICOM_SYNTH_H
#define DICOM_SYNTH_H

#include "core/err.h"

typedef struct synth_opts {
    const char *dir; /* DIR/archive, DIR/clinical.csv, DIR/kinds.csv (what was made, by file) */
    int patients;
    uint64_t seed;
    int threads;
    bool force;
} synth_opts;
MUST_CHECK bool synth_write(const synth_opts *o, err *e);
#endif
