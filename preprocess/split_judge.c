/* Which images and exams belong to the question: copies, noise, labels, clinical windows, duplicate
 * views, complete exams. The order of the rules is the order of the flow. dicom.md 4 and 6,
 * patchdropout.md 6. */
#include "preprocess/split_job.h"

#include "core/log.h"
#include "core/mem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define NOISE_LEAST 100 /* images of a vendor that a quantile needs */

static void put_id(csv_writer *w, const split_id *id)
{
    char hex[33];
    split_id_text(id, hex);
    csv_put(w, hex);
}

void split_exclude(split_job *j, item *t, reason r)
{
    t->out = (uint8_t)r;
    csv_put_i64(j->excluded, t->file);
    put_id(j->excluded, &t->image);
    put_id(j->excluded, &j->exams.id[t->exam]);
    put_id(j->excluded, &split_person(j, t)->id);
    csv_put(j->excluded, reason_name(r));
    csv_put(j->excluded, reason_sentence(r));
    csv_end_row(j->excluded);
}

/* ---- order ----------------------------------------------------------------------------------- */

bool split_is_synthetic(const record *r, const reason_set *noticed)
{
    return reason_has(noticed, REASON_SYN_2D) || (r->text_flags & TEXT_SYNTHETIC) ||
           !strcmp(r->image_type[3], "GENERATED_2D");
}

int split_better(const split_choice *x, const split_choice *y)
{
    uint32_t mask = ~(uint32_t)(x->prefer_displaced ? MODIFIER_IMPLANT_DISPLACED : 0);
    int c = x->processing - y->processing;
    if (!c)
        c = x->synthetic - y->synthetic;
    if (!c)
        c = ((x->modifiers & mask) != 0) - ((y->modifiers & mask) != 0);
    if (!c)
        c = ((x->modifiers & ~mask) == 0) - ((y->modifiers & ~mask) == 0);
    if (!c)
        c = (x->breast_pixels < y->breast_pixels) - (x->breast_pixels > y->breast_pixels);
    if (!c)
        c = (x->time < y->time) - (x->time > y->time);
    return c ? c : strcmp(x->pixel_hash, y->pixel_hash);
}

static int better(const split_job *j, const item *x, const item *y)
{
    char a[33], b[33];
    bool prefer = j->c.displaced == 1;
    split_id_text(&x->pixels, a);
    split_id_text(&y->pixels, b);
    return split_better(&(split_choice){x->processing, x->synthetic, prefer, x->modifiers,
                                        x->breast_pixels, x->time, a},
                        &(split_choice){y->processing, y->synthetic, prefer, y->modifiers,
                                        y->breast_pixels, y->time, b});
}

/* Items lie in the order of the catalogue: the last word wherever all else is equal. */
static int by_place(const item *x, const item *y)
{
    return (x > y) - (x < y);
}

typedef int order_fn(const void *a, const void *b, void *ctx);

static int by_image(const void *a, const void *b, void *ctx)
{
    const item *x = *(item *const *)a, *y = *(item *const *)b;
    int c = split_id_order(&x->image, &y->image);
    if (!c)
        c = better(ctx, x, y);
    return c ? c : by_place(x, y);
}

static int by_pixels(const void *a, const void *b, void *ctx)
{
    const item *x = *(item *const *)a, *y = *(item *const *)b;
    int c = split_id_order(&x->pixels, &y->pixels);
    if (!c)
        c = better(ctx, x, y);
    return c ? c : by_place(x, y);
}

static int by_exam_view(const void *a, const void *b, void *ctx)
{
    const item *x = *(item *const *)a, *y = *(item *const *)b;
    int c = (x->exam > y->exam) - (x->exam < y->exam);
    if (!c)
        c = (int)x->side - (int)y->side;
    if (!c)
        c = (int)x->view - (int)y->view;
    if (!c)
        c = better(ctx, x, y);
    return c ? c : by_place(x, y);
}

static int by_person(const void *a, const void *b, void *ctx)
{
    const split_job *j = ctx;
    const item *x = *(item *const *)a, *y = *(item *const *)b;
    int32_t g = j->group[x->patient], h = j->group[y->patient];
    int c = (g > h) - (g < h);
    return c ? c : by_place(x, y);
}

static int by_vendor_noise(const void *a, const void *b, void *ctx)
{
    const item *x = *(item *const *)a, *y = *(item *const *)b;
    int c = (x->vendor > y->vendor) - (x->vendor < y->vendor);
    (void)ctx;
    if (!c)
        c = (x->noise > y->noise) - (x->noise < y->noise);
    return c ? c : by_place(x, y);
}

static item **sorted(split_job *j, bool all, order_fn *order, int64_t *n)
{
    item **p = MEM_ARRAY(item *, j->n ? j->n : 1);
    *n = 0;
    for (int64_t i = 0; i < j->n; i++)
        if (all || j->it[i].out == REASON_NONE)
            p[(*n)++] = &j->it[i];
    qsort_r(p, (size_t)*n, sizeof *p, order, j);
    return p;
}

/* ---- images ---------------------------------------------------------------------------------- */

