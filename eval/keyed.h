/* Rows in rising order of a score, equal scores in the order of the rows: the one order of every
 * rank, group and sorted view. */
#ifndef EVAL_KEYED_H
#define EVAL_KEYED_H

#include <stdint.h>

typedef struct keyed {
    double score;
    int64_t row;
} keyed;
void keyed_sort(keyed *k, int64_t n);
#endif
