/* core/cfg: types, order of sources, every refusal with its text, dump, round trip, hash. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <math.h>
#include <string.h>

#include "core/cfg.h"
#include "core/mem.h"

typedef struct train_cfg {
    bool amp;
    int64_t epochs;
    double lr, keep;
    const char *name;
    int optim;
    cfg_reals betas;
    cfg_texts sets;
} train_cfg;

typedef struct image_cfg {
    int64_t height;
    const char *root;
} image_cfg;

#define AT(s, f) offsetof(s, f)
static const cfg_option train_options[] = {
    {"train.amp", CFG_BOOL, AT(train_cfg, amp), "false", 0, 0, NULL, "", "Mixed precision."},
    {"train.epochs", CFG_INT, AT(train_cfg, epochs), "10", 1, 1000, NULL, "epochs", "Passes."},
    {"train.optim.lr", CFG_REAL, AT(train_cfg, lr), "1e-3", 0, 10, NULL, "", "Learning rate."},
    {"train.keep", CFG_REAL, AT(train_cfg, keep), "1", 0.01, 1, NULL, "", "Kept share."},
    {"train.name", CFG_TEXT, AT(train_cfg, name), "", 0, 0, NULL, "", "A name."},
    {"train.optim.kind", CFG_ENUM, AT(train_cfg, optim), "adamw", 0, 0, "sgd|adamw|adam", "",
     "The optimiser."},
    {"train.optim.betas", CFG_REALS, AT(train_cfg, betas), "0.9, 0.999", 0, 1, NULL, "", "Betas."},
    {"train.sets", CFG_TEXTS, AT(train_cfg, sets), "", 0, 0, NULL, "", "Data sets."},
};
static const cfg_option image_options[] = {
    {"image.height", CFG_INT, AT(image_cfg, height), "224", 16, INFINITY, NULL, "px", "Height."},
    {"image.root", CFG_TEXT, AT(image_cfg, root), "data dir", 0, 0, NULL, "", "Folder."},
};
static const cfg_group train_group = {"Training", train_options, COUNT_OF(train_options)};
static const cfg_group image_group = {"Images", image_options, COUNT_OF(image_options)};
static const cfg_group *const groups[] = {&train_group, &image_group};

static cfg *fresh(void)
{
    return cfg_new(groups, 2);
}

static void load(cfg *c, const char *yaml)
{
    err e = {0};
    if (!cfg_load_text(c, yaml, strlen(yaml), "x.yaml", &e))
        fail_msg("%s", e.msg);
}

static void refuse(const char *yaml, const char *want)
{
    err e = {0};
    cfg *c = fresh();
    assert_false(cfg_load_text(c, yaml, strlen(yaml), "x.yaml", &e));
    assert_string_equal(e.msg, want);
    assert_int_equal(e.code, ERR_CONFIG);
    cfg_free(c);
}

static void refuse_set(const char *kv, const char *want)
{
    err e = {0};
    cfg *c = fresh();
    assert_false(cfg_set(c, kv, &e));
    assert_string_equal(e.msg, want);
    assert_int_equal(e.code, ERR_CONFIG);
    cfg_free(c);
}

static void test_defaults(void **state)
{
    cfg *c = fresh();
    train_cfg t;
    image_cfg i;
    cfg_bind(c, &train_group, &t);
    cfg_bind(c, &image_group, &i);
    assert_false(t.amp);
    assert_int_equal(t.epochs, 10);
    assert_true(t.lr == 1e-3);
    assert_true(t.keep == 1);
    assert_string_equal(t.name, "");
    assert_int_equal(t.optim, 1);
    assert_int_equal(t.betas.n, 2);
    assert_true(t.betas.v[0] == 0.9 && t.betas.v[1] == 0.999);
    assert_int_equal(t.sets.n, 0);
    assert_int_equal(i.height, 224);
    assert_string_equal(i.root, "data dir");
    assert_false(cfg_given(c, "train.amp"));
    cfg_free(c);
    cfg_free(NULL);
}

static void test_sources(void **state)
{
    cfg *c = fresh();
    load(c, "train:\n"
            "  amp: yes\n"
            "  epochs: 3\n"
            "  optim: {lr: 3/8, kind: sgd, betas: [0.5, 0.25, 1]}\n"
            "  name: \"Lund #1: a\\tb\"\n"
            "  sets:\n    - one\n    - 'two, three'\n"
            "image.height: 896 # flat keys are fine too\n");
    train_cfg t;
    image_cfg i;
    cfg_bind(c, &train_group, &t);
    assert_true(t.amp);
    assert_int_equal(t.epochs, 3);
    assert_true(t.lr == 0.375);
    assert_int_equal(t.optim, 0);
    assert_int_equal(t.betas.n, 3);
    assert_true(t.betas.v[1] == 0.25);
    assert_string_equal(t.name, "Lund #1: a\tb");
    assert_int_equal(t.sets.n, 2);
    assert_string_equal(t.sets.v[1], "two, three");
    assert_true(cfg_given(c, "train.optim.lr"));
    assert_false(cfg_given(c, "train.keep"));
    /* A second file and then --set win; what they do not name stays. */
    load(c, "train: {epochs: 5}\nimage:\n");
    err e = {0};
    assert_true(cfg_set(c, "train.keep=3/7", &e));
    assert_true(cfg_set(c, "train.sets=[x, 'y, z']", &e));
    assert_true(cfg_set(c, "train.optim.betas=0.1,0.2", &e));
    assert_true(cfg_set(c, "train.name=a=b: [c], #d", &e));
    assert_true(cfg_set(c, "image.root=", &e));
    train_cfg u;
    cfg_bind(c, &train_group, &u);
    cfg_bind(c, &image_group, &i);
    assert_int_equal(u.epochs, 5);
    assert_true(u.amp);
    assert_true(u.keep == 3.0 / 7.0);
    assert_int_equal(u.sets.n, 2);
    assert_string_equal(u.sets.v[1], "y, z");
    assert_int_equal(u.betas.n, 2);
    assert_true(u.betas.v[1] == 0.2);
    assert_string_equal(u.name, "a=b: [c], #d");
    assert_string_equal(i.root, "");
    assert_int_equal(i.height, 896);
    /* What was bound before is still there. */
    assert_string_equal(t.name, "Lund #1: a\tb");
    cfg_free(c);
}

