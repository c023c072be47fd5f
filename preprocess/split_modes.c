/* What is decided of a person before anything is drawn: by split.mode (her site or vendor is left
 * out, an exam is late, the table names her split) and by --keep. A person whom the rules put into
 * two splits does not stay in both: dicom.md 6.
 *
 * leave_site_out, leave_vendor_out, temporal: a person with an image that the rule holds out is a
 * test person; her other images would be seen in training otherwise, or would blur the test, and
 * are left out as SPLIT_CONFLICT. column and --keep: two different splits leave her out whole. */
#include "preprocess/split_job.h"

#include "core/fs.h"
#include "core/mem.h"

#include <stdlib.h>
#include <string.h>

static void leave_out_conflicts(split_job *j)
{
    for (int64_t i = 0; i < j->n; i++)
        if (j->it[i].out == REASON_NONE && split_person(j, &j->it[i])->conflict)
            split_exclude(j, &j->it[i], REASON_SPLIT_CONFLICT);
}

/* ---- modes that hold something out ----------------------------------------------------------- */

static bool is_held(const split_job *j, const item *t)
{
    switch (j->c.mode) {
    case SPLIT_LEAVE_SITE:
        return text_ieq(labels_word(j->lab, t->lab->site), j->c.leave_out);
    case SPLIT_LEAVE_VENDOR:
        return text_ieq(j->word[t->vendor], j->c.leave_out);
    case SPLIT_TEMPORAL:
        return t->day >= j->c.test_from;
    default:
        return false;
    }
}

static bool hold_out(split_job *j, err *e)
{
    int64_t held = 0;
    for (int64_t i = 0; i < j->n; i++)
        if (j->it[i].out == REASON_NONE && is_held(j, &j->it[i])) {
            person *p = split_person(j, &j->it[i]);
            p->fold = COHORT_TEST;
            p->ruled = true;
            held++;
        }
    if (!held)
        return err_set(e, ERR_INPUT, "split.mode holds out nothing: no image is %s '%s'",
                       j->c.mode == SPLIT_TEMPORAL ? "from a day since" : "from",
                       j->c.mode == SPLIT_TEMPORAL ? j->c.test_from_text : j->c.leave_out);
    for (int64_t i = 0; i < j->n; i++) {
        item *t = &j->it[i];
        if (t->out == REASON_NONE && split_person(j, t)->ruled && !is_held(j, t))
            split_exclude(j, t, REASON_SPLIT_CONFLICT);
    }
    return true;
}

/* ---- column ---------------------------------------------------------------------------------- */

static int fold_of_word(const char *word)
{
    static const struct {
        const char *word;
        int fold;
    } known[] = {
        {"train", COHORT_TRAIN}, {"training", COHORT_TRAIN}, {"val", COHORT_VAL},
        {"dev", COHORT_VAL},     {"valid", COHORT_VAL},      {"validation", COHORT_VAL},
        {"test", COHORT_TEST},   {"testing", COHORT_TEST},   {"val_natural", COHORT_VAL_NATURAL}};
    for (size_t i = 0; i < COUNT_OF(known); i++)
        if (text_ieq(word, known[i].word))
            return known[i].fold;
    return -1;
}

/* The table decides. Images that are out already, such as copies, have their say, too. */
static bool by_column(split_job *j, err *e)
{
    if (!labels_has_split(j->lab))
        return err_set(e, ERR_INPUT, "split.mode is column, but the label table has no column '%s'",
                       j->lc.split);
    for (int64_t i = 0; i < j->n; i++) {
        const label *l = j->it[i].lab;
        const char *word = l ? labels_word(j->lab, l->split) : "";
        int fold = fold_of_word(word);
        if (!word[0])
            continue;
        if (fold < 0)
            return err_set(e, ERR_INPUT,
                           "column '%s' of the label table holds a split that is none of train, "
                           "val (dev), test, val_natural",
                           j->lc.split);
        person *p = split_person(j, &j->it[i]);
        p->conflict |= l->split_conflict || (p->fold >= 0 && p->fold != fold);
        p->fold = (int8_t)fold;
        p->ruled = true;
    }
    leave_out_conflicts(j);
    for (int64_t i = 0; i < j->n; i++) /* who has no split in the table belongs to none */
        if (j->it[i].out == REASON_NONE && !split_person(j, &j->it[i])->ruled)
            split_exclude(j, &j->it[i], REASON_NO_SPLIT);
    return true;
}

/* ---- --keep ---------------------------------------------------------------------------------- */

typedef struct old_fold {
    split_id patient;
    int8_t fold, cv;
} old_fold;

