/* What is true of the folds: nothing is shared between them, and what each of them holds. */
#include "preprocess/split_job.h"

#include "core/log.h"
#include "core/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- disjointness ---------------------------------------------------------------------------- */

typedef struct place { /* a name and the folds of its image, train/val/test and k-fold in one */
    split_id id;
    int fold;
} place;

static int by_name(const void *a, const void *b)
{
    return split_id_order(&((const place *)a)->id, &((const place *)b)->id);
}

static split_id name_of(const split_job *j, const item *t, int what)
{
    switch (what) {
    case 0:
        return split_person(j, t)->id;
    case 1:
        return j->exams.id[t->exam];
    case 2:
        return t->image;
    default:
        return t->pixels;
    }
}

/* Whatever the rules above have done: the proof looks at the names alone. */
void split_disjoint(split_job *j, item *const *p, int64_t n)
{
    static const char *const what[] = {"patient", "exam", "image", "picture"};
    place *at = MEM_ARRAY(place, n ? n : 1);
    for (int k = 0; k < 4; k++) {
        for (int64_t i = 0; i < n; i++) {
            const person *who = split_person(j, p[i]);
            if (who->fold < 0 || who->fold >= COHORT_FOLDS)
                BUG("a patient of the cohort is in no fold");
            at[i] = (place){name_of(j, p[i], k), who->fold + COHORT_FOLDS * (who->cv + 1)};
        }
        qsort(at, (size_t)n, sizeof *at, by_name);
        j->shared[k] = n > 0;
        for (int64_t i = 1; i < n; i++) {
            bool same = !by_name(&at[i], &at[i - 1]) && !split_id_none(&at[i].id);
            if (same && at[i].fold != at[i - 1].fold)
                BUG("two folds share a %s", what[k]);
            j->shared[k] += !same;
        }
    }
    mem_free(at);
    log_info("folds_disjoint", "patients=%lld exams=%lld images=%lld pictures=%lld shared=0",
             (long long)j->shared[0], (long long)j->shared[1], (long long)j->shared[2],
             (long long)j->shared[3]);
}

/* ---- summary --------------------------------------------------------------------------------- */

#define AGES   11 /* bands of ten years; the last but one: from 90; the last: unknown */
#define VIEWS  9  /* side L R other x view CC MLO other */
#define GROUPS (COHORT_FOLDS + SPLIT_FOLDS_MOST)

typedef struct group { /* of images: a split, or one of k folds */
    int64_t patients, positive_patients, exams, positive_exams, images;
    int64_t age[AGES], view[VIEWS];
    int64_t *vendor, *site; /* by word */
} group;

static int view_index(const item *t)
{
    int side = t->side == 'L' ? 0 : t->side == 'R' ? 1 : 2;
    return 3 * side + (t->view == VIEW_CC ? 0 : t->view == VIEW_MLO ? 1 : 2);
}

static void view_text(int k, char out[16])
{
    static const char *const side[] = {"L", "R", ""}, *const view[] = {"CC", "MLO", "other"};
    snprintf(out, 16, "%s-%s", side[k / 3], view[k % 3]);
}

static void add_image(group *g, const item *t)
{
    int band = t->age / SPLIT_AGE_BAND;
    g->images++;
    g->age[t->age < 0 ? AGES - 1 : band < AGES - 1 ? band : AGES - 2]++;
    g->view[view_index(t)]++;
    g->vendor[t->vendor]++;
    g->site[t->lab->site]++;
}

/* Images of one exam or one person follow each other. */
static void add_whole(group *g, bool exam, bool positive)
{
    g->patients += !exam;
    g->positive_patients += !exam && positive;
    g->exams += exam;
    g->positive_exams += exam && positive;
}

