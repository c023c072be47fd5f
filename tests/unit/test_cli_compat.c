/* --compat: every row of the table is a key that exists and a value that it takes, set before files
 * and --set; what is not reproduced says why. */
#include "tests/unit/store.h"

#include "cli/cmd.h"
#include "cli/compat.h"

static char dir[64], file[96];

static const cmd verb = {.verb = "test", .usage = "test", .max_words = 0};

/* The config that these words make; released by the caller. */
static cfg *parse(const char *const *word, int n, err *e)
{
    cmd_args a;
    char *argv[16];
    for (int i = 0; i < n; i++)
        argv[i] = (char *)(uintptr_t)word[i];
    bool ok = args_parse(&a, &verb, n, argv, e);
    if (ok)
        return a.config;
    cfg_free(a.config);
    return NULL;
}
#define WORDS(...)                                                                                 \
    (const char *const[]){__VA_ARGS__},                                                            \
        (int)(sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *))

/* A row's value, after the key has read it, is what the key then shows; 4/3 is shown as a number.
 */
static void rows_are_keys_and_values(void **state)
{
    static const char *const programs[] = {"patchdropout", "evit", "ppt"};
    int n[3] = {0};
    for (int i = 0; compat_at(i); i++) {
        const compat_row *r = compat_at(i);
        cfg *c = args_schema();
        err e = {0};
        text kv;
        text_init(&kv);
        int k = 0;
        while (k < 3 && strcmp(programs[k], r->program))
            k++;
        assert_true(k < 3 && r->quirk[0]);
        assert_true((r->key != NULL) == (r->value != NULL));
        assert_true(r->key || r->why);
        for (int other = 0; r->key && other < i; other++) /* one row for a key */
            assert_true(strcmp(compat_at(other)->program, r->program) || !compat_at(other)->key ||
                        strcmp(compat_at(other)->key, r->key));
        n[k] += r->key != NULL;
        if (r->nets) {
            OK(cfg_set(c, "model.name=swin_tiny_patch4_window7_224", e));
            assert_string_equal(r->nets, "swin_");
        }
        text_addf(&kv, "%s=%s", r->key ? r->key : "run.seed", r->value ? r->value : "1");
        if (!cfg_set(c, kv.s, &e))
            fail_msg("%s: %s", kv.s, e.msg);
        if (r->key && !strchr(r->value, '/'))
            assert_string_equal(cfg_text(c, r->key), r->value);
        text_release(&kv);
        cfg_free(c);
    }
    assert_null(compat_at(-1));
    assert_true(n[0] >= 10 && n[1] >= 2 && n[2] >= 2);
}

static void all_keys_of_a_program_are_set(void **state)
{
    err e = {0};
    cfg *c = parse(WORDS("--compat", "patchdropout"), &e);
    assert_non_null(c);
    assert_string_equal(cfg_text(c, "train.clip_mode"), "tensor");
    assert_string_equal(cfg_text(c, "train.keep_schedule"), "code");
    assert_string_equal(cfg_text(c, "exam.require"), "exactly4");
    assert_string_equal(cfg_text(c, "train.schedule"), "step");
    assert_string_equal(cfg_text(c, "train.accum_average"), "false");
    cfg_free(c);
    c = parse(WORDS("--compat=evit"), &e);
    assert_non_null(c);
    assert_string_equal(cfg_text(c, "train.decay_tokens"), "false");
    assert_string_equal(cfg_text(c, "train.clip_mode"), "global");
    cfg_free(c);
    c = parse(WORDS("-q"), &e);
    assert_non_null(c);
    assert_string_equal(cfg_text(c, "train.clip_mode"), "global");
    assert_string_equal(cfg_text(c, "exam.require"), "any");
    cfg_free(c);
}

/* Wherever it stands, --compat comes first: files override it, --set overrides both. */
static void files_and_set_override(void **state)
{
    err e = {0};
    cfg *c = parse(
        WORDS("--set", "train.keep_schedule=paper", "-c", file, "--compat", "patchdropout"), &e);
    if (!c)
        fail_msg("%s", e.msg);
    assert_string_equal(cfg_text(c, "train.clip_mode"), "global"); /* of the file */
    assert_string_equal(cfg_text(c, "train.keep_schedule"), "paper");
    assert_string_equal(cfg_text(c, "train.accum_average"), "false");
    cfg_free(c);
}

/* Keys that are about some networks are set for these only, and never over a file or --set. */
static void keys_of_other_networks_stay(void **state)
{
    err e = {0};
    cfg *c = parse(WORDS("--compat", "patchdropout"), &e);
    assert_non_null(c);
    assert_string_equal(cfg_text(c, "model.swin_sets"), "window");
    cfg_free(c);
    c = parse(WORDS("--compat", "patchdropout", "--set", "model.name=swin_base_patch4_window7_224",
                    "--set", "model.swin_init=timm"),
              &e);
    assert_non_null(c);
    assert_string_equal(cfg_text(c, "model.swin_sets"), "tile");
    assert_string_equal(cfg_text(c, "model.swin_init"), "timm");
    cfg_free(c);
}

/* What was set is said, unless -q stands anywhere on the line. */
static void it_is_said_what_was_set(void **state)
{
    static const char *const quiet[] = {"--compat", "ppt", "-q"};
    for (int q = 0; q < 2; q++) {
        char *said = fs_join(dir, "said"), *s;
        size_t len;
        err e = {0};
        int saved = dup(2), file_fd = open(said, O_CREAT | O_TRUNC | O_WRONLY, 0600);
        dup2(file_fd, 2);
        log_set_level(LOG_INFO);
        cfg *c = parse(quiet, q ? 3 : 2, &e);
        log_set_level(LOG_ERROR);
        dup2(saved, 2);
        close(saved);
        close(file_fd);
        assert_non_null(c);
        OK(fs_read(said, 1 << 16, &s, &len, e));
        if (q)
            assert_int_equal(len, 0);
        else
            assert_non_null(strstr(s, "info compat model.reduction=ppt why=\"tokens are pruned"));
        mem_free(s);
        mem_free(said);
        cfg_free(c);
    }
}

static void wrong_programs_are_refused(void **state)
{
    err e = {0};
    assert_null(parse(WORDS("--compat", "timm"), &e));
    assert_int_equal(e.code, ERR_USAGE);
    assert_string_equal(e.msg, "--compat 'timm': wanted patchdropout, evit or ppt");
    memset(&e, 0, sizeof e);
    assert_null(parse(WORDS("--compat", "evit", "--compat", "ppt"), &e));
    assert_string_equal(e.msg, "--compat is given twice");
}

static int setup(void **state)
{
    if (!store_tmp("compat", dir))
        return -1;
    snprintf(file, sizeof file, "%s/own.yaml", dir);
    OK(fs_write(file, "train: {clip_mode: global}\n", 27, e));
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
        cmocka_unit_test(rows_are_keys_and_values), cmocka_unit_test(all_keys_of_a_program_are_set),
        cmocka_unit_test(files_and_set_override),   cmocka_unit_test(keys_of_other_networks_stay),
        cmocka_unit_test(it_is_said_what_was_set),  cmocka_unit_test(wrong_programs_are_refused),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
