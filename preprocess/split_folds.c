/* Folds by person: within strata the largest persons first, then in keyed-hash order, each to the
 * fold that lacks most of its share. Who has a fold already (--keep, split.mode) keeps it and
 * counts. dicom.md 6. */
#include "preprocess/split_job.h"

#include "core/fs.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/rng.h"

#include <stdlib.h>
#include <string.h>

#define BINS_MOST 32

static const char *first_word(const char *a, const char *b)
{
    if (!a || !a[0])
        return b;
    return b[0] && strcmp(b, a) < 0 ? b : a;
}

static int year_of(int32_t day)
{
    char date[11];
    int64_t year = -1;
    text_from_days(day, date);
    date[4] = 0;
    return date[0] && text_i64(date, &year) ? (int)year : -1;
}

/* Persons that are still in, as their images that are still in show them. */
static void describe_people(split_job *j)
{
    for (int64_t i = 0; i < j->n; i++) {
        const item *t = &j->it[i];
        if (t->out != REASON_NONE)
            continue;
        person *p = split_person(j, t);
        int32_t day = t->day == RECORD_UNKNOWN ? INT32_MAX : t->day;
        bool younger = t->age >= 0 && (p->age_band < 0 || t->age < p->age_band);
        if (!p->images || day < p->in_day || (day == p->in_day && younger))
            p->age_band = t->age; /* the age itself; made a band below */
        if (!p->images || day < p->in_day)
            p->in_day = day;
        p->vendor = first_word(p->vendor, j->word[t->vendor]);
        p->site = first_word(p->site, labels_word(j->lab, t->lab->site));
        p->density = first_word(p->density, labels_word(j->lab, t->lab->density));
        int64_t row = labels_first_row(j->lab, t->lab);
        if (!p->images || row < p->table_row)
            p->table_row = row;
        p->images++;
        p->positive |= t->y[0] == 1;
    }
    for (int32_t i = 0; i < j->n_who; i++) {
        person *p = &j->who[i];
        char hex[33];
        uint8_t mac[32];
        int year = p->images && p->in_day != INT32_MAX ? year_of(p->in_day) : -1;
        p->year_band = year < 0 ? -1 : year / SPLIT_YEAR_BAND;
        p->age_band = p->age_band < 0 ? -1 : p->age_band / SPLIT_AGE_BAND;
        split_id_text(&p->id, hex);
        fs_hmac_sha256(&j->c.seed, sizeof j->c.seed, hex, strlen(hex), mac);
        memcpy(p->order, mac, sizeof p->order);
    }
}

/* ---- strata ---------------------------------------------------------------------------------- */

static int by_number(int a, int b)
{
    return (a > b) - (a < b);
}

static int stratum_order(const person *x, const person *y, unsigned strata)
{
    int c = strata & SPLIT_BY_VENDOR ? strcmp(x->vendor, y->vendor) : 0;
    if (!c && strata & SPLIT_BY_SITE)
        c = strcmp(x->site, y->site);
    if (!c && strata & SPLIT_BY_YEAR)
        c = by_number(x->year_band, y->year_band);
    if (!c && strata & SPLIT_BY_AGE)
        c = by_number(x->age_band, y->age_band);
    if (!c && strata & SPLIT_BY_DENSITY)
        c = strcmp(x->density, y->density);
    return c;
}

static int keyed_order(const person *x, const person *y)
{
    int c = memcmp(x->order, y->order, sizeof x->order);
    return c ? c : split_id_order(&x->id, &y->id);
}

static int by_stratum(const void *a, const void *b, void *ctx)
{
    const person *x = *(person *const *)a, *y = *(person *const *)b;
    const split_cfg *k = ctx;
    int c = stratum_order(x, y, k->strata);
    if (!c && k->strata & SPLIT_BY_OUTCOME)
        c = (int)y->positive - (int)x->positive;
    if (!c)
        c = by_number(y->images, x->images);
    return c ? c : keyed_order(x, y);
}

/* Persons given out so far; carried from stratum to stratum, so that small strata add up to the
 * wanted shares. */
typedef struct tally {
    double have[BINS_MOST], total;
} tally;

