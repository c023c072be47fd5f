/* Scores: the same for an image alone as among others, to the last bit; ensembles, refusals, and
 * the pages of a prediction. */
#include "tests/unit/said.h"
#include "tests/unit/tiny_run.h"

#include <math.h>
#include <png.h>

#include "core/csv.h"
#include "core/json.h"
#include "eval/metric.h"
#include "model/select.h"
#include "train/validate.h"

static char run_a[96], run_b[96];
static cfg *config;

static bool predict(const char *const *run, int n, const char *cohort, const char *split,
                    const char *out, int threads, err *e)
{
    predict_opts o = {.checkpoint = run,
                      .n_checkpoints = n,
                      .cohort = cohort,
                      .split = split,
                      .out = out,
                      .config = config,
                      .device = "cpu",
                      .threads = threads};
    predict_result r;
    return predict_run(&o, &r, e);
}

/* A prediction in a process of its own: PROGRAM predict RUN COHORT OUT. */
static int predict_main(char **argv)
{
    err e = {0};
    config = tiny_config();
    log_set_level(LOG_ERROR);
    bool ok = cfg_set(config, "predict.pages=4", &e) &&
              predict((const char *[]){argv[2]}, 1, argv[3], "test", argv[4], 2, &e);
    cfg_free(config);
    return ok ? 0 : err_exit(e.code);
}

typedef struct scored {
    char image[33];
    double score, logit;
    int y;
} scored;

static int read_predictions(const char *out, scored *s)
{
    char *path = fs_join(out, "predictions.csv");
    csv_reader *r;
    int n = 0, image, score, logit, y, site, density;
    OK((r = csv_open(path, e)));
    OK(csv_require(r, "site", &site, e) && csv_require(r, "density", &density, e));
    OK(csv_require(r, "image_id", &image, e) && csv_require(r, "score", &score, e) &&
       csv_require(r, "logit", &logit, e) && csv_require(r, "y", &y, e));
    while (csv_next(r, NULL) > 0) {
        int64_t cls;
        text_copy(s[n].image, 33, csv_field(r, image));
        assert_true(text_f64(csv_field(r, score), &s[n].score));
        assert_true(text_f64(csv_field(r, logit), &s[n].logit));
        assert_true(text_i64(csv_field(r, y), &cls));
        s[n++].y = (int)cls;
        int64_t number = strtol(s[n - 1].image, NULL, 16) - 1; /* tiny_row: facts of the tables */
        assert_string_equal(csv_field(r, site), number / 4 % 2 ? "north" : "south");
        assert_string_equal(csv_field(r, density), "C");
    }
    csv_close(r);
    mem_free(path);
    return n;
}

/* predict_run, predict_images one by one, and all in one call. */
static void test_one_by_one(void **state)
{
    char *out = fs_join(tiny_dir, "pred");
    scored got[64];
    checkpoint_info k;
    char d[4096];
    cohort c;
    model *m;
    backend *be;
    loader *l;
    pool *p = pool_new(2);
    OK(predict((const char *[]){run_a}, 1, tiny_path, "test", out, 3, e));
    int n = read_predictions(out, got);
    assert_int_equal(n, 24);
    OK((be = backend_new("cpu", p, e)));
    OK(checkpoint_read_info(run_a, &k, d, e));
    OK((m = checkpoint_load(d, &k, be, e)));
    OK(cohort_read(&c, tiny_path, e));
    OK((l = loader_new(&c, 0, 0, e)));
    uint16_t *pixels = MEM_ARRAY(uint16_t, 24 * TINY_SIDE * TINY_SIDE);
    const uint16_t *image[24];
    double score[24], logit[24], alone, alone_logit;
    for (int i = 0; i < n; i++) {
        int64_t row = c.n - 24 + i;
        assert_string_equal(got[i].image, c.row[row].image);
        image[i] = pixels + i * TINY_SIDE * TINY_SIDE;
        OK(loader_image(l, row, pixels + i * TINY_SIDE * TINY_SIDE, e));
    }
    OK(predict_images(m, be, &k, image, n, score, logit, e));
    bool differ = false;
    for (int i = 0; i < n; i++) {
        OK(predict_images(m, be, &k, &image[i], 1, &alone, &alone_logit, e));
        assert_true(got[i].score == alone && score[i] == alone);
        assert_true(got[i].logit == alone_logit && logit[i] == alone_logit);
        assert_true(fabs(log(alone / (1 - alone)) - alone_logit) < 1e-9);
        differ |= alone != score[0];
    }
    assert_true(differ);
    /* and in any order of rows */
    int64_t row[7] = {9, 131, 4, 77, 4, 60, 12};
    double a[7], b[7], x, y;
    assert_true(c.n > 131);
    validate_rows rows = {.net = m, .load = l, .info = &k, .row = row, .n = 7};
    OK(validate_score(&rows, a, b, e));
    for (int i = 0; i < 7; i++) {
        rows.row = &row[i];
        rows.n = 1;
        OK(validate_score(&rows, &x, &y, e));
        assert_true(x == a[i] && y == b[i]);
    }
    assert_true(a[2] == a[4]);
    mem_free(pixels);
    mem_free(out);
    loader_free(l);
    cohort_release(&c);
    model_free(m);
    checkpoint_release(&k);
    backend_free(be);
    pool_free(p);
}

