/* Helper of test_eval_coverage.sh: how often the interval of the AUC holds the truth.
 * eval_coverage COHORTS CONTROLS SEED draws COHORTS cohorts per cell of a grid of true AUC and
 * number of cancers, CONTROLS controls per cancer, and prints one line per cell, tab-separated:
 * AUC, cancers, mean number of exams and of patients, share of cohorts whose headline interval
 * holds the truth (metric_auc_report, clustered by patient), the same for plain DeLong, which
 * ignores repeated exams, mean widths of both, mean AUC, and cohorts without an interval.
 *
 * The model: a patient has 1 to 5 exams, all as likely. One exam, or the last two, of a patient
 * with cancer are cases, her others controls. Score = mu y + sqrt(rho) u + sqrt(1 - rho) e, u of
 * the patient and e of the exam standard normal, so that two women's exams are in the right order
 * with probability Phi(mu / sqrt 2): the true AUC, exact but for the few pairs inside one woman. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "core/pool.h"
#include "core/rng.h"
#include "core/text.h"
#include "eval/metric.h"

#define RHO       0.5 /* correlation of two exams of one patient */
#define EXAMS_MAX 5

static const double true_auc[] = {.6, .7, .85};
static const int n_cases[] = {20, 100, 500};

typedef struct cohort {
    double *score;
    int *y, *patient;
    int64_t n, cap;
    int patients;
} cohort;

typedef struct outcome {
    bool held, held_delong, undefined;
    double width, width_delong, auc, exams, patients;
} outcome;

typedef struct cell {
    double auc;
    int cases, controls, index;
    uint64_t seed;
    cohort *scratch; /* one per thread */
    outcome *out;    /* one per cohort */
} cell;

/* mu with Phi(mu / sqrt 2) = auc, by bisection. */
static double separation(double auc)
{
    double lo = 0, hi = 10;
    for (int i = 0; i < 200; i++) {
        double mid = (lo + hi) / 2;
        *(0.5 * erfc(-mid / 2) < auc ? &lo : &hi) = mid;
    }
    return lo;
}

/* A patient: `exams` exams of which the last `cases` have cancer. */
static void add_patient(cohort *c, rng *r, double mu, int exams, int cases)
{
    double u = rng_normal(r);
    for (int k = 0; k < exams; k++) {
        if (c->n == c->cap)
            BUG("a cohort of more than %lld exams", (long long)c->cap);
        int y = k >= exams - cases;
        c->score[c->n] = mu * y + sqrt(RHO) * u + sqrt(1 - RHO) * rng_normal(r);
        c->y[c->n] = y;
        c->patient[c->n++] = c->patients;
    }
    c->patients++;
}

static void draw(const cell *cl, int64_t index, cohort *c)
{
    rng r;
    rng_init(&r, cl->seed, RNG_TEST, (uint64_t)index, (uint64_t)cl->index);
    double mu = separation(cl->auc);
    int cases = 0, controls = 0;
    c->n = c->patients = 0;
    while (cases < cl->cases) {
        int exams = 1 + (int)rng_below(&r, EXAMS_MAX);
        int k = exams == 1 ? 1 : 1 + (int)rng_below(&r, 2);
        if (k > cl->cases - cases)
            k = cl->cases - cases;
        add_patient(c, &r, mu, exams, k);
        cases += k;
        controls += exams - k;
    }
    while (controls < cl->controls) {
        int exams = 1 + (int)rng_below(&r, EXAMS_MAX);
        if (exams > cl->controls - controls)
            exams = cl->controls - controls;
        add_patient(c, &r, mu, exams, 0);
        controls += exams;
    }
}

static void one_cohort(void *ctx, int64_t i, int thread)
{
    const cell *cl = ctx;
    cohort *c = &cl->scratch[thread];
    draw(cl, i, c);
    metric_in in = {c->score, c->y, NULL, c->patient, c->n, c->patients, false};
    metric_value head = metric_auc_report(&in);
    in.cluster = NULL;
    in.n_clusters = 0;
    metric_value delong = metric_auc(&in);
    cl->out[i] = (outcome){.held = head.lo <= cl->auc && cl->auc <= head.hi,
                           .held_delong = delong.lo <= cl->auc && cl->auc <= delong.hi,
                           .undefined = isnan(head.lo) || isnan(delong.lo),
                           .width = head.hi - head.lo,
                           .width_delong = delong.hi - delong.lo,
                           .auc = head.value,
                           .exams = (double)c->n,
                           .patients = c->patients};
}

static void print_cell(const cell *cl, int64_t cohorts)
{
    double held = 0, delong = 0, undefined = 0, w = 0, wd = 0, auc = 0, exams = 0, patients = 0;
    for (int64_t i = 0; i < cohorts; i++) {
        const outcome *o = &cl->out[i];
        held += o->held;
        delong += o->held_delong;
        undefined += o->undefined;
        exams += o->exams;
        patients += o->patients;
        w += o->undefined ? 0 : o->width;
        wd += o->undefined ? 0 : o->width_delong;
        auc += o->undefined ? 0 : o->auc;
    }
    double n = (double)cohorts, defined = n - undefined;
    printf("%.2f\t%d\t%.0f\t%.0f\t%.4f\t%.4f\t%.4f\t%.4f\t%.4f\t%.0f\n", cl->auc, cl->cases,
           exams / n, patients / n, held / n, delong / n, w / defined, wd / defined, auc / defined,
           undefined);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    int64_t cohorts, controls, seed;
    if (argc != 4 || !text_i64(argv[1], &cohorts) || !text_i64(argv[2], &controls) ||
        !text_i64(argv[3], &seed) || cohorts < 1 || controls < 2) {
        fprintf(stderr, "usage: eval_coverage COHORTS CONTROLS SEED\n");
        return 2;
    }
    pool *p = pool_new(0);
    int threads = pool_threads(p);
    cohort *scratch = MEM_ARRAY(cohort, (size_t)threads);
    int64_t cap = (controls + 2 * EXAMS_MAX) * n_cases[COUNT_OF(n_cases) - 1] + EXAMS_MAX;
    for (int t = 0; t < threads; t++)
        scratch[t] = (cohort){.score = MEM_ARRAY(double, (size_t)cap),
                              .y = MEM_ARRAY(int, (size_t)cap),
                              .patient = MEM_ARRAY(int, (size_t)cap),
                              .cap = cap};
    outcome *out = MEM_ARRAY(outcome, (size_t)cohorts);
    for (int a = 0, index = 0; a < (int)COUNT_OF(true_auc); a++)
        for (int e = 0; e < (int)COUNT_OF(n_cases); e++, index++) {
            cell cl = {true_auc[a], n_cases[e], (int)controls * n_cases[e], index, (uint64_t)seed,
                       scratch,     out};
            pool_for(p, cohorts, one_cohort, &cl);
            print_cell(&cl, cohorts);
        }
    for (int t = 0; t < threads; t++) {
        mem_free(scratch[t].score);
        mem_free(scratch[t].y);
        mem_free(scratch[t].patient);
    }
    mem_free(scratch);
    mem_free(out);
    pool_free(p);
    return 0;
}
