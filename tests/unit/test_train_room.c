/* Memory of a training: which level of recompute it takes, that a level changes no byte of a run,
 * what a run takes against its plan, and how it ends where there is too little. The last two on a
 * card, DEVICE=cuda: the emulator counts what is asked for, and has as little as it is told. */
#include "tests/unit/tiny_run.h"

#include <math.h>

#include "model/grads.h"
#include "tests/unit/said.h"

static bool on_card(void)
{
    return strcmp(test_device(), "cpu");
}

static train_plan plan_of(const char *device, const char *const *set)
{
    cfg *c = tiny_config();
    train_result r;
    for (int i = 0; set[i]; i++)
        OK(cfg_set(c, set[i], e));
    OK(train_run(&(train_opts){.run = tiny_name("plan"),
                               .cohort = tiny_path,
                               .device = device,
                               .threads = 1,
                               .seed = 7,
                               .dry_run = true,
                               .config = c},
                 &r, e));
    cfg_free(c);
    return r.plan;
}
#define PLAN(device, ...) plan_of(device, (const char *const[]){__VA_ARGS__, NULL})

#define WIDE "train.batch=512", "model.depth=4", "train.cache_mib=0"

static const char *gib_of(int64_t bytes)
{
    static char set[64];
    snprintf(set, sizeof set, "train.memory_gib=%.9f", (double)bytes / (double)(1 << 30));
    return set;
}

/* auto takes the first level that fits; the largest batch of a level fits, one more does not. */
static void the_first_level_that_fits_is_taken(void **state)
{
    (void)state;
    const room_plan all = PLAN("cpu", WIDE, "train.memory_gib=1000").memory;
    const footprint *f = all.at;
    assert_int_equal(all.level, RUN_KEEP);
    assert_true(f[RUN_KEEP].total > f[RUN_LN_GELU].total);
    assert_true(f[RUN_LN_GELU].total > f[RUN_BLOCK].total);
    for (int i = 0; i < ROOM_LEVELS; i++) {
        int64_t above = i ? f[i - 1].total : f[i].total + 10;
        room_plan p = PLAN("cpu", WIDE, gib_of((f[i].total + above) / 2)).memory;
        assert_int_equal(p.level, i);
        assert_true(p.largest[i] >= 512);
        for (int k = 0; k < i; k++)
            assert_true(p.largest[k] < 512);
    }
    room_plan p = PLAN("cpu", WIDE, gib_of(f[RUN_BLOCK].total - 10)).memory;
    assert_int_equal(p.level, RUN_BLOCK);
    assert_int_equal(p.largest[RUN_BLOCK], 511);
    assert_int_equal(PLAN("cpu", WIDE, "train.recompute=none", gib_of(1 << 20)).memory.level,
                     RUN_KEEP);
    p = PLAN("cpu", WIDE, "train.recompute=ln_gelu").memory;
    assert_int_equal(p.level, RUN_LN_GELU);
}

/* A card that is not here: half the bytes of activations in bf16, images not counted on it. */
static void a_described_card_is_planned_for(void **state)
{
    (void)state;
    room_plan cpu = PLAN("cpu", WIDE, "train.memory_gib=8").memory;
    room_plan f32 = PLAN("cuda", WIDE, "train.memory_gib=8").memory;
    room_plan bf16 = PLAN("cuda", WIDE, "train.memory_gib=8", "train.precision=bf16").memory;
    assert_int_equal(f32.room, (int64_t)8 << 30);
    for (int i = 0; i < ROOM_LEVELS; i++) {
        assert_int_equal(f32.at[i].saved, cpu.at[i].saved);
        assert_true(bf16.at[i].saved < f32.at[i].saved);
        assert_int_equal(f32.at[i].total, f32.at[i].params + f32.at[i].grads + f32.at[i].optimizer +
                                              f32.at[i].activations + f32.at[i].validation +
                                              f32.at[i].workspace + f32.at[i].products +
                                              f32.at[i].staging + f32.at[i].sums);
        assert_int_equal(f32.at[i].products, 32 << 20);
        assert_int_equal(f32.at[i].staging, 1 << 20);
        assert_true(f32.at[i].locked > f32.at[i].staging);
        assert_int_equal(cpu.at[i].products + cpu.at[i].staging + cpu.at[i].sums, 0);
        assert_int_equal(cpu.at[i].locked, 0);
    }
    assert_true(f32.ask.card && !cpu.ask.card);
    /* what only a card knows is no number */
    assert_true(f32.libraries < 0 && f32.before < 0 && cpu.libraries == 0 && cpu.before == 0);
    assert_true(bf16.largest[RUN_BLOCK] > bf16.largest[RUN_KEEP]);
}

/* Not a byte of a run tells its level, or another option of the machine; and so one goes on with
 * others. */
