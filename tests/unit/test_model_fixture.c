/* DeiT against PyTorch + timm: logits, loss, every gradient and ten SGD steps of the recorded cases
 * in tests/fixtures/deit, with and without PatchDropout. Weights and images come from formula.h;
 * the fixtures hold what torch computed from them in float64. Run with a case name to do that case
 * only. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/json.h"
#include "core/mem.h"
#include "model/model.h"
#include "tests/fixtures/deit/formula.h"

/* Largest error of one kind and where it was found. error = max|a-b| / max|b| per tensor. */
typedef struct worst {
    double error;
    char where[128];
} worst;

typedef struct fixture {
    json_t *grad, *sgd; /* sgd: NULL if the case has none */
    model_cfg cfg;
    int batch;
    double gain, smoothing;
    int32_t labels[8];
    uint16_t *image[8];
    int32_t *keep;
    model_batch mb;
    pool *pool;
    backend *be;
    model *m;
    run *r;
} fixture;

/* What float32 arithmetic may cost. Ten steps move a weight by as little as 1/1000 of its size, so
 * that the change of a weight (delta) carries the rounding of the weight itself. */
#define LIMIT_FORWARD  1e-5
#define LIMIT_GRADIENT 1e-4
#define LIMIT_LOSSES   5e-5
#define LIMIT_DELTA    2e-3
#define SAMPLES        16

static void note(worst *w, double error, const char *where)
{
    if (!(error <= w->error)) { /* NaN counts as worst */
        w->error = isnan(error) ? INFINITY : error;
        snprintf(w->where, sizeof(w->where), "%s", where);
    }
}

static void within(const char *name, const char *what, const worst *w, double limit)
{
    print_message("%s: %s error %.2e at %s (limit %.0e)\n", name, what, w->error, w->where, limit);
    if (!(w->error < limit))
        fail_msg("%s: %s error %.3e at %s, limit %.0e", name, what, w->error, w->where, limit);
}

static json_t *load(const char *name, const char *kind, bool required)
{
    char path[256];
    err e = {0};
    json_t *j = NULL;
    snprintf(path, sizeof(path), "tests/fixtures/deit/%s.%s.json", name, kind);
    FILE *f = fopen(path, "rb");
    if (f)
        fclose(f);
    if (!f && !required)
        return NULL;
    if (!json_read(path, &j, &e))
        fail_msg("%s (run from the root of the tree)", e.msg);
    return j;
}

static double number(const json_t *obj, const char *key)
{
    json_t *v = json_object_get(obj, key);
    if (!json_is_number(v))
        fail_msg("fixture has no number '%s'", key);
    return json_number_value(v);
}

static double item(const json_t *array, size_t i)
{
    json_t *v = json_array_get(array, i);
    if (!json_is_number(v))
        fail_msg("fixture array has no number at %zu", i);
    return json_number_value(v);
}

static void fill_params(fixture *f)
{
    param_set *s = model_params(f->m);
    for (int i = 0; i < s->n; i++) {
        param *p = &s->p[i];
        float *x = mem_alloc((size_t)p->n * sizeof(float));
        formula_param(p->name, p->ndim, p->shape[0], p->n, f->gain, x);
        param_write(s, p, x);
        mem_free(x);
    }
}

static void read_batch(fixture *f)
{
    json_t *keep = json_object_get(f->grad, "keep"), *labels = json_object_get(f->grad, "labels");
    int n_keep = 0;
    for (int b = 0; b < f->batch; b++) {
        f->labels[b] = (int32_t)item(labels, (size_t)b);
        f->image[b] = mem_alloc((size_t)(f->cfg.channels * f->cfg.image_h * f->cfg.image_w) *
                                sizeof(uint16_t));
        formula_image(b, (int)f->cfg.channels, (int)f->cfg.image_h, (int)f->cfg.image_w,
                      f->image[b]);
    }
    if (json_is_array(keep)) {
        n_keep = (int)json_array_size(json_array_get(keep, 0));
        f->keep = MEM_ARRAY(int32_t, f->batch * n_keep);
        for (int b = 0; b < f->batch; b++)
            for (int i = 0; i < n_keep; i++)
                f->keep[b * n_keep + i] = (int32_t)item(json_array_get(keep, (size_t)b), (size_t)i);
    }
    f->mb = (model_batch){.b = f->batch,
                          .h = (int)f->cfg.image_h,
                          .w = (int)f->cfg.image_w,
                          .image = (const uint16_t *const *)f->image,
                          .mean = (float)number(f->grad, "mean"),
                          .sd = (float)number(f->grad, "sd"),
                          .keep = f->keep,
                          .n_keep = n_keep};
}