/* The planted signal is found in women the network never saw. */
static void test_finds_signal(void **state)
{
    char *out = fs_join(tiny_dir, "pred");
    scored got[64];
    double x[64];
    int y[64], n = read_predictions(out, got);
    for (int i = 0; i < n; i++) {
        x[i] = got[i].score;
        y[i] = got[i].y;
        assert_true(x[i] > 0 && x[i] < 1);
    }
    metric_value v = metric_auc(&(metric_in){.score = x, .y = y, .n = n});
    if (!(v.value > 0.99))
        fail_msg("AUC of the test images %g", v.value);
    mem_free(out);
}

/* The score of image 5 from a draw made by hand. */
static void the_draw_is_by_name(const scored *s, int n)
{
    checkpoint_info k;
    char d[4096];
    cohort c;
    backend *be;
    model *m;
    loader *l;
    pool *p = pool_new(1);
    uint64_t name[2];
    int32_t keep[8];
    float logits[2];
    double score, logit;
    uint16_t pixels[TINY_SIDE * TINY_SIDE];
    const uint16_t *image = pixels;
    OK((be = backend_new("cpu", p, e)));
    OK(checkpoint_read_info(run_a, &k, d, e));
    OK((m = checkpoint_load(d, &k, be, e)));
    OK(cohort_read(&c, tiny_path, e));
    OK((l = loader_new(&c, 0, 0, e)));
    OK(loader_image(l, c.n - n + 5, pixels, e));
    fs_xxh128_raw(s[5].image, 32, name);
    select_patches(SELECT_RANDOM, 4, 4, 0.5, 1, name[0], 0, keep);
    model_batch in = {.b = 1,
                      .h = TINY_SIDE,
                      .w = TINY_SIDE,
                      .image = &image,
                      .mean = k.mean,
                      .sd = k.sd,
                      .keep = keep,
                      .n_keep = 8};
    run *r = run_new(be, RUN_INFER);
    run_read(r, model_forward(m, r, &in), logits);
    validate_probability(logits, 2, &score, &logit);
    assert_true(logit == s[5].logit);
    run_free(r);
    loader_free(l);
    cohort_release(&c);
    model_free(m);
    checkpoint_release(&k);
    backend_free(be);
    pool_free(p);
}

/* Windows that share their draws over the batch (Swin's tile): an image still scores the same alone
 * and among others. */
static void test_dropping_in_windows(void **state)
{
    enum { N = 5 };
    model_cfg mc = {.name = "swin_tiny_patch4_window7_224",
                    .image_h = TINY_SIDE,
                    .image_w = TINY_SIDE,
                    .patch = 2,
                    .window = 2,
                    .channels = 1,
                    .classes = 2,
                    .keep_rate = 1,
                    .head_init = 0.02,
                    .swin_sets = 2};
    checkpoint_info k = {.mean = 0.35f, .sd = 0.12f};
    int64_t row[N] = {9, 4, 77, 60, 12};
    double score[N], logit[N], alone, x;
    cohort c;
    backend *be;
    model *m;
    loader *l;
    pool *p = pool_new(2);
    OK((be = backend_new("cpu", p, e)));
    OK((m = model_new(&mc, be, 3, e)));
    OK(cohort_read(&c, tiny_path, e));
    OK((l = loader_new(&c, 0, 0, e)));
    keep_plan keep = {.net = m, .rate = 0.5, .seed = 1};
    validate_rows rows = {.net = m, .load = l, .info = &k, .row = row, .n = N, .keep = &keep};
    OK(validate_score(&rows, score, logit, e));
    for (int i = 0; i < N; i++) {
        rows.row = &row[i];
        rows.n = 1;
        OK(validate_score(&rows, &x, &alone, e));
        assert_true(alone == logit[i]);
    }
    rows.keep = NULL;
    OK(validate_score(&rows, &x, &alone, e));
    assert_true(alone != logit[N - 1]);
    loader_free(l);
    cohort_release(&c);
    model_free(m);
    backend_free(be);
    pool_free(p);
}