/* Copies of an image or of its pixels: the best stays, then the first in catalogue order. */
static void drop_copies(split_job *j, reason why)
{
    int64_t n;
    bool same_sop = why == REASON_DUP_SOP;
    item **p = sorted(j, false, same_sop ? by_image : by_pixels, &n);
    for (int64_t i = 1; i < n; i++) {
        const split_id *a = same_sop ? &p[i - 1]->image : &p[i - 1]->pixels;
        const split_id *b = same_sop ? &p[i]->image : &p[i]->pixels;
        if (!split_id_order(a, b) && !split_id_none(a))
            split_exclude(j, p[i], why);
    }
    mem_free(p);
}

/* Above a high quantile of her own vendor's images an image is noisier than its kind. */
static void drop_noise(split_job *j)
{
    int64_t n;
    if (j->c.noise_quantile <= 0)
        return;
    item **p = sorted(j, false, by_vendor_noise, &n);
    for (int64_t a = 0, b; a < n; a = b) {
        for (b = a; b < n && p[b]->vendor == p[a]->vendor; b++)
            ;
        if (b - a < NOISE_LEAST) {
            log_info("noise_not_judged", "images=%lld why=too_few_of_a_vendor", (long long)(b - a));
            continue;
        }
        int64_t k = a + (int64_t)ceil(j->c.noise_quantile * (double)(b - a)) - 1;
        for (int64_t i = b - 1; i > k && p[i]->noise > p[k]->noise; i--)
            split_exclude(j, p[i], REASON_NOISE);
    }
    mem_free(p);
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

/* A table cannot know of a day after its own end. */
static bool beyond(const split_cfg *c, const label *l)
{
    return c->last_day != RECORD_UNKNOWN &&
           (l->diagnosis > c->last_day || l->prior > c->last_day || l->last_negative > c->last_day);
}

/* A ready class wins over the dates, but where dates are given too, their windows hold. */
static reason judge_label(const split_job *j, item *t)
{
    bool ready = labels_ready(j->lab), dated = t->day != RECORD_UNKNOWN;
    if (!t->lab || (ready ? t->lab->cls < 0 : labels_silent(t->lab)))
        return REASON_NO_LABEL;
    if (t->lab->conflict || beyond(&j->c, t->lab))
        return REASON_LABEL_CONFLICT;
    label_times when = labels_times(t->lab, t->day);
    if ((!when.known && !ready) || (!dated && j->c.mode == SPLIT_TEMPORAL) ||
        (dated && j->c.last_day != RECORD_UNKNOWN && t->day > j->c.last_day))
        return REASON_NO_DATE;
    reason r = judge_windows(&j->c, &when);
    if (r != REASON_NONE)
        return r;
    if (ready)
        memset(t->y, t->lab->cls, sizeof t->y);
    else
        classify(j, &when, t->y);
    if (t->y[0] < 0)
        return when.cancer_lo >= 0 ? REASON_LABEL_COARSE : REASON_SHORT_FOLLOWUP;
    return j->lc.level == 1 && !labels_knows_breast(j->lab) ? judge_breast(j, t) : REASON_NONE;
}

/* What the table says against the image, in the order of the codes; the exclude.* keys hold. An age
 * band counts as outside when all of it is. */
static reason judge_flags(const split_job *j, const label *l)
{
    for (int r = 1; r < REASON_COUNT; r++)
        if (reason_has(&l->flags, (reason)r) && exclude_drops(&j->ec, (reason)r))
            return (reason)r;
    if (l->age_lo >= 0 && (l->age_hi < j->c.age_min || l->age_lo > j->c.age_max))
        return REASON_AGE_RANGE;
    return REASON_NONE;
}

static reason judge(const split_job *j, item *t)
{
    const split_cfg *c = &j->c;
    if (!vendor_wanted(c, j->word[t->vendor]))
        return REASON_VENDOR_FILTER;
    if (c->require_female && t->sex != 'F')
        return REASON_NOT_FEMALE;
    if (t->age >= 0 && (t->age < c->age_min || t->age > c->age_max))
        return REASON_AGE_RANGE;
    reason r = t->lab ? judge_flags(j, t->lab) : REASON_NONE;
    return r != REASON_NONE ? r : judge_label(j, t);
}

/* Whether two images must have one label: what the table speaks of decides. */
static bool one_label(const split_job *j, const item *x, const item *y)
{
    switch (labels_scope_of(j->lab)) {
    case LABELS_OF_PATIENT:
        return j->group[x->patient] == j->group[y->patient];
    case LABELS_OF_EXAM:
        return x->exam == y->exam;
    case LABELS_OF_BREAST:
        return x->exam == y->exam && x->side == y->side;
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
        if (p[i]->exam != p[best]->exam || p[i]->side != p[best]->side ||
            p[i]->view != p[best]->view)
            best = i;
        else
            split_exclude(j, p[i], REASON_DUP_VIEW);
    }
    mem_free(p);
    p = sorted(j, false, by_exam_view, &n);
    for (int64_t a = 0, b; a < n; a = b) {
        unsigned views = 0;
        for (b = a; b < n && p[b]->exam == p[a]->exam; b++)
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
    drop_copies(j, REASON_DUP_SOP);
    drop_copies(j, REASON_DUP_PIXEL);
    drop_noise(j);
    for (int64_t i = 0; i < j->n; i++)
        if (j->it[i].out == REASON_NONE) {
            reason r = judge(j, &j->it[i]);
            if (r != REASON_NONE)
                split_exclude(j, &j->it[i], r);
        }
    judge_conflicts(j);
    judge_exams(j);
}