static void fixture_open(fixture *f, const char *name)
{
    err e = {0};
    *f = (fixture){.grad = load(name, "grad", true), .sgd = load(name, "sgd", false)};
    f->cfg = (model_cfg){.name = json_string_value(json_object_get(f->grad, "model")),
                         .image_h = (int64_t)number(f->grad, "image_h"),
                         .image_w = (int64_t)number(f->grad, "image_w"),
                         .depth = (int64_t)number(f->grad, "depth"),
                         .channels = (int64_t)number(f->grad, "channels"),
                         .classes = (int64_t)number(f->grad, "classes"),
                         .keep_rate = 1.0,
                         .head_init = 0.02};
    f->batch = (int)number(f->grad, "batch");
    f->gain = number(f->grad, "qkv_gain");
    f->smoothing = number(f->grad, "smoothing");
    assert_in_range(f->batch, 1, (int)COUNT_OF(f->labels));
    read_batch(f);
    f->pool = pool_new(0);
    f->be = backend_new("cpu", f->pool, &e);
    if (!f->be)
        fail_msg("%s", e.msg);
    f->m = model_new(&f->cfg, f->be, 1, &e);
    if (!f->m)
        fail_msg("%s", e.msg);
    f->r = run_new(f->be, RUN_TRAIN);
    fill_params(f);
}

static void fixture_close(fixture *f)
{
    run_free(f->r);
    model_free(f->m);
    backend_free(f->be);
    pool_free(f->pool);
    for (int b = 0; b < f->batch; b++)
        mem_free(f->image[b]);
    mem_free(f->keep);
    json_decref(f->grad);
    json_decref(f->sgd);
}

/* One forward and backward from zeroed gradients; logits may be NULL. */
static double step(fixture *f, double *logits)
{
    int n = f->batch * (int)f->cfg.classes;
    float *x = mem_alloc((size_t)n * sizeof(float)), loss;
    run_reset(f->r);
    param_zero_grad(model_params(f->m));
    tensor *z = model_forward(f->m, f->r, &f->mb);
    assert_int_equal(z->b, f->batch);
    assert_int_equal(tensor_count(z), n);
    tensor *l = op_loss(f->r, z, f->labels, NULL, (float)f->smoothing);
    run_backward(f->r, l);
    run_read(f->r, z, x);
    run_read(f->r, l, &loss);
    for (int i = 0; logits && i < n; i++)
        logits[i] = x[i];
    mem_free(x);
    return loss;
}

/* Compare one tensor with its record [norm, dot, samples...]: samples by the largest of them, the
 * norm and the dot product with a fixed random vector by the norm. */
static double tensor_error(const char *name, const float *v, int64_t n, const json_t *rec)
{
    char key[128];
    snprintf(key, sizeof(key), "sample.%s", name);
    uint64_t at = formula_hash(key);
    snprintf(key, sizeof(key), "dot.%s", name);
    uint64_t dir = formula_hash(key);
    double sum = 0, dot = 0, big = 0, diff = 0, norm = item(rec, 0);
    assert_int_equal(json_array_size(rec), SAMPLES + 2);
    for (int64_t i = 0; i < n; i++) {
        sum += (double)v[i] * v[i];
        dot += (double)v[i] * formula_unit(dir, i);
    }
    for (int j = 0; j < SAMPLES; j++) {
        double b = item(rec, (size_t)j + 2);
        big = fmax(big, fabs(b));
        diff = fmax(diff, fabs(v[formula_raw(at, j) % (uint64_t)n] - b));
    }
    worst w = {-1, ""};
    note(&w, diff / big, "");
    note(&w, fabs(sqrt(sum) - norm) / norm, "");
    note(&w, fabs(dot - item(rec, 1)) / norm, "");
    return w.error;
}

static void check_forward(fixture *f, const char *name, const double *logits, double loss)
{
    json_t *ref = json_object_get(f->grad, "logits");
    worst w = {-1, ""};
    double big = 0, diff = 0, want = number(f->grad, "loss");
    int n = f->batch * (int)f->cfg.classes;
    assert_int_equal(json_array_size(ref), n);
    for (int i = 0; i < n; i++) {
        big = fmax(big, fabs(item(ref, (size_t)i)));
        double d = fabs(logits[i] - item(ref, (size_t)i));
        if (!(d <= diff))
            diff = d;
    }
    note(&w, diff / big, "logits");
    note(&w, fabs(loss - want) / fabs(want), "loss");
    within(name, "forward", &w, LIMIT_FORWARD);
}

static void check_gradients(fixture *f, const char *name)
{
    json_t *ref = json_object_get(f->grad, "grad");
    param_set *s = model_params(f->m);
    worst w = {-1, ""};
    assert_int_equal(json_object_size(ref), s->n);
    for (int i = 0; i < s->n; i++) {
        param *p = &s->p[i];
        json_t *rec = json_object_get(ref, p->name);
        if (!rec)
            fail_msg("timm has no parameter '%s'", p->name);
        float *g = mem_alloc((size_t)p->n * sizeof(float));
        backend_to_host(f->be, g, p->g, (size_t)p->n * sizeof(float));
        note(&w, tensor_error(p->name, g, p->n, rec), p->name);
        mem_free(g);
    }
    within(name, "gradient", &w, LIMIT_GRADIENT);
}