static void levels_train_the_same_run(void **state)
{
    (void)state;
    static const char *const way[] = {"recompute=none", "recompute=ln_gelu", "recompute=block",
                                      "recompute=auto", "cuda_graphs=false", "cache_mib=0"};
    text want, got;
    text_init(&want);
    for (size_t i = 0; i < COUNT_OF(way); i++) {
        char set[64], name[32];
        snprintf(set, sizeof set, "train.%s", way[i]);
        snprintf(name, sizeof name, "run-%s", way[i]);
        assert_int_equal(
            TRAIN(NULL, tiny_name(name), tiny_path, "train.epochs=1", "model.depth=2", set), 0);
        text_init(&got);
        tiny_hash(tiny_name(name), i ? &got : &want);
        if (i)
            assert_string_equal(got.s, want.s);
        text_release(&got);
    }
    const char *run = tiny_name("run-changed");
    assert_int_equal(TRAIN("train_step:2", run, tiny_path, "train.epochs=1", "model.depth=2",
                           "train.rank_patience=7"),
                     -SIGKILL);
    assert_int_equal(TRAIN(NULL, run, tiny_path, "train.epochs=1", "model.depth=2",
                           "train.recompute=block", "train.cuda_graphs=false", "train.cache_mib=1"),
                     0);
    text_init(&got);
    tiny_hash(run, &got);
    assert_string_equal(got.s, want.s);
    text_release(&got);
    text_release(&want);
}

/* ---- on a card ---------------------------------------------------------------------------------
 */

enum { B = 8, SIDE = 32 };

/* What two steps really take of a card, against the plan. */
static void a_card_gives_what_was_planned(void **state)
{
    (void)state;
    static uint16_t pixels[SIDE * SIDE];
    static const int32_t label[B] = {0, 1, 0, 1, 1, 0, 0, 1};
    static double norm[2];
    const uint16_t *image[B];
    for (int i = 0; i < B; i++)
        image[i] = pixels;
    for (int level = RUN_KEEP; level <= RUN_BLOCK; level++) {
        err e = {0};
        model_cfg c = {.name = "deit_tiny_patch16_224",
                       .image_h = SIDE,
                       .image_w = SIDE,
                       .patch = 8,
                       .depth = 2,
                       .channels = 1,
                       .classes = 2,
                       .keep_rate = 1};
        pool *threads = pool_new(2);
        backend *be = backend_new(test_device(), threads, &e);
        assert_true(be && backend_compute(be, &(backend_how){.precision = BACKEND_BF16}, &e));
        int64_t room = backend_room(be);
        model *m = model_new(&c, be, 1, &e);
        optim_cfg how = {.kind = OPTIM_ADAMW, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8};
        optim *opt = optim_new(&how, model_params(m));
        run *r = run_new(be, RUN_TRAIN);
        model_batch batch = {.b = B, .h = SIDE, .w = SIDE, .image = image, .grey = true, .sd = 1};
        model_bytes plan = model_plan(m, RUN_TRAIN, (run_level)level, &batch);
        run_recompute(r, (run_level)level);
        run_reserve(r, plan.arena);
        for (int i = 0; i < 2; i++) {
            run_reset(r);
            run_backward(r, op_loss(r, model_forward(m, r, &batch), label, NULL, 0));
            backend_begin(be);
            optim_step(opt, 1e-3, i + 1, 1, &norm[i]);
            backend_end(be);
        }
        double took = (double)(room - backend_room(be));
        double planned =
            (double)(4 * 4 * model_params(m)->total) + (double)plan.arena + (double)plan.workspace;
        print_message("%s: planned %.0f, took %.0f bytes\n", room_level_name((run_level)level),
                      planned, took);
        assert_true(fabs(planned - took) < 0.001 * took);
        run_free(r);
        optim_free(opt);
        model_free(m);
        assert_true(room - backend_room(be) < (8 << 20)); /* the device keeps its own scratch */
        backend_free(be);
        pool_free(threads);
    }
}

static room_plan plan_beside(const char *context_kib, const char *library_kib,
                             const char *memory_kib, const char *precision)
{
    setenv("SHIM_CONTEXT_KIB", context_kib, 1);
    setenv("SHIM_LIBRARY_KIB", library_kib, 1);
    setenv("SHIM_MEMORY_KIB", memory_kib, 1);
    room_plan p = PLAN("cuda", "train.batch=64", "model.depth=4", precision).memory;
    unsetenv("SHIM_CONTEXT_KIB");
    unsetenv("SHIM_LIBRARY_KIB");
    unsetenv("SHIM_MEMORY_KIB");
    return p;
}

/* The driver's context and what libraries take when they are opened: asked of the card, and not
 * planned with. Those that a network does not want are not opened. */
