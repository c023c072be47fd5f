/* Intervals, ratios and tests of counts. Sources: Garwood 1936, Katz 1978, Cochran 1954 and
 * Armitage 1955; the incomplete gamma function by its series and its continued fraction, Student's
 * distribution by its finite series. */
#include "eval/rate.h"
#include "eval/metric.h"
#include <math.h>

#define BISECTIONS  200   /* more than the bits of a double */
#define GAMMA_TERMS 10000 /* far more than either expansion needs below a count of 1e6 */
#define GAMMA_EPS   1e-17

double rate_normal_quantile(double p)
{
    double lo = -40, hi = 40;
    for (int i = 0; i < BISECTIONS; i++) {
        double mid = (lo + hi) / 2;
        if (erfc(-mid / sqrt(2.0)) / 2 < p)
            lo = mid;
        else
            hi = mid;
    }
    return (lo + hi) / 2;
}

/* P(-t < T < t), t >= 0: the finite series for whole degrees of freedom (Abramowitz and Stegun
 * 26.7.3 and 26.7.4). */
static double t_inside(double t, int df)
{
    double angle = atan(t / sqrt(df)), cosine = cos(angle), sum = 0;
    double term = df % 2 ? cosine : 1;
    for (int k = df % 2 ? 3 : 2; k <= df; k += 2) {
        sum += term;
        term *= cosine * cosine * (k - 1) / k;
    }
    return df % 2 ? 2 / M_PI * (angle + sin(angle) * sum) : sin(angle) * sum;
}

double rate_t_quantile(double p, int df)
{
    if (df < 1)
        BUG("rate: %d degrees of freedom", df);
    double inside = fabs(2 * p - 1), lo = 0, hi = 1;
    while (t_inside(hi, df) < inside && hi < 1e15)
        hi *= 2;
    for (int i = 0; i < BISECTIONS; i++) {
        double mid = (lo + hi) / 2;
        *(t_inside(mid, df) < inside ? &lo : &hi) = mid;
    }
    return p < 0.5 ? -lo : lo;
}

/* ---- Poisson --------------------------------------------------------------------------------- */

/* P(X <= x) of Gamma(a), or P(X > x): series of the lower tail below the mean, Lentz's continued
 * fraction of the upper one above. */
static double gamma_tail(double a, double x, bool upper)
{
    if (x <= 0)
        return upper;
    double front = exp(a * log(x) - x - lgamma(a));
    if (x < a + 1) {
        double term = 1 / a, sum = term;
        for (int k = 1; k < GAMMA_TERMS && term > GAMMA_EPS * sum; k++) {
            term *= x / (a + k);
            sum += term;
        }
        return upper ? 1 - front * sum : front * sum;
    }
    double b = x + 1 - a, c = 1e300, d = 1 / b, h = d;
    for (int k = 1; k < GAMMA_TERMS; k++) {
        double an = -k * (k - a);
        b += 2;
        d = 1 / (an * d + b);
        c = b + an / c;
        h *= d * c;
        if (fabs(d * c - 1) < 1e-16)
            break;
    }
    return upper ? front * h : 1 - front * h;
}

static double gamma_quantile(double a, double p)
{
    double lo = 0, hi = a + 20 * sqrt(a) + 50;
    for (int i = 0; i < BISECTIONS; i++) {
        double mid = (lo + hi) / 2;
        if (gamma_tail(a, mid, false) < p)
            lo = mid;
        else
            hi = mid;
    }
    return (lo + hi) / 2;
}

void rate_poisson(double k, double *lo, double *hi)
{
    *lo = k > 0 ? gamma_quantile(k, 0.025) : 0;
    *hi = gamma_quantile(k + 1, 0.975);
}

double rate_chi2(double x, double df)
{
    return gamma_tail(df / 2, x / 2, true);
}

rate_value rate_oe(double observed, double scale, double expected)
{
    rate_value r = {NAN, NAN, NAN, NULL};
    if (!(expected > 0)) {
        r.reason = "NO_EVENTS";
        return r;
    }
    rate_poisson(observed / scale, &r.lo, &r.hi);
    r.value = observed / expected;
    r.lo *= scale / expected;
    r.hi *= scale / expected;
    return r;
}

/* ---- ratios and trend ------------------------------------------------------------------------ */

rate_value rate_ratio(double k1, double n1, double k0, double n0)
{
    rate_value r = {NAN, NAN, NAN, NULL};
    if (!(n1 > 0) || !(n0 > 0)) {
        r.reason = "EMPTY";
        return r;
    }
    if (k0 > 0)
        r.value = (k1 / n1) / (k0 / n0);
    if (!(k0 > 0) || !(k1 > 0)) {
        r.reason = "NO_EVENTS";
        return r;
    }
    double var = 1 / k1 - 1 / n1 + 1 / k0 - 1 / n0, step = METRIC_Z95 * sqrt(fmax(var, 0));
    r.lo = r.value * exp(-step);
    r.hi = r.value * exp(step);
    return r;
}

rate_trend rate_trend_test(const int64_t *events, const int64_t *n, int k)
{
    double total = 0, cases = 0, mean = 0, up = 0, spread = 0;
    for (int i = 0; i < k; i++) {
        total += (double)n[i];
        cases += (double)events[i];
        mean += i * (double)n[i];
    }
    mean /= total;
    double rate = cases / total;
    for (int i = 0; i < k; i++) {
        up += (i - mean) * (double)events[i];
        spread += (i - mean) * (i - mean) * (double)n[i];
    }
    double var = rate * (1 - rate) * spread;
    if (!(var > 0))
        return (rate_trend){NAN, NAN};
    double z = up / sqrt(var);
    return (rate_trend){z, erfc(fabs(z) / sqrt(2.0))};
}

/* ---- prevalence ------------------------------------------------------------------------------ */

double rate_prior_shift(double p, double from, double to)
{
    if (!(from > 0 && from < 1 && to > 0 && to < 1 && p >= 0 && p <= 1))
        return NAN;
    double up = p * to * (1 - from), down = (1 - p) * (1 - to) * from;
    return up / (up + down);
}

double rate_lr_positive(double sens, double spec)
{
    return spec < 1 ? sens / (1 - spec) : NAN;
}

double rate_lr_negative(double sens, double spec)
{
    return spec > 0 ? (1 - sens) / spec : NAN;
}

double rate_nns(double ppv)
{
    return ppv > 0 ? 1 / ppv : NAN;
}
