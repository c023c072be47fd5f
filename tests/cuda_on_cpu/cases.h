/* Which tests of a program run: those whose names are on its command line, all where none is.
 * test_cuda_faults.sh asks for one at a time. */
#ifndef TESTS_CUDA_ON_CPU_CASES_H
#define TESTS_CUDA_ON_CPU_CASES_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* Moves them to the front and returns how many there are. names: argv + 1. */
static inline size_t cases_chosen(struct CMUnitTest *t, size_t n, char *const *names)
{
    size_t chosen = 0;
    for (size_t i = 0; i < n; i++) {
        bool wanted = !names[0];
        for (int k = 0; names[k]; k++)
            wanted = wanted || !strcmp(names[k], t[i].name);
        if (wanted)
            t[chosen++] = t[i];
    }
    return chosen;
}
#endif
