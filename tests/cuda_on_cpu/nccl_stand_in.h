/* What the stand-in for NCCL wrote down, and what it is told to do. */
#ifndef TESTS_CUDA_ON_CPU_NCCL_STAND_IN_H
#define TESTS_CUDA_ON_CPU_NCCL_STAND_IN_H

#include <stddef.h>
#include <stdint.h>

#define NCCL_CALLS 64

typedef struct nccl_call {
    const void *x;
    size_t n;
    int type; /* 7: float32, 9: bf16 */
    const void *stream;
    uint64_t before; /* pieces of work that all streams had been given by then */
    uint64_t graphs; /* launched by then */
} nccl_call;

typedef struct nccl_stand_in {
    int version, refuse; /* refuse: joining fails */
    int fault;           /* what asking for errors says */
    int fails;           /* what a sum says */
    int joined, size, rank;
    size_t channels; /* bytes that the first sum takes of the card */
    void *taken;
    nccl_call call[NCCL_CALLS];
    int calls;
    void *kept[NCCL_CALLS];            /* what went in, by number of the call, when it ran */
    const struct nccl_stand_in *other; /* added: what that one kept; NULL: nobody's */
    const char *wrong;                 /* calls of the two do not match, or memory of the host */
} nccl_stand_in;
#endif