/* predict.keep_rate: patches are left out by the image's name and the seed: the same for any split,
 * order and number of threads; the books call it what it is. */
static void test_dropping(void **state)
{
    char *out[5], *said_path = fs_join(tiny_dir, "said");
    scored s[5][200];
    int n[5];
    for (int i = 0; i < 5; i++) {
        char name[16];
        snprintf(name, sizeof name, "drop%d", i);
        out[i] = fs_join(tiny_dir, name);
        OK(cfg_set(config, i == 4 ? "predict.keep_rate=1" : "predict.keep_rate=0.5", e));
        OK(cfg_set(config, i == 3 ? "predict.keep_seed=5" : "predict.keep_seed=1", e));
        said d = said_begin(said_path);
        OK(predict((const char *[]){run_a}, 1, tiny_path, i == 2 ? "all" : "test", out[i],
                   i == 1 ? 4 : 1, e));
        assert_true(said_end(d, said_path,
                             "warn stability_study predict.keep_rate=0.5 why=\"patches are left "
                             "out at random: a study of stability, not for reading\"") == (i < 4));
        n[i] = read_predictions(out[i], s[i]);
    }
    OK(cfg_set(config, "predict.keep_seed=1", e));
    int other_seed = 0, all_patches = 0;
    assert_int_equal(n[2], 132);
    for (int i = 0; i < 24; i++) {
        assert_string_equal(s[2][108 + i].image, s[0][i].image);
        assert_true(s[0][i].logit == s[1][i].logit && s[0][i].logit == s[2][108 + i].logit);
        other_seed += s[0][i].logit != s[3][i].logit;
        all_patches += s[0][i].logit != s[4][i].logit;
    }
    assert_true(other_seed > 20 && all_patches > 20);
    for (int i = 0; i < 5; i++) {
        char *path = fs_join(out[i], "predictions.json");
        json_t *o;
        OK(json_read(path, &o, e));
        const json_t *card = json_object_get(o, "model");
        const json_t *rate = json_object_get(card, "predict_keep_rate");
        assert_true(i == 4 ? rate == NULL : json_number_value(rate) == 0.5);
        if (i == 3)
            assert_int_equal(json_integer_value(json_object_get(card, "predict_keep_seed")), 5);
        json_decref(o);
        mem_free(path);
        mem_free(out[i]);
    }
    mem_free(said_path);
    the_draw_is_by_name(s[0], 24);
    err e = {0};
    OK(cfg_set(config, "predict.keep_rate=0.01", e));
    assert_false(predict((const char *[]){run_a}, 1, tiny_path, "test", tiny_dir, 1, &e));
    assert_string_equal(e.msg, "predict.keep_rate: 0.01 keeps none of 16 patches; the smallest "
                               "rate is 0.0625");
    OK(cfg_set(config, "predict.keep_rate=1", e));
}

/* The books go on from the cohort's, in files, exams and women; the card says whom the network
 * knows. */
static void test_books(void **state)
{
    char *out = fs_join(tiny_dir, "books"), *path;
    json_t *o, *row;
    cohort c;
    size_t i;
    int64_t rows = 0, women = 0, left = 0, exams = 0, vendors = 0;
    const cohort_row *before = NULL;
    OK(predict((const char *[]){run_a}, 1, tiny_path, "test", out, 1, e));
    path = fs_join(out, "predictions.json");
    OK(json_read(path, &o, e));
    OK(cohort_read(&c, tiny_path, e));
    for (int64_t k = 0; k < c.n; k++) {
        const cohort_row *r = &c.row[k];
        if (r->fold != COHORT_TRAIN || r->y[0] < 0)
            continue;
        rows++;
        women += !before || strcmp(before->patient, r->patient) != 0;
        before = r;
    }
    const json_t *card = json_object_get(o, "model"),
                 *seen = json_object_get(card, "training_vendors");
    assert_int_equal(json_integer_value(json_object_get(card, "training_images")), rows);
    assert_int_equal(json_integer_value(json_object_get(card, "training_patients")), women);
    assert_int_equal(json_array_size(seen), 2);
    json_array_foreach(seen, i, row) vendors +=
        !strcmp(json_string_value(row), "GE") + 2 * !strcmp(json_string_value(row), "HOLOGIC");
    assert_int_equal(vendors, 3);
    json_array_foreach(json_object_get(o, "flow"), i, row)
    {
        if (strcmp(json_string_value(json_object_get(row, "reason")), "OTHER_SPLIT") != 0)
            continue;
        OK(json_get_i64(row, "exams_out", &exams, e));
        OK(json_get_i64(row, "women_out", &left, e));
        assert_true(json_integer_value(json_object_get(row, "exams_in")) > exams);
    }
    assert_true(exams > 0 && left > 0);
    row =
        json_array_get(json_object_get(o, "flow"), json_array_size(json_object_get(o, "flow")) - 1);
    assert_int_equal(json_integer_value(json_object_get(row, "n_out")), exams);
    cohort_release(&c);
    json_decref(o);
    mem_free(path);
    mem_free(out);
}