static void test_unknown_keys(void **state)
{
    refuse("train:\n  epochs: 3\n  epoch: 4\n",
           "x.yaml:3: unknown key 'train.epoch' (nearest known key: 'train.epochs')");
    refuse("trian:\n  amp: true\n",
           "x.yaml:2: unknown key 'trian.amp' (nearest known key: 'train.amp')");
    refuse("lr: 0.1\n", "x.yaml:1: unknown key 'lr' (nearest known key: 'train.optim.lr')");
    refuse("train: 4\n", "x.yaml:1: 'train' is a section, its keys stand below it");
    refuse("train:\n  amp:\n    deep: 1\n",
           "x.yaml:3: train.amp: a value is wanted, found a mapping");
    refuse_set("train.optim.Kind=sgd",
               "--set: unknown key 'train.optim.Kind' (nearest known key: 'train.optim.kind')");
    refuse_set("train.amp", "--set: 'key=value' is wanted");
    refuse_set("=1", "--set: 'key=value' is wanted");
    refuse_set("train.name=\xff", "--set: the text is not UTF-8");
    refuse_set("train.name=\xed\xa0\x80", "--set: the text is not UTF-8");
    refuse_set("train.name=\xc0\x80", "--set: the text is not UTF-8");
    /* A key of any length is an answer, not an overflow. */
    char *big = mem_alloc(5001);
    memset(big, 'k', 5000);
    memcpy(big + 4998, "=1", 3);
    err e = {0};
    cfg *c = fresh();
    assert_false(cfg_set(c, big, &e));
    assert_memory_equal(e.msg, "--set: unknown key 'kkkk", 24);
    cfg_free(c);
    mem_free(big);
}

