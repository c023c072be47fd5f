/* Exams and women of files that are left out: sorted runs of one name. */
#include "preprocess/wholes.h"

#include "core/mem.h"

#include <stdlib.h>
#include <string.h>

void wholes_add(wholes *w, uint64_t exam, uint64_t woman, int32_t step)
{
    if (w->n == w->cap) {
        int64_t cap = w->cap ? w->cap + w->cap / 2 : 4096;
        w->file =
            mem_realloc(w->file, (size_t)w->cap * sizeof *w->file, (size_t)cap * sizeof *w->file);
        w->cap = cap;
    }
    w->file[w->n++] = (wholes_file){exam, woman, step, false};
}

void wholes_release(wholes *w)
{
    mem_free(w->file);
    memset(w, 0, sizeof *w);
}

uint64_t wholes_name(const char *hex)
{
    char half[17];
    snprintf(half, sizeof half, "%.16s", hex);
    return strtoull(half, NULL, 16);
}

static int by_exam(const void *a, const void *b)
{
    const wholes_file *x = a, *y = b;
    int c = (x->exam > y->exam) - (x->exam < y->exam);
    return c ? c : (x->step > y->step) - (x->step < y->step);
}

static int by_woman(const void *a, const void *b)
{
    const wholes_file *x = a, *y = b;
    int c = (x->woman > y->woman) - (x->woman < y->woman);
    return c ? c : (x->step > y->step) - (x->step < y->step);
}

static uint64_t name_of(const wholes_file *f, bool women)
{
    return women ? f->woman : f->exam;
}

/* One pass over exams or women. Files of one name follow each other, in order of step: the last of
 * them tells at which step it went. */
static void count(wholes *w, bool women, wholes_step *step, int steps, wholes_total *total)
{
    qsort(w->file, (size_t)w->n, sizeof *w->file, women ? by_woman : by_exam);
    for (int64_t from = 0, to; from < w->n; from = to) {
        const uint64_t name = name_of(&w->file[from], women);
        for (to = from + 1; to < w->n && name_of(&w->file[to], women) == name;)
            to++;
        if (!name)
            continue;
        const int32_t last = w->file[to - 1].step;
        for (int64_t i = from; i < to && w->file[i].step != WHOLES_KEPT; i++) {
            const int32_t s = w->file[i].step;
            if (s < 0 || s >= steps)
                BUG("wholes: step %d of %d", (int)s, steps);
            if (i > from && w->file[i - 1].step == s)
                continue;
            *(women ? &step[s].women_touched : &step[s].exams_touched) += 1;
            *(women ? &step[s].women_lost : &step[s].exams_lost) += s == last;
        }
        bool part = !women && last == WHOLES_KEPT && w->file[from].step != WHOLES_KEPT;
        for (int64_t i = from; i < to; i++)
            if (women)
                part = part || w->file[i].part;
            else
                w->file[i].part = part;
        *(women ? &total->women : &total->exams) += 1;
        *(women ? &total->women_part : &total->exams_part) += part;
    }
}

wholes_total wholes_count(wholes *w, wholes_step *step, int steps)
{
    wholes_total t = {0};
    memset(step, 0, (size_t)steps * sizeof *step);
    if (w->n) {
        count(w, false, step, steps, &t);
        count(w, true, step, steps, &t);
    }
    return t;
}

void wholes_put(json_t *row, const wholes_step *s, int64_t *exams, int64_t *women)
{
    json_object_set_new(row, "exams_in", json_integer(*exams));
    json_object_set_new(row, "exams_out", json_integer(*exams -= s->exams_lost));
    json_object_set_new(row, "exams_touched", json_integer(s->exams_touched));
    json_object_set_new(row, "women_in", json_integer(*women));
    json_object_set_new(row, "women_out", json_integer(*women -= s->women_lost));
    json_object_set_new(row, "women_touched", json_integer(s->women_touched));
}
