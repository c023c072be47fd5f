/* scan: walk archives, read every header in isolated workers, write one catalogue row per file. */
#ifndef DICOM_SCAN_H
#define DICOM_SCAN_H

#include "core/cfg.h"
#include "core/err.h"

extern const cfg_group scan_options; /* "scan.*": sidecar, seconds, memory_mib, ... */
typedef struct scan_opts {
    const char *const *archive;
    int n_archives;
    const char *store;
    const cfg *config;
    int threads;
    int shard_k, shard_n; /* 0,1 = everything */
    bool merge;           /* merge STORE/catalog-k-of-n.db files instead of walking */
} scan_opts;
typedef struct scan_result {
    int64_t seen, candidates, failed, unchanged;
} scan_result;
/* Resumable: files already in the catalogue with the same size and mtime are not read again. */
MUST_CHECK bool scan_run(const scan_opts *o, scan_result *out, err *e);
#endif
