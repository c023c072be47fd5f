/* Times by class of op: every class of a training step has its share, all of them together are the
 * whole time; and images that lie in the device's memory are read like those of the host. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "core/mem.h"
#include "core/pool.h"
#include "model/laps.h"
#include "model/model.h"
#include "tests/device.h"
#include "train/optim.h"

enum { SIDE = 48, BATCH = 2, PIXELS = SIDE * SIDE };

typedef struct world {
    pool *pool;
    backend *be;
    model *m;
    run *r;
    optim *o;
    uint16_t host[BATCH][PIXELS], *device;
    const uint16_t *image[BATCH];
    model_batch in;
} world;

static void open_world(world *w)
{
    const model_cfg options = {.name = "vit_tiny_patch16_224",
                               .image_h = SIDE,
                               .image_w = SIDE,
                               .depth = 2,
                               .channels = 1,
                               .classes = 2,
                               .keep_rate = 1,
                               .head_init = 0.02};
    const optim_cfg adamw = {
        .kind = OPTIM_ADAMW, .beta1 = 0.9, .beta2 = 0.99, .eps = 1e-8, .decay_tokens = true};
    err e = {0};
    memset(w, 0, sizeof *w);
    w->pool = pool_new(1);
    w->be = backend_new(test_device(), w->pool, &e);
    w->m = w->be ? model_new(&options, w->be, 1, &e) : NULL;
    if (!w->m)
        fail_msg("%s", e.msg);
    w->r = run_new(w->be, RUN_TRAIN);
    w->o = optim_new(&adamw, model_params(w->m));
    for (int i = 0; i < BATCH * PIXELS; i++)
        w->host[i / PIXELS][i % PIXELS] = (uint16_t)(i * 7919);
    w->device = backend_alloc(w->be, sizeof w->host);
    backend_to_device(w->be, w->device, w->host, sizeof w->host);
    w->in = (model_batch){.b = BATCH,
                          .h = SIDE,
                          .w = SIDE,
                          .image = w->image,
                          .grey = true,
                          .mean = 0.5F,
                          .sd = 0.3F};
}

static void close_world(world *w)
{
    backend_dealloc(w->be, w->device);
    run_free(w->r);
    optim_free(w->o);
    model_free(w->m);
    backend_free(w->be);
    pool_free(w->pool);
}

static float step(world *w, bool resident, bool train)
{
    static const int32_t label[BATCH] = {0, 1};
    double norm;
    float loss;
    for (int i = 0; i < BATCH; i++)
        w->image[i] = resident ? w->device + i * PIXELS : w->host[i];
    w->in.resident = resident;
    backend_begin(w->be);
    run_reset(w->r);
    param_zero_grad(model_params(w->m));
    tensor *l = op_loss(w->r, model_forward(w->m, w->r, &w->in), label, NULL, 0.1F);
    run_backward(w->r, l);
    if (train)
        optim_step(w->o, 1e-3, 1, 1, &norm);
    run_read(w->r, l, &loss);
    backend_wait(w->be, backend_end(w->be));
    return loss;
}

static void classes_make_up_the_whole(void **state)
{
    (void)state;
    world w;
    double s[LAPS_CLASSES], sum = 0, whole;
    open_world(&w);
    step(&w, false, true);
    void *from = backend_mark(w.be, NULL);
    laps *l = laps_start(w.be);
    step(&w, false, true);
    laps_stop(l, s);
    void *to = backend_mark(w.be, NULL);
    whole = backend_between(w.be, from, to);
    for (int i = 0; i < LAPS_CLASSES; i++) {
        bool apart = i != LAPS_GELU || strcmp(backend_name(w.be), "cpu");
        print_message("%-10s %.3f ms\n", laps_name((laps_class)i), 1e3 * s[i]);
        assert_true(apart ? s[i] > 0 : s[i] == 0);
        sum += s[i];
    }
    assert_true(sum > 0.5 * whole && sum <= whole * 1.001);
    assert_true(s[LAPS_LINEAR] > s[LAPS_OTHER]);
    backend_unmark(w.be, from);
    backend_unmark(w.be, to);
    close_world(&w);
}

static void nothing_is_timed_unasked(void **state)
{
    (void)state;
    world w;
    double s[LAPS_CLASSES];
    open_world(&w);
    laps_stop(laps_start(w.be), s);
    step(&w, false, true);
    for (int i = 1; i < LAPS_CLASSES; i++)
        assert_true(s[i] == 0);
    assert_int_equal(laps_enter(w.be, LAPS_LOSS), LAPS_OTHER);
    assert_int_equal(laps_enter(w.be, LAPS_OTHER), LAPS_OTHER);
    close_world(&w);
}

static void resident_images_are_read_in_place(void **state)
{
    (void)state;
    world w;
    open_world(&w);
    float a = step(&w, false, false), b = step(&w, true, false);
    assert_memory_equal(&a, &b, sizeof a);
    w.host[1][5] = (uint16_t)(w.host[1][5] + 9999);
    float c = step(&w, false, false), d = step(&w, true, false);
    assert_memory_not_equal(&a, &c, sizeof a);
    assert_memory_equal(&a, &d, sizeof a);
    close_world(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(classes_make_up_the_whole),
        cmocka_unit_test(nothing_is_timed_unasked),
        cmocka_unit_test(resident_images_are_read_in_place),
    };
    return cmocka_run_group_tests_name("model_laps", tests, NULL, NULL);
}
