/* predict --robustness on a tiny network: rows of every exam, scores that are those of the same
 * patches drawn by hand, views left out, nothing to do again, refusals, going on after a kill. */
#include "tests/unit/tiny_run.h"

#include <math.h>

#include "core/csv.h"
#include "core/json.h"
#include "train/mask.h"
#include "train/validate.h"

static char run_a[96], out[96];
static cfg *config;

static bool robust_of(const char *split, const char *to, int threads, predict_result *r, err *e)
{
    static const char *run[1];
    run[0] = run_a;
    predict_opts o = {.checkpoint = run,
                      .n_checkpoints = 1,
                      .cohort = tiny_path,
                      .split = split,
                      .out = to,
                      .config = config,
                      .device = "cpu",
                      .threads = threads,
                      .robustness = true};
    return predict_run(&o, r, e);
}

static bool robust(const char *to, int threads, predict_result *r, err *e)
{
    return robust_of("test", to, threads, r, e);
}

/* Child: robust SEED DIR OUT, the 18 exams of training, which are two parts. */
static int robust_main(char **argv)
{
    predict_result r;
    err e = {0};
    char set[64];
    log_set_level(LOG_ERROR);
    snprintf(tiny_path, sizeof tiny_path, "%s/COHORT.h5", argv[3]);
    snprintf(run_a, sizeof run_a, "%s/a", argv[3]);
    snprintf(set, sizeof set, "robust.seed=%s", argv[2]);
    config = tiny_config();
    bool ok = cfg_set(config, set, &e) && cfg_set(config, "predict.pages=2", &e) &&
              cfg_set(config, "robust.repeats=1", &e) && cfg_set(config, "robust.keep=[0.5]", &e) &&
              robust_of("train", argv[4], 1, &r, &e);
    cfg_free(config);
    return ok ? 0 : err_exit(e.code);
}

typedef struct row {
    char exam[33], mask[16];
    double keep, score, ms;
    int repeat, tokens;
} row;

static int read_rows(const char *from, row *r, int room)
{
    char *path = fs_join(from, "robustness.csv");
    csv_reader *f;
    int n = 0, c[7];
    static const char *const names[] = {"exam_id", "mask",   "keep", "repeat",
                                        "score",   "tokens", "ms"};
    OK((f = csv_open(path, e)));
    for (int i = 0; i < 7; i++)
        OK(csv_require(f, names[i], &c[i], e));
    while (csv_next(f, NULL) > 0) {
        int64_t v;
        assert_true(n < room);
        text_copy(r[n].exam, sizeof r[n].exam, csv_field(f, c[0]));
        text_copy(r[n].mask, sizeof r[n].mask, csv_field(f, c[1]));
        assert_true(text_f64(csv_field(f, c[2]), &r[n].keep));
        assert_true(text_i64(csv_field(f, c[3]), &v));
        r[n].repeat = (int)v;
        assert_true(text_f64(csv_field(f, c[4]), &r[n].score));
        assert_true(text_i64(csv_field(f, c[5]), &v));
        r[n].tokens = (int)v;
        assert_true(text_f64(csv_field(f, c[6]), &r[n++].ms));
    }
    csv_close(f);
    mem_free(path);
    return n;
}

/* Scores of the four images of a row's exam with the patches of its mask, one image at a time. */
static double by_hand(const row *r, double image[4])
{
    checkpoint_info k;
    char d[4096];
    cohort c;
    backend *be;
    model *m;
    loader *l;
    pool *p = pool_new(1);
    double sum = 0, logit;
    int n = 0;
    uint16_t pixels[TINY_SIDE * TINY_SIDE];
    const uint16_t *at = pixels;
    OK((be = backend_new("cpu", p, e)));
    OK(checkpoint_read_info(run_a, &k, d, e));
    OK((m = checkpoint_load(d, &k, be, e)));
    OK(cohort_read(&c, tiny_path, e));
    OK((l = loader_new(&c, 0, 0, e)));
    for (int64_t i = 0; i < c.n; i++) {
        int32_t keep[16];
        float logits[2];
        if (strcmp(c.row[i].exam, r->exam))
            continue;
        mask_draw draw = {.rows = 4,
                          .cols = 4,
                          .keep = r->keep,
                          .seed = 1,
                          .exam = r->exam,
                          .image = c.row[i].image,
                          .repeat = r->repeat};
        OK(loader_image(l, i, pixels, e));
        model_batch in = {
            .b = 1, .h = TINY_SIDE, .w = TINY_SIDE, .image = &at, .mean = k.mean, .sd = k.sd};
        if (r->keep < 1) {
            in.n_keep = mask_patches((mask_kind)mask_find(r->mask), &draw, keep);
            in.keep = keep;
        }
        run *tape = run_new(be, RUN_INFER);
        run_read(tape, model_forward(m, tape, &in), logits);
        run_free(tape);
        validate_probability(logits, 2, &image[n], &logit);
        sum += image[n++];
    }
    assert_int_equal(n, 4);
    loader_free(l);
    cohort_release(&c);
    model_free(m);
    checkpoint_release(&k);
    backend_free(be);
    pool_free(p);
    return sum / 4;
}

