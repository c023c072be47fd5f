/* Networks against PyTorch + timm: logits, loss, every gradient and five or more SGD steps of the
 * cases recorded in tests/fixtures/deit and tests/fixtures/nets, with and without PatchDropout.
 * Weights and images come from formula.h; the fixtures hold what torch computed from them in
 * float64. A case names its network by the program's own configuration keys. Run with a case name
 * to do that case only. */
#include "model/model.h"
#include "tests/fixtures/deit/formula.h"
#include "tests/unit/model_record.h"
#include "tests/device.h"

typedef struct fixture {
    const char *name;
    json_t *grad, *steps; /* steps: only ti_1000, a larger head on ti_all, has none */
    cfg *options;
    model_cfg cfg;
    int batch, first_image;
    double gain, smoothing;
    int32_t labels[8];
    uint16_t *image[8];
    int32_t *keep;
    model_batch mb;
    model_watch watch;
    pool *pool;
    backend *be;
    model *m;
    run *r;
} fixture;

/* What float32 arithmetic may cost. A few steps move a weight by as little as 1/1000 of its size,
 * so that the change of a weight (delta) carries the rounding of the weight itself: where torch's
 * own float32 loses much there, so may we. */
#define LIMIT_FORWARD  1e-5
#define LIMIT_GRADIENT 1e-4
#define LIMIT_LOSSES   5e-5
#define LIMIT_DELTA    2e-3

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

static void read_keep(fixture *f)
{
    json_t *keep = json_object_get(f->grad, "keep");
    int n = 0, patches = model_patches(f->m);
    if (!json_is_array(keep))
        return;
    assert_int_equal(json_array_size(keep), f->batch);
    f->keep = MEM_ARRAY(int32_t, (size_t)f->batch * (size_t)patches);
    for (int b = 0; b < f->batch; b++) {
        int got = kept_patches(json_array_get(keep, (size_t)b), f->keep + b * n, patches);
        assert_true(got > 0 && (b == 0 || got == n));
        n = got;
    }
    f->mb.keep = f->keep;
    f->mb.n_keep = n;
}

static void read_batch(fixture *f)
{
    json_t *labels = json_object_get(f->grad, "labels");
    int c = (int)f->cfg.channels, h = (int)f->cfg.image_h, w = (int)f->cfg.image_w;
    for (int b = 0; b < f->batch; b++) {
        f->labels[b] = (int32_t)item(labels, (size_t)b);
        f->image[b] = mem_alloc((size_t)(c * h * w) * sizeof(uint16_t));
        formula_image(f->first_image + b, c, h, w, f->image[b]);
    }
    f->mb = (model_batch){.b = f->batch,
                          .h = h,
                          .w = w,
                          .image = (const uint16_t *const *)f->image,
                          .mean = (float)number(f->grad, "mean"),
                          .sd = (float)number(f->grad, "sd")};
    read_keep(f);
    if (json_object_get(f->grad, "reduction"))
        f->mb.watch = &f->watch;
}

/* The case's configuration, through the same door as a user's. */
static void read_config(fixture *f)
{
    static const cfg_group *const groups[] = {&model_options};
    json_t *config = json_object_get(f->grad, "config"), *value;
    const char *key;
    char set[256];
    err e = {0};
    assert_true(json_object_size(config) > 0);
    f->options = cfg_new(groups, COUNT_OF(groups));
    json_object_foreach(config, key, value)
    {
        snprintf(set, sizeof(set), "%s=%s", key, json_string_value(value));
        if (!cfg_set(f->options, set, &e))
            fail_msg("%s", e.msg);
    }
    cfg_bind(f->options, &model_options, &f->cfg);
}

static void fixture_open(fixture *f, const char *folder, const char *name)
{
    err e = {0};
    *f = (fixture){.name = name,
                   .grad = load(folder, name, "grad", true),
                   .steps = load(folder, name, "steps", strcmp(name, "ti_1000") != 0)};
    read_config(f);
    f->batch = (int)number(f->grad, "batch");
    f->first_image = (int)number(f->grad, "first_image");
    f->gain = number(f->grad, "qkv_gain");
    f->smoothing = number(f->grad, "smoothing");
    assert_in_range(f->batch, 1, (int)COUNT_OF(f->labels));
    assert_in_range(f->first_image + f->batch, 1, 10); /* formula_image: one digit */
    f->pool = pool_new(0);
    f->be = backend_new(test_device(), f->pool, &e);
    if (!f->be)
        fail_msg("%s", e.msg);
    f->m = model_new(&f->cfg, f->be, 1, &e);
    if (!f->m)
        fail_msg("%s", e.msg);
    f->r = run_new(f->be, RUN_TRAIN);
    read_batch(f);
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
    watch_release(&f->watch);
    cfg_free(f->options);
    json_decref(f->grad);
    json_decref(f->steps);
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

static void check_forward(fixture *f, const double *logits, double loss)
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
    within(f->name, "forward", &w, LIMIT_FORWARD);
}

