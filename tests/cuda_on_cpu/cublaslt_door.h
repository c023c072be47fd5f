/* What was asked of the real cuBLASLt through the door before it (cublaslt_door.c), in its terms:
 * factors A and B, result D, column by column. */
#ifndef TESTS_CUDA_ON_CPU_CUBLASLT_DOOR_H
#define TESTS_CUDA_ON_CPU_CUBLASLT_DOOR_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* One question for algorithms. */
typedef struct door_question {
    int product; /* questions between two products that ran have one number */
    const void *desc;
    int status;                           /* the library's own */
    int found;                            /* algorithms; with a card only */
    size_t workspace;                     /* of the first of them */
    uint32_t epilogue, align, bias_align; /* multiples that pointers were said or seen to be of */
    int32_t trans_a, trans_b, in, out;    /* cublasOperation_t, cudaDataType_t */
    uint64_t m, n, k;
    const char *fault; /* against a rule that the library looks at too late; NULL: none */
} door_question;

typedef struct door_book {
    int known;  /* its version is the one that answers without a card as is written in the door */
    int card;   /* there is a card: answers are those of cublasLtMatmulAlgoGetHeuristic for it */
    int closed; /* neither: every answer of the door is a refusal */
    int ran;    /* products */
    const char *fault; /* of a product that ran */
    door_question *asked;
    int n, cap;
} door_book;

door_book *door_book_of(void);

#ifdef __cplusplus
}
#endif
#endif