static void test_rows(void **state)
{
    enum { PER = 1 + 3 * 3 * 2 + 4, EXAMS = 6 };
    static row r[PER * EXAMS + 1];
    predict_result result;
    OK(robust(out, 2, &result, e));
    assert_false(result.robust_before);
    assert_int_equal(read_rows(out, r, COUNT_OF(r)), PER * EXAMS);
    int other = 0;
    for (int i = 0; i < PER * EXAMS; i++) {
        const row *t = &r[i], *whole = &r[i / PER * PER];
        assert_string_equal(t->exam, whole->exam);
        assert_true(t->ms > 0);
        if (!strncmp(t->mask, "view_", 5)) {
            assert_true(t->keep == 0.75 && t->tokens == 48 && t->repeat == 0);
            continue;
        }
        int kept = t->keep == 0.05 ? 1 : (int)(16 * t->keep);
        assert_int_equal(t->tokens, 4 * kept);
        other += t->score != whole->score;
    }
    assert_string_equal(r[0].mask, "none");
    assert_true(r[0].keep == 1 && r[0].repeat == 0);
    assert_true(other > EXAMS * 16);
    /* an exam by hand: all patches, then every drawn mask */
    double image[4], ignored[4];
    assert_true(by_hand(&r[PER], image) == r[PER].score);
    for (int i = PER + 1; i < 2 * PER - 4; i++)
        assert_true(by_hand(&r[i], ignored) == r[i].score);
    for (int i = 0; i < 4; i++) { /* images: LCC LMLO RCC RMLO */
        static const char *const mask[] = {"view_RCC", "view_LCC", "view_RMLO", "view_LMLO"};
        static const int gone[] = {2, 0, 3, 1};
        const row *t = &r[2 * PER - 4 + i];
        double sum = 0;
        for (int k = 0; k < 4; k++)
            sum += k == gone[i] ? 0 : image[k];
        assert_string_equal(t->mask, mask[i]);
        assert_true(fabs(t->score - sum / 3) < 1e-15);
    }
    (void)state;
}

/* The same call again does nothing; another seed does; a new prediction removes the old study. */
static void test_again(void **state)
{
    static row a[400], b[400];
    predict_result result;
    char *csv = fs_join(out, "robustness.csv");
    int n = read_rows(out, a, 400), differ = 0;
    OK(robust(out, 1, &result, e));
    assert_true(result.made_before && result.robust_before);
    OK(cfg_set(config, "robust.seed=2", e));
    OK(robust(out, 1, &result, e));
    assert_true(result.made_before && !result.robust_before);
    assert_int_equal(read_rows(out, b, 400), n);
    for (int i = 0; i < n; i++)
        differ += a[i].score != b[i].score;
    assert_true(differ > n / 2);
    OK(cfg_set(config, "robust.seed=1", e));
    OK(cfg_set(config, "robust.exams=2", e)); /* a draw of exams, in their order */
    OK(robust(out, 4, &result, e));
    assert_int_equal(read_rows(out, b, 400), n / 3);
    int at = 0;
    for (int i = 0; i < n / 3; i++) {
        while (at < n && (strcmp(a[at].exam, b[i].exam) || strcmp(a[at].mask, b[i].mask) ||
                          a[at].keep != b[i].keep || a[at].repeat != b[i].repeat))
            at++;
        assert_true(at < n && a[at].score == b[i].score); /* any number of threads and exams */
    }
    OK(cfg_set(config, "robust.exams=0", e));
    OK(cfg_set(config, "predict.pages=3", e));
    predict_opts o = {.checkpoint = (const char *[]){run_a},
                      .n_checkpoints = 1,
                      .cohort = tiny_path,
                      .split = "test",
                      .out = out,
                      .config = config,
                      .device = "cpu",
                      .threads = 1,
                      .force = true};
    OK(predict_run(&o, &result, e));
    assert_false(fs_exists(csv));
    mem_free(csv);
    (void)state;
}

static void refused(const char *set, const char *back, err_code code, const char *words)
{
    predict_result result;
    char *csv = fs_join(out, "robustness.csv");
    err e = {0};
    OK(cfg_set(config, set, e));
    if (robust(out, 1, &result, &e))
        fail_msg("%s is taken", set);
    if (!strstr(e.msg, words) || e.code != code)
        fail_msg("'%s' lacks '%s'", e.msg, words);
    assert_false(fs_exists(csv));
    OK(cfg_set(config, back, e));
    mem_free(csv);
}

