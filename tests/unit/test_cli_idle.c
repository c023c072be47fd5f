/* Keys without effect: every row of the table names keys that exist and a condition that can hold;
 * what was given and does nothing is said once, what acts is not. */
#include "tests/unit/said.h"
#include "tests/unit/store.h"

#include "cli/idle.h"

static char dir[64], file[96], talk[96];
static const cmd verb = {.verb = "test", .usage = "test", .max_words = 0};

static void parse(cmd_args *a, const char *const *word, int n)
{
    char *argv[24];
    for (int i = 0; i < n; i++)
        argv[i] = (char *)(uintptr_t)word[i];
    OK(args_parse(a, &verb, n, argv, e));
}

/* Are these words said of a call with these options? */
static bool says(const char *words, const char *rooms, const char *const *word, int n)
{
    cmd_args a;
    parse(&a, word, n);
    said s = said_begin(talk);
    idle_warn(&a, rooms);
    bool there = said_end(s, talk, words);
    cfg_free(a.config);
    return there;
}
#define WORDS(...)                                                                                 \
    (const char *const[]){__VA_ARGS__},                                                            \
        (int)(sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *))
#define SAYS(words, ...) says(words, NULL, WORDS(__VA_ARGS__))
#define SILENT(...)      (!says("key_without_effect", NULL, WORDS(__VA_ARGS__)))

/* A condition may be made to hold by setting what it says; then its keys act, unless another row
 * is about them too. */
static void rows_are_sound(void **state)
{
    int rows = 0;
    for (; idle_keys(rows); rows++) {
        cfg *c = args_schema();
        char when[128], keys[200];
        text_copy(when, sizeof when, idle_condition(rows));
        text_copy(keys, sizeof keys, idle_keys(rows));
        char *rest = NULL, *first = strtok_r(when, "|", &rest);
        for (char *w = first; w; w = strtok_r(NULL, "|", &rest)) {
            char *sign = strpbrk(w, "=!");
            bool equal = *sign == '=';
            assert_non_null(sign);
            *sign = 0;
            cfg_text(c, w);         /* the key exists */
            if (equal && sign[1]) { /* the value is one that it takes, as it is shown */
                *sign = '=';
                OK(cfg_set(c, w, e));
                *sign = 0;
                assert_string_equal(cfg_text(c, w), sign + 1);
            }
        }
        for (char *k = strtok_r(keys, " ", &rest); k; k = strtok_r(NULL, " ", &rest))
            cfg_text(c, k);
        cfg_free(c);
    }
    assert_true(rows > 20);
    assert_null(idle_keys(-1));
}

static void what_does_nothing_is_said(void **state)
{
    assert_true(SAYS("warn key_without_effect model.evit_keep=0.5 why=\"it acts with "
                     "model.reduction evit, here none\"",
                     "--set", "model.evit_keep=0.5"));
    assert_true(SILENT("--set", "model.evit_keep=0.5", "--set", "model.reduction=evit"));
    assert_true(SAYS("train.keep_grid=true why=\"it acts with train.keep_schedule paper, here code",
                     "--set", "train.keep_grid=true", "--set", "train.keep_schedule=code"));
    assert_true(SILENT("--set", "train.keep_grid=true", "--set", "train.keep_schedule=paper"));
    assert_true(SAYS("why=\"it acts with train.keep_replay empty, here RUN", "--set",
                     "train.keep_grid=true", "--set", "train.keep_schedule=paper", "--set",
                     "train.keep_replay=RUN"));
    assert_true(SAYS("model.keep_mode=grid why=\"it acts with model.keep_rate other than 1, here "
                     "1, or with train.keep_schedule other than fixed, here fixed\"",
                     "--set", "model.keep_mode=grid", "--set", "model.keep_rate=1"));
    assert_true(SILENT("--set", "model.keep_mode=grid", "--set", "model.keep_rate=0.5"));
    assert_true(SILENT("--set", "model.keep_mode=grid", "--set", "train.keep_schedule=paper"));
    assert_true(SAYS("train.momentum=0.5 why=\"it acts with train.optimizer sgd, here adamw\"",
                     "--set", "train.momentum=0.5", "--set", "train.optimizer=adamw"));
    assert_true(SAYS("model.evit_fuse_one=true why=\"it acts with model.evit_fuse true, here false",
                     "--set", "model.evit_fuse_one=true", "--set", "model.reduction=evit", "--set",
                     "model.evit_fuse=false"));
    assert_true(SAYS("split.fold=2 why=\"it acts with split.mode kfold, here fractions\"", "--set",
                     "split.fold=2"));
    assert_true(SILENT("--set", "split.fold=2", "--set", "split.mode=kfold"));
    assert_true(SAYS("split.val_fraction=0.2 why=\"it acts with split.mode other than kfold",
                     "--set", "split.val_fraction=0.2", "--set", "split.mode=kfold"));
    assert_true(SAYS("split.val_fraction=0.2 why=\"it acts with split.mode other than column",
                     "--set", "split.val_fraction=0.2", "--set", "split.mode=column"));
    assert_true(
        SAYS("why=\"it acts with split.mode temporal", "--set", "split.test_from=2020-01-01"));
    assert_true(SAYS("why=\"it acts with train.init other than empty, here empty\"", "--set",
                     "train.init_resample=bicubic"));
}

/* Defaults that a file repeats, keys of other verbs, what --compat sets: nothing is said. */
static void the_rest_is_silent(void **state)
{
    static const char *const yaml = "train:\n  beta1: 0.9\n  keep_grid: true\nmodel:\n"
                                    "  ppt_tokens: 7\n";
    OK(fs_write(file, yaml, strlen(yaml), e));
    assert_true(SAYS("key_without_effect model.ppt_tokens=7", "-c", file));
    assert_true(SAYS("key_without_effect train.keep_grid=true", "-c", file));
    assert_false(SAYS("beta1", "-c", file));
    assert_false(says("key_without_effect", "predict prepare", WORDS("-c", file)));
    assert_false(says("keep_grid", "model", WORDS("-c", file)));
    assert_true(SILENT("-q"));
    static const char *const programs[] = {"patchdropout", "evit", "ppt"};
    for (size_t i = 0; i < COUNT_OF(programs); i++)
        assert_true(SILENT("--compat", programs[i]));
    assert_true(
        SAYS("predict.evit_mask=true", "--compat", "evit", "--set", "predict.evit_mask=true"));
}

static int setup(void **state)
{
    if (!store_tmp("idle", dir))
        return -1;
    snprintf(file, sizeof file, "%s/a.yaml", dir);
    snprintf(talk, sizeof talk, "%s/talk", dir);
    return 0;
}

static int teardown(void **state)
{
    err e = {0};
    return fs_remove_tree(dir, &e) ? 0 : -1;
}

int main(void)
{
    log_set_level(LOG_ERROR);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_sound),
        cmocka_unit_test(what_does_nothing_is_said),
        cmocka_unit_test(the_rest_is_silent),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
