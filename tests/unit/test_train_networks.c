/* Every family of networks through the trainer on a tiny cohort: a run that was killed and went on
 * with other threads has the bytes of one that was not, and its checkpoint scores images. The form
 * of GELU is the checkpoint's; also as DEVICE=cuda, where the precision says it. */
#include "tests/unit/tiny_run.h"

#include <math.h>

#include "train/checkpoint.h"

#define ARGS_MAX 12

typedef struct family {
    const char *name;
    const char *set[ARGS_MAX];
} family;

static const family families[] = {
    {"distilled", {"model.name=deit_tiny_distilled_patch16_224", "model.depth=2"}},
    {"registers", {"model.name=vit_tiny_patch16_reg4_224", "model.depth=2"}},
    {"pit_distilled", {"model.name=pit_ti_distilled_224", "model.stride=8", "model.keep_rate=1"}},
    {"swin_window",
     {"model.name=swin_tiny_patch4_window7_224", "model.depth=0", "model.patch=2",
      "model.window=2"}},
    {"swin_tile",
     {"model.name=swin_tiny_patch4_window7_224", "model.depth=0", "model.patch=2", "model.window=2",
      "model.swin_sets=tile"}},
};

static void train(const family *f, const char *run, const char *kill, const char *threads)
{
    const char *args[ARGS_MAX + 8] = {
        run, tiny_path, threads, "train.epochs=1", "train.save_steps=2", "train.batch=4"};
    int n = 6;
    if (!strncmp(f->name, "pit", 3))
        args[n++] = "model.depth=0";
    for (int i = 0; f->set[i]; i++)
        args[n++] = f->set[i];
    int status = tiny_train(kill, args);
    if (status != (kill ? -SIGKILL : 0)) {
        char message[1024];
        tiny_message(run, message);
        fail_msg("%s: status %d: %s", f->name, status, message);
    }
}

/* The newest checkpoint as it is used later: read, built, one image scored; training has moved the
 * answer away from that of the network it began with. */
static void scores_an_image(const family *f, const char *run)
{
    checkpoint_info k;
    char d[4096];
    double score, logit;
    err e = {0};
    uint16_t *image = mem_alloc(TINY_SIDE * TINY_SIDE * sizeof *image);
    tiny_pixels(3, true, image);
    assert_int_equal(checkpoint_newest(run, &k, d, &e), 1);
    pool *p = pool_new(1);
    backend *be = backend_new("cpu", p, &e);
    model *m = checkpoint_load(d, &k, be, &e);
    if (!m)
        fail_msg("%s: %s", f->name, e.msg);
    const uint16_t *one = image;
    OK(predict_images(m, be, &k, &one, 1, &score, &logit, e));
    assert_true(score > 0 && score < 1 && isfinite(logit));
    model *fresh = model_new(&k.model, be, k.seed, &e);
    assert_non_null(fresh);
    double first_score, first_logit;
    OK(predict_images(fresh, be, &k, &one, 1, &first_score, &first_logit, e));
    if (!(fabs(logit - first_logit) > 1e-4))
        fail_msg("%s: trained %.9g, untrained %.9g", f->name, logit, first_logit);
    model_free(fresh);
    const json_t *first = json_array_get(k.history, 0);
    assert_true(isfinite(json_number_value(json_object_get(first, "train_loss"))));
    model_free(m);
    backend_free(be);
    pool_free(p);
    checkpoint_release(&k);
    mem_free(image);
}

static void every_family(void **state)
{
    for (size_t i = 0; i < COUNT_OF(families); i++) {
        char whole[128], killed[128];
        text want, got;
        text_init(&want);
        text_init(&got);
        snprintf(whole, sizeof whole, "%s/%s", tiny_dir, families[i].name);
        snprintf(killed, sizeof killed, "%s/%s_killed", tiny_dir, families[i].name);
        train(&families[i], whole, NULL, "-j1");
        train(&families[i], killed, "train_step:3", "-j3");
        train(&families[i], killed, NULL, "-j2");
        tiny_hash(whole, &want);
        tiny_hash(killed, &got);
        if (strcmp(want.s, got.s))
            fail_msg("%s: the run differs:\n%s\nwanted:\n%s", families[i].name, got.s, want.s);
        scores_an_image(&families[i], whole);
        text_release(&want);
        text_release(&got);
    }
}

