/* Random data against O(n^2) twins: AUC, its clustered variance, invariances. The seed is printed
 * when a property fails. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "core/mem.h"
#include "core/rng.h"
#include "eval/exam.h"
#include "eval/metric.h"
#include <math.h>

#define ROUNDS 200
#define N_MAX  80

typedef struct sample {
    double s[N_MAX], w[N_MAX];
    int y[N_MAX], c[N_MAX];
    int n, n_clusters;
} sample;

static void draw(sample *d, uint64_t seed)
{
    rng r;
    rng_init(&r, seed, RNG_TEST, 1, 0);
    d->n = 8 + (int)rng_below(&r, N_MAX - 8);
    d->n_clusters = 3 + (int)rng_below(&r, (uint32_t)d->n);
    int levels = 2 + (int)rng_below(&r, 30); /* few levels: many ties */
    for (int i = 0; i < d->n; i++) {
        d->s[i] = rng_below(&r, (uint32_t)levels) / (double)levels;
        d->y[i] = i < 2 ? i : (int)rng_below(&r, 2);
        d->w[i] = 0.25 * (1 + rng_below(&r, 8));
        d->c[i] = (int)rng_below(&r, (uint32_t)d->n_clusters);
    }
}

static metric_in input(const sample *d, bool weights)
{
    return (metric_in){d->s, d->y, weights ? d->w : NULL, d->c, d->n, d->n_clusters, false};
}

static double psi(double x, double y)
{
    return x > y ? 1 : x == y ? .5 : 0;
}

/* Straight from the definitions of evaluation.md 2 and 4, pair by pair. */
static void twin(const sample *d, bool weights, double *auc, double *var)
{
    double w1 = 0, w0 = 0, a = 0;
    for (int i = 0; i < d->n; i++)
        *(d->y[i] ? &w1 : &w0) += weights ? d->w[i] : 1;
    for (int i = 0; i < d->n; i++)
        for (int j = 0; j < d->n; j++)
            if (d->y[i] && !d->y[j])
                a += (weights ? d->w[i] * d->w[j] : 1) * psi(d->s[i], d->s[j]);
    *auc = a / (w1 * w0);
    double s10 = 0, s01 = 0, s11 = 0;
    int k = 0, k10 = 0, k01 = 0;
    for (int c = 0; c < d->n_clusters; c++) {
        double u1 = 0, u0 = 0;
        int n1 = 0, n0 = 0;
        for (int i = 0; i < d->n; i++) {
            if (d->c[i] != c)
                continue;
            double v = 0;
            for (int j = 0; j < d->n; j++)
                if (d->y[j] != d->y[i])
                    v += (weights ? d->w[j] : 1) *
                         (d->y[i] ? psi(d->s[i], d->s[j]) : psi(d->s[j], d->s[i]));
            v = v / (d->y[i] ? w0 : w1) - *auc;
            *(d->y[i] ? &u1 : &u0) += (weights ? d->w[i] : 1) * v;
            d->y[i] ? n1++ : n0++;
        }
        s10 += u1 * u1;
        s01 += u0 * u0;
        s11 += u1 * u0;
        k += n1 + n0 > 0;
        k10 += n1 > 0;
        k01 += n0 > 0;
    }
    *var = s10 * k10 / (k10 - 1.) / (w1 * w1) + s01 * k01 / (k01 - 1.) / (w0 * w0) +
           2 * s11 * k / (k - 1.) / (w1 * w0);
}

static void check(double got, double want, uint64_t seed)
{
    if (!(fabs(got - want) < 1e-11) && !(isnan(got) && !isfinite(want)))
        fail_msg("seed %llu: got %.17g, want %.17g", (unsigned long long)seed, got, want);
}

static void auc_and_variance_equal_the_twin(void **state)
{
    for (uint64_t seed = 1; seed <= ROUNDS; seed++) {
        sample d;
        draw(&d, seed);
        for (int weights = 0; weights < 2; weights++) {
            double a, v;
            metric_in in = input(&d, weights);
            metric_value m = metric_auc(&in);
            twin(&d, weights, &a, &v);
            check(m.value, a, seed);
            if (v > 1e-15)
                check(m.var, v, seed);
            check(metric_table[0].point(&in), a, seed);
        }
    }
}