/* Give every free person to the bin that lacks most of its share. A bin without a share is part of
 * the first. */
static void fill(person **p, int64_t n, const double *share, int bins, tally *t)
{
    for (int64_t i = 0; i < n; i++)
        if (p[i]->bin >= 0) {
            t->have[share[p[i]->bin] > 0 ? p[i]->bin : 0]++;
            t->total++;
        }
    for (int64_t i = 0; i < n; i++) {
        int best = 0;
        if (p[i]->bin >= 0)
            continue;
        t->total++;
        for (int f = 1; f < bins; f++)
            if (share[f] > 0 &&
                share[f] * t->total - t->have[f] > share[best] * t->total - t->have[best] + 1e-9)
                best = f;
        p[i]->bin = best;
        t->have[best]++;
    }
}

/* Every stratum by its own shares: those of persons without cancer, then of persons with it. */
static void fill_strata(const split_cfg *c, person **p, int64_t n, double share[2][BINS_MOST],
                        int bins)
{
    tally t[2] = {{{0}, 0}, {{0}, 0}};
    bool outcome = c->strata & SPLIT_BY_OUTCOME;
    qsort_r(p, (size_t)n, sizeof *p, by_stratum, (void *)c);
    for (int64_t a = 0, b; a < n; a = b) {
        bool positive = outcome && p[a]->positive;
        for (b = a; b < n && !stratum_order(p[b], p[a], c->strata) &&
                    (!outcome || p[b]->positive == p[a]->positive);
             b++)
            ;
        fill(p + a, b - a, share[positive], bins, &t[positive]);
    }
}

/* ---- balanced validation --------------------------------------------------------------------- */

/* The controls of validation are matched to its cases on vendor, year and age; where a cell has too
 * few, on vendor and year, on the vendor, on nothing. */
static const unsigned match_level[] = {SPLIT_BY_VENDOR | SPLIT_BY_YEAR | SPLIT_BY_AGE,
                                       SPLIT_BY_VENDOR | SPLIT_BY_YEAR, SPLIT_BY_VENDOR, 0};

static int by_cell(const void *a, const void *b, void *ctx)
{
    const person *x = *(person *const *)a, *y = *(person *const *)b;
    int c = stratum_order(x, y, *(const unsigned *)ctx);
    return c ? c : keyed_order(x, y);
}

static bool may_match(const person *p)
{
    return !p->positive && p->bin == COHORT_TRAIN && !p->kept;
}

/* One level: fill the cells' want of controls, at most `most` in all. Returns how many. */
static int64_t match(person **p, int64_t n, unsigned level, int64_t most)
{
    int64_t got = 0;
    qsort_r(p, (size_t)n, sizeof *p, by_cell, &level);
    for (int64_t a = 0, b; a < n; a = b) {
        int64_t want = 0;
        for (b = a; b < n && !stratum_order(p[b], p[a], level); b++)
            if (p[b]->bin == COHORT_VAL)
                want += p[b]->positive ? 1 : -1;
        for (int64_t i = a; i < b && want > 0 && got < most; i++)
            if (may_match(p[i])) {
                p[i]->bin = COHORT_VAL;
                want--;
                got++;
            }
    }
    return got;
}

/* As many persons without as with cancer, but never more than half of those left for training. */
static void balance_val(person **p, int64_t n)
{
    int64_t free = 0, got[COUNT_OF(match_level)];
    for (int64_t i = 0; i < n; i++)
        free += may_match(p[i]);
    int64_t left = free / 2;
    for (size_t k = 0; k < COUNT_OF(match_level); k++) {
        got[k] = match(p, n, match_level[k], left);
        left -= got[k];
    }
    log_info("val_matched", "vendor_year_age=%lld vendor_year=%lld vendor=%lld any=%lld",
             (long long)got[0], (long long)got[1], (long long)got[2], (long long)got[3]);
}

/* ---- modes ----------------------------------------------------------------------------------- */

static int by_table_row(const void *a, const void *b)
{
    const person *x = *(person *const *)a, *y = *(person *const *)b;
    int c = (x->table_row > y->table_row) - (x->table_row < y->table_row);
    return c ? c : split_id_order(&x->id, &y->id);
}