static void test_ensemble(void **state)
{
    char *one = fs_join(tiny_dir, "one"), *two = fs_join(tiny_dir, "two"),
         *both = fs_join(tiny_dir, "both");
    scored a[64], b[64], c[64];
    OK(predict((const char *[]){run_a}, 1, tiny_path, "val", one, 1, e));
    OK(predict((const char *[]){run_b}, 1, tiny_path, "val", two, 1, e));
    OK(predict((const char *[]){run_a, run_b}, 2, tiny_path, "val", both, 1, e));
    int n = read_predictions(one, a);
    assert_int_equal(n, 36);
    assert_int_equal(read_predictions(two, b), n);
    assert_int_equal(read_predictions(both, c), n);
    for (int i = 0; i < n; i++) {
        assert_true(c[i].score == (a[i].score + b[i].score) / 2);
        assert_true(fabs(c[i].logit - log(c[i].score / (1 - c[i].score))) < 1e-9);
        assert_true(a[i].score != b[i].score);
    }
    mem_free(one);
    mem_free(two);
    mem_free(both);
}

static void test_probability(void **state)
{
    double score, logit;
    validate_probability((const float[]){0, 0}, 2, &score, &logit);
    assert_true(score == 0.5 && logit == 0);
    validate_probability((const float[]){1, 3}, 2, &score, &logit);
    assert_true(fabs(logit - 2) < 1e-15 && fabs(score - 1 / (1 + exp(-2))) < 1e-15);
    validate_probability((const float[]){0, 0, 0, 0}, 4, &score, &logit);
    assert_true(fabs(score - 0.25) < 1e-15 && fabs(logit + log(3)) < 1e-15);
    validate_probability((const float[]){900, -900}, 2, &score, &logit); /* no overflow */
    assert_true(logit == -1800 && score >= 0 && score < 1e-300);
    validate_probability((const float[]){-900, 900}, 2, &score, &logit);
    assert_true(logit == 1800 && score == 1);
}

static void refused(const char *run, const char *cohort, const char *split, const char *out,
                    err_code code, const char *words)
{
    err e = {0};
    if (predict(&run, 1, cohort, split, out, 1, &e))
        fail_msg("predicted; wanted '%s'", words);
    if (!strstr(e.msg, words))
        fail_msg("message '%s' lacks '%s'", e.msg, words);
    assert_int_equal(e.code, code);
}

static void test_refusals(void **state)
{
    char *out = fs_join(tiny_dir, "refused"), *other = fs_join(tiny_dir, "OTHER.h5");
    cohort c;
    OK(cohort_read(&c, tiny_path, e));
    snprintf(c.prepare_id, sizeof c.prepare_id, "00000000000000cc");
    OK(cohort_write(&c, other, e));
    refused(
        run_a, other, "test", out, ERR_INPUT,
        "was trained on images of prepare id 00000000000000aa, the cohort has 00000000000000cc");
    snprintf(c.prepare_id, sizeof c.prepare_id, "00000000000000aa");
    c.shard[2].bytes++;
    OK(cohort_write(&c, other, e));
    refused(run_a, other, "test", out, ERR_MISMATCH, "is truncated: ");
    cohort_release(&c);
    refused(run_a, tiny_path, "holdout", out, ERR_USAGE,
            "unknown split 'holdout'; wanted train, val, test, val_natural or all");
    refused(run_a, tiny_path, "val_natural", out, ERR_INPUT, "no image in split 'val_natural'");
    refused(tiny_dir, tiny_path, "test", out, ERR_IO, "");
    refused("/nowhere", tiny_path, "test", out, ERR_INPUT, "is no run and no checkpoint");
    assert_false(fs_exists(out));
    mem_free(out);
    mem_free(other);
}

