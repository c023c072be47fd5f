/* Folds by person: strata of outcome and vendor, filled greedily in keyed-hash order, so that a new
 * patient never moves an old one when --keep names the earlier split. dicom.md 6. */
#include "preprocess/split_job.h"

#include "core/fs.h"
#include "core/mem.h"

#include <stdlib.h>
#include <string.h>

typedef struct old_fold {
    char patient[33];
    int fold;
} old_fold;

static int by_old(const void *a, const void *b)
{
    return strcmp(((const old_fold *)a)->patient, ((const old_fold *)b)->patient);
}

static int find_fold(const char *name)
{
    for (int f = 0; f < COHORT_FOLDS; f++)
        if (!strcmp(cohort_fold_name((cohort_fold)f), name))
            return f;
    return -1;
}

static bool read_old(const char *path, old_fold **out, int64_t *n, err *e)
{
    int patient, fold, got = -1;
    int64_t cap = 0;
    csv_reader *r = csv_open(path, e);
    if (!r)
        return err_wrap(e, "--keep");
    if (csv_require(r, "patient_id", &patient, e) && csv_require(r, "split", &fold, e))
        while ((got = csv_next(r, e)) > 0) {
            int f = find_fold(csv_field(r, fold));
            if (f < 0) {
                err_set(e, ERR_INPUT, "line %d: unknown split", csv_line(r));
                got = -1;
                break;
            }
            if (*n == cap) {
                int64_t bigger = cap ? 2 * cap : 1024;
                *out = mem_realloc(*out, (size_t)cap * sizeof **out, (size_t)bigger * sizeof **out);
                cap = bigger;
            }
            text_copy((*out)[*n].patient, sizeof(*out)->patient, csv_field(r, patient));
            (*out)[(*n)++].fold = f;
        }
    csv_close(r);
    return got == 0 || err_wrap(e, "--keep");
}

/* Old assignments; a person known from two splits is taken out whole. */
static bool apply_old(split_job *j, err *e)
{
    old_fold *old = NULL;
    int64_t n = 0;
    if (!j->o->keep)
        return true;
    if (!read_old(j->o->keep, &old, &n, e)) {
        mem_free(old);
        return false;
    }
    qsort(old, (size_t)n, sizeof *old, by_old);
    for (int64_t i = 1; i < n; i++)
        if (!by_old(&old[i], &old[i - 1]) && old[i].fold != old[i - 1].fold) {
            mem_free(old);
            return err_set(e, ERR_INPUT, "--keep: a patient is in two splits");
        }
    int64_t known = 0;
    for (int64_t i = 0; i < j->n; i++) {
        old_fold want, *f;
        person *p = &j->who[j->it[i].group];
        text_copy(want.patient, sizeof want.patient, j->it[i].patient);
        f = n ? bsearch(&want, old, (size_t)n, sizeof *old, by_old) : NULL;
        known += f != NULL;
        if (f && p->fold >= 0 && p->fold != f->fold)
            p->conflict = true;
        else if (f)
            p->fold = f->fold;
    }
    mem_free(old);
    if (n && !known)
        return err_set(e, ERR_INPUT,
                       "--keep: none of its patients is in this store (made with another key?)");
    for (int64_t i = 0; i < j->n; i++)
        if (j->it[i].out == REASON_NONE && j->who[j->it[i].group].conflict)
            split_exclude(j, &j->it[i], REASON_SPLIT_CONFLICT);
    return true;
}

/* Outcome and vendor of the persons that are still in, and their place in the keyed order. */
static void describe_people(split_job *j)
{
    for (int64_t i = 0; i < j->n; i++) {
        item *t = &j->it[i];
        person *p = &j->who[t->group];
        if (t->out != REASON_NONE)
            continue;
        if (!p->used || strcmp(t->vendor, p->vendor) < 0)
            text_copy(p->vendor, sizeof p->vendor, t->vendor);
        p->used = true;
        p->positive |= t->y[0] == 1;
    }
    for (int i = 0; i < j->n_who; i++)
        fs_hmac_sha256(&j->c.seed, sizeof j->c.seed, j->who[i].id, strlen(j->who[i].id),
                       j->who[i].order);
}