static void one_exam_per_patient_is_delong(void **state)
{
    for (uint64_t seed = 1; seed <= ROUNDS; seed++) {
        sample d;
        draw(&d, seed);
        for (int i = 0; i < d.n; i++)
            d.c[i] = i;
        d.n_clusters = d.n;
        metric_in a = input(&d, false), b = a;
        b.cluster = NULL;
        metric_value x = metric_auc(&a), y = metric_auc(&b);
        check(x.var, y.var, seed);
        assert_string_equal(x.ci, y.ci);
    }
}

static void reversal_and_monotone_maps(void **state)
{
    for (uint64_t seed = 1; seed <= ROUNDS; seed++) {
        sample d, e;
        draw(&d, seed);
        e = d;
        for (int i = 0; i < d.n; i++)
            e.s[i] = exp(3 * d.s[i]);
        metric_in a = input(&d, true), b = input(&e, true);
        check(metric_auc(&b).value, metric_auc(&a).value, seed);
        check(metric_auc(&b).var, metric_auc(&a).var, seed);
        for (int i = 0; i < d.n; i++)
            e.s[i] = -d.s[i];
        check(metric_auc(&b).value, 1 - metric_auc(&a).value, seed);
    }
}

static void order_of_rows_changes_no_bit_of_the_auc(void **state)
{
    for (uint64_t seed = 1; seed <= ROUNDS; seed++) {
        sample d, e;
        rng r;
        int64_t order[N_MAX];
        draw(&d, seed);
        rng_init(&r, seed, RNG_TEST, 2, 0);
        for (int i = 0; i < d.n; i++)
            order[i] = i;
        rng_shuffle(&r, d.n, order);
        e = d;
        for (int i = 0; i < d.n; i++) {
            e.s[i] = d.s[order[i]];
            e.y[i] = d.y[order[i]];
            e.c[i] = d.c[order[i]];
        }
        metric_in a = input(&d, false), b = input(&e, false);
        assert_true(metric_auc(&a).value == metric_auc(&b).value);
    }
}

/* Images of random exams in any order give the same bits; twice every image changes nothing. */
static void exams_ignore_image_order_and_copies(void **state)
{
    for (uint64_t seed = 1; seed <= ROUNDS; seed++) {
        rng r;
        scores s[3];
        exam_table t[3];
        scores_row row[60];
        char name[60][3][16];
        int64_t order[60];
        rng_init(&r, seed, RNG_TEST, 3, 0);
        for (int i = 0; i < 60; i++) {
            snprintf(name[i][0], sizeof name[i][0], "e%u", rng_below(&r, 15));
            snprintf(name[i][1], sizeof name[i][1], "i%d", i);
            snprintf(name[i][2], sizeof name[i][2], "j%d", i);
            row[i] = (scores_row){.exam = name[i][0],
                                  .patient = name[i][0],
                                  .image = name[i][1],
                                  .side = '?',
                                  .view = '?',
                                  .score = rng_f64(&r),
                                  .t_years = NAN,
                                  .event = -1,
                                  .weight = 1};
            order[i] = i;
        }
        rng_shuffle(&r, 60, order);
        for (int k = 0; k < 3; k++)
            scores_init(&s[k]);
        for (int i = 0; i < 60; i++) {
            scores_add(&s[0], &row[i]);
            scores_add(&s[1], &row[order[i]]);
            scores_add(&s[2], &row[i]);
            scores_row copy = row[i];
            copy.image = name[i][2];
            scores_add(&s[2], &copy);
        }
        for (int k = 0; k < 3; k++)
            assert_true(exam_build(&s[k], EXAM_MEAN_IMAGES, &t[k], NULL));
        for (int64_t i = 0; i < t[0].n; i++) {
            if (t[0].row[i].score != t[1].row[i].score || t[0].row[i].score != t[2].row[i].score)
                fail_msg("seed %llu: exam %lld", (unsigned long long)seed, (long long)i);
            assert_int_equal(t[2].row[i].n_images, 2 * t[0].row[i].n_images);
        }
        for (int k = 0; k < 3; k++) {
            exam_release(&t[k]);
            scores_release(&s[k]);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(auc_and_variance_equal_the_twin),
        cmocka_unit_test(one_exam_per_patient_is_delong),
        cmocka_unit_test(reversal_and_monotone_maps),
        cmocka_unit_test(order_of_rows_changes_no_bit_of_the_auc),
        cmocka_unit_test(exams_ignore_image_order_and_copies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
