/* Helper of test_bench_report.sh: prediction tables with every column that a report can use.
 * report_sets DIR EXAMS VAL writes DIR/test.csv of EXAMS exams and DIR/val.csv of VAL exams of
 * other women, four images each, all followed up long enough to be evaluated. A woman has three
 * exams in two of three cases; cancers come by a hazard that the scores know in part. The same
 * bytes on every machine with the same maths library. */
#include <math.h>
#include <stdio.h>

#include "core/csv.h"
#include "core/mem.h"
#include "core/rng.h"
#include "core/text.h"

#define YEARS       5
#define YEAR        365.25
#define BASE_HAZARD 0.0035 /* cancers of a woman's year */

static const char *pick(rng *r, const char *const *words, uint32_t n)
{
    return words[rng_below(r, n)];
}

/* What the four rows of an exam share. */
typedef struct exam {
    int64_t number, woman;
    double t, risk; /* years to cancer or last contact; chance of cancer in YEARS */
    bool cancer;
} exam;

static void put_facts(csv_writer *w, const exam *x, rng *r)
{
    static const char
        *const vendor[] = {"ACME", "Beta", "Gamma"},
               *const model[] = {"One", "Two", "Three", "Four"}, *const site[] = {"A", "B"},
               *const density[] = {"A", "B", "C", "D", ""},
               *const quality[] = {"ok", "ok", "blurred"}, *const yes[] = {"yes", "no"},
               *const type[] = {"invasive", "in situ"}, *const side[] = {"L", "R"};
    const char *mode = x->t < 60 / YEAR ? "screen" : x->t < 2 ? "interval" : "later";
    csv_put_i64(w, 1000 + x->number % 900 * 2);
    csv_put_i64(w, 40 + x->woman % 40);
    csv_put(w, vendor[x->woman % 3]);
    csv_put(w, model[x->woman % 4]);
    csv_put(w, site[x->woman % 2]);
    csv_put(w, pick(r, density, COUNT_OF(density)));
    csv_put(w, x->number % 3 ? "subsequent" : "first");
    csv_put(w, pick(r, quality, COUNT_OF(quality)));
    csv_put(w, pick(r, yes, COUNT_OF(yes)));
    csv_put(w, pick(r, yes, COUNT_OF(yes)));
    csv_put(w, rng_f64(r) < (x->cancer && x->t < 1 ? .7 : .03) ? "yes" : "no");
    csv_put(w, x->cancer ? mode : "");
    csv_put(w, x->cancer ? pick(r, type, COUNT_OF(type)) : "");
    csv_put(w, x->cancer ? pick(r, side, COUNT_OF(side)) : "");
    if (x->cancer)
        csv_put_i64(w, 3 + rng_below(r, 38));
    else
        csv_put(w, "");
}

static void put_exam(csv_writer *w, const char *split, const exam *x, rng *facts)
{
    for (int k = 0; k < 4; k++) {
        rng again = *facts; /* all rows of an exam tell the same */
        char name[40];
        double s = fmin(x->risk * exp(.2 * rng_normal(facts)), .999);
        snprintf(name, sizeof name, "%s-e%07lld", split, (long long)x->number);
        csv_put(w, name);
        snprintf(name, sizeof name, "%s-p%07lld", split, (long long)x->woman);
        csv_put(w, name);
        snprintf(name, sizeof name, "%s-i%07lld%d", split, (long long)x->number, k);
        csv_put(w, name);
        csv_put(w, k & 1 ? "L" : "R");
        csv_put(w, k & 2 ? "MLO" : "CC");
        csv_put(w, split);
        csv_put_f64(w, s);
        csv_put_i64(w, x->cancer && x->t <= YEARS);
        csv_put_f64(w, x->t);
        csv_put_i64(w, x->cancer);
        for (int h = 1; h <= YEARS; h++)
            csv_put_f64(w, 1 - pow(1 - s, (double)h / YEARS));
        put_facts(w, x, &again);
        csv_end_row(w);
    }
}

static bool write_set(const char *dir, const char *split, int64_t exams, uint64_t seed, err *e)
{
    static const char *const head[] = {"exam_id",
                                       "patient_id",
                                       "image_id",
                                       "laterality",
                                       "view",
                                       "split",
                                       "score",
                                       "y",
                                       "T",
                                       "E",
                                       "score_h1",
                                       "score_h2",
                                       "score_h3",
                                       "score_h4",
                                       "score_h5",
                                       "exam_day",
                                       "age",
                                       "vendor",
                                       "device_model",
                                       "site",
                                       "density",
                                       "round",
                                       "quality",
                                       "prior_surgery",
                                       "implant",
                                       "recall",
                                       "mode",
                                       "cancer_type",
                                       "cancer_laterality",
                                       "cancer_size_mm"};
    text path;
    text_init(&path);
    text_addf(&path, "%s/%s.csv", dir, split);
    csv_writer *w = csv_create(path.s, e);
    text_release(&path);
    if (!w)
        return false;
    for (size_t i = 0; i < COUNT_OF(head); i++)
        csv_put(w, head[i]);
    csv_end_row(w);
    for (int64_t i = 0; i < exams; i++) {
        rng r;
        rng_init(&r, seed, RNG_TEST, (uint64_t)i, 0);
        double z = rng_normal(&r), hazard = BASE_HAZARD * exp(z - .5);
        double until = -log1p(-rng_f64(&r)) / hazard, seen = YEARS + 3 * rng_f64(&r);
        exam x = {.number = i, .woman = i * 2 / 3, .risk = 1 - exp(-YEARS * hazard)};
        if (rng_f64(&r) < .002 * exp(1.2 * z)) /* the exam itself finds it */
            until = 59 * rng_f64(&r) / YEAR;
        x.cancer = until <= seen;
        x.t = rint(fmin(until, seen) * YEAR) / YEAR;
        put_exam(w, split, &x, &r);
    }
    return csv_commit(w, e);
}

int main(int argc, char **argv)
{
    err e = {0};
    int64_t exams, val;
    if (argc != 4 || !text_i64(argv[2], &exams) || !text_i64(argv[3], &val) || exams < 1 ||
        val < 1) {
        fprintf(stderr, "usage: report_sets DIR EXAMS VAL\n");
        return 2;
    }
    if (!write_set(argv[1], "test", exams, 3, &e) || !write_set(argv[1], "val", val, 4, &e)) {
        fprintf(stderr, "%s\n", e.msg);
        return 1;
    }
    return 0;
}
