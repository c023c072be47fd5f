/* Which exams the image page shows (page_choice.h). */
#include "train/page_choice.h"

#include "core/fs.h"
#include "core/mem.h"
#include "core/rng.h"

#include <stdlib.h>
#include <string.h>

const char *page_why_name(page_why w)
{
    static const char *const name[] = {"highest", "missed", "false_alarm", "lowest", "random", ""};
    return name[w];
}

static int by_score(const void *a, const void *b)
{
    const page_exam *x = a, *y = b;
    return x->score != y->score ? (x->score > y->score) - (x->score < y->score)
                                : strcmp(x->id, y->id);
}

static page_exam *list_exams(const page_scored *s, int64_t *n)
{
    page_exam *x = MEM_ARRAY(page_exam, s->n ? s->n : 1);
    const cohort_row *row = s->data->row;
    *n = 0;
    for (int64_t a = 0, b; a < s->n; a = b) {
        double sum = 0;
        int y = -1;
        for (b = a; b < s->n && !strcmp(row[s->row[b]].exam, row[s->row[a]].exam); b++) {
            int label = row[s->row[b]].y[s->horizon];
            sum += s->score[b];
            y = label > y ? label : y;
        }
        x[(*n)++] = (page_exam){.id = row[s->row[a]].exam,
                                .score = sum / (double)(b - a),
                                .y = y,
                                .first = a,
                                .last = b,
                                .why = PAGE_NOT_CHOSEN};
    }
    qsort(x, (size_t)*n, sizeof *x, by_score);
    for (int64_t a = 0, b; a < *n; a = b) {
        for (b = a; b < *n && x[b].score == x[a].score; b++)
            ;
        for (int64_t i = a; i < b; i++)
            x[i].percentile = 100 * ((double)a + (double)(b - a) / 2) / (double)*n;
    }
    return x;
}

/* A number of the exam's own, so that the choice does not depend on who else is there. */
static uint64_t lot(const page_exam *x, uint64_t seed)
{
    uint64_t name[2];
    rng r;
    fs_xxh128_raw(x->id, strlen(x->id), name);
    rng_init(&r, seed, RNG_PAGES, name[0], 0);
    return rng_u64(&r);
}

static bool fits(const page_exam *x, page_why why)
{
    return x->why == PAGE_NOT_CHOSEN && (why == PAGE_MISSED        ? x->y == 1 && x->percentile < 50
                                         : why == PAGE_FALSE_ALARM ? x->y == 0 && x->percentile > 50
                                                                   : true);
}

/* The best free exam of a kind is chosen; false: there is none. */
static bool mark(page_exam *x, int64_t n, page_why why, uint64_t seed)
{
    bool top = why == PAGE_HIGHEST || why == PAGE_FALSE_ALARM;
    page_exam *best = NULL;
    for (int64_t i = 0; i < n; i++) {
        page_exam *t = &x[top ? n - 1 - i : i];
        if (!fits(t, why) || (best && (why != PAGE_RANDOM || lot(t, seed) >= lot(best, seed))))
            continue;
        best = t;
        if (why != PAGE_RANDOM)
            break;
    }
    if (best)
        best->why = why;
    return best != NULL;
}

page_exam *page_choice_make(const page_scored *s, int want, uint64_t seed, int64_t *n)
{
    page_exam *x = list_exams(s, n);
    int done = 0;
    for (int k = 0; done < want && k < PAGE_NOT_CHOSEN * want; k++)
        done += mark(x, *n, (page_why)(k % PAGE_NOT_CHOSEN), seed);
    return x;
}
