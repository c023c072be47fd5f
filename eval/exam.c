/* Image scores -> exam scores. The rows of an exam are first put in a canonical order and summed
 * with compensation, so the result does not depend on the order of the table. evaluation.md 1
 * and 13. */
#include "eval/exam.h"
#include "core/mem.h"
#include <math.h>

#define ROUND_STEPS 1e12 /* 12 decimals */
#define LOGIT_CLIP  1e-7 /* probabilities are clipped here before a logit */

/* Compensated (Neumaier) sum. */
typedef struct ksum {
    double s, c;
    int64_t n;
} ksum;

static void ksum_add(ksum *k, double v)
{
    double t = k->s + v;
    k->c += fabs(k->s) >= fabs(v) ? (k->s - t) + v : (v - t) + k->s;
    k->s = t;
    k->n++;
}

static double ksum_mean(const ksum *k)
{
    return (k->s + k->c) / (double)k->n;
}

double exam_round(double score)
{
    return nearbyint(score * ROUND_STEPS) / ROUND_STEPS;
}

/* ---- the rules: n rows of one exam and one member -> score ----------------------------------- */

typedef double rule_fn(const scores_row *const *r, int64_t n);

static double rule_mean_images(const scores_row *const *r, int64_t n)
{
    ksum k = {0};
    for (int64_t i = 0; i < n; i++)
        ksum_add(&k, r[i]->score);
    return ksum_mean(&k);
}

static int view_index(const scores_row *r)
{
    return (r->side == 'L') + 2 * (r->view == 'M'); /* RCC LCC RMLO LMLO */
}

static double rule_mean_views(const scores_row *const *r, int64_t n)
{
    ksum view[4] = {0}, all = {0};
    for (int64_t i = 0; i < n; i++)
        ksum_add(&view[view_index(r[i])], r[i]->score);
    for (int v = 0; v < 4; v++)
        if (view[v].n)
            ksum_add(&all, ksum_mean(&view[v]));
    return ksum_mean(&all);
}

static double rule_max_breast(const scores_row *const *r, int64_t n)
{
    ksum breast[2] = {0};
    for (int64_t i = 0; i < n; i++)
        ksum_add(&breast[r[i]->side == 'L'], r[i]->score);
    double best = 0;
    for (int b = 0; b < 2; b++)
        if (breast[b].n)
            best = fmax(best, ksum_mean(&breast[b]));
    return best;
}

static double rule_max_images(const scores_row *const *r, int64_t n)
{
    double best = 0;
    for (int64_t i = 0; i < n; i++)
        best = fmax(best, r[i]->score);
    return best;
}

static double rule_mean_logit(const scores_row *const *r, int64_t n)
{
    ksum k = {0};
    for (int64_t i = 0; i < n; i++) {
        double p = fmin(fmax(r[i]->score, LOGIT_CLIP), 1 - LOGIT_CLIP);
        ksum_add(&k, log(p / (1 - p)));
    }
    return 1 / (1 + exp(-ksum_mean(&k)));
}

static const struct rule {
    const char *name;
    rule_fn *fn;
    bool needs_side, needs_view;
} rules[EXAM_RULES] = {
    [EXAM_MEAN_IMAGES] = {"mean_images", rule_mean_images, false, false},
    [EXAM_MEAN_VIEWS] = {"mean_views", rule_mean_views, true, true},
    [EXAM_MAX_BREAST] = {"max_breast", rule_max_breast, true, false},
    [EXAM_MAX_IMAGES] = {"max_images", rule_max_images, false, false},
    [EXAM_MEAN_LOGIT] = {"mean_logit", rule_mean_logit, false, false},
};

const char *exam_rule_name(exam_rule r)
{
    if ((unsigned)r >= EXAM_RULES)
        BUG("exam rule %d", (int)r);
    return rules[r].name;
}

/* ---- one exam -------------------------------------------------------------------------------- */

