/* A training by several processes under mpirun: the bytes are those of one process, for any number
 * of them, after the death of one, after a stop asked of one and with another number from then on;
 * what one of them lacks ends all with one message. */
#include "tests/unit/mpirun.h"
#include "tests/unit/tiny_run.h"

#include "train/share.h"

/* 14 micro-batches an epoch in steps of 4, 4, 4 and 2: the last step leaves some without work. */
#define SETTINGS                                                                                   \
    "train.sampling=all", "train.batch=5", "train.accum=4", "train.epochs=2",                      \
        "train.keep_log=true", "train.keep_schedule=code", "train.save_steps=2",                   \
        "train.bucket_mib=1"

static void ended(const char *what, int got, int want)
{
    if (got != want)
        fail_msg("%s: status %d, wanted %d: %s", what, got, want, mpirun_said);
}

static void test_same_bytes(void **state)
{
    MPIRUN_OR_SKIP();
    for (int n = 2; n <= 4; n++) {
        char name[16];
        snprintf(name, sizeof name, "ranks%d", n);
        const char *run = tiny_name(name);
        ended(name, MPIRUN(n, 120, run, tiny_path, SETTINGS), 0);
        tiny_is_wanted(run, name);
    }
}

/* The last one dies in a step, the first one in a checkpoint; another number goes on. */
static void test_death(void **state)
{
    static const struct {
        const char *who, *where;
        int before, after;
    } deaths[] = {{"only1", "kill=train_step:3", 2, 2},
                  {"only3", "kill=train_step:6", 4, 2},
                  {"only0", "kill=ckpt_inside:5", 2, 4}};
    MPIRUN_OR_SKIP();
    for (size_t i = 0; i < COUNT_OF(deaths); i++) {
        char name[16];
        snprintf(name, sizeof name, "death%zu", i);
        const char *run = tiny_name(name);
        ended(
            name,
            MPIRUN(deaths[i].before, 120, run, tiny_path, SETTINGS, deaths[i].who, deaths[i].where),
            137);
        ended(name, MPIRUN(deaths[i].after, 120, run, tiny_path, SETTINGS), 0);
        tiny_is_wanted(run, name);
    }
}

/* A signal that reaches one of them stops all behind the same step; one alone goes on. */
static void test_stop(void **state)
{
    MPIRUN_OR_SKIP();
    const char *run = tiny_name("stop");
    ended("stop", MPIRUN(2, 60, run, tiny_path, SETTINGS, "only1", "stop"), 75);
    char message[1024];
    tiny_message(run, message);
    assert_string_equal(message,
                        "stopped on request at epoch 1 step 1; the same command continues");
    assert_int_equal(TRAIN(NULL, run, tiny_path, SETTINGS), 0);
    tiny_is_wanted(run, "stop");
}

static void refused(int n, const char *who, const char *what, const char *words, int status)
{
    char message[1024];
    const char *run = tiny_name("refused");
    OK(fs_remove_tree(run, e));
    ended(what, MPIRUN(n, 60, run, tiny_path, SETTINGS, "train.rank_patience=2", who, what),
          status);
    const char *said = mpirun_said;
    if (status == 3) {
        tiny_message(run, message);
        assert_false(fs_exists(run)); /* nothing is left behind */
        said = message;
    }
    if (!strstr(said, words))
        fail_msg("'%s' lacks '%s'", said, words);
}

static void test_one_differs(void **state)
{
    MPIRUN_OR_SKIP();
    char message[1024];
    refused(2, "only1", "train.init=nowhere", "process 1 of 2 (", 3);
    refused(2, "only1", "train.init=nowhere", "train.init: 'nowhere' does not exist", 3);
    refused(2, "only1", "freeze", "waited 2 s for the other processes", 4);
    refused(2, "train.accum=1", "train.accum=1",
            "2 processes share the micro-batches of a step, and train.accum is 1", 3);
    const char *run = tiny_name("differs");
    ended("seed", MPIRUN(2, 60, run, tiny_path, SETTINGS, "only1", "seed=8"), 3);
    tiny_message(run, message);
    assert_non_null(strstr(message, "run.seed of process 1 ("));
    run = tiny_name("differs2");
    ended("lr", MPIRUN(2, 60, run, tiny_path, SETTINGS, "only1", "train.lr=0.02"), 3);
    tiny_message(run, message);
    assert_non_null(strstr(message, "the hash of the config of process 1 ("));
}

/* An image that nobody can read: the process whose it is says so, all end. */
static void test_bad_image(void **state)
{
    MPIRUN_OR_SKIP();
    char message[1024], other[96];
    snprintf(other, sizeof other, "%s/bad", tiny_dir);
    OK(fs_mkdirs(other, e));
    tiny_write(other, "COHORT.h5", &(tiny_spec){.train = 18, .val = 9, .test = 6});
    char *shard = fs_join(other, "tiny-01.h5"), *cohort = fs_join(other, "COHORT.h5"), *bytes;
    size_t len;
    OK(fs_read(shard, 1 << 28, &bytes, &len, e));
    memset(bytes + len / 2, 0x5a, 64); /* inside the pixels of one image or two */
    OK(fs_write(shard, bytes, len, e));
    const char *run = tiny_name("bad_image");
    ended("bad image", MPIRUN(3, 60, run, cohort, SETTINGS), 3);
    tiny_message(run, message);
    if (!strstr(message, "process ") || !strstr(message, " of 3 ("))
        fail_msg("%s", message);
    mem_free(bytes);
    mem_free(shard);
    mem_free(cohort);
}

/* Everybody's list together is the epoch, step by step. */
static void test_order(void **state)
{
    for (int size = 1; size <= 6; size++)
        for (int accum = size; accum <= 13; accum++)
            for (int first = 0; first < 3 * accum; first += accum) {
                int64_t out[64];
                int seen[64] = {0}, micro = 31;
                for (int rank = 0; rank < size; rank++) {
                    int64_t n = share_order(first, micro, accum, rank, size, out);
                    for (int64_t i = 0; i < n; i++) {
                        seen[out[i]]++;
                        assert_true(i == 0 || out[i] > out[i - 1]);
                    }
                }
                for (int i = 0; i < micro; i++)
                    assert_int_equal(seen[i], i >= first);
            }
}

static int setup(void **state)
{
    if (!tiny_setup("share", &(tiny_spec){.train = 18, .val = 9, .test = 6}))
        return -1;
    if (TRAIN(NULL, tiny_name("alone"), tiny_path, SETTINGS))
        return -1;
    tiny_hash(tiny_name("alone"), &tiny_wanted);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc > 2)
        return tiny_main(argc, argv);
    log_set_level(LOG_ERROR);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order),       cmocka_unit_test(test_same_bytes),
        cmocka_unit_test(test_death),       cmocka_unit_test(test_stop),
        cmocka_unit_test(test_one_differs), cmocka_unit_test(test_bad_image),
    };
    return cmocka_run_group_tests(tests, setup, tiny_teardown);
}
