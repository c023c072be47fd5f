/* The few functions of NCCL that are used, by its binary interface, which has been the same since
 * 2.10 (the first version with bf16 sums). */
#include "model/cuda/nccl.h"

#include <stdio.h>

#include "core/mem.h"
#include "model/cuda/library.h"

#define LIBRARY "libnccl.so.2"
#define OLDEST  21000 /* 2.10.0 */

/* Values of its enumerations. */
enum { NCCL_FINE = 0, NCCL_IN_PROGRESS = 7 };
enum { NCCL_FLOAT32 = 7, NCCL_BFLOAT16 = 9 };
enum { NCCL_SUM = 0 };

typedef struct unique_id { /* passed by value */
    char bytes[128];
} unique_id;

struct nccl {
    int (*ncclGetVersion)(int *version);
    const char *(*ncclGetErrorString)(int status);
    int (*ncclGetUniqueId)(unique_id *id);
    int (*ncclCommInitRank)(void **group, int size, unique_id id, int rank);
    int (*ncclCommDestroy)(void *group);
    int (*ncclCommGetAsyncError)(void *group, int *status);
    int (*ncclAllReduce)(const void *from, void *to, size_t n, int type, int op, void *group,
                         void *stream);
    void *group;
};

#define FUNCTIONS(X)                                                                               \
    X(ncclGetVersion)                                                                              \
    X(ncclGetErrorString)                                                                          \
    X(ncclGetUniqueId)                                                                             \
    X(ncclCommInitRank)                                                                            \
    X(ncclCommDestroy)                                                                             \
    X(ncclCommGetAsyncError)                                                                       \
    X(ncclAllReduce)

static bool fine(const nccl *n, int status, const char *what, err *e)
{
    return status == NCCL_FINE ||
           err_set(e, ERR_CONFIG, "NCCL: %s: %s", what, n->ncclGetErrorString(status));
}

static bool load(nccl *n, err *e)
{
    int version = 0;
    void *library = library_open(LIBRARY, e);
    if (!library)
        return false;
    bool ok = true;
#define X(name) ok = ok && library_symbol(library, #name, &n->name, e);
    FUNCTIONS(X)
#undef X
    if (!ok || !fine(n, n->ncclGetVersion(&version), "version", e))
        return false;
    return version >= OLDEST ||
           err_set(e, ERR_CONFIG, "device cuda: " LIBRARY " is version %d, at least %d is needed",
                   version, OLDEST);
}

nccl *nccl_open(ranks *r, err *e)
{
    nccl *n = MEM_NEW(nccl);
    unique_id id = {{0}};
    bool ok = load(n, e);
    if (ok && ranks_rank(r) == 0)
        ok = fine(n, n->ncclGetUniqueId(&id), "identity of the group", e);
    /* nobody joins a group that somebody will miss */
    ok = ranks_agree(r, ok, e);
    if (ok) {
        ranks_bcast(r, &id, sizeof id);
        ok = fine(n, n->ncclCommInitRank(&n->group, ranks_size(r), id, ranks_rank(r)),
                  "joining the group", e);
        ok = ranks_agree(r, ok, e);
    }
    if (!ok) {
        nccl_close(n);
        return NULL;
    }
    return n;
}

void nccl_close(nccl *n)
{
    if (n && n->group)
        n->ncclCommDestroy(n->group);
    mem_free(n);
}

const char *nccl_sum(nccl *n, void *x, int64_t count, tensor_type type, void *stream)
{
    int status =
        n->ncclAllReduce(x, x, (size_t)count, type == TENSOR_F32 ? NCCL_FLOAT32 : NCCL_BFLOAT16,
                         NCCL_SUM, n->group, stream);
    return status == NCCL_FINE ? NULL : n->ncclGetErrorString(status);
}

const char *nccl_fault(nccl *n)
{
    int status = NCCL_FINE;
    int asked = n->ncclCommGetAsyncError(n->group, &status);
    status = asked != NCCL_FINE ? asked : status;
    return status == NCCL_FINE || status == NCCL_IN_PROGRESS ? NULL : n->ncclGetErrorString(status);
}
