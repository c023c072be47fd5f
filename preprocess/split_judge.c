/* Who is one person, and which images and exams belong to the question: copies, labels, clinical
 * windows, duplicate views, complete exams. The order of the rules is the order of the flow.
 * dicom.md 4 and 6, patchdropout.md 6. */
#include "preprocess/split_job.h"

#include "core/log.h"
#include "core/mem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- identities: union-find over patient pseudonyms ------------------------------------------ */

typedef struct pair_key { /* something that may not be shared by two persons */
    const char *key;
    int64_t i;
} pair_key;

static int by_text(const void *a, const void *b)
{
    const pair_key *x = a, *y = b;
    int c = strcmp(x->key, y->key);
    return c ? c : (x->i > y->i) - (x->i < y->i);
}

static int64_t find_root(int64_t *up, int64_t i)
{
    while (up[i] != i)
        i = up[i] = up[up[i]];
    return i;
}

typedef const char *key_of(const item *t);

static const char *patient_of(const item *t)
{
    return t->patient;
}

static const char *exam_of(const item *t)
{
    return t->exam;
}

static const char *image_of(const item *t)
{
    return t->image;
}

static const char *pixels_of(const item *t)
{
    return t->pixel_hash;
}

static const char *person_of(const item *t)
{
    return t->lab ? t->lab->person : "";
}

/* Join all items that agree in a key; `across` counts joins of different pseudonyms. */
static void join_equal(split_job *j, int64_t *up, key_of *key, int64_t *across)
{
    pair_key *k = MEM_ARRAY(pair_key, j->n ? j->n : 1);
    for (int64_t i = 0; i < j->n; i++)
        k[i] = (pair_key){key(&j->it[i]), i};
    qsort(k, (size_t)j->n, sizeof *k, by_text);
    for (int64_t i = 1; i < j->n; i++) {
        if (strcmp(k[i].key, k[i - 1].key) || !k[i].key[0])
            continue;
        int64_t a = find_root(up, k[i].i), b = find_root(up, k[i - 1].i);
        *across += a != b && strcmp(j->it[k[i].i].patient, j->it[k[i - 1].i].patient);
        up[a > b ? a : b] = a > b ? b : a;
    }
    mem_free(k);
}

void split_identities(split_job *j)
{
    int64_t *up = MEM_ARRAY(int64_t, j->n ? j->n : 1), across = 0;
    for (int64_t i = 0; i < j->n; i++)
        up[i] = i;
    join_equal(j, up, patient_of, &across);
    join_equal(j, up, exam_of, &across);
    join_equal(j, up, image_of, &across);
    join_equal(j, up, pixels_of, &across);
    join_equal(j, up, person_of, &across);
    j->who = MEM_ARRAY(person, j->n ? j->n : 1);
    for (int64_t i = 0; i < j->n; i++) {
        int64_t r = find_root(up, i);
        item *t = &j->it[i];
        if (r == i) {
            person *p = &j->who[j->n_who];
            t->group = j->n_who++;
            text_copy(p->id, sizeof p->id, t->patient);
            p->first_day = t->day;
            p->fold = -1;
        } else {
            t->group = j->it[r].group;
        }
        person *p = &j->who[t->group];
        if (strcmp(t->patient, p->id) < 0)
            text_copy(p->id, sizeof p->id, t->patient);
        if (p->first_day == RECORD_UNKNOWN || (t->day != RECORD_UNKNOWN && t->day < p->first_day))
            p->first_day = t->day;
    }
    if (across)
        log_warn("identities_joined", "patients=%lld why=shared_exam_or_image", (long long)across);
    mem_free(up);
}

/* ---- judging --------------------------------------------------------------------------------- */

void split_exclude(split_job *j, item *t, reason r)
{
    t->out = r;
    csv_put_i64(j->excluded, t->file);
    csv_put(j->excluded, t->image);
    csv_put(j->excluded, t->exam);
    csv_put(j->excluded, j->who[t->group].id);
    csv_put(j->excluded, reason_name(r));
    csv_put(j->excluded, reason_sentence(r));
    csv_end_row(j->excluded);
}

