/* Reads PRED/robustness.csv (robust_in.h). */
#include "eval/robust_in.h"

#include "core/csv.h"
#include "core/fs.h"
#include "core/mem.h"
#include "core/text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define CONDITIONS_MAX 4096

enum { COL_EXAM, COL_MASK, COL_KEEP, COL_REPEAT, COL_SCORE, COL_TOKENS, COL_MS, COLS };
static const char *const columns[COLS] = {"exam_id", "mask",   "keep", "repeat",
                                          "score",   "tokens", "ms"};

typedef struct line {
    int64_t exam;
    int condition;
    double score;
} line;

typedef struct reading {
    robust_in *r;
    csv_reader *f;
    int at[COLS];
    line *line;
    int64_t n, cap, exam_cap;
    int condition_cap, last; /* condition of the line before */
} reading;

void robust_in_init(robust_in *r)
{
    *r = (robust_in){0};
}

void robust_in_release(robust_in *r)
{
    for (int64_t i = 0; i < r->n_exams; i++)
        mem_free(r->exam[i]);
    mem_free(r->exam);
    mem_free(r->condition);
    mem_free(r->score);
    *r = (robust_in){0};
}

/* Room for one more; the new capacity. */
static void *grow(void *p, int64_t n, int64_t *cap, size_t size)
{
    if (n < *cap)
        return p;
    int64_t more = *cap ? 2 * *cap : 64;
    p = mem_realloc(p, (size_t)*cap * size, (size_t)more * size);
    *cap = more;
    return p;
}

static bool same(const robust_condition *a, const robust_condition *b)
{
    return a->repeat == b->repeat && !strcmp(a->mask, b->mask) &&
           (a->keep == b->keep || (isnan(a->keep) && isnan(b->keep)));
}

/* Exams have their conditions in one order, so it is most often the one behind the last. */
static int find_condition(reading *g, const robust_condition *c)
{
    robust_in *r = g->r;
    for (int i = 0; i < r->n_conditions; i++) {
        int k = (g->last + 1 + i) % r->n_conditions;
        if (same(&r->condition[k], c))
            return g->last = k;
    }
    int64_t cap = g->condition_cap;
    r->condition = grow(r->condition, r->n_conditions, &cap, sizeof *r->condition);
    g->condition_cap = (int)cap;
    r->condition[r->n_conditions] = *c;
    return g->last = r->n_conditions++;
}

static bool number(const reading *g, int column, double low, double high, double *out, err *e)
{
    return (text_f64(csv_field(g->f, g->at[column]), out) && *out >= low && *out <= high) ||
           err_set(e, ERR_INPUT, "'%s' is not a number of %g to %g", columns[column], low, high);
}

static bool read_line(reading *g, err *e)
{
    robust_in *r = g->r;
    robust_condition c = {0};
    const char *exam = csv_field(g->f, g->at[COL_EXAM]), *mask = csv_field(g->f, g->at[COL_MASK]);
    double repeat, score, tokens, ms;
    size_t len = strlen(mask);
    if (!exam[0] || strlen(exam) > 200)
        return err_set(e, ERR_INPUT, "'exam_id' is empty or too long");
    if (!len || len >= sizeof c.mask ||
        strspn(mask, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_") != len)
        return err_set(e, ERR_INPUT, "'mask' is not a word");
    if (!number(g, COL_KEEP, 1e-9, 1, &c.keep, e) || !number(g, COL_REPEAT, 0, 1e6, &repeat, e) ||
        !number(g, COL_SCORE, 0, 1, &score, e) || !number(g, COL_TOKENS, 0, 1e12, &tokens, e) ||
        !number(g, COL_MS, 0, 1e12, &ms, e))
        return false;
    memcpy(c.mask, mask, len + 1);
    c.repeat = (int)repeat;
    if (!strncmp(mask, "view_", 5))
        c.keep = NAN;
    if (!r->n_exams || strcmp(r->exam[r->n_exams - 1], exam)) {
        r->exam = grow(r->exam, r->n_exams, &g->exam_cap, sizeof *r->exam);
        r->exam[r->n_exams++] = mem_strdup(exam);
    }
    int k = find_condition(g, &c);
    if (r->n_conditions > CONDITIONS_MAX)
        return err_set(e, ERR_RANGE, "more than %d masks, shares and draws", CONDITIONS_MAX);
    r->condition[k].tokens += tokens;
    r->condition[k].ms += ms;
    r->condition[k].n++;
    g->line = grow(g->line, g->n, &g->cap, sizeof *g->line);
    g->line[g->n++] = (line){r->n_exams - 1, k, score};
    return true;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The rows of an exam stand together. */
static bool check_exams(const robust_in *r, err *e)
{
    bool ok = true;
    char **sorted = MEM_ARRAY(char *, r->n_exams + 1);
    memcpy(sorted, r->exam, (size_t)r->n_exams * sizeof *sorted);
    qsort(sorted, (size_t)r->n_exams, sizeof *sorted, by_name);
    for (int64_t i = 1; i < r->n_exams; i++)
        ok &= strcmp(sorted[i - 1], sorted[i]) != 0;
    mem_free(sorted);
    return ok || err_set(e, ERR_INPUT, "the rows of an exam do not stand together");
}

static bool fill(reading *g, err *e)
{
    robust_in *r = g->r;
    size_t all;
    if (!mem_size_mul((size_t)r->n_conditions, (size_t)r->n_exams, &all, e))
        return false;
    if (all > (size_t)1 << 30)
        return err_set(e, ERR_RANGE, "%d masks of %lld exams are too many", r->n_conditions,
                       (long long)r->n_exams);
    r->score = MEM_ARRAY(double, all ? all : 1);
    for (size_t i = 0; i < all; i++)
        r->score[i] = NAN;
    for (int64_t i = 0; i < g->n; i++) {
        double *at =
            &r->score[(size_t)g->line[i].condition * (size_t)r->n_exams + (size_t)g->line[i].exam];
        if (!isnan(*at))
            return err_set(e, ERR_INPUT, "an exam has the mask '%s' twice",
                           r->condition[g->line[i].condition].mask);
        *at = g->line[i].score;
    }
    return true;
}

bool robust_in_read(robust_in *r, const char *path, err *e)
{
    reading g = {.r = r, .last = -1};
    int got = 0;
    bool ok = true;
    if (!fs_exists(path))
        return true;
    g.f = csv_open(path, e);
    ok = g.f && fs_sha256_file(path, r->sha256, e);
    for (int i = 0; i < COLS && ok; i++)
        ok = csv_require(g.f, columns[i], &g.at[i], e);
    for (int64_t n = 2; ok && (got = csv_next(g.f, e)) > 0; n++)
        if (!read_line(&g, e))
            ok = err_wrap(e, "row %lld", (long long)n);
    ok = ok && got == 0 && (!r->n_exams || (check_exams(r, e) && fill(&g, e)));
    csv_close(g.f);
    mem_free(g.line);
    return ok || err_wrap(e, "robustness.csv");
}
