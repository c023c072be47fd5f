/* scan: walk archives, read every header in isolated workers, write one catalogue row per file. */
#ifndef DICOM_SCAN_H
#define DICOM_SCAN_H

#include "core/cfg.h"
#include "core/err.h"
#include "dicom/record.h"

/* Indices of the program's worker tasks; cli/main composes the table in this order. */
#define SCAN_TASK    0 /* scan_header_task */
#define PREPARE_TASK 1 /* prepare_image_task */

typedef struct scan_reply {
    reason why; /* REASON_NONE = a readable image */
    record rec;
    char header_hash[33]; /* XXH3-128 of the bytes before the pixel data */
} scan_reply;
/* Worker task: the header of one file; replies with a scan_reply. */
size_t scan_header_task(const void *data, size_t len, const void *arg, size_t arg_len, void *reply,
                        size_t reply_cap);

typedef struct scan_cfg { /* bound from scan_options, "scan.*" */
    const char *sidecar;
    double seconds;
    int64_t memory_mib;
} scan_cfg;
extern const cfg_group scan_options;
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
    int64_t unmet; /* rows of the sidecar about files that are not in the archive */
} scan_result;
/* Resumable: files already in the catalogue with the same size and mtime are not read again, unless
 * the sidecar or this program's reading of headers changed. Rows of files that are gone stay,
 * flagged, and are not visited any more. A shard k of n goes to STORE/catalog-k-of-n.db (k from 0;
 * files are dealt by a hash of their relative path); merge joins all n of them. */
MUST_CHECK bool scan_run(const scan_opts *o, scan_result *out, err *e);
#endif
