/* Helper of test_signal.sh: what models without a trained network make of a cohort.
 * signal_probe COHORT.h5 CONFIG.yaml SEED fits ridge logistic regressions on the training exams,
 * takes the penalty with the best validation AUC and prints for the test exams, one line each:
 * NAME AUC LO HI EXAMS CASES. global: age and ten statistics of the prepared images. untrained: the
 * features of the network as it stands before its first step. Both once on the exam's mean features
 * (_exam) and once on each image, averaged over the exam as the report does (_image). */
#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cmd.h"
#include "core/mem.h"
#include "eval/metric.h"
#include "train/loader.h"
#include "train/trainer.h"

enum { N_STATS = 10, N_GLOBAL = N_STATS + 1, BATCH = 16, STEPS = 60, BINS = 65536 };

static const double penalties[] = {1e-2, 1e-1, 1, 10, 100, 1000, 10000};
static const double quantiles[] = {0.05, 0.25, 0.5, 0.75, 0.95};

/* Samples in the rows of the design matrix; an exam is a run of samples with one group number. */
typedef struct data {
    int64_t n;
    int p;        /* columns */
    double *x;    /* [n, p] */
    int *y;       /* [n] */
    int *group;   /* [n] ascending */
    int *patient; /* [n] */
    int8_t *fold; /* [n] cohort_fold */
} data;

typedef struct probe {
    cohort c;
    loader *load;
    int64_t *row; /* rows of train, val and test with a label, in cohort order */
    int64_t n;
    int horizon;
    double mean, sd; /* normalisation that training would use */
} probe;

/* ---- features -------------------------------------------------------------------------------- */

/* out: mean, sd, skewness, kurtosis, five quantiles of the breast's pixels; its share of the image.
 */
static void image_statistics(const uint16_t *image, int64_t n, int64_t *histogram, double *out)
{
    double sum = 0, m2 = 0, m3 = 0, m4 = 0;
    int64_t inside = 0, below = 0;
    memset(histogram, 0, BINS * sizeof *histogram);
    for (int64_t i = 0; i < n; i++)
        histogram[image[i]]++;
    for (int v = 1; v < BINS; v++) {
        inside += histogram[v];
        sum += (double)histogram[v] * v;
    }
    memset(out, 0, N_STATS * sizeof *out);
    if (!inside)
        return;
    double mean = sum / (double)inside;
    for (int v = 1; v < BINS; v++) {
        double d = v - mean, w = (double)histogram[v] / (double)inside;
        m2 += w * d * d;
        m3 += w * d * d * d;
        m4 += w * d * d * d * d;
    }
    out[0] = mean;
    out[1] = sqrt(m2);
    out[2] = m2 > 0 ? m3 / (m2 * sqrt(m2)) : 0;
    out[3] = m2 > 0 ? m4 / (m2 * m2) : 0;
    for (int v = 1, q = 0; v < BINS && q < (int)COUNT_OF(quantiles); v++) {
        below += histogram[v];
        while (q < (int)COUNT_OF(quantiles) && (double)below >= quantiles[q] * (double)inside)
            out[4 + q++] = v;
    }
    out[9] = (double)inside / (double)n;
}

/* Age -1 (unknown) becomes the mean of the known ones. */
static bool global_features(probe *b, double *x, err *e)
{
    int h, w;
    double sum = 0, known = 0;
    bool ok = true;
    loader_size(b->load, &h, &w);
    uint16_t *image = mem_alloc((size_t)h * (size_t)w * sizeof(uint16_t));
    int64_t *histogram = MEM_ARRAY(int64_t, BINS);
    for (int64_t i = 0; i < b->n && ok; i++) {
        ok = loader_image(b->load, b->row[i], image, e);
        if (ok)
            image_statistics(image, (int64_t)h * w, histogram, x + i * N_GLOBAL + 1);
        double age = b->c.row[b->row[i]].age;
        x[i * N_GLOBAL] = age;
        if (age >= 0) {
            sum += age;
            known++;
        }
    }
    for (int64_t i = 0; i < b->n; i++)
        if (x[i * N_GLOBAL] < 0)
            x[i * N_GLOBAL] = known > 0 ? sum / known : 0;
    mem_free(histogram);
    mem_free(image);
    return ok;
}