static int by_stratum(const void *a, const void *b)
{
    const person *x = *(person *const *)a, *y = *(person *const *)b;
    int c = strcmp(x->vendor, y->vendor);
    if (!c)
        c = (int)y->positive - (int)x->positive; /* positives first: they set the size of val */
    if (!c)
        c = memcmp(x->order, y->order, sizeof x->order);
    return c ? c : strcmp(x->id, y->id);
}

/* Persons given out so far; carried from vendor to vendor, so that small strata add up to the
 * wanted shares. */
typedef struct tally {
    double have[COHORT_FOLDS], total;
} tally;

/* Give every unassigned person to the fold that lacks most of its share. A fold without a share is
 * part of the training set's. */
static void fill(person **p, int64_t n, const double share[COHORT_FOLDS], tally *t)
{
    for (int64_t i = 0; i < n; i++)
        if (p[i]->fold >= 0) {
            t->have[share[p[i]->fold] > 0 ? p[i]->fold : COHORT_TRAIN]++;
            t->total++;
        }
    for (int64_t i = 0; i < n; i++) {
        int best = COHORT_TRAIN;
        if (p[i]->fold >= 0)
            continue;
        t->total++;
        for (int f = 0; f < COHORT_FOLDS; f++)
            if (share[f] > 0 &&
                share[f] * t->total - t->have[f] > share[best] * t->total - t->have[best] + 1e-9)
                best = f;
        p[i]->fold = best;
        t->have[best]++;
    }
}

/* The first free persons in keyed order until `want` of these are in validation. */
static void fill_val(person **p, int64_t n, int64_t want)
{
    for (int64_t i = 0; i < n; i++)
        want -= p[i]->fold == COHORT_VAL;
    for (int64_t i = 0; i < n && want > 0; i++)
        if (p[i]->fold < 0) {
            p[i]->fold = COHORT_VAL;
            want--;
        }
}

/* One vendor: its positives, then its negatives, with as many of them in validation (balanced). */
static void fill_vendor(const split_cfg *c, person **p, int64_t pos, int64_t neg, tally t[2])
{
    double share[COHORT_FOLDS] = {[COHORT_TRAIN] = 1 - c->test_fraction - c->val_fraction,
                                  [COHORT_VAL] = c->val_fraction,
                                  [COHORT_TEST] = c->test_fraction};
    fill(p, pos, share, &t[0]);
    if (c->val == 0) {
        int64_t want = 0, most = (int64_t)(0.5 * (1 - c->test_fraction) * (double)neg);
        for (int64_t i = 0; i < pos; i++)
            want += p[i]->fold == COHORT_VAL;
        fill_val(p + pos, neg, want < most ? want : most);
        share[COHORT_TRAIN] += share[COHORT_VAL];
        share[COHORT_VAL] = 0;
    }
    fill(p + pos, neg, share, &t[1]);
}

static int64_t positives(person **p, int64_t a, int64_t b)
{
    int64_t n = 0;
    for (int64_t i = a; i < b; i++)
        n += p[i]->positive;
    return n;
}

bool split_folds(split_job *j, err *e)
{
    int64_t n = 0;
    tally t[2] = {0};
    const split_cfg *c = &j->c;
    if (c->test_fraction + c->val_fraction >= 1)
        return err_set(e, ERR_CONFIG,
                       "split.test_fraction and split.val_fraction leave nothing to "
                       "train on");
    if (!apply_old(j, e))
        return false;
    describe_people(j);
    person **p = MEM_ARRAY(person *, j->n_who ? j->n_who : 1);
    for (int i = 0; i < j->n_who; i++)
        if (j->who[i].used)
            p[n++] = &j->who[i];
    qsort(p, (size_t)n, sizeof *p, by_stratum);
    for (int64_t a = 0, b; a < n; a = b) { /* a vendor: its positives, then its negatives */
        for (b = a; b < n && !strcmp(p[b]->vendor, p[a]->vendor); b++)
            ;
        int64_t pos = positives(p, a, b);
        fill_vendor(c, p + a, pos, b - a - pos, t);
    }
    mem_free(p);
    return true;
}