static size_t bytes_of(const char *path)
{
    char *s;
    size_t len;
    OK(fs_read(path, 1 << 20, &s, &len, e));
    mem_free(s);
    return len;
}

/* The same again has nothing to do, and says so; other inputs are named. */
static void test_again(void **state)
{
    char *out = fs_join(tiny_dir, "again"), *table = fs_join(out, "predictions.csv"),
         *index = fs_join(out, "pages/index.json"), *books = fs_join(out, "predictions.json"),
         before[65], after[65];
    const char *run = run_a;
    predict_opts o = {.checkpoint = &run,
                      .n_checkpoints = 1,
                      .cohort = tiny_path,
                      .split = "val",
                      .out = out,
                      .config = config,
                      .device = "cpu",
                      .threads = 1};
    predict_result r;
    OK(predict_run(&o, &r, e));
    assert_false(r.made_before);
    OK(fs_sha256_file(table, before, e));
    OK(fs_write(index, "mine", 4, e)); /* would be written again */
    OK(predict_run(&o, &r, e));
    assert_true(r.made_before && r.images == 36 && r.exams == 9);
    assert_int_equal(bytes_of(index), 4);
    refused(run_a, tiny_path, "test", out, ERR_INPUT,
            "holds a prediction from other inputs; use another folder, or --force to replace it; "
            "other: --split (was val)");
    refused(run_b, tiny_path, "val", out, ERR_INPUT, "; other: checkpoint (was ");
    OK(cfg_set(config, "predict.pages=3", e));
    refused(run_a, tiny_path, "val", out, ERR_INPUT, "; other: predict.pages (was 4)");
    assert_int_equal(bytes_of(index), 4);
    o.replace = true; /* as the whole corridor does */
    OK(predict_run(&o, &r, e));
    assert_true(!r.made_before && bytes_of(index) > 4);
    OK(fs_sha256_file(table, after, e));
    assert_string_equal(before, after);
    OK(predict_run(&o, &r, e));
    assert_true(r.made_before);
    OK(fs_remove_tree(index, e)); /* what is lost is made again */
    o.replace = false;
    OK(predict_run(&o, &r, e));
    assert_true(!r.made_before && fs_exists(index));
    OK(fs_remove_tree(books, e));
    refused(run_a, tiny_path, "val", out, ERR_INPUT, "holds a predictions.csv of unknown origin");
    o.force = true;
    OK(predict_run(&o, &r, e));
    assert_true(!r.made_before);
    OK(cfg_set(config, "predict.pages=4", e));
    mem_free(out);
    mem_free(table);
    mem_free(index);
    mem_free(books);
}

/* Killed while its files are written, the same command ends with the same bytes. */
static void test_killed(void **state)
{
    char *whole = fs_join(tiny_dir, "pred"), *out = fs_join(tiny_dir, "killed");
    text want, got;
    text_init(&want);
    text_init(&got);
    tiny_hash(whole, &want);
    for (int i = 1; i <= 2; i++) {
        char point[32];
        snprintf(point, sizeof point, "predict_inside:%d", i);
        OK(fs_remove_tree(out, e));
        assert_int_equal(TRAIN(point, "predict", run_a, tiny_path, out), -SIGKILL);
        assert_int_equal(TRAIN(NULL, "predict", run_a, tiny_path, out), 0);
        tiny_hash(out, &got);
        assert_string_equal(got.s, want.s);
    }
    text_release(&want);
    text_release(&got);
    mem_free(whole);
    mem_free(out);
}

/* ---- pages ----------------------------------------------------------------------------------- */

static void check_view(const char *out, const json_t *v, bool cancer)
{
    const char *file, *view, *wall;
    png_image image = {.version = PNG_IMAGE_VERSION};
    double mm;
    int64_t w, h;
    OK(json_get_text(v, "file", &file, e) && json_get_text(v, "view", &view, e) &&
       json_get_text(v, "chest_wall", &wall, e) && json_get_f64(v, "mm_per_px", &mm, e) &&
       json_get_i64(v, "width", &w, e) && json_get_i64(v, "height", &h, e));
    char *png = fs_join(out, file);
    assert_non_null(strstr(file, view));
    assert_string_equal(wall, view[0] == 'R' ? "right" : "left");
    /* one scale for all: pixels of 0.5 and 1 mm, of 1 and 2 mm for women with cancer */
    assert_true(mm == 2);
    assert_int_equal(w, TINY_SIDE * (strstr(view, "CC") ? 1 : 2) * (cancer ? 2 : 1) / 4);
    assert_int_not_equal(png_image_begin_read_from_file(&image, png), 0);
    assert_true(image.width == w && image.height == h);
    png_image_free(&image);
    assert_int_equal(json_array_size(json_object_get(v, "layers")), 0); /* no maps asked for */
    mem_free(png);
}