/* The logit of one image on the CPU by the newest checkpoint, as if it said this form of GELU; -1:
 * as it is. */
static double logit_by(const char *run, int gelu, int *form)
{
    checkpoint_info k;
    char d[4096];
    double score, logit;
    err e = {0};
    uint16_t *image = mem_alloc(TINY_SIDE * TINY_SIDE * sizeof *image);
    const uint16_t *one = image;
    tiny_pixels(3, true, image);
    assert_int_equal(checkpoint_newest(run, &k, d, &e), 1);
    *form = k.model.gelu;
    k.model.gelu = gelu < 0 ? k.model.gelu : gelu;
    pool *p = pool_new(1);
    backend *be = backend_new("cpu", p, &e);
    model *m = checkpoint_load(d, &k, be, &e);
    assert_non_null(m);
    OK(predict_images(m, be, &k, &one, 1, &score, &logit, e));
    model_free(m);
    backend_free(be);
    pool_free(p);
    checkpoint_release(&k);
    mem_free(image);
    return logit;
}

/* A checkpoint says with which form it was trained, and that is what it computes with; one that is
 * older than the option is exact. */
static void the_form_of_gelu_is_kept(void **state)
{
    bool card = strcmp(test_device(), "cpu") != 0;
    const family fast = {"fast", {card ? "train.precision=bf16_fast" : "model.gelu=tanh"}};
    const family exact = {"exact", {card ? "train.precision=bf16" : "model.gelu=auto"}};
    const family *f[] = {&exact, &fast};
    (void)state;
    for (int tanh = 0; tanh < 2; tanh++) {
        char run[128];
        int form;
        snprintf(run, sizeof run, "%s/gelu_%s", tiny_dir, f[tanh]->name);
        train(f[tanh], run, NULL, "-j1");
        double own = logit_by(run, -1, &form);
        double erf = logit_by(run, MODEL_GELU_ERF, &form);
        double other = logit_by(run, MODEL_GELU_TANH, &form);
        double old = logit_by(run, MODEL_GELU_AUTO, &form);
        assert_int_equal(form, tanh ? MODEL_GELU_TANH : MODEL_GELU_ERF);
        assert_true(own == (tanh ? other : erf));
        assert_true(old == erf);
        assert_true(fabs(erf - other) > 1e-6 && fabs(erf - other) < 0.01);
    }
}

static void refuses(const char *first, const char *second, const char *words)
{
    char run[128], message[1024];
    snprintf(run, sizeof run, "%s/refused", tiny_dir);
    assert_int_equal(TRAIN(NULL, run, tiny_path, first, second), 3);
    tiny_message(run, message);
    if (!strstr(message, words))
        fail_msg("message '%s' lacks '%s'", message, words);
}

static void a_precision_that_cannot_be(void **state)
{
    (void)state;
    if (strcmp(test_device(), "cpu"))
        refuses("train.precision=bf16_fast", "model.gelu=erf",
                "say bf16, or leave model.gelu auto");
    else
        refuses("train.precision=bf16_fast", "model.gelu=tanh",
                "precision bf16_fast: the cpu backend computes in f32");
}

static int setup(void **state)
{
    if (!tiny_setup("networks", &(tiny_spec){.train = 6, .val = 3, .test = 3}))
        return -1;
    return 0;
}

int main(int argc, char **argv)
{
    if (argc > 2)
        return tiny_main(argc, argv);
    log_set_level(LOG_ERROR);
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_form_of_gelu_is_kept),
                                       cmocka_unit_test(a_precision_that_cannot_be),
                                       cmocka_unit_test(every_family)};
    bool card = strcmp(test_device(), "cpu") != 0; /* an emulated one is slow */
    return _cmocka_run_group_tests("networks", tests, COUNT_OF(tests) - card, setup, tiny_teardown);
}