static void test_refusals(void **state)
{
    refused("robust.masks=[random, views]", "robust.masks=[random]", ERR_CONFIG,
            "robust.masks: 'views' is none of random, block, breast, background, border, view");
    refused("robust.masks=[breast]", "robust.masks=[random]", ERR_CONFIG,
            "breast and background need masks, and shard 'tiny-00.h5' has none");
    refused("robust.keep=[0.5, 0.25, 0.5]", "robust.keep=[0.5]", ERR_CONFIG,
            "robust.keep: 0.5 stands there twice");
    (void)state;
}

/* The score of the first row of a part becomes another one. */
static void forge(const char *part)
{
    char *data, *line;
    size_t len;
    OK(fs_read(part, 1 << 20, &data, &len, e));
    assert_non_null(line = strstr(data, "\n")); /* exam, mask, keep, repeat, score */
    for (int comma = 0; comma < 4; comma++)
        assert_non_null(line = strchr(line + 1, ','));
    assert_true(strspn(line + 1, "0123456789.") >= 6);
    memcpy(line + 1, "0.4242", 6);
    for (char *p = line + 7; *p != ','; p++)
        *p = '0';
    OK(fs_write(part, data, len, e));
    mem_free(data);
}

/* Killed after the first of two parts, the same call makes the second one only: a score that was
 * changed in the first is still there. Another call begins anew. */
static void test_killed(void **state)
{
    static row whole[200], got[200];
    char *to = fs_join(tiny_dir, "killed"), *undisturbed = fs_join(tiny_dir, "undisturbed"),
         *first = fs_join(to, "robustness.parts/00000000.csv"),
         *second = fs_join(to, "robustness.parts/00000001.csv"),
         *parts = fs_join(to, "robustness.parts");
    assert_int_equal(TRAIN(NULL, "robust", "1", tiny_dir, undisturbed), 0);
    int n = read_rows(undisturbed, whole, 200);
    assert_int_equal(TRAIN("robustness_part:1", "robust", "1", tiny_dir, to), -SIGKILL);
    assert_true(fs_exists(first) && !fs_exists(second));
    forge(first);
    assert_int_equal(TRAIN(NULL, "robust", "1", tiny_dir, to), 0);
    assert_false(fs_exists(parts));
    assert_int_equal(read_rows(to, got, 200), n);
    for (int i = 0; i < n; i++) {
        assert_string_equal(got[i].exam, whole[i].exam);
        assert_string_equal(got[i].mask, whole[i].mask);
        assert_true(got[i].score == (i ? whole[i].score : 0.4242));
    }
    OK(fs_remove_tree(to, e));
    assert_int_equal(TRAIN("robustness_part:1", "robust", "2", tiny_dir, to), -SIGKILL);
    forge(first);
    assert_int_equal(TRAIN(NULL, "robust", "1", tiny_dir, to), 0); /* the seed is another one */
    assert_int_equal(read_rows(to, got, 200), n);
    for (int i = 0; i < n; i++)
        assert_true(got[i].score == whole[i].score);
    OK(fs_remove_tree(to, e));
    assert_int_equal(TRAIN("robustness_part:1", "robust", "1", tiny_dir, to), -SIGKILL);
    OK(fs_write(first, "exam_id,mask\n", 13, e));
    assert_int_equal(TRAIN(NULL, "robust", "1", tiny_dir, to), err_exit(ERR_INPUT));
    mem_free(to);
    mem_free(undisturbed);
    mem_free(first);
    mem_free(second);
    mem_free(parts);
    (void)state;
}

static int setup(void **state)
{
    if (!tiny_setup("robustness", &(tiny_spec){.train = 18, .val = 9, .test = 6}))
        return -1;
    snprintf(run_a, sizeof run_a, "%s/a", tiny_dir);
    snprintf(out, sizeof out, "%s/pred", tiny_dir);
    if (TRAIN(NULL, run_a, tiny_path, "train.epochs=1"))
        return -1;
    config = tiny_config();
    OK(cfg_set(config, "predict.pages=2", e));
    OK(cfg_set(config, "robust.repeats=2", e));
    OK(cfg_set(config, "robust.keep=[0.75, 0.5, 0.05]", e));
    return 0;
}

static int teardown(void **state)
{
    cfg_free(config);
    return tiny_teardown(state);
}

int main(int argc, char **argv)
{
    if (argc == 5 && !strcmp(argv[1], "robust"))
        return robust_main(argv);
    if (argc > 2)
        return tiny_main(argc, argv);
    log_set_level(LOG_ERROR);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_again),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_killed),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
