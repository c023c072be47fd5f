/* Training with token reduction on a tiny cohort: EViT's keep rate follows its schedule, runs
 * resume with the same bytes for any threads, and what does not go together is refused. */
#include "tests/unit/tiny_run.h"

#include "train/checkpoint.h"

#define EVIT                                                                                       \
    "model.depth=3", "model.reduction=evit", "model.reduction_layers=0/1", "model.evit_keep=0.5",  \
        "train.epochs=2"
#define PPT                                                                                        \
    "model.depth=3", "model.reduction=ppt", "model.reduction_layers=0/1", "model.ppt_tau=1e-6",    \
        "train.epochs=2"

/* Weights after the first epoch. */
static void first_weights(const char *name, const char *start, const char *reduction, char sum[65])
{
    checkpoint_info k;
    char d[4096];
    const char *run = tiny_name(name);
    assert_int_equal(TRAIN(NULL, run, tiny_path, EVIT, "train.epochs=1", start, reduction), 0);
    OK(checkpoint_newest(run, &k, d, e) == 1);
    text_copy(sum, 65, k.model_sha256);
    checkpoint_release(&k);
}

/* Before its start no token leaves; within the ramp some do. */
static void test_schedule(void **state)
{
    char full[65], later[65], now[65], ramp[65];
    first_weights("full", "train.evit_start=0", "model.reduction=none", full);
    first_weights("later", "train.evit_start=1", "train.evit_warmup=1", later);
    first_weights("now", "train.evit_start=0", "train.evit_warmup=0", now);
    first_weights("ramp", "train.evit_start=0", "train.evit_warmup=1", ramp);
    assert_string_equal(full, later);
    assert_string_not_equal(full, now);
    assert_string_not_equal(full, ramp);
    assert_string_not_equal(now, ramp);
}

static void resumes(const char *whole, const char *killed, const char *const *args)
{
    const char *a[16] = {whole, tiny_path}, *b[16] = {killed, tiny_path, "-j3"};
    text want, got;
    text_init(&want);
    text_init(&got);
    for (int i = 0; args[i]; i++)
        a[i + 2] = b[i + 3] = args[i];
    assert_int_equal(tiny_train(NULL, a), 0);
    assert_int_equal(tiny_train("ckpt_inside:2", b), -SIGKILL);
    assert_int_equal(tiny_train(NULL, b), 0);
    tiny_hash(whole, &want);
    tiny_hash(killed, &got);
    assert_string_equal(got.s, want.s);
    text_release(&want);
    text_release(&got);
}

static void test_resume(void **state)
{
    resumes(tiny_name("evit"), tiny_name("evit_killed"),
            (const char *const[]){EVIT, "train.evit_warmup=2", "train.save_steps=4", NULL});
    resumes(tiny_name("ppt"), tiny_name("ppt_killed"),
            (const char *const[]){PPT, "train.save_steps=4", NULL});
}

static void test_refusals(void **state)
{
    static const char *const keys[][2] = {
        {"model.ppt_rule=absolute", "take scale_free"},
        {"model.reduction_layers=2", "block 2 of 3"},
        {"model.reduction_layers=", "no block is named"},
    };
    for (size_t i = 0; i < COUNT_OF(keys); i++) {
        char message[1024];
        const char *run = tiny_name("refused");
        assert_int_equal(TRAIN(NULL, run, tiny_path, PPT, keys[i][0]), 3);
        tiny_message(run, message);
        if (!strstr(message, keys[i][1]))
            fail_msg("'%s' lacks '%s'", message, keys[i][1]);
    }
    char message[1024];
    const char *run = tiny_name("refused");
    assert_int_equal(TRAIN(NULL, run, tiny_path, PPT, "model.keep_rate=1",
                           "train.keep_schedule=paper", "model.ppt_rule=absolute"),
                     3);
    tiny_message(run, message);
    assert_non_null(strstr(message, "take scale_free"));
}

static int setup(void **state)
{
    if (!tiny_setup("reduction", &(tiny_spec){.train = 18, .val = 9, .test = 6}))
        return -1;
    return 0;
}

int main(int argc, char **argv)
{
    if (argc > 2)
        return tiny_main(argc, argv);
    log_set_level(LOG_ERROR);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_schedule),
        cmocka_unit_test(test_resume),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, setup, tiny_teardown);
}