static void test_wrong_values(void **state)
{
    refuse("train.epochs: 1.5\n", "x.yaml:1: train.epochs: '1.5' is not a whole number");
    refuse("train.epochs: 0\n",
           "x.yaml:1: train.epochs: 0 is out of range (allowed: 1 to 1000 epochs)");
    refuse("train.epochs: 99999999999999999999\n",
           "x.yaml:1: train.epochs: '99999999999999999999' is not a whole number");
    refuse("image.height: 15\n",
           "x.yaml:1: image.height: 15 is out of range (allowed: at least 16 px)");
    refuse("train.keep: nan\n", "x.yaml:1: train.keep: 'nan' is not a number");
    refuse("train.keep: 3/0\n", "x.yaml:1: train.keep: '3/0' is not a number");
    refuse("train.keep:\n", "x.yaml:1: train.keep: '' is not a number");
    refuse("train.amp: maybe\n", "x.yaml:1: train.amp: 'maybe' is not true or false");
    refuse("train.optim.kind: adamax\n",
           "x.yaml:1: train.optim.kind: 'adamax' is not one of: sgd, adamw, adam");
    refuse("train.optim.kind: ada\n",
           "x.yaml:1: train.optim.kind: 'ada' is not one of: sgd, adamw, adam");
    refuse("train.optim.betas: [0.1, x]\n",
           "x.yaml:1: train.optim.betas: item 2, 'x', is not a number");
    refuse("train.optim.betas: [0.1, 2]\n",
           "x.yaml:1: train.optim.betas: 2 is out of range (allowed: 0 to 1)");
    refuse("train.epochs: [1]\n",
           "x.yaml:1: train.epochs: one value is wanted (a whole number), found a list");
    refuse("train.sets: [[1]]\n", "x.yaml:1: a list inside a list or a mapping");
    refuse_set("train.optim.betas=0.1,,0.2",
               "--set: train.optim.betas: item 2 of the list is empty");
    refuse_set("train.optim.betas=0.1,", "--set: train.optim.betas: the list ends with a comma");
    refuse_set("train.optim.betas=[0.1", "--set: train.optim.betas: the list has no closing ']'");
    refuse_set("train.sets='a", "--set: train.sets: a quote in the list is not closed");
    refuse_set("train.sets='a'b", "--set: train.sets: text after a closing quote in the list");
    /* 64 items fit, 65 do not. */
    char list[400] = "train.sets=";
    size_t n = strlen(list);
    for (int i = 0; i < 64; i++)
        n += (size_t)snprintf(list + n, sizeof(list) - n, "%sa", i ? "," : "");
    err e = {0};
    cfg *c = fresh();
    assert_true(cfg_set(c, list, &e));
    snprintf(list + n, sizeof(list) - n, ",a");
    assert_false(cfg_set(c, list, &e));
    assert_string_equal(e.msg, "--set: train.sets: more than 64 items");
    cfg_free(c);
}

static void test_yaml_refusals(void **state)
{
    refuse("train:\n  amp: true\n  amp: false\n",
           "x.yaml:3: train.amp: the key appears twice in this file");
    refuse("train: {amp: true}\ntrain.amp: true\n",
           "x.yaml:2: train.amp: the key appears twice in this file");
    refuse("train: &a {amp: true}\n", "x.yaml:1: anchors and aliases are not supported");
    refuse("train.name: *a\n", "x.yaml:1: anchors and aliases are not supported");
    refuse("train.name: !!str 5\n", "x.yaml:1: tags such as '!!str' are not supported");
    refuse("? [a, b]\n: 1\n", "x.yaml:1: a key must be a word");
    refuse("- a\n- b\n", "x.yaml:1: 'key: value' lines are wanted");
    refuse("just words\n", "x.yaml:1: 'key: value' lines are wanted");
    refuse("train.amp: true\n---\ntrain.amp: true\n", "x.yaml:2: a second document");
    refuse("train.name: \"a\\0b\"\n", "x.yaml:1: a NUL character");
    err e = {0};
    cfg *c = fresh();
    const char *bad = "train:\n  amp: true\n epochs: [1\n";
    assert_false(cfg_load_text(c, bad, strlen(bad), "x.yaml", &e));
    assert_non_null(strstr(e.msg, "x.yaml:3: not valid YAML: "));
    assert_false(cfg_load(c, "/nonexistent/y.yaml", &e));
    assert_int_equal(e.code, ERR_CONFIG);
    char deep[64];
    memset(deep, '{', sizeof(deep));
    for (size_t i = 0; i + 4 < sizeof(deep); i += 3)
        memcpy(deep + i, "{a:", 3);
    assert_false(cfg_load_text(c, deep, sizeof(deep), "x.yaml", &e));
    cfg_free(c);
    /* Empty files are fine. */
    c = fresh();
    load(c, "");
    load(c, "# nothing\n");
    load(c, "---\n");
    load(c, "train.sets:\ntrain.name: ~\n");
    cfg_free(c);
}