static bool network_features(probe *b, model *m, backend *be, double *x, err *e)
{
    int d = model_width(m), got;
    run *tape = run_new(be, RUN_INFER);
    float *host = MEM_ARRAY(float, (size_t)BATCH *(size_t)d);
    loader_batch batch;
    loader_plan p = {.row = b->row, .n = b->n, .batch = BATCH, .horizon = b->horizon};
    loader_start(b->load, &p);
    while ((got = loader_next(b->load, &batch, e)) > 0) {
        batch.in.mean = (float)b->mean;
        batch.in.sd = (float)b->sd;
        run_reset(tape);
        run_read(tape, model_features(m, tape, &batch.in), host);
        for (int64_t i = 0; i < (int64_t)batch.in.b * d; i++)
            x[batch.first_row * d + i] = (double)host[i];
    }
    loader_stop(b->load);
    run_free(tape);
    mem_free(host);
    return got == 0;
}

/* ---- samples --------------------------------------------------------------------------------- */

static void data_new(data *s, int64_t n, int p)
{
    *s = (data){.n = n, .p = p};
    s->x = MEM_ARRAY(double, (size_t)(n ? n : 1) * (size_t)p);
    s->y = MEM_ARRAY(int, n ? n : 1);
    s->group = MEM_ARRAY(int, n ? n : 1);
    s->patient = MEM_ARRAY(int, n ? n : 1);
    s->fold = MEM_ARRAY(int8_t, n ? n : 1);
}

static void data_free(data *s)
{
    mem_free(s->x);
    mem_free(s->y);
    mem_free(s->group);
    mem_free(s->patient);
    mem_free(s->fold);
}

static void label_images(const probe *b, data *s)
{
    for (int64_t i = 0; i < b->n; i++) {
        const cohort_row *r = &b->c.row[b->row[i]], *q = i ? &b->c.row[b->row[i - 1]] : NULL;
        s->group[i] = !q ? 0 : s->group[i - 1] + (strcmp(q->exam, r->exam) != 0);
        s->patient[i] = !q ? 0 : s->patient[i - 1] + (strcmp(q->patient, r->patient) != 0);
        s->y[i] = r->y[b->horizon] > 0;
        s->fold[i] = r->fold;
    }
}

static void mean_of_exams(const data *images, data *out)
{
    int64_t exams = images->n ? images->group[images->n - 1] + 1 : 0;
    data_new(out, exams, images->p);
    for (int64_t i = 0; i < images->n;) {
        int64_t first = i;
        int g = images->group[i], p = images->p;
        double *to = out->x + (int64_t)g * p;
        for (; i < images->n && images->group[i] == g; i++)
            for (int k = 0; k < p; k++)
                to[k] += images->x[i * p + k];
        for (int k = 0; k < p; k++)
            to[k] /= (double)(i - first);
        out->group[g] = g;
        out->y[g] = images->y[first];
        out->patient[g] = images->patient[first];
        out->fold[g] = images->fold[first];
    }
}

/* Mean 0 and variance 1 over the training samples. */
static void standardise(data *s)
{
    for (int k = 0; k < s->p; k++) {
        double sum = 0, sq = 0, n = 0;
        for (int64_t i = 0; i < s->n; i++)
            if (s->fold[i] == COHORT_TRAIN) {
                sum += s->x[i * s->p + k];
                n++;
            }
        double mean = n > 0 ? sum / n : 0;
        for (int64_t i = 0; i < s->n; i++)
            if (s->fold[i] == COHORT_TRAIN) {
                double d = s->x[i * s->p + k] - mean;
                sq += d * d;
            }
        double sd = n > 0 && sq > 0 ? sqrt(sq / n) : 1;
        for (int64_t i = 0; i < s->n; i++)
            s->x[i * s->p + k] = (s->x[i * s->p + k] - mean) / sd;
    }
}

/* ---- ridge logistic regression by Newton steps ----------------------------------------------- */

/* Solve a x = b in place for a symmetric positive definite a [n,n]; false when it is not. */
static bool cholesky_solve(double *a, double *b, int n)
{
    for (int j = 0; j < n; j++) {
        double *aj = a + (int64_t)j * n, d = aj[j];
        for (int k = 0; k < j; k++)
            d -= aj[k] * aj[k];
        if (!(d > 0))
            return false;
        aj[j] = sqrt(d);
        for (int i = j + 1; i < n; i++) {
            double *ai = a + (int64_t)i * n, v = ai[j];
            for (int k = 0; k < j; k++)
                v -= ai[k] * aj[k];
            ai[j] = v / aj[j];
        }
    }
    for (int i = 0; i < n; i++) {
        for (int k = 0; k < i; k++)
            b[i] -= a[(int64_t)i * n + k] * b[k];
        b[i] /= a[(int64_t)i * n + i];
    }
    for (int i = n - 1; i >= 0; i--) {
        for (int k = i + 1; k < n; k++)
            b[i] -= a[(int64_t)k * n + i] * b[k];
        b[i] /= a[(int64_t)i * n + i];
    }
    return true;
}

