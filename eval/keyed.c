/* Sorting rows by score. */
#include "eval/keyed.h"

#include <stdlib.h>

static int rising(const void *x, const void *y)
{
    const keyed *a = x, *b = y;
    if (a->score != b->score)
        return a->score < b->score ? -1 : 1;
    return (a->row > b->row) - (a->row < b->row);
}

void keyed_sort(keyed *k, int64_t n)
{
    qsort(k, (size_t)n, sizeof *k, rising);
}
