/* Calibration: lines and when they have no finite answer, sums, groups, calibration error. The data
 * set SYN-40 stands in evaluation.md 15. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "core/rng.h"
#include "eval/calibrate.h"
#include "tests/unit/eval_syn40.h"
#include <math.h>

static void near(double got, double want, double tol)
{
    if (!(fabs(got - want) <= tol))
        fail_msg("got %.15g, want %.15g", got, want);
}

static metric_in rows(const double *s, const int *y, int64_t n)
{
    return (metric_in){s, y, NULL, NULL, n, 0, false};
}

static void logits_are_clipped(void **state)
{
    int64_t clipped = 0;
    near(calibrate_logit(0.5, &clipped), 0, 0);
    assert_int_equal(clipped, 0);
    near(calibrate_logit(0, &clipped), log(1e-7 / (1 - 1e-7)), 1e-12);
    near(calibrate_logit(1, &clipped), -calibrate_logit(0, NULL), 1e-8);
    assert_int_equal(clipped, 2);
    near(calibrate_risk(calibrate_logit(0.3, NULL)), 0.3, 1e-15);
}

/* At the maximum the residuals sum to zero, alone and against the logit. */
static void slope_solves_its_equations(void **state)
{
    metric_in in = rows(syn_a, syn_y, 40);
    calibrate_line l = calibrate_slope(&in);
    double g0 = 0, g1 = 0;
    assert_null(l.reason);
    for (int i = 0; i < 40; i++) {
        double x = calibrate_logit(syn_a[i], NULL), r = syn_y[i] - calibrate_risk(l.a + l.b * x);
        g0 += r;
        g1 += r * x;
    }
    near(g0, 0, 1e-12);
    near(g1, 0, 1e-12);
    near(l.se_b, 0.399749665445818, 1e-12); /* R glm, epsilon 1e-14 */
    near(l.se_a, 0.358404113381979, 1e-12);
    assert_int_equal(l.n, 40);
    assert_int_equal(l.events, 20);
    assert_false(l.repeated);
    calibrate_line a = calibrate_intercept(&in), t = calibrate_scale(&in);
    g0 = g1 = 0;
    for (int i = 0; i < 40; i++) {
        double x = calibrate_logit(syn_a[i], NULL);
        g0 += syn_y[i] - calibrate_risk(a.a + x);
        g1 += x * (syn_y[i] - calibrate_risk(t.b * x));
    }
    near(g0, 0, 1e-12);
    near(g1, 0, 1e-12);
    near(a.b, 1, 0);
    near(a.se_b, 0, 0);
    near(t.a, 0, 0);
}

/* A saturated table has a closed form: two risks, cases 3 of 10 and 6 of 9. */
static void two_risks_are_exact(void **state)
{
    double s[19];
    int y[19];
    for (int i = 0; i < 19; i++) {
        s[i] = i < 10 ? .2 : .7;
        y[i] = i < 10 ? i < 3 : i < 16;
    }
    metric_in in = rows(s, y, 19);
    calibrate_line l = calibrate_slope(&in);
    double x0 = log(.2 / .8), x1 = log(.7 / .3), e0 = log(3. / 7), e1 = log(6. / 3);
    double b = (e1 - e0) / (x1 - x0), var = 1 / 3. + 1 / 7. + 1 / 6. + 1 / 3.;
    near(l.b, b, 1e-13);
    near(l.a, e0 - b * x0, 1e-13);
    near(l.se_b, sqrt(var) / (x1 - x0), 1e-13);
    near(l.robust_b, l.se_b * sqrt(19. / 18), 1e-13); /* saturated: the sandwich is the model's */
}

static void no_finite_answer(void **state)
{
    const double s[] = {.1, .2, .6, .7}, half[] = {.5, .5, .5, .5}, odd[] = {.1, .2, 1.5, .7};
    const int parted[] = {0, 0, 1, 1}, turned[] = {1, 1, 0, 0}, ones[] = {1, 1, 1, 1};
    const int mixed[] = {0, 1, 0, 1};
    const struct {
        const double *s;
        const int *y;
        const char *slope, *intercept, *scale;
    } row[] = {
        {s, parted, "SEPARATION", NULL, "SEPARATION"},
        {s, turned, "SEPARATION", NULL, "SEPARATION"},
        {s, ones, "ONE_CLASS", "ONE_CLASS", "ONE_CLASS"},
        {half, mixed, "CONSTANT", NULL, "CONSTANT"},
        {odd, mixed, "NOT_RISK", "NOT_RISK", "NOT_RISK"},
    };
    for (size_t i = 0; i < COUNT_OF(row); i++) {
        metric_in in = rows(row[i].s, row[i].y, 4);
        const calibrate_line l[] = {calibrate_slope(&in), calibrate_intercept(&in),
                                    calibrate_scale(&in)};
        const char *want[] = {row[i].slope, row[i].intercept, row[i].scale};
        for (int k = 0; k < 3; k++) {
            if (!want[k])
                assert_null(l[k].reason);
            else
                assert_string_equal(l[k].reason, want[k]);
            assert_int_equal(isnan(l[k].b), want[k] != NULL);
        }
    }
    /* touching at one risk is still apart; one row across is not */
    const double touch[] = {.1, .3, .3, .7}, cross[] = {.1, .4, .3, .7};
    metric_in in = rows(touch, parted, 4);
    assert_string_equal(calibrate_slope(&in).reason, "SEPARATION");
    in = rows(cross, parted, 4);
    assert_null(calibrate_slope(&in).reason);
    in.n = 0;
    assert_string_equal(calibrate_slope(&in).reason, "ONE_CLASS");
}