static double margin(const data *s, int64_t i, const double *w)
{
    double z = w[s->p];
    for (int k = 0; k < s->p; k++)
        z += w[k] * s->x[i * s->p + k];
    return z;
}

/* Gradient g and Hessian a (lower triangle) at w; returns the penalised loss. */
static double derivatives(const data *s, double ridge, const double *w, double *g, double *a)
{
    int d = s->p + 1;
    double loss = 0;
    memset(g, 0, (size_t)d * sizeof *g);
    memset(a, 0, (size_t)d * (size_t)d * sizeof *a);
    for (int64_t i = 0; i < s->n; i++) {
        if (s->fold[i] != COHORT_TRAIN)
            continue;
        const double *x = s->x + i * s->p;
        double z = margin(s, i, w), q = 1 / (1 + exp(-z)), v = q * (1 - q), r = q - s->y[i];
        double t = s->y[i] ? -z : z;
        loss += t > 0 ? t + log1p(exp(-t)) : log1p(exp(t));
        for (int k = 0; k < s->p; k++) {
            double vx = v * x[k], *ak = a + (int64_t)k * d;
            g[k] += r * x[k];
            for (int m = 0; m <= k; m++)
                ak[m] += vx * x[m];
            a[(int64_t)s->p * d + k] += vx;
        }
        g[s->p] += r;
        a[(int64_t)s->p * d + s->p] += v;
    }
    for (int k = 0; k < s->p; k++) { /* not the intercept */
        loss += 0.5 * ridge * w[k] * w[k];
        g[k] += ridge * w[k];
        a[(int64_t)k * d + k] += ridge;
    }
    return loss;
}

/* w [p + 1], the intercept last. Newton steps, halved while the loss would grow. */
static bool fit(const data *s, double ridge, double *w, err *e)
{
    int d = s->p + 1;
    size_t square = (size_t)d * (size_t)d;
    double *g = MEM_ARRAY(double, d), *a = MEM_ARRAY(double, square), *next = MEM_ARRAY(double, d),
           *g2 = MEM_ARRAY(double, d), *a2 = MEM_ARRAY(double, square);
    bool done = false;
    memset(w, 0, (size_t)d * sizeof *w);
    double loss = derivatives(s, ridge, w, g, a);
    for (int step = 0; step < STEPS && !done; step++) {
        double size = 1, after = INFINITY;
        if (!cholesky_solve(a, g, d))
            break;
        for (; size > 1e-6 && !(after <= loss); size *= 0.5) {
            for (int k = 0; k < d; k++)
                next[k] = w[k] - size * g[k];
            after = derivatives(s, ridge, next, g2, a2);
        }
        done = !(after < loss - 1e-9 * (1 + fabs(loss)));
        if (after <= loss) {
            memcpy(w, next, (size_t)d * sizeof *w);
            memcpy(g, g2, (size_t)d * sizeof *g);
            memcpy(a, a2, square * sizeof *a);
            loss = after;
        }
    }
    mem_free(g);
    mem_free(a);
    mem_free(next);
    mem_free(g2);
    mem_free(a2);
    return done || err_set(e, ERR_RANGE, "the logistic regression does not converge");
}

/* Exam AUC of one fold: the mean over an exam's samples of the fitted probability. */
static metric_value judge(const data *s, const double *w, int8_t fold)
{
    double *score = MEM_ARRAY(double, s->n);
    int *y = MEM_ARRAY(int, s->n), *cluster = MEM_ARRAY(int, s->n);
    int64_t n = 0;
    int patients = 0;
    for (int64_t i = 0; i < s->n;) {
        int64_t first = i;
        double sum = 0;
        for (; i < s->n && s->group[i] == s->group[first]; i++)
            sum += 1 / (1 + exp(-margin(s, i, w)));
        if (s->fold[first] != fold)
            continue;
        if (n == 0 || s->patient[first] != cluster[n - 1])
            patients++;
        score[n] = sum / (double)(i - first);
        y[n] = s->y[first];
        cluster[n++] = s->patient[first];
    }
    for (int64_t i = 0, k = -1, last = -1; i < n; i++) { /* patients from 0 without gaps */
        k += cluster[i] != last;
        last = cluster[i];
        cluster[i] = (int)k;
    }
    metric_value v = metric_auc(
        &(metric_in){.score = score, .y = y, .cluster = cluster, .n = n, .n_clusters = patients});
    mem_free(score);
    mem_free(y);
    mem_free(cluster);
    return v;
}

