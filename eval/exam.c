/* Image scores -> exam scores. The rows of an exam are first put in a canonical order and summed
 * with compensation, so the result does not depend on the order of the table. evaluation.md 1
 * and 13. */
#include "eval/exam.h"
#include "core/mem.h"
#include "eval/calibrate.h"
#include "eval/ksum.h"

#define ROUND_STEPS 1e12 /* 12 decimals */

double exam_round(double score)
{
    return nearbyint(score * ROUND_STEPS) / ROUND_STEPS;
}

/* ---- the rules: n rows of one exam and one member -> score ----------------------------------- */

/* `year`: -1 the score, else the risk of that column. */
typedef double rule_fn(const scores_row *const *r, int64_t n, int year);

static double score_of(const scores_row *r, int year)
{
    return year < 0 ? r->score : r->more->year[year];
}

static double rule_mean_images(const scores_row *const *r, int64_t n, int year)
{
    ksum k = {0};
    for (int64_t i = 0; i < n; i++)
        ksum_add(&k, score_of(r[i], year));
    return ksum_mean(&k);
}

static int view_index(const scores_row *r)
{
    return (r->side == 'L') + 2 * (r->view == 'M'); /* RCC LCC RMLO LMLO */
}

static double rule_mean_views(const scores_row *const *r, int64_t n, int year)
{
    ksum view[4] = {0}, all = {0};
    for (int64_t i = 0; i < n; i++)
        ksum_add(&view[view_index(r[i])], score_of(r[i], year));
    for (int v = 0; v < 4; v++)
        if (view[v].n)
            ksum_add(&all, ksum_mean(&view[v]));
    return ksum_mean(&all);
}

static double rule_max_breast(const scores_row *const *r, int64_t n, int year)
{
    ksum breast[2] = {0};
    for (int64_t i = 0; i < n; i++)
        ksum_add(&breast[r[i]->side == 'L'], score_of(r[i], year));
    double best = 0;
    for (int b = 0; b < 2; b++)
        if (breast[b].n)
            best = fmax(best, ksum_mean(&breast[b]));
    return best;
}

static double rule_max_images(const scores_row *const *r, int64_t n, int year)
{
    double best = 0;
    for (int64_t i = 0; i < n; i++)
        best = fmax(best, score_of(r[i], year));
    return best;
}

static double rule_mean_logit(const scores_row *const *r, int64_t n, int year)
{
    ksum k = {0};
    for (int64_t i = 0; i < n; i++)
        ksum_add(&k, calibrate_logit(score_of(r[i], year), NULL));
    return calibrate_risk(ksum_mean(&k));
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
static bool merge_facts(const scores_row *const *r, int64_t n, exam_row *x, const char **fact,
                        err *e)
{
    const scores_row *a = r[0];
    bool unknown = false;
    const scores_row *t = NULL, *event = NULL, *age = NULL, *day = NULL;
    x->exam = a->exam;
    x->patient = a->patient;
    x->weight = a->weight;
    x->split = a->split;
    x->vendor = x->device_model = x->site = x->density = "";
    for (int k = 0; a->more && k < a->more->n_facts; k++)
        fact[k] = "";
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
        for (int k = 0; b->more && k < b->more->n_facts; k++)
            fact[k] = agreed(fact[k], b->more->fact[k]);
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

/* Mean over members of the rule's result; `first` images each. */
static double mean_members(const scores_row *const *r, int64_t n, int64_t first,
                           const struct rule *rule, int year)
{
    ksum all = {0};
    for (int64_t i = 0; i < n; i += first)
        ksum_add(&all, rule->fn(r + i, first, year));
    return exam_round(ksum_mean(&all));
}

/* rows r[0..n) of one exam, sorted by member then image. */
static bool aggregate(const scores_row *const *r, int64_t n, const struct rule *rule, exam_row *x,
                      int *members, err *e)
{
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
        ++*members;
        i = end;
    }
    x->n_images = (int)first;
    x->score = mean_members(r, n, first, rule, -1);
    for (int k = 0; r[0]->more && k < r[0]->more->n_years; k++)
        x->year[k] = mean_members(r, n, first, rule, k);
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

/* The tables of n exams; every row gets its part of the risks and facts. */
static void make_room(exam_table *t, const scores *s, int64_t n)
{
    t->n_years = s->n_years;
    t->n_facts = s->n_facts;
    t->fact_name = s->fact_name;
    t->row = MEM_ARRAY(exam_row, n + 1);
    t->year = MEM_ARRAY(double, n * t->n_years + 1);
    t->fact = MEM_ARRAY(const char *, n * t->n_facts + 1);
    for (int64_t i = 0; i < n; i++) {
        t->row[i].year = t->year + i * t->n_years;
        t->row[i].fact = t->fact + i * t->n_facts;
    }
}

void exam_copy(const exam_table *from, exam_table *to)
{
    *to = *from;
    to->row = MEM_ARRAY(exam_row, from->n + 1);
    to->year = MEM_ARRAY(double, from->n * from->n_years + 1);
    to->fact = MEM_ARRAY(const char *, from->n * from->n_facts + 1);
    for (int64_t i = 0; i < from->n; i++) {
        double *year = to->year + i * to->n_years;
        const char **fact = to->fact + i * to->n_facts;
        to->row[i] = from->row[i];
        memcpy(year, from->row[i].year, (size_t)to->n_years * sizeof *year);
        memcpy(fact, from->row[i].fact, (size_t)to->n_facts * sizeof *fact);
        to->row[i].year = year;
        to->row[i].fact = fact;
    }
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
    make_room(out, s, exams_in(p, s->n));
    bool ok = true;
    int members = 0;
    for (int64_t i = 0; ok && i < s->n;) {
        int64_t end = i + 1;
        int m = members;
        exam_row *x = &out->row[out->n];
        while (end < s->n && !strcmp(p[end]->exam, p[i]->exam))
            end++;
        ok = merge_facts(p + i, end - i, x, out->fact + out->n * out->n_facts, e) &&
             aggregate(p + i, end - i, &rules[rule], x, &m, e);
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
    mem_free(t->year);
    mem_free(t->fact);
    memset(t, 0, sizeof *t);
}

int exam_fact(const exam_table *t, const char *name)
{
    for (int k = 0; k < t->n_facts; k++)
        if (!strcmp(t->fact_name[k], name))
            return k;
    return -1;
}