static void what_others_take_is_measured(void **state)
{
    (void)state;
    const int64_t all = (int64_t)1 << 30, mib = 1 << 20;
    room_plan p = plan_beside("3072", "0", "1048576", "train.precision=bf16");
    assert_int_equal(p.before, 3 * mib);
    assert_int_equal(p.libraries, 0);
    assert_in_range(p.room + p.reserve, all - 3 * mib - (64 << 10), all - 3 * mib);
    room_plan q = plan_beside("3072", "300000", "1048576", "train.precision=bf16");
    assert_int_equal(q.libraries, 300000 << 10);
    assert_in_range(p.room + p.reserve - q.room - q.reserve, q.libraries - 1024,
                    q.libraries + 1024);
    assert_int_equal(plan_beside("0", "300000", "1048576", "train.precision=f32").libraries, 0);
    /* a card that holds the first level only without them */
    char kib[32];
    int64_t some = p.at[RUN_KEEP].total + p.at[RUN_KEEP].total / 16;
    assert_true(p.at[RUN_KEEP].total - p.at[RUN_LN_GELU].total > mib);
    snprintf(kib, sizeof kib, "%lld", (long long)(some >> 10));
    assert_int_equal(plan_beside("0", "0", kib, "train.precision=bf16").level, RUN_KEEP);
    char taken[32];
    snprintf(taken, sizeof taken, "%lld", (long long)((p.at[RUN_KEEP].total / 16 + mib / 2) >> 10));
    assert_int_equal(plan_beside("0", taken, kib, "train.precision=bf16").level, RUN_LN_GELU);
    assert_int_equal(plan_beside(taken, "0", kib, "train.precision=bf16").level, RUN_LN_GELU);
}

/* A card with so many bytes; what the run said, and how it ended. */
static int on_small_card(int64_t bytes, const char *words, const char *const *args)
{
    const char *file = tiny_name("said");
    char kib[32];
    snprintf(kib, sizeof kib, "%lld", (long long)(bytes >> 10));
    setenv("SHIM_MEMORY_KIB", kib, 1);
    said s = said_begin(file);
    int status = tiny_train(NULL, args);
    bool there = said_end(s, file, words);
    unsetenv("SHIM_MEMORY_KIB");
    if (!there)
        fail_msg("'%s' was not said", words);
    return status;
}

static void a_small_card_ends_with_advice(void **state)
{
    (void)state;
    char message[1024];
#define BIG "train.batch=64", "model.depth=4", "train.epochs=1"
    room_plan p = PLAN("cuda", BIG, "train.memory_gib=8").memory;
    int64_t card = (p.at[RUN_KEEP].total + 2 * p.at[RUN_BLOCK].total) / 3;
    assert_true(p.at[RUN_KEEP].total - p.at[RUN_BLOCK].total > 4 << 20);
    /* before the first step: the card was asked */
    const char *run = tiny_name("small");
    assert_int_equal(
        on_small_card(card, "",
                      (const char *const[]){run, tiny_path, BIG, "train.recompute=none", NULL}),
        5);
    tiny_message(run, message);
    assert_non_null(strstr(message, "training with train.batch=64 and train.recompute=none takes"));
    assert_non_null(strstr(message, "train.recompute=block fits"));
    assert_non_null(strstr(message, "fits with train.recompute=none"));
    /* in it: more was promised than there is */
    run = tiny_name("told");
    assert_int_equal(
        on_small_card(card, "fits with train.recompute=none",
                      (const char *const[]){run, tiny_path, BIG, "train.recompute=none",
                                            "train.memory_gib=8", NULL}),
        5);
    /* auto goes on where none does not, in the same folder */
    assert_int_equal(on_small_card(card, "", (const char *const[]){run, tiny_path, BIG, NULL}), 0);
}

static int setup(void **state)
{
    if (!tiny_setup("room", &(tiny_spec){.train = 18, .val = 0, .test = 6}))
        return -1;
    return 0;
}

int main(int argc, char **argv)
{
    if (argc > 2)
        return tiny_main(argc, argv);
    log_set_level(LOG_ERROR);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_level_that_fits_is_taken),
        cmocka_unit_test(a_described_card_is_planned_for),
        cmocka_unit_test(levels_train_the_same_run),
    };
    const struct CMUnitTest of_a_card[] = {
        cmocka_unit_test(levels_train_the_same_run),
        cmocka_unit_test(a_card_gives_what_was_planned),
        cmocka_unit_test(what_others_take_is_measured),
        cmocka_unit_test(a_small_card_ends_with_advice),
    };
    if (on_card())
        return cmocka_run_group_tests(of_a_card, setup, tiny_teardown);
    return cmocka_run_group_tests(tests, setup, tiny_teardown);
}