/* predict.pages exams of four views, each for a reason, with the scores of the table. */
static void test_pages(void **state)
{
    char *out = fs_join(tiny_dir, "pred/pages"), *path = fs_join(out, "index.json");
    char *pred = fs_join(tiny_dir, "pred");
    static const char *const why[] = {"highest", "false_alarm", "missed", "lowest"};
    json_t *index, *x, *v;
    scored table[64];
    size_t i, k;
    int seen = 0, n = read_predictions(pred, table);
    OK(json_read(path, &index, e));
    assert_string_equal(json_string_value(json_object_get(index, "format")), "mammovit.pages/2");
    assert_int_equal(json_integer_value(json_object_get(index, "exams_scored")), 6);
    assert_int_equal(json_array_size(json_object_get(index, "exams")), 4);
    json_array_foreach(json_object_get(index, "exams"), i, x)
    {
        const char *reason, *id;
        double score, sum = 0;
        OK(json_get_text(x, "why", &reason, e) && json_get_text(x, "exam_id", &id, e) &&
           json_get_f64(x, "score", &score, e));
        for (size_t w = 0; w < COUNT_OF(why); w++)
            seen |= !strcmp(reason, why[w]) << w;
        json_array_foreach(json_object_get(x, "views"), k, v)
        {
            check_view(out, v, tiny_positive((int)strtol(id + 24, NULL, 16) - 1));
            double got = json_number_value(json_object_get(v, "score"));
            const char *image = json_string_value(json_object_get(v, "image_id"));
            bool found = false;
            for (int t = 0; t < n; t++)
                found |= !strcmp(table[t].image, image) && table[t].score == got;
            assert_true(found);
            sum += got / 4;
        }
        assert_int_equal(k, 4);
        assert_true(fabs(sum - score) < 1e-12);
    }
    assert_int_equal(seen & 9, 9); /* a network that finds the signal misjudges nobody */
    json_decref(index);
    mem_free(path);
    mem_free(out);
    mem_free(pred);
    (void)state;
}

static void test_same_bytes(void **state)
{
    char *a = fs_join(tiny_dir, "pred"), *b = fs_join(tiny_dir, "pred4");
    text x, y;
    text_init(&x);
    text_init(&y);
    OK(predict((const char *[]){run_a}, 1, tiny_path, "test", b, 4, e));
    tiny_hash(a, &x);
    tiny_hash(b, &y);
    assert_string_equal(x.s, y.s);
    text_release(&x);
    text_release(&y);
    mem_free(a);
    mem_free(b);
}

static int setup(void **state)
{
    if (!tiny_setup("predict", &(tiny_spec){.train = 18, .val = 9, .test = 6, .mm = 0.5f}))
        return -1;
    snprintf(run_a, sizeof run_a, "%s/a", tiny_dir);
    snprintf(run_b, sizeof run_b, "%s/b", tiny_dir);
    if (TRAIN(NULL, run_a, tiny_path, "train.epochs=6") ||
        TRAIN(NULL, run_b, tiny_path, "train.epochs=2", "seed=8"))
        return -1;
    config = tiny_config();
    OK(cfg_set(config, "predict.pages=4", e));
    return 0;
}

static int teardown(void **state)
{
    cfg_free(config);
    return tiny_teardown(state);
}

int main(int argc, char **argv)
{
    if (argc == 5 && !strcmp(argv[1], "predict"))
        return predict_main(argv);
    if (argc > 2)
        return tiny_main(argc, argv);
    log_set_level(LOG_ERROR);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_by_one),  cmocka_unit_test(test_finds_signal),
        cmocka_unit_test(test_dropping),    cmocka_unit_test(test_dropping_in_windows),
        cmocka_unit_test(test_ensemble),    cmocka_unit_test(test_books),
        cmocka_unit_test(test_probability), cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_again),       cmocka_unit_test(test_killed),
        cmocka_unit_test(test_pages),       cmocka_unit_test(test_same_bytes),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