static int cmp_row(const void *x, const void *y)
{
    const scores_row *a = *(const scores_row *const *)x, *b = *(const scores_row *const *)y;
    int c = strcmp(a->exam, b->exam);
    c = c ? c : strcmp(a->member, b->member);
    c = c ? c : strcmp(a->image, b->image);
    c = c ? c : a->side - b->side;
    c = c ? c : a->view - b->view;
    return c ? c : (a->score > b->score) - (a->score < b->score);
}

static bool contradiction(const scores_row *a, const scores_row *b, const char *what, err *e)
{
    if (!a->line || !b->line)
        return err_set(e, ERR_INPUT, "predictions: one exam has two %s", what);
    return err_set(e, ERR_INPUT, "predictions: lines %d and %d: one exam has two %s",
                   a->line < b->line ? a->line : b->line, a->line < b->line ? b->line : a->line,
                   what);
}

static const char *agreed(const char *have, const char *v)
{
    return !have[0] || !strcmp(have, v) ? v : !v[0] ? have : "mixed";
}

/* Facts of the exam from its rows; unknown values give way to known ones, two known ones must
 * agree. */
static bool merge_facts(const scores_row *const *r, int64_t n, exam_row *x, err *e)
{
    const scores_row *a = r[0];
    bool unknown = false;
    const scores_row *t = NULL, *event = NULL, *age = NULL, *day = NULL;
    x->exam = a->exam;
    x->patient = a->patient;
    x->weight = a->weight;
    x->split = a->split;
    x->vendor = x->device_model = x->site = x->density = "";
    for (int64_t i = 0; i < n; i++) {
        const scores_row *b = r[i];
        if (strcmp(a->patient, b->patient))
            return contradiction(a, b, "patients", e);
        if (strcmp(a->split, b->split))
            return contradiction(a, b, "splits", e);
        if (a->weight != b->weight)
            return contradiction(a, b, "weights", e);
        if (!isnan(b->t_years)) {
            t = t ? t : b;
            if (t->t_years != b->t_years)
                return contradiction(t, b, "times", e);
        }
        if (b->event >= 0) {
            event = event ? event : b;
            if (event->event != b->event)
                return contradiction(event, b, "event states", e);
        }
        if (b->age >= 0) {
            age = age ? age : b;
            if (age->age != b->age)
                return contradiction(age, b, "ages", e);
        }
        if (!isnan(b->exam_day)) {
            day = day ? day : b;
            if (day->exam_day != b->exam_day)
                return contradiction(day, b, "exam days", e);
        }
        unknown = unknown || b->y < 0;
        x->y = b->y > x->y ? b->y : x->y;
        x->vendor = agreed(x->vendor, b->vendor);
        x->device_model = agreed(x->device_model, b->device_model);
        x->site = agreed(x->site, b->site);
        x->density = agreed(x->density, b->density);
        if ((b->side == 'L' || b->side == 'R') && (b->view == 'C' || b->view == 'M'))
            x->views |= 1u << view_index(b);
    }
    x->y = unknown ? -1 : x->y;
    x->t_years = t ? t->t_years : NAN;
    x->event = event ? event->event : -1;
    x->age = age ? age->age : -1;
    x->exam_day = day ? day->exam_day : NAN;
    x->n_views = __builtin_popcount(x->views);
    return true;
}

/* rows r[0..n) of one exam, sorted by member then image. */
static bool aggregate(const scores_row *const *r, int64_t n, const struct rule *rule, exam_row *x,
                      int *members, err *e)
{
    if (!merge_facts(r, n, x, e))
        return false;
    ksum all = {0};
    int64_t first = 0;
    *members = 0;
    for (int64_t i = 0; i < n;) {
        int64_t end = i + 1;
        while (end < n && !strcmp(r[end]->member, r[i]->member))
            end++;
        if (!first)
            first = end;
        bool same = end - i == first;
        for (int64_t k = 0; same && k < first; k++)
            same = !strcmp(r[i + k]->image, r[k]->image);
        if (!same)
            return contradiction(r[0], r[i], "sets of images from two networks", e);
        ksum_add(&all, rule->fn(r + i, end - i));
        ++*members;
        i = end;
    }
    x->n_images = (int)first;
    x->score = exam_round(ksum_mean(&all));
    return true;
}