/* Later copies of an image: the first in catalogue order stays. */
static void drop_copies(split_job *j, key_of *key, reason why)
{
    pair_key *k = MEM_ARRAY(pair_key, j->n ? j->n : 1);
    int64_t n = 0;
    for (int64_t i = 0; i < j->n; i++)
        if (j->it[i].out == REASON_NONE)
            k[n++] = (pair_key){key(&j->it[i]), i};
    qsort(k, (size_t)n, sizeof *k, by_text);
    for (int64_t i = 1; i < n; i++)
        if (!strcmp(k[i].key, k[i - 1].key) && k[i].key[0])
            split_exclude(j, &j->it[k[i].i], why);
    mem_free(k);
}

static bool vendor_wanted(const split_cfg *c, const char *vendor)
{
    for (int i = 0; i < c->vendors.n; i++)
        if (text_ieq(c->vendors.v[i], vendor))
            return true;
    return c->vendors.n == 0;
}

/* Exams after a cancer, and those that show it already. What is known only as a range of days is
 * within the window when all of it is. */
static reason judge_windows(const split_cfg *c, const label_times *when)
{
    if (c->prior_cancer == 0 && when->before)
        return REASON_PRIOR_CANCER;
    int64_t last = when->cancer_hi;
    if (when->cancer_lo >= 0 &&
        (last < c->detection_days || (c->detection_inclusive && last == c->detection_days)))
        return REASON_WITHIN_DETECTION;
    return REASON_NONE;
}

/* Classes per horizon from times. A later diagnosis proves freedom from known cancer up to its day;
 * a range that holds the horizon's end decides nothing. */
static void classify(const split_job *j, const label_times *when, int8_t *y)
{
    for (int h = 0; h < j->lc.horizons.n; h++) {
        int64_t days = (int64_t)floor(j->lc.horizons.v[h] * 365.25);
        int64_t need = days < j->c.followup_days ? j->c.followup_days : days;
        if (when->cancer_lo >= 0)
            y[h] = when->cancer_hi <= days ? 1 : when->cancer_lo > days ? 0 : -1;
        else
            y[h] = when->free_days >= need ? 0 : -1;
    }
}

/* Only the breast with the cancer is positive; an unknown side is not guessed. */
static reason judge_breast(const split_job *j, item *t)
{
    char side = t->lab->side;
    for (int h = 0; h < j->lc.horizons.n; h++) {
        if (t->y[h] != 1)
            continue;
        if (!side || (t->side != 'L' && t->side != 'R'))
            return REASON_NO_LABEL;
        if (side != 'B' && side != t->side)
            t->y[h] = 0;
    }
    return REASON_NONE;
}

/* A ready class wins over the dates, but where dates are given too, their windows hold. */
static reason judge_label(const split_job *j, item *t)
{
    bool ready = labels_ready(j->lab);
    if (!t->lab || (ready && t->lab->cls < 0))
        return REASON_NO_LABEL;
    if (t->lab->conflict)
        return REASON_LABEL_CONFLICT;
    label_times when = labels_times(t->lab, t->day);
    if (!when.known && !ready)
        return REASON_NO_DATE;
    reason r = judge_windows(&j->c, &when);
    if (r != REASON_NONE)
        return r;
    if (ready)
        memset(t->y, t->lab->cls, sizeof t->y);
    else
        classify(j, &when, t->y);
    if (t->y[0] < 0)
        return REASON_SHORT_FOLLOWUP;
    return j->lc.level == 1 ? judge_breast(j, t) : REASON_NONE;
}

static reason judge(const split_job *j, item *t)
{
    const split_cfg *c = &j->c;
    if (!vendor_wanted(c, t->vendor))
        return REASON_VENDOR_FILTER;
    if (c->require_female && t->sex != 'F')
        return REASON_NOT_FEMALE;
    if (t->age >= 0 && (t->age < c->age_min || t->age > c->age_max))
        return REASON_AGE_RANGE;
    return judge_label(j, t);
}

int split_better(const split_choice *x, const split_choice *y)
{
    int c = (x->modifiers != 0) - (y->modifiers != 0);
    if (!c)
        c = (x->breast_pixels < y->breast_pixels) - (x->breast_pixels > y->breast_pixels);
    return c ? c : strcmp(x->pixel_hash, y->pixel_hash);
}