static void zero_and_one_are_counted(void **state)
{
    const double s[] = {0, 0, 1, 1, .5, .5};
    const int y[] = {0, 1, 1, 0, 1, 0};
    metric_in in = rows(s, y, 6);
    calibrate_line l = calibrate_slope(&in);
    assert_null(l.reason);
    assert_int_equal(l.clipped, 4);
    near(l.b, 0, 1e-12);
    calibrate_total t = calibrate_sums(&in);
    assert_int_equal(t.clipped, 4);
    near(t.log_loss, (2 * log(2) - 2 * log(1e-7) - 2 * log1p(-1e-7)) / 6, 1e-9);
    near(t.brier, 2.5 / 6, 1e-15);
}

/* Weights that are counts equal repeated rows; the sandwich then sees the copies as one patient. */
static void weights_and_clusters(void **state)
{
    double s[60], w[40];
    int y[60], c[60], own[40];
    int64_t n = 0;
    for (int i = 0; i < 40; i++) {
        w[i] = i % 2 ? 1 : 2;
        own[i] = i;
        for (int k = 0; k < w[i]; k++, n++) {
            s[n] = syn_a[i];
            y[n] = syn_y[i];
            c[n] = i;
        }
    }
    metric_in weighted = {syn_a, syn_y, w, own, 40, 40, false};
    metric_in copies = {s, y, NULL, c, n, 40, false};
    calibrate_line a = calibrate_slope(&weighted), b = calibrate_slope(&copies);
    near(a.b, b.b, 1e-12);
    near(a.se_b, b.se_b, 1e-12);
    near(a.robust_b, b.robust_b, 1e-12);
    assert_true(a.repeated && b.repeated);
    assert_true(fabs(a.robust_b - a.se_b) > 1e-3);
    calibrate_total ta = calibrate_sums(&weighted), tb = calibrate_sums(&copies);
    near(ta.oe, tb.oe, 1e-14);
    near(ta.brier, tb.brier, 1e-14);
    near(ta.log_loss, tb.log_loss, 1e-14);
    for (int i = 0; i < 40; i++)
        w[i] = i < 20 ? 1 : 0; /* weight 0 leaves a row out */
    metric_in first = rows(syn_a, syn_y, 20);
    near(calibrate_slope(&weighted).b, calibrate_slope(&first).b, 1e-12);
    assert_int_equal(calibrate_sums(&weighted).n, 20);
}

static void sums_of_one_class(void **state)
{
    const double s[] = {.1, .3};
    const int y[] = {0, 0};
    metric_in in = rows(s, y, 2);
    calibrate_total t = calibrate_sums(&in);
    near(t.oe, 0, 0);
    near(t.oe_lo, 0, 0);
    near(t.oe_hi, -log(.025) / .4, 1e-11);
    near(t.brier, .05, 1e-15);
    assert_true(isnan(t.brier_scaled));
    assert_string_equal(t.reason, "ONE_CLASS");
    in.n = 0;
    assert_string_equal(calibrate_sums(&in).reason, "EMPTY");
}

/* Classes mixed anew: cases weigh .02, controls 1.25. A group without a case (or a control) has the
 * limits of its plain count, moved to the new mix like any share; not those of its own weights,
 * which know nothing of what the other class weighs. */
static void a_group_of_one_class_is_moved_to_the_mix(void **state)
{
    enum { N = 60 };
    const double odds = .02 / 1.25, z2 = METRIC_Z95 * METRIC_Z95;
    double s[N], w[N];
    int y[N], of[N];
    calibrate_group g[3];
    for (int i = 0; i < N; i++) {
        of[i] = i / 20;
        y[i] = of[i] == 2 || (of[i] == 1 && i % 2);
        s[i] = .2 + .3 * of[i];
        w[i] = y[i] ? .02 : 1.25;
    }
    metric_in in = rows(s, y, N);
    in.weight = w;
    assert_int_equal(calibrate_groups_of(&in, of, 3, g), 3);
    double high = z2 / (20 + z2), low = 20 / (20 + z2); /* Wilson: 0 of 20, 20 of 20 */
    near(g[0].lo, 0, 1e-15);
    near(g[0].hi / (1 - g[0].hi), odds * high / (1 - high), 1e-12);
    near(g[2].lo / (1 - g[2].lo), odds * low / (1 - low), 1e-12);
    near(g[2].hi, 1, 1e-15);
    near(calibrate_event_scale(&g[0]), .02, 1e-15);
    in.weight = NULL;
    assert_int_equal(calibrate_groups_of(&in, of, 3, g), 3);
    near(g[0].hi, high, 1e-15);
    near(calibrate_event_scale(&g[0]), 1, 1e-15);
}