static void test_dump(void **state)
{
    cfg *c = fresh();
    load(c, "train:\n  name: \"yes\"\n  sets: [plain, 'with space', \"q\\\"uote\\\\ \\n\", '5']\n"
            "  keep: 3/7\n");
    static const char want[] = "train:\n"
                               "  amp: false\n"
                               "  epochs: 10\n"
                               "  optim:\n"
                               "    lr: 0.001\n"
                               "    kind: adamw\n"
                               "    betas: [0.9, 0.999]\n"
                               "  keep: 0.42857142857142855\n"
                               "  name: \"yes\"\n"
                               "  sets: [plain, \"with space\", \"q\\\"uote\\\\ \\u000a\", \"5\"]\n"
                               "image:\n"
                               "  height: 224\n"
                               "  root: \"data dir\"\n";
    text a, b, help;
    text_init(&a);
    text_init(&b);
    text_init(&help);
    cfg_dump(c, NULL, false, &a);
    assert_string_equal(a.s, want);
    /* A dump, also one with comments, loads back to the same configuration. */
    for (int with_help = 0; with_help < 2; with_help++) {
        cfg *d = fresh();
        text_clear(&b);
        cfg_dump(c, NULL, with_help, &b);
        load(d, b.s);
        text_clear(&b);
        cfg_dump(d, NULL, false, &b);
        assert_string_equal(a.s, b.s);
        cfg_free(d);
    }
    /* Line breaks of Unicode and characters that YAML refuses come back as they were. */
    err e = {0};
    static const char odd[] = "a\xc2\x85"
                              "b\xe2\x80\xa8"
                              "c\xef\xbb\xbf"
                              "d\xef\xbf\xbf"
                              "e\x7f\x01\r\n\xf0\x9f\x90\x84";
    char set[64];
    snprintf(set, sizeof(set), "image.root=%s", odd);
    cfg *f = fresh(), *g = fresh();
    assert_true(cfg_set(f, set, &e));
    text_clear(&b);
    cfg_dump(f, NULL, false, &b);
    load(g, b.s);
    image_cfg ic;
    cfg_bind(g, &image_group, &ic);
    assert_string_equal(ic.root, odd);
    cfg_free(g);
    cfg_free(f);
    const cfg_group *only[] = {&image_group, NULL};
    text_clear(&b);
    cfg_dump(c, only, false, &b);
    assert_string_equal(b.s, "image:\n  height: 224\n  root: \"data dir\"\n");
    assert_string_equal(cfg_text(c, "train.optim.betas"), "[0.9, 0.999]");
    assert_string_equal(cfg_text(c, "image.height"), "224");
    text_clear(&b);
    cfg_dump(c, only, true, &b);
    assert_string_equal(b.s, "# ---- Images ----\n"
                             "image:\n"
                             "  # Height.\n"
                             "  # (integer, px, at least 16; default: 224)\n"
                             "  height: 224\n"
                             "  # Folder.\n"
                             "  # (text; default: data dir)\n"
                             "  root: \"data dir\"\n");
    cfg_help(c, &help);
    assert_non_null(strstr(help.s, "  train.optim.kind\n      The optimiser.\n"
                                   "      (sgd|adamw|adam; default: adamw)\n"));
    text_release(&help);
    text_release(&b);
    text_release(&a);
    cfg_free(c);
}

static void test_hash(void **state)
{
    const cfg_group *only[] = {&image_group, NULL};
    cfg *c = fresh();
    char a[65], b[65];
    cfg_hash(c, only, a);
    /* sha256sum of the text in test_dump. */
    assert_string_equal(a, "e2200a619331c2f44bbf2724ca4650b5232fa0713b2e8ed486da90c1d1474974");
    load(c, "train.epochs: 11\n");
    cfg_hash(c, only, b);
    assert_string_equal(a, b); /* other groups do not count */
    load(c, "image.height: 0224\n");
    cfg_hash(c, only, b);
    assert_string_equal(a, b); /* nor does how a number is written */
    load(c, "image.height: 225\n");
    cfg_hash(c, only, b);
    assert_string_not_equal(a, b);
    cfg_free(c);
}

int main(void)
{
    const struct CMUnitTest all[] = {
        cmocka_unit_test(test_defaults),      cmocka_unit_test(test_sources),
        cmocka_unit_test(test_unknown_keys),  cmocka_unit_test(test_wrong_values),
        cmocka_unit_test(test_yaml_refusals), cmocka_unit_test(test_dump),
        cmocka_unit_test(test_hash),
    };
    return cmocka_run_group_tests(all, NULL, NULL);
}
