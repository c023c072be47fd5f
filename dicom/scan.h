/* scan: walk archives, read every header in isolated workers, write one catalogue row per file. */
#ifndef DICOM_SCAN_H
#define DICOM_SCAN_H

#include "core/cfg.h"
#include "core/err.h"

/* Indices of the program's worker tasks; cli/main composes the table in this order. */
#define SCAN_TASK    0 /* scan_header_task */
#define PREPARE_TASK 1 /* prepare_image_task */

/* Worker task: the header of one file. The reply is a scan_header (dicom/scan.c). */
size_t scan_header_task(const void *data, size_t len, const void *arg, size_t arg_len, void *reply,
                        size_t reply_cap);

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