static void check_gradients(fixture *f)
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
    within(f->name, "gradient", &w, LIMIT_GRADIENT);
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
static void check_weights(fixture *f)
{
    param_set *s = model_params(f->m);
    worst delta = {-1, ""}, norm = {-1, ""}, weight = {-1, ""};
    for (int i = 0; i < s->n; i++) {
        param *p = &s->p[i];
        float *x = mem_alloc((size_t)p->n * sizeof(float)),
              *x0 = mem_alloc((size_t)p->n * sizeof(float));
        double sum = 0, want = number(json_object_get(f->steps, "norm"), p->name);
        param_read(s, p, x);
        formula_param(p->name, p->ndim, p->shape[0], p->n, f->gain, x0);
        json_t *rec = json_object_get(json_object_get(f->steps, "delta"), p->name);
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
    within(f->name, "weight after SGD", &weight, LIMIT_GRADIENT);
    within(f->name, "weight norm after SGD", &norm, LIMIT_FORWARD);
    double torch = number(json_object_get(f->grad, "float32_deviation"), "delta");
    within(f->name, "weight change by SGD", &delta, fmax(LIMIT_DELTA, 2 * torch));
}

/* The first step's gradients are in place; walk the rest and compare every loss. */
static void check_sgd(fixture *f, double first)
{
    json_t *ref = json_object_get(f->steps, "losses");
    param_set *s = model_params(f->m);
    float **v = MEM_ARRAY(float *, s->n);
    int steps = (int)number(f->steps, "steps");
    worst w = {-1, ""};
    double loss = first, big = 0;
    backend_sgd o = {.lr = (float)number(f->steps, "lr"),
                     .momentum = (float)number(f->steps, "momentum"),
                     .weight_decay = (float)number(f->steps, "weight_decay"),
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
    within(f->name, "loss along SGD", &w, LIMIT_LOSSES);
    check_weights(f);
    for (int i = 0; i < s->n; i++)
        backend_dealloc(f->be, v[i]);
    mem_free(v);
}

/* The list `want` of a fixture against n numbers. */
static void same_list(const fixture *f, const char *what, const json_t *want, const int32_t *got,
                      int n)
{
    if ((int)json_array_size(want) != n)
        fail_msg("%s: definition of %s: %d of them, wanted %zu", f->name, what, n,
                 json_array_size(want));
    for (int i = 0; i < n; i++)
        if (got[i] != (int32_t)item(want, (size_t)i))
            fail_msg("%s: definition of %s: number %d is %d, wanted %d", f->name, what, i, got[i],
                     (int)item(want, (size_t)i));
}

/* EViT: patches that are tokens of their own after a layer, ascending, and how many tokens are
 * fused. */
static void check_kept(const fixture *f, const json_t *rec, int sample, int layers,
                       const int32_t *keep)
{
    const watch_layer *l = &f->watch.layer[layers - 1];
    int patches = model_patches(f->m), n = 0, fused = 0;
    int32_t *row = MEM_ARRAY(int32_t, patches), *alone = MEM_ARRAY(int32_t, l->n_out),
            *kept = MEM_ARRAY(int32_t, patches);
    watch_patches(&f->watch, sample, layers, keep, patches, row, alone);
    for (int i = 0; i < patches; i++)
        if (row[i] >= 0 && alone[row[i]] == i)
            kept[n++] = i;
    for (int i = f->watch.prefix; i < l->n_out; i++)
        fused += alone[i] < 0;
    same_list(f, "kept patches", json_array_get(json_object_get(rec, "kept"), (size_t)sample), kept,
              n);
    assert_int_equal(fused, (int)item(json_object_get(rec, "fused"), (size_t)sample));
    mem_free(row);
    mem_free(alone);
    mem_free(kept);
}

/* PPT: the branch, the variance behind it, and the smallest patch of the token that holds each
 * patch of the image. */
static void check_groups(const fixture *f, const json_t *rec, int sample, int layers,
                         const int32_t *keep)
{
    const watch_layer *l = &f->watch.layer[layers - 1];
    int patches = model_patches(f->m), n = keep ? f->mb.n_keep : patches;
    int32_t *row = MEM_ARRAY(int32_t, patches), *first = MEM_ARRAY(int32_t, l->n_out),
            *group = MEM_ARRAY(int32_t, n);
    const char *branch =
        json_string_value(json_array_get(json_object_get(rec, "branch"), (size_t)sample));
    double rows = number(rec, "n"),
           spread = rows * rows * item(json_object_get(rec, "variance"), (size_t)sample);
    assert_non_null(l->pooled);
    assert_string_equal(l->pooled[sample] ? "pool" : "prune", branch);
    if (!(fabs(l->spread[sample] - spread) < LIMIT_GRADIENT * spread))
        fail_msg("%s: definition of spread: %.7g, wanted %.7g", f->name, l->spread[sample], spread);
    watch_patches(&f->watch, sample, layers, keep, patches, row, NULL);
    for (int i = 0; i < l->n_out; i++)
        first[i] = -1;
    for (int i = 0; i < n; i++) {
        int at = keep ? keep[i] : i;
        if (row[at] >= 0 && first[row[at]] < 0)
            first[row[at]] = at;
        group[i] = row[at] < 0 ? -1 : first[row[at]];
    }
    same_list(f, "groups", json_array_get(json_object_get(rec, "group"), (size_t)sample), group, n);
    mem_free(row);
    mem_free(first);
    mem_free(group);
}

/* What token reduction did in the first forward pass, layer by layer, image by image. */
static void check_reduction(const fixture *f)
{
    json_t *ref = json_object_get(f->grad, "reduction");
    const model_watch *w = &f->watch;
    assert_int_equal(w->layers, json_array_size(ref));
    assert_int_equal(w->b, f->batch);
    for (int i = 0; i < w->layers; i++) {
        const json_t *rec = json_array_get(ref, (size_t)i);
        assert_int_equal(w->layer[i].block, (int)number(rec, "layer"));
        assert_int_equal(w->layer[i].n_in - w->prefix, (int)number(rec, "n"));
        assert_int_equal(w->layer[i].n_out - w->prefix, (int)number(rec, "out"));
        for (int b = 0; b < f->batch; b++) {
            const int32_t *keep = f->keep ? f->keep + b * f->mb.n_keep : NULL;
            (json_object_get(rec, "branch") ? check_groups : check_kept)(f, rec, b, i + 1, keep);
        }
    }
}

typedef struct recorded {
    const char *folder, *name;
    bool large; /* takes too long under a sanitizer */
} recorded;

/* Where the CUDA kernels run on the CPU, without a name on the command line: one small case of each
 * kind of network, the steps of the first one alone. */
static const char *const emulated[] = {"rect_keep50", "deit_ti_dist_keep50", "vit_reg4_keep50",
                                       "pit_ti_dist", "evit_one_fuse",       "ppt_nobias",
                                       "swin_w2_rect"};

static bool is_emulated_briefly(const char *name)
{
    for (size_t i = 0; i < COUNT_OF(emulated); i++)
        if (!strcmp(emulated[i], name))
            return true;
    return false;
}

static bool few_cases;

static void test_case(void **state)
{
    const recorded *c = *state;
    const char *san = getenv("SAN");
    if (san && *san && c->large) {
        print_message("skip: the large networks take too long under a sanitizer\n");
        skip();
    }
    fixture f;
    fixture_open(&f, c->folder, c->name);
    double *logits = MEM_ARRAY(double, f.batch *f.cfg.classes);
    double loss = step(&f, logits);
    check_forward(&f, logits, loss);
    check_gradients(&f);
    if (f.mb.watch)
        check_reduction(&f);
    if (f.steps && (!few_cases || !strcmp(c->name, emulated[0])))
        check_sgd(&f, loss);
    mem_free(logits);
    fixture_close(&f);
}

int main(int argc, char **argv)
{
    static recorded cases[] = {
        {"deit", "rect_all", false},
        {"deit", "rect_keep50", false},
        {"deit", "ti_all", true},
        {"deit", "ti_keep50", true},
        {"deit", "ti_keep25", true},
        {"deit", "ti_1000", true},
        {"deit", "s_all", true},
        {"deit", "s_keep50", true},
        {"deit", "s_keep25", true},
        {"nets", "deit_ti_dist", false},
        {"nets", "deit_ti_dist_keep50", false},
        {"nets", "vit_reg4", false},
        {"nets", "vit_reg4_keep50", false},
        {"nets", "pit_ti_rect", false},
        {"nets", "pit_ti_dist", false},
        {"nets", "pit_b_small", true},
        {"nets", "evit_fuse", false},
        {"nets", "evit_nofuse", false},
        {"nets", "evit_keep50_pd", false},
        {"nets", "evit_dist", false},
        {"nets", "evit_one_skip", false},
        {"nets", "evit_one_fuse", false},
        {"nets", "ppt_prune", false},
        {"nets", "ppt_pool", false},
        {"nets", "ppt_mixed", false},
        {"nets", "ppt_nobias", false},
        {"nets", "ppt_scale_free", false},
        {"nets", "swin_w2_rect", false},
        {"nets", "swin_w2_last", true},
        {"nets", "swin_t_224", true},
        {"nets", "swin_drop3_tile", true},
        {"nets", "swin_drop5_tile", true},
        {"nets", "swin_w3_drop2_window", true},
        {"nets", "swin_w4_drop3_window", true},
        {"nets", "swin_w4_drop3_image", false},
    };
    struct CMUnitTest tests[COUNT_OF(cases)] = {0};
    size_t n = 0;
    few_cases = test_device_is_emulated() && argc == 1;
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        if (!few_cases || is_emulated_briefly(cases[i].name))
            tests[n++] = (struct CMUnitTest){
                .name = cases[i].name, .test_func = test_case, .initial_state = &cases[i]};
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    return _cmocka_run_group_tests("model_fixture", tests, n, NULL, NULL);
}