/* As PatchDropout divided public data sets (patchdropout.md 4): the free persons in the order of
 * the outcome table, permuted as by torch.randperm; the last ones are validation. */
static void draw_torch(const split_cfg *c, person **p, int64_t n)
{
    int64_t free = 0;
    person **drawn = MEM_ARRAY(person *, n ? n : 1);
    int64_t *order = MEM_ARRAY(int64_t, n ? n : 1);
    for (int64_t i = 0; i < n; i++)
        if (p[i]->fold < 0)
            drawn[free++] = p[i];
    qsort(drawn, (size_t)free, sizeof *drawn, by_table_row);
    rng_torch_permutation((uint64_t)c->seed, free, order);
    int64_t train = free - (int64_t)(c->val_fraction * (double)free);
    for (int64_t i = 0; i < free; i++)
        drawn[order[i]]->fold = i < train ? COHORT_TRAIN : COHORT_VAL;
    mem_free(order);
    mem_free(drawn);
}

static void fill_fractions(const split_cfg *c, person **p, int64_t n)
{
    bool test = c->mode == SPLIT_FRACTIONS;
    double share[2][BINS_MOST] = {{0}};
    for (int positive = 0; positive < 2; positive++) {
        double *s = share[positive];
        s[COHORT_TEST] = test ? c->test_fraction : 0;
        s[COHORT_VAL] = c->val == 0 && !positive ? 0 : c->val_fraction;
        s[COHORT_VAL_NATURAL] = c->val_natural_fraction;
        s[COHORT_TRAIN] = 1 - s[COHORT_TEST] - s[COHORT_VAL] - s[COHORT_VAL_NATURAL];
    }
    for (int64_t i = 0; i < n; i++)
        p[i]->bin = p[i]->fold;
    fill_strata(c, p, n, share, COHORT_FOLDS);
    if (c->val == 0)
        balance_val(p, n);
    for (int64_t i = 0; i < n; i++)
        p[i]->fold = (int8_t)p[i]->bin;
}

/* First the test set, then k folds of the rest; one of them is the validation set. */
static void fill_kfold(const split_cfg *c, person **p, int64_t n)
{
    double share[2][BINS_MOST] = {{0}};
    int64_t rest = 0;
    for (int k = 0; k < 2; k++) {
        share[k][COHORT_TEST] = c->test_fraction;
        share[k][COHORT_TRAIN] = 1 - c->test_fraction;
    }
    for (int64_t i = 0; i < n; i++)
        p[i]->bin = p[i]->fold;
    fill_strata(c, p, n, share, COHORT_FOLDS);
    for (int64_t i = 0; i < n; i++) {
        p[i]->fold = (int8_t)p[i]->bin;
        if (p[i]->fold == COHORT_TEST)
            continue;
        person *swap = p[rest];
        p[rest] = p[i];
        p[i] = swap;
        p[rest]->bin = p[rest]->cv;
        rest++;
    }
    for (int k = 0; k < 2; k++)
        for (int f = 0; f < BINS_MOST; f++)
            share[k][f] = f < c->folds ? 1.0 / (double)c->folds : 0;
    fill_strata(c, p, rest, share, (int)c->folds);
    for (int64_t i = 0; i < rest; i++) {
        p[i]->cv = (int8_t)p[i]->bin;
        p[i]->fold = p[i]->cv == c->fold ? COHORT_VAL : COHORT_TRAIN;
    }
}

void split_folds(split_job *j)
{
    int64_t n = 0;
    person **p = MEM_ARRAY(person *, j->n_who ? j->n_who : 1);
    describe_people(j);
    for (int32_t i = 0; i < j->n_who; i++)
        if (j->who[i].images && !j->who[i].ruled)
            p[n++] = &j->who[i];
    if (j->c.draw)
        draw_torch(&j->c, p, n);
    else if (j->c.mode == SPLIT_KFOLD)
        fill_kfold(&j->c, p, n);
    else
        fill_fractions(&j->c, p, n);
    mem_free(p);
}
