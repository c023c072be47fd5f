/* The books of a cohort: what became of every file from the archive on, and of the exams and women
 * behind them. They travel with COHORT.h5 into predictions and reports. docs/formats.md 3. */
#include "preprocess/split_job.h"

#include "core/mem.h"
#include "preprocess/wholes.h"

#include <string.h>

enum { OF_SCAN, OF_PREPARE, OF_SPLIT, STAGES }; /* who left a file out, in order */
#define STEPS (STAGES * REASON_COUNT)

typedef struct books {
    split_job *j;
    int64_t count[STEPS]; /* files */
    wholes files;
    wholes_step whole[STEPS];
    int64_t left, exams, women; /* behind the last row */
} books;

static uint64_t number(const split_id *id)
{
    uint64_t n;
    memcpy(&n, id->b, sizeof n);
    return n;
}

static void leave_out(books *b, uint64_t exam, uint64_t woman, int step)
{
    b->count[step]++;
    wholes_add(&b->files, exam, woman, step);
}

/* Under the names that the cohort uses: of joined exams and persons the one that stands for all. */
static void add_lost(books *b, const split_lost *l)
{
    const split_job *j = b->j;
    const int32_t exam = split_ids_find(&j->exams, &l->exam),
                  patient = split_ids_find(&j->patients, &l->patient);
    const split_id *e = &l->exam, *p = &l->patient;
    if (exam >= 0)
        e = &j->exams.id[j->exam_as ? j->exam_as[exam] : exam];
    if (patient >= 0 && j->group[patient] >= 0)
        p = &j->who[j->group[patient]].id;
    leave_out(b, number(e), number(p), (l->scan ? OF_SCAN : OF_PREPARE) * REASON_COUNT + l->why);
}

static void add_item(books *b, const item *t)
{
    const split_job *j = b->j;
    const uint64_t exam = number(&j->exams.id[t->exam]), woman = number(&split_person(j, t)->id);
    if (t->out == REASON_NONE)
        wholes_add(&b->files, exam, woman, WHOLES_KEPT);
    else
        leave_out(b, exam, woman, OF_SPLIT * REASON_COUNT + t->out);
}

static json_t *put(books *b, const char *stage, const char *step, const char *why, int64_t excluded)
{
    json_t *row = json_pack("{s:s, s:s, s:s, s:I, s:I, s:s}", "stage", stage, "step", step,
                            "reason", why, "n_in", (json_int_t)b->left, "n_out",
                            (json_int_t)(b->left - excluded), "unit", "files");
    b->left -= excluded;
    json_array_append_new(b->j->flow, row);
    return row;
}

static json_t *put_all(books *b, const char *stage, const char *step)
{
    json_t *row = put(b, stage, step, "", 0);
    wholes_put(row, &(wholes_step){0}, &b->exams, &b->women);
    return row;
}

static void put_stage(books *b, const char *stage, int of)
{
    for (int r = 1; r < REASON_COUNT; r++) {
        const int step = of * REASON_COUNT + r;
        if (b->count[step])
            wholes_put(
                put(b, stage, reason_sentence((reason)r), reason_name((reason)r), b->count[step]),
                &b->whole[step], &b->exams, &b->women);
    }
}

/* Files seen = kept + excluded + failed, at every step. */
void split_books(split_job *j)
{
    books *b = MEM_NEW(books);
    int64_t kept = 0;
    b->j = j;
    for (int64_t i = 0; i < j->n_lost; i++)
        add_lost(b, &j->lost[i]);
    for (int64_t i = 0; i < j->n; i++) {
        add_item(b, &j->it[i]);
        kept += j->it[i].out == REASON_NONE;
    }
    const wholes_total all = wholes_count(&b->files, b->whole, STEPS);
    j->flow = json_array();
    b->left = j->seen;
    b->exams = all.exams;
    b->women = all.women;
    put_all(b, "scan", "files found");
    put_stage(b, "scan", OF_SCAN);
    put_stage(b, "prepare", OF_PREPARE);
    if (b->left != j->n)
        BUG("books: %lld files seen, %lld left after prepare, but %lld images collected",
            (long long)j->seen, (long long)b->left, (long long)j->n);
    put_stage(b, "split", OF_SPLIT);
    if (b->left != kept || b->exams != j->shared[1] || b->women != j->shared[0])
        BUG("books: %lld images of %lld exams of %lld women left after split, %lld of %lld of %lld "
            "kept",
            (long long)b->left, (long long)b->exams, (long long)b->women, (long long)kept,
            (long long)j->shared[1], (long long)j->shared[0]);
    text proof;
    text_init(&proof);
    text_addf(&proof,
              "folds share none of %lld patients, %lld exams, %lld images, %lld pixel contents",
              (long long)j->shared[0], (long long)j->shared[1], (long long)j->shared[2],
              (long long)j->shared[3]);
    json_t *last = put_all(b, "split", proof.s);
    json_object_set_new(last, "exams_part", json_integer(all.exams_part));
    json_object_set_new(last, "women_part", json_integer(all.women_part));
    json_array_append_new(j->flow,
                          json_pack("{s:s, s:s, s:s, s:I, s:I, s:s}", "stage", "labels", "step",
                                    "rows of the label tables that an image has", "reason",
                                    "NO_IMAGE", "n_in", (json_int_t)j->matches.rows, "n_out",
                                    (json_int_t)j->matches.rows_matched, "unit", "rows"));
    text_release(&proof);
    wholes_release(&b->files);
    mem_free(b);
}