static void count_wholes(const split_job *j, item *const *p, int64_t n, bool exam, group *g)
{
    for (int64_t a = 0, b; a < n; a = b) {
        const person *who = split_person(j, p[a]);
        bool positive = false;
        for (b = a; b < n && split_person(j, p[b]) == who && (!exam || p[b]->exam == p[a]->exam);
             b++)
            positive |= p[b]->y[0] == 1;
        add_whole(&g[who->fold], exam, positive);
        if (who->cv >= 0)
            add_whole(&g[COHORT_FOLDS + who->cv], exam, positive);
    }
}

static void put(csv_writer *w, const char *name, const char *what, const char *value, int64_t n)
{
    if (!n && value[0])
        return;
    csv_put(w, name);
    csv_put(w, what);
    csv_put(w, value);
    csv_put_i64(w, n);
    csv_end_row(w);
}

static void put_group(csv_writer *w, const split_job *j, const char *name, const group *g,
                      int sites)
{
    char value[16];
    put(w, name, "patients", "", g->patients);
    put(w, name, "positive_patients", "", g->positive_patients);
    put(w, name, "exams", "", g->exams);
    put(w, name, "positive_exams", "", g->positive_exams);
    put(w, name, "images", "", g->images);
    for (int32_t v = 0; v < j->words.n; v++)
        put(w, name, "vendor", j->word[v][0] ? j->word[v] : "unknown", g->vendor[v]);
    for (int s = 1; s < sites; s++)
        put(w, name, "site", labels_word(j->lab, (uint16_t)s), g->site[s]);
    for (int k = 0; k < AGES; k++) {
        snprintf(value, sizeof value, k == AGES - 1 ? "unknown" : "%d", k * SPLIT_AGE_BAND);
        put(w, name, "age_from", value, g->age[k]);
    }
    for (int k = 0; k < VIEWS; k++) {
        view_text(k, value);
        put(w, name, "view", value, g->view[k]);
    }
}

static bool write_groups(const split_job *j, const group *g, int sites, const char *path, err *e)
{
    csv_writer *w = csv_create(path, e);
    if (!w)
        return false;
    csv_put(w, "split");
    csv_put(w, "what");
    csv_put(w, "value");
    csv_put(w, "count");
    csv_end_row(w);
    for (int k = 0; k < GROUPS; k++) {
        char name[16];
        if (k < COHORT_FOLDS)
            text_copy(name, sizeof name, cohort_fold_name((cohort_fold)k));
        else
            snprintf(name, sizeof name, "cv_fold_%d", k - COHORT_FOLDS);
        if (g[k].images)
            put_group(w, j, name, &g[k], sites);
    }
    return csv_commit(w, e);
}

bool split_summary(const split_job *j, item *const *p, int64_t n, const char *path,
                   split_result *out, err *e)
{
    group *g = MEM_ARRAY(group, GROUPS);
    int sites = 1;
    for (int64_t i = 0; i < n; i++)
        sites = p[i]->lab->site >= sites ? p[i]->lab->site + 1 : sites;
    for (int k = 0; k < GROUPS; k++) {
        g[k].vendor = MEM_ARRAY(int64_t, j->words.n ? j->words.n : 1);
        g[k].site = MEM_ARRAY(int64_t, sites);
    }
    for (int64_t i = 0; i < n; i++) {
        const person *who = split_person(j, p[i]);
        add_image(&g[who->fold], p[i]);
        if (who->cv >= 0)
            add_image(&g[COHORT_FOLDS + who->cv], p[i]);
    }
    count_wholes(j, p, n, true, g);
    count_wholes(j, p, n, false, g);
    memset(out, 0, sizeof *out);
    for (int k = 0; k < COHORT_FOLDS; k++) {
        out->images += out->fold_images[k] = g[k].images;
        out->exams += out->fold_exams[k] = g[k].exams;
        out->patients += out->fold_patients[k] = g[k].patients;
        out->positives += out->fold_positives[k] = g[k].positive_exams;
    }
    bool ok = write_groups(j, g, sites, path, e);
    for (int k = 0; k < GROUPS; k++) {
        mem_free(g[k].vendor);
        mem_free(g[k].site);
    }
    mem_free(g);
    return ok;
}