static int by_exam_view(const void *a, const void *b)
{
    const item *x = *(item *const *)a, *y = *(item *const *)b;
    int c = strcmp(x->exam, y->exam);
    if (!c)
        c = (int)x->side - (int)y->side;
    if (!c)
        c = (int)x->view - (int)y->view;
    if (!c)
        c = split_better(&(split_choice){x->modifiers, x->breast_pixels, x->pixel_hash},
                         &(split_choice){y->modifiers, y->breast_pixels, y->pixel_hash});
    return c ? c : (x->file > y->file) - (x->file < y->file);
}

static int by_person(const void *a, const void *b)
{
    const item *x = *(item *const *)a, *y = *(item *const *)b;
    int c = (x->group > y->group) - (x->group < y->group);
    return c ? c : (x->file > y->file) - (x->file < y->file);
}

static item **sorted(const split_job *j, bool all, int (*order)(const void *, const void *),
                     int64_t *n)
{
    item **p = MEM_ARRAY(item *, j->n ? j->n : 1);
    *n = 0;
    for (int64_t i = 0; i < j->n; i++)
        if (all || j->it[i].out == REASON_NONE)
            p[(*n)++] = &j->it[i];
    qsort(p, (size_t)*n, sizeof *p, order);
    return p;
}

/* Whether two images must have one label: what the table speaks of decides. */
static bool one_label(const split_job *j, const item *x, const item *y)
{
    switch (labels_scope_of(j->lab)) {
    case LABELS_OF_PATIENT:
        return x->group == y->group;
    case LABELS_OF_EXAM:
        return !strcmp(x->exam, y->exam);
    case LABELS_OF_BREAST:
        return !strcmp(x->exam, y->exam) && x->side == y->side;
    case LABELS_OF_IMAGE:
        return x == y;
    }
    BUG("scope of a label");
}

/* Images of one exam or person whose labels differ are contradictions, not averages. Copies that
 * are out already have their say, too. */
static void judge_conflicts(split_job *j)
{
    int64_t n;
    bool by_patient = labels_scope_of(j->lab) == LABELS_OF_PATIENT;
    item **p = sorted(j, true, by_patient ? by_person : by_exam_view, &n);
    for (int64_t a = 0, b; a < n; a = b) {
        const label *first = NULL;
        bool differ = false;
        for (b = a; b < n && one_label(j, p[b], p[a]); b++) {
            first = first ? first : p[b]->lab;
            differ |= p[b]->lab && !labels_same(p[b]->lab, first);
        }
        for (int64_t i = a; i < b && differ; i++)
            if (p[i]->out == REASON_NONE)
                split_exclude(j, p[i], REASON_LABEL_CONFLICT);
    }
    mem_free(p);
}

static void judge_exams(split_job *j)
{
    int64_t n;
    item **p = sorted(j, false, by_exam_view, &n);
    for (int64_t i = 1, best = 0; i < n && j->c.duplicate_view == 0; i++) {
        if (strcmp(p[i]->exam, p[best]->exam) || p[i]->side != p[best]->side ||
            p[i]->view != p[best]->view)
            best = i;
        else
            split_exclude(j, p[i], REASON_DUP_VIEW);
    }
    mem_free(p);
    p = sorted(j, false, by_exam_view, &n);
    for (int64_t a = 0, b; a < n; a = b) {
        unsigned views = 0;
        for (b = a; b < n && !strcmp(p[b]->exam, p[a]->exam); b++)
            if ((p[b]->side == 'L' || p[b]->side == 'R') &&
                (p[b]->view == VIEW_CC || p[b]->view == VIEW_MLO))
                views |= 1u << ((p[b]->side == 'R') + 2 * (p[b]->view == VIEW_MLO));
        bool bad = (j->c.require == 1 && views != 15) || (j->c.require == 2 && b - a != 4);
        for (int64_t i = a; i < b && bad; i++)
            split_exclude(j, p[i], REASON_INCOMPLETE_EXAM);
    }
    mem_free(p);
}

void split_judge(split_job *j)
{
    drop_copies(j, image_of, REASON_DUP_SOP);
    drop_copies(j, pixels_of, REASON_DUP_PIXEL);
    for (int64_t i = 0; i < j->n; i++)
        if (j->it[i].out == REASON_NONE) {
            reason r = judge(j, &j->it[i]);
            if (r != REASON_NONE)
                split_exclude(j, &j->it[i], r);
        }
    judge_conflicts(j);
    judge_exams(j);
}