/* Ascending penalties; the strongest of the equally good ones is taken. */
static bool report_fit(const char *name, const char *unit, data *s, err *e)
{
    double *w = MEM_ARRAY(double, s->p + 1), best = -1, chosen = NAN;
    metric_value test = {.value = NAN};
    bool ok = true;
    standardise(s);
    for (size_t i = 0; i < COUNT_OF(penalties) && ok; i++) {
        ok = fit(s, penalties[i], w, e);
        double val = ok ? judge(s, w, COHORT_VAL).value : NAN;
        if (ok && val >= best) {
            best = val;
            chosen = penalties[i];
            test = judge(s, w, COHORT_TEST);
        }
    }
    if (ok && isnan(test.value))
        ok = err_set(e, ERR_INPUT, "%s_%s: validation or test exams of one class only", name, unit);
    if (ok)
        printf("%s_%s %.4f %.4f %.4f %" PRId64 " %" PRId64 " (validation %.4f, penalty %g)\n", name,
               unit, test.value, test.lo, test.hi, test.n, test.events, best, chosen);
    mem_free(w);
    return ok;
}

static bool report_features(const char *name, const probe *b, data *images, err *e)
{
    data exams;
    label_images(b, images);
    mean_of_exams(images, &exams);
    bool ok = report_fit(name, "exam", &exams, e) && report_fit(name, "image", images, e);
    data_free(&exams);
    return ok;
}

/* ---- the whole ------------------------------------------------------------------------------- */

static bool open_probe(probe *b, const char *path, const cfg *config, err *e)
{
    int64_t size = strtoll(cfg_text(config, "train.size"), NULL, 10);
    bool breast = !strcmp(cfg_text(config, "train.normalize"), "breast");
    b->horizon = (int)strtol(cfg_text(config, "train.horizon"), NULL, 10);
    if (!cohort_read(&b->c, path, e) || !cohort_check(&b->c, e))
        return false;
    if (b->horizon >= b->c.n_horizons)
        return err_set(e, ERR_CONFIG, "train.horizon is beyond the cohort's horizons");
    b->load = loader_new(&b->c, (int)size, (size_t)1 << 30, e);
    b->row = MEM_ARRAY(int64_t, b->c.n ? b->c.n : 1);
    b->mean = breast ? b->c.mean_breast : b->c.mean_all;
    b->sd = breast ? b->c.sd_breast : b->c.sd_all;
    for (int64_t i = 0; i < b->c.n; i++) {
        const cohort_row *r = &b->c.row[i];
        if (r->y[b->horizon] >= 0 && r->fold != COHORT_VAL_NATURAL)
            b->row[b->n++] = i;
    }
    return b->load != NULL;
}

static bool probe_network(probe *b, const cfg *config, uint64_t seed, err *e)
{
    model_cfg mc;
    int h, w;
    data s;
    cfg_bind(config, &model_options, &mc);
    loader_size(b->load, &h, &w);
    mc.image_h = h;
    mc.image_w = w;
    pool *threads = pool_new(0);
    backend *be = backend_new("cpu", threads, e);
    model *m = be ? model_new(&mc, be, seed, e) : NULL;
    bool ok = m != NULL;
    if (ok) {
        data_new(&s, b->n, model_width(m));
        ok = network_features(b, m, be, s.x, e) && report_features("untrained", b, &s, e);
        data_free(&s);
    }
    model_free(m);
    backend_free(be);
    pool_free(threads);
    return ok;
}

static bool probe_all(const char *path, const char *yaml, uint64_t seed, err *e)
{
    probe b = {0};
    data s;
    cohort_init(&b.c);
    cfg *config = args_schema();
    bool ok = cfg_load(config, yaml, e) && open_probe(&b, path, config, e);
    if (ok) {
        data_new(&s, b.n, N_GLOBAL);
        ok = global_features(&b, s.x, e) && report_features("global", &b, &s, e);
        data_free(&s);
    }
    ok = ok && probe_network(&b, config, seed, e);
    loader_free(b.load);
    mem_free(b.row);
    cohort_release(&b.c);
    cfg_free(config);
    return ok;
}

int main(int argc, char **argv)
{
    err e = {0};
    if (argc != 4) {
        fprintf(stderr, "usage: signal_probe COHORT.h5 CONFIG.yaml SEED\n");
        return 2;
    }
    if (!probe_all(argv[1], argv[2], strtoull(argv[3], NULL, 10), &e)) {
        fprintf(stderr, "signal_probe: %s\n", e.msg);
        return 1;
    }
    return 0;
}
