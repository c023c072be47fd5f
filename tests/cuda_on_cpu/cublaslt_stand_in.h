/* What the stand-in for cuBLASLt saw and is to do; test_gemm_choice reads and writes it. */
#ifndef TESTS_CUDA_ON_CPU_CUBLASLT_STAND_IN_H
#define TESTS_CUDA_ON_CPU_CUBLASLT_STAND_IN_H

#include <stddef.h>

enum { STAND_IN_ALGOS = 16, STAND_IN_LOG = 4096 };

typedef struct stand_in_run {
    int algo; /* from 1 */
    const void *a, *b;
    void *d;
    float beta;
    int epilogue;
    const void *bias, *aux; /* set by then */
} stand_in_run;

typedef struct stand_in {
    /* to do */
    int found;                        /* algorithms for a shape */
    double ms[STAND_IN_ALGOS];        /* of one run */
    int bad_state[STAND_IN_ALGOS];    /* the guess itself says no */
    int fails[STAND_IN_ALGOS];        /* to run */
    size_t workspace[STAND_IN_ALGOS]; /* that a check says it wants */
    int lucky; /* algorithm (from 1) of which every fifth run takes no time */
    size_t version;
    int lacks;      /* epilogue that no algorithm knows, 0 = none */
    double ends_ms; /* more for a run that ends in more than a bias */
    /* seen */
    double clock; /* ms */
    int descs, descs_gone, layouts, layouts_gone, asked, wanted, checks, runs;
    unsigned align;
    stand_in_run log[STAND_IN_LOG];
} stand_in;

stand_in *stand_in_of(void);
#endif