/* ---- the table ------------------------------------------------------------------------------- */

typedef struct numbered {
    const char *patient;
    int64_t row;
} numbered;

static int cmp_patient(const void *x, const void *y)
{
    const numbered *a = x, *b = y;
    int c = strcmp(a->patient, b->patient);
    return c ? c : (a->row > b->row) - (a->row < b->row);
}

void exam_number_patients(exam_table *t)
{
    numbered *p = MEM_ARRAY(numbered, t->n + 1);
    for (int64_t i = 0; i < t->n; i++)
        p[i] = (numbered){t->row[i].patient, i};
    qsort(p, (size_t)t->n, sizeof *p, cmp_patient);
    int index = -1;
    for (int64_t i = 0; i < t->n; i++) {
        if (!i || strcmp(p[i].patient, p[i - 1].patient))
            index++;
        t->row[p[i].row].patient_index = index;
    }
    t->n_patients = index + 1;
    mem_free(p);
}

static bool rule_applies(const scores *s, const struct rule *rule, err *e)
{
    for (int64_t i = 0; i < s->n; i++) {
        const scores_row *r = &s->row[i];
        bool side = r->side == 'L' || r->side == 'R', view = r->view == 'C' || r->view == 'M';
        if ((rule->needs_side && !side) || (rule->needs_view && !view))
            return err_set(e, ERR_INPUT,
                           "predictions: exam rule '%s' needs %s of every image; line %d has none",
                           rule->name, side ? "the view (CC or MLO)" : "the laterality (L or R)",
                           r->line);
    }
    return true;
}

/* Exams among n rows in the order of their exams. */
static int64_t exams_in(const scores_row *const *p, int64_t n)
{
    int64_t count = 0;
    for (int64_t i = 0; i < n; i++)
        count += !i || strcmp(p[i]->exam, p[i - 1]->exam) != 0;
    return count;
}

bool exam_build(const scores *s, exam_rule rule, exam_table *out, err *e)
{
    memset(out, 0, sizeof *out);
    exam_rule_name(rule); /* BUG on a rule that does not exist */
    if (!rule_applies(s, &rules[rule], e))
        return false;
    const scores_row **p = MEM_ARRAY(const scores_row *, s->n + 1);
    bool sorted = true; /* as scores_read leaves them */
    for (int64_t i = 0; i < s->n; i++) {
        p[i] = &s->row[i];
        sorted = sorted && (!i || cmp_row(&p[i - 1], &p[i]) <= 0);
    }
    if (!sorted)
        qsort(p, (size_t)s->n, sizeof *p, cmp_row);
    out->row = MEM_ARRAY(exam_row, exams_in(p, s->n) + 1);
    bool ok = true;
    int members = 0;
    for (int64_t i = 0; ok && i < s->n;) {
        int64_t end = i + 1;
        int m;
        while (end < s->n && !strcmp(p[end]->exam, p[i]->exam))
            end++;
        ok = aggregate(p + i, end - i, &rules[rule], &out->row[out->n], &m, e);
        if (ok && i && m != members)
            ok = err_set(e, ERR_INPUT,
                         "predictions: exams were scored by %d and by %d networks; every network "
                         "must score every exam",
                         members < m ? members : m, members < m ? m : members);
        members = m;
        out->n++;
        i = end;
    }
    mem_free(p);
    if (!ok) {
        exam_release(out);
        return false;
    }
    exam_number_patients(out);
    return true;
}

void exam_release(exam_table *t)
{
    if (!t)
        return;
    mem_free(t->row);
    memset(t, 0, sizeof *t);
}
