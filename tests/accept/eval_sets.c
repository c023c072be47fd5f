/* Helper of test_eval_peers.sh: random data sets that are hard in one way each.
 * eval_sets DIR writes NAME.csv: patient, y, a, b (risks of two models), w (weight), t, e (time and
 * event). The same bytes on every machine with the same maths library. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/csv.h"
#include "core/mem.h"
#include "core/rng.h"
#include "core/text.h"

typedef struct data {
    int64_t n;
    int patients;
    int *patient, *y, *e;
    double *a, *b, *w, *t;
} data;

static void data_new(data *d, int64_t cap)
{
    *d = (data){.patient = MEM_ARRAY(int, (size_t)cap),
                .y = MEM_ARRAY(int, (size_t)cap),
                .e = MEM_ARRAY(int, (size_t)cap),
                .a = MEM_ARRAY(double, (size_t)cap),
                .b = MEM_ARRAY(double, (size_t)cap),
                .w = MEM_ARRAY(double, (size_t)cap),
                .t = MEM_ARRAY(double, (size_t)cap)};
}

static void data_release(data *d)
{
    mem_free(d->patient);
    mem_free(d->y);
    mem_free(d->e);
    mem_free(d->a);
    mem_free(d->b);
    mem_free(d->w);
    mem_free(d->t);
}

/* How a data set is drawn. */
typedef struct recipe {
    const char *name;
    int64_t n;
    double rate;     /* of cases */
    int levels;      /* distinct scores; 0 = continuous */
    int per_patient; /* exams of one patient, 1 to this */
    bool weights;
    double effect;    /* mean of the cases' scores; 99: the classes are apart; 0 with levels 1:
                         constant */
    double time_step; /* times are multiples; 0 = continuous */
    bool extreme;     /* risks near 0 and 1, beyond the clip of the logits */
} recipe;

static const recipe recipes[] = {
    {"plain", 400, .3, 0, 1, false, 1.0, 0, false},
    {"ties", 500, .4, 11, 1, false, .8, 1, false},
    {"two_levels", 90, .4, 2, 1, false, .8, 1, false},
    {"weights", 600, .3, 20, 1, true, .9, .5, false},
    {"few", 300, .02, 0, 1, false, 1.0, 0, false},
    {"tiny", 12, .5, 5, 1, false, .5, 1, false},
    {"apart", 60, .4, 0, 1, false, 99, 1, false},
    {"constant", 60, .4, 1, 1, false, 0, 1, false},
    {"extreme", 300, .3, 0, 1, false, 1.0, 1, true},
    {"clustered", 700, .3, 0, 5, false, .9, 1, false},
    {"clustered_ties", 500, .3, 9, 5, false, .6, 1, false},
    {"clustered_weights", 600, .4, 30, 4, true, .7, .25, false},
    {"reversed", 200, .4, 0, 2, false, -1.0, 0, false},
    {"large", 100000, .005, 0, 3, false, 1.2, 0, false},
    {"large_ties", 100000, .2, 1000, 3, true, .7, .1, false},
};

static double risk_of(const recipe *k, double z)
{
    double p = 1 / (1 + exp(-(z * 1.3 - 1)));
    if (k->extreme)
        p = 1 / (1 + exp(-12 * z));
    if (k->levels == 1)
        return .4;
    if (k->levels)
        p = (floor(p * k->levels) + .5) / k->levels;
    return p;
}

static void draw(const recipe *k, uint64_t seed, data *d)
{
    rng r;
    rng_init(&r, seed, RNG_TEST, 40, 0);
    data_new(d, k->n);
    int left = 0;
    double u = 0, v = 0;
    for (int64_t i = 0; i < k->n; i++) {
        if (!left) {
            left = 1 + (int)rng_below(&r, (uint32_t)k->per_patient);
            d->patients++;
            u = rng_normal(&r);
            v = rng_normal(&r);
        }
        left--;
        d->patient[i] = d->patients - 1;
        /* the first two rows: both classes are there */
        d->y[i] = i < 2 ? (int)i : rng_f64(&r) < k->rate;
        double common = .6 * u + .5 * rng_normal(&r), shift = d->y[i] * k->effect;
        d->a[i] = risk_of(k, common + .6 * rng_normal(&r) + shift);
        d->b[i] = risk_of(k, common + .4 * v + .5 * rng_normal(&r) + .7 * shift);
        if (k->effect == 99) {
            d->a[i] = d->y[i] ? .6 + .3 * rng_f64(&r) : .1 + .3 * rng_f64(&r);
            d->b[i] = rng_f64(&r);
        }
        d->w[i] = !k->weights ? 1 : rng_below(&r, 12) == 0 ? 0 : .25 * (1 + rng_below(&r, 14));
        double t = -log(1 - rng_f64(&r)) * 6 * exp(-.8 * (d->a[i] - .3));
        double c = 1 + 7 * rng_f64(&r);
        d->e[i] = t <= c;
        d->t[i] = d->e[i] ? t : c;
        if (k->time_step)
            d->t[i] = ceil(d->t[i] / k->time_step) * k->time_step;
    }
    d->n = k->n;
}

static bool save(const char *dir, const char *name, const data *d, err *e)
{
    text path;
    text_init(&path);
    text_addf(&path, "%s/%s.csv", dir, name);
    csv_writer *w = csv_create(path.s, e);
    text_release(&path);
    if (!w)
        return false;
    static const char *const columns[] = {"patient", "y", "a", "b", "w", "t", "e"};
    for (size_t i = 0; i < COUNT_OF(columns); i++)
        csv_put(w, columns[i]);
    csv_end_row(w);
    for (int64_t i = 0; i < d->n; i++) {
        csv_put_i64(w, d->patient[i]);
        csv_put_i64(w, d->y[i]);
        csv_put_f64(w, d->a[i]);
        csv_put_f64(w, d->b[i]);
        csv_put_f64(w, d->w[i]);
        csv_put_f64(w, d->t[i]);
        csv_put_i64(w, d->e[i]);
        csv_end_row(w);
    }
    return csv_commit(w, e);
}

static bool make_all(const char *dir, err *e)
{
    data d;
    bool ok = true;
    for (size_t i = 0; i < COUNT_OF(recipes) && ok; i++) {
        draw(&recipes[i], 100 + i, &d);
        ok = save(dir, recipes[i].name, &d, e);
        data_release(&d);
    }
    for (int i = 0; i < 12 && ok; i++) {
        rng r;
        char name[32];
        rng_init(&r, (uint64_t)i, RNG_TEST, 41, 0);
        recipe k = {NULL, 60 + rng_below(&r, 300), .2 + .5 * rng_f64(&r), 0, 1, false, 0, 0, false};
        k.levels = rng_below(&r, 2) ? 4 + (int)rng_below(&r, 40) : 0;
        k.per_patient = 1 + (int)rng_below(&r, 4);
        k.weights = rng_below(&r, 2);
        k.effect = rng_normal(&r);
        k.time_step = rng_below(&r, 2) ? 1 : 0;
        snprintf(name, sizeof name, "random%02d", i);
        draw(&k, (uint64_t)(500 + i), &d);
        ok = save(dir, name, &d, e);
        data_release(&d);
    }
    return ok;
}

int main(int argc, char **argv)
{
    err e = {0};
    if (argc != 2) {
        fprintf(stderr, "usage: eval_sets DIR\n");
        return 2;
    }
    if (!make_all(argv[1], &e)) {
        fprintf(stderr, "%s\n", e.msg);
        return 1;
    }
    return 0;
}