static void groups_of_equal_width(void **state)
{
    const double s[] = {.1, .2, .3, .4, .65, .7, .8, .9, 1}; /* G3 */
    const int y[] = {0, 0, 0, 0, 1, 1, 1, 1, 1};
    metric_in in = rows(s, y, 9);
    calibrate_group g[10];
    assert_int_equal(calibrate_groups(&in, CALIBRATE_WIDTH, 3, g), 3);
    const double rate[] = {0, .5, 1}, mean[] = {.2, .525, .85};
    for (int k = 0; k < 3; k++) {
        near(g[k].rate, rate[k], 1e-15);
        near(g[k].mean_p, mean[k], 1e-15);
    }
    assert_int_equal(calibrate_groups(&in, CALIBRATE_WIDTH, 10, g), 10);
    assert_int_equal(g[0].n, 0); /* 0.1 belongs to the second, 1 to the last */
    assert_true(isnan(g[0].mean_p) && isnan(g[0].lo));
    assert_int_equal(g[1].n, 1);
    assert_int_equal(g[9].n, 2);
    /* a border as it is written: 0.29 and 0.57 of 100 round down when multiplied */
    const double border[] = {.29, .57, .58};
    calibrate_group h[100];
    metric_in in2 = rows(border, y, 3);
    calibrate_groups(&in2, CALIBRATE_WIDTH, 100, h);
    assert_int_equal(h[29].n + h[57].n + h[58].n, 3);
    assert_int_equal(h[57].n, 1);
}

static void groups_of_equal_count(void **state)
{
    metric_in in = rows(syn_a, syn_y, 40);
    calibrate_group g[10];
    assert_int_equal(calibrate_groups(&in, CALIBRATE_MASS, 7, g), 7);
    int64_t all = 0;
    for (int k = 0; k < 7; k++) {
        assert_int_equal(g[k].n, (k + 1) * 40 / 7 - k * 40 / 7);
        assert_true(!k || g[k].least >= g[k - 1].most);
        assert_int_equal(g[k].tie_split, k && g[k].least == g[k - 1].most);
        all += g[k].n;
    }
    assert_int_equal(all, 40);
    const double same[] = {.3, .3, .3};
    const int y[] = {0, 1, 0};
    metric_in few = rows(same, y, 3);
    assert_int_equal(calibrate_groups(&few, CALIBRATE_MASS, 10, g), 3);
    assert_true(g[1].tie_split && g[2].tie_split && !g[0].tie_split);
    assert_int_equal(g[1].events, 1); /* ties stay in order of rows */
    const double odd[] = {.3, -.1, .3};
    metric_in bad = rows(odd, y, 3);
    assert_int_equal(calibrate_groups(&bad, CALIBRATE_MASS, 10, g), 0);
}

/* Perfect risks: the error that is found is the error that is expected; it shrinks with size. */
static void error_and_its_expectation(void **state)
{
    enum { N = 20000 };
    static double s[N];
    static int y[N];
    rng r;
    rng_init(&r, 11, RNG_TEST, 0, 0);
    for (int i = 0; i < N; i++) {
        s[i] = rng_f64(&r) * .2;
        y[i] = rng_f64(&r) < s[i];
    }
    double last = 1;
    for (int64_t n = 200; n <= N; n *= 10) {
        metric_in in = rows(s, y, n);
        calibrate_error e = calibrate_ece(&in, CALIBRATE_MASS, 10, 5);
        assert_null(e.reason);
        assert_true(e.ece > .2 * e.expected && e.ece < 3 * e.expected);
        assert_true(e.mce >= e.ece);
        assert_true(e.expected < last / 2);
        last = e.expected;
        near(calibrate_ece(&in, CALIBRATE_MASS, 10, 5).expected, e.expected, 0);
        assert_true(calibrate_ece(&in, CALIBRATE_MASS, 10, 6).expected != e.expected);
    }
    metric_in none = rows(s, y, 0);
    assert_string_equal(calibrate_ece(&none, CALIBRATE_WIDTH, 10, 1).reason, "EMPTY");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(logits_are_clipped),
        cmocka_unit_test(slope_solves_its_equations),
        cmocka_unit_test(two_risks_are_exact),
        cmocka_unit_test(no_finite_answer),
        cmocka_unit_test(zero_and_one_are_counted),
        cmocka_unit_test(weights_and_clusters),
        cmocka_unit_test(sums_of_one_class),
        cmocka_unit_test(a_group_of_one_class_is_moved_to_the_mix),
        cmocka_unit_test(sums_of_one_class),
        cmocka_unit_test(groups_of_equal_width),
        cmocka_unit_test(groups_of_equal_count),
        cmocka_unit_test(error_and_its_expectation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