/* Error of the sampled weights x against the first values x0 plus the recorded change. */
static double weight_error(const param *p, const float *x, const float *x0, const json_t *rec)
{
    char key[128];
    snprintf(key, sizeof(key), "sample.%s", p->name);
    uint64_t at = formula_hash(key);
    double big = 0, diff = 0;
    for (int j = 0; j < SAMPLES; j++) {
        int64_t i = (int64_t)(formula_raw(at, j) % (uint64_t)p->n);
        double want = x0[i] + item(rec, (size_t)j + 2);
        big = fmax(big, fabs(want));
        diff = fmax(diff, fabs(x[i] - want));
    }
    return diff / big;
}

/* Weights after the last step: themselves, their norm, and their change. */
static void check_weights(fixture *f, const char *name)
{
    param_set *s = model_params(f->m);
    worst delta = {-1, ""}, norm = {-1, ""}, weight = {-1, ""};
    for (int i = 0; i < s->n; i++) {
        param *p = &s->p[i];
        float *x = mem_alloc((size_t)p->n * sizeof(float)),
              *x0 = mem_alloc((size_t)p->n * sizeof(float));
        double sum = 0, want = number(json_object_get(f->sgd, "norm"), p->name);
        param_read(s, p, x);
        formula_param(p->name, p->ndim, p->shape[0], p->n, f->gain, x0);
        json_t *rec = json_object_get(json_object_get(f->sgd, "delta"), p->name);
        note(&weight, weight_error(p, x, x0, rec), p->name);
        for (int64_t k = 0; k < p->n; k++) {
            sum += (double)x[k] * x[k];
            x[k] -= x0[k];
        }
        note(&delta, tensor_error(p->name, x, p->n, rec), p->name);
        note(&norm, fabs(sqrt(sum) - want) / want, p->name);
        mem_free(x);
        mem_free(x0);
    }
    within(name, "weight after SGD", &weight, LIMIT_GRADIENT);
    within(name, "weight norm after SGD", &norm, LIMIT_FORWARD);
    within(name, "weight change by SGD", &delta, LIMIT_DELTA);
}

/* The first step's gradients are in place; walk the rest and compare every loss. */
static void check_sgd(fixture *f, const char *name, double first)
{
    json_t *ref = json_object_get(f->sgd, "losses");
    param_set *s = model_params(f->m);
    float **v = MEM_ARRAY(float *, s->n);
    int steps = (int)number(f->sgd, "steps");
    worst w = {-1, ""};
    double loss = first, big = 0;
    backend_sgd o = {.lr = (float)number(f->sgd, "lr"),
                     .momentum = (float)number(f->sgd, "momentum"),
                     .weight_decay = (float)number(f->sgd, "weight_decay"),
                     .grad_scale = 1.0F};
    assert_int_equal(json_array_size(ref), steps + 1);
    for (int i = 0; i < s->n; i++)
        v[i] = backend_alloc(f->be, (size_t)s->p[i].n * sizeof(float));
    for (int i = 0; i <= steps; i++)
        big = fmax(big, fabs(item(ref, (size_t)i)));
    for (int i = 0; i <= steps; i++) {
        char where[32];
        snprintf(where, sizeof(where), "step %d", i);
        note(&w, fabs(loss - item(ref, (size_t)i)) / big, where);
        if (i == steps)
            break;
        backend_step_sgd(f->be, s, v, &o);
        loss = step(f, NULL);
    }
    within(name, "loss along SGD", &w, LIMIT_LOSSES);
    check_weights(f, name);
    for (int i = 0; i < s->n; i++)
        backend_dealloc(f->be, v[i]);
    mem_free(v);
}

static void test_case(void **state)
{
    const char *name = *state, *san = getenv("SAN");
    if (san && *san && strncmp(name, "rect", 4)) {
        print_message("skip: the large networks take too long under a sanitizer\n");
        skip();
    }
    fixture f;
    fixture_open(&f, name);
    double *logits = MEM_ARRAY(double, f.batch *f.cfg.classes);
    double loss = step(&f, logits);
    check_forward(&f, name, logits, loss);
    check_gradients(&f, name);
    if (f.sgd)
        check_sgd(&f, name, loss);
    mem_free(logits);
    fixture_close(&f);
}

int main(int argc, char **argv)
{
    static char *const names[] = {"rect_all", "rect_keep50", "ti_all",   "ti_keep50", "ti_keep25",
                                  "ti_1000",  "s_all",       "s_keep50", "s_keep25"};
    struct CMUnitTest tests[COUNT_OF(names)] = {0};
    for (size_t i = 0; i < COUNT_OF(names); i++)
        tests[i] = (struct CMUnitTest){
            .name = names[i], .test_func = test_case, .initial_state = names[i]};
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests_name("model_fixture", tests, NULL, NULL);
}
