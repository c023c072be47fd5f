/* Recorded numbers of a network and how they are compared: tests/fixtures/deit/README.md. */
#ifndef TESTS_UNIT_MODEL_RECORD_H
#define TESTS_UNIT_MODEL_RECORD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/json.h"
#include "core/mem.h"
#include "tests/fixtures/deit/formula.h"

#define SAMPLES 16

/* Largest error of one kind and where it was found. error = max|a-b| / max|b| per tensor. */
typedef struct worst {
    double error;
    char where[128];
} worst;

static inline void note(worst *w, double error, const char *where)
{
    if (!(error <= w->error)) { /* NaN counts as worst */
        w->error = isnan(error) ? INFINITY : error;
        snprintf(w->where, sizeof(w->where), "%s", where);
    }
}

static inline void within(const char *name, const char *what, const worst *w, double limit)
{
    print_message("%s: %s error %.2e at %s (limit %.0e)\n", name, what, w->error, w->where, limit);
    if (!(w->error < limit))
        fail_msg("%s: %s error %.3e at %s, limit %.0e", name, what, w->error, w->where, limit);
}

static inline json_t *load(const char *folder, const char *name, const char *kind, bool required)
{
    char path[256];
    err e = {0};
    json_t *j = NULL;
    snprintf(path, sizeof(path), "tests/fixtures/%s/%s.%s.json", folder, name, kind);
    FILE *f = fopen(path, "rb");
    if (f)
        fclose(f);
    if (!f && !required)
        return NULL;
    if (!json_read(path, &j, &e))
        fail_msg("%s (run from the root of the tree)", e.msg);
    return j;
}

static inline double number(const json_t *obj, const char *key)
{
    json_t *v = json_object_get(obj, key);
    if (!json_is_number(v))
        fail_msg("fixture has no number '%s'", key);
    return json_number_value(v);
}

static inline double item(const json_t *array, size_t i)
{
    json_t *v = json_array_get(array, i);
    if (!json_is_number(v))
        fail_msg("fixture array has no number at %zu", i);
    return json_number_value(v);
}

/* Kept patches of one image: hexadecimal digits, patch i is bit 8 >> i % 4 of digit i / 4; or a
 * list of indices. -> their number; out has room for `cap`. */
static inline int kept_patches(const json_t *record, int32_t *out, int cap)
{
    int n = 0;
    for (size_t i = 0; i < json_array_size(record); i++) {
        assert_true(n < cap);
        out[n++] = (int32_t)item(record, i);
    }
    const char *digits = json_is_string(record) ? json_string_value(record) : "";
    for (int i = 0; i < 4 * (int)strlen(digits); i++) {
        const char one[2] = {digits[i / 4], 0};
        if (strtol(one, NULL, 16) & (8 >> i % 4)) {
            assert_true(n < cap);
            out[n++] = i;
        }
    }
    return n;
}

/* Compare one tensor with its record [norm, dot, samples...]: samples by the largest of them, the
 * norm and the dot product with a fixed random vector by the norm. */
static inline double tensor_error(const char *name, const float *v, int64_t n, const json_t *rec)
{
    char key[128];
    snprintf(key, sizeof(key), "sample.%s", name);
    uint64_t at = formula_hash(key);
    snprintf(key, sizeof(key), "dot.%s", name);
    uint64_t dir = formula_hash(key);
    double sum = 0, dot = 0, big = 0, diff = 0, norm = item(rec, 0);
    assert_int_equal(json_array_size(rec), SAMPLES + 2);
    for (int64_t i = 0; i < n; i++) {
        sum += (double)v[i] * v[i];
        dot += (double)v[i] * formula_unit(dir, i);
    }
    for (int j = 0; j < SAMPLES; j++) {
        double b = item(rec, (size_t)j + 2);
        big = fmax(big, fabs(b));
        diff = fmax(diff, fabs(v[formula_raw(at, j) % (uint64_t)n] - b));
    }
    worst w = {-1, ""};
    note(&w, diff / big, "");
    note(&w, fabs(sqrt(sum) - norm) / norm, "");
    note(&w, fabs(dot - item(rec, 1)) / norm, "");
    return w.error;
}
#endif