typedef struct old_folds {
    old_fold *row;
    int64_t n, cap;
} old_folds;

static int by_patient(const void *a, const void *b)
{
    return split_id_order(&((const old_fold *)a)->patient, &((const old_fold *)b)->patient);
}

static bool read_old_row(const split_job *j, const csv_reader *r, const int col[3], old_folds *o,
                         err *e)
{
    int64_t cv = -1;
    int f = cohort_fold_find(csv_field(r, col[1]));
    if (f < 0)
        return err_set(e, ERR_INPUT, "line %d: unknown split", csv_line(r));
    if (col[2] >= 0 && (!text_i64(csv_field(r, col[2]), &cv) || cv < -1 || cv > INT8_MAX))
        return err_set(e, ERR_INPUT, "line %d: unknown cv_fold", csv_line(r));
    if (j->c.mode == SPLIT_KFOLD && f != COHORT_TEST && (cv < 0 || cv >= j->c.folds))
        return err_set(e, ERR_INPUT, "line %d: cv_fold is none of the %lld of split.folds",
                       csv_line(r), (long long)j->c.folds);
    split_id id = split_id_parse(csv_field(r, col[0]));
    if (o->n && !split_id_order(&o->row[o->n - 1].patient, &id) && o->row[o->n - 1].fold == f &&
        o->row[o->n - 1].cv == cv)
        return true; /* the rows of a patient follow each other */
    if (o->n == o->cap) {
        int64_t cap = o->cap ? 2 * o->cap : 1024;
        o->row = mem_realloc(o->row, (size_t)o->cap * sizeof *o->row, (size_t)cap * sizeof *o->row);
        o->cap = cap;
    }
    o->row[o->n++] = (old_fold){id, (int8_t)f, (int8_t)cv};
    return true;
}

static bool read_old(const split_job *j, old_folds *o, err *e)
{
    int col[3], got = -1;
    csv_reader *r = csv_open(j->o->keep, e);
    if (!r)
        return err_wrap(e, "--keep");
    col[2] = csv_find(r, "cv_fold");
    if (csv_require(r, "patient_id", &col[0], e) && csv_require(r, "split", &col[1], e))
        while ((got = csv_next(r, e)) > 0)
            if (!read_old_row(j, r, col, o, e)) {
                got = -1;
                break;
            }
    csv_close(r);
    if (got < 0)
        return err_wrap(e, "--keep");
    qsort(o->row, (size_t)o->n, sizeof *o->row, by_patient);
    for (int64_t i = 1; i < o->n; i++)
        if (!by_patient(&o->row[i], &o->row[i - 1]))
            return err_set(e, ERR_INPUT, "--keep: a patient is in two splits");
    return true;
}

/* In a k-fold split only the test set and the number of the fold are kept: which fold is held out
 * is the question of each call. */
static void keep(split_job *j, person *p, const old_fold *f)
{
    bool kfold = j->c.mode == SPLIT_KFOLD;
    int fold = kfold && f->fold != COHORT_TEST ? COHORT_TRAIN : f->fold;
    int cv = kfold && f->fold != COHORT_TEST ? f->cv : -1;
    p->conflict |= p->fold >= 0 && (p->fold != fold || p->cv != cv);
    p->fold = (int8_t)fold;
    p->cv = (int8_t)cv;
    p->kept = true;
}

static bool keep_old(split_job *j, err *e)
{
    old_folds o = {0};
    int64_t known = 0;
    bool ok = read_old(j, &o, e);
    for (int32_t i = 0; i < j->patients.n && ok && o.n; i++) {
        old_fold want = {.patient = j->patients.id[i]}, *f;
        f = bsearch(&want, o.row, (size_t)o.n, sizeof want, by_patient);
        if (f && j->group[i] >= 0) {
            keep(j, &j->who[j->group[i]], f);
            known++;
        }
    }
    if (ok && o.n && !known)
        ok = err_set(e, ERR_INPUT,
                     "--keep: none of its patients is in this store (made with another key?)");
    mem_free(o.row);
    if (ok)
        leave_out_conflicts(j);
    return ok;
}

bool split_modes(split_job *j, err *e)
{
    bool holds = j->c.mode == SPLIT_LEAVE_SITE || j->c.mode == SPLIT_LEAVE_VENDOR ||
                 j->c.mode == SPLIT_TEMPORAL;
    if (holds && !hold_out(j, e))
        return false;
    if (j->c.mode == SPLIT_COLUMN && !by_column(j, e))
        return false;
    return !j->o->keep || keep_old(j, e);
}
