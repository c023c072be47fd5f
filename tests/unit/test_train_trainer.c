/* The trainer on a tiny cohort with a planted signal: it learns, the bytes of a run depend on
 * nothing but its inputs (threads, SIGKILL anywhere, a stop on request), and what does not belong
 * together is refused. */
#include "tests/unit/said.h"
#include "tests/unit/tiny_run.h"

#include <math.h>

#include "train/checkpoint.h"
#include "train/weights.h"

static json_t *read_state(const char *run, checkpoint_info *k, char d[4096])
{
    OK(checkpoint_read_info(run, k, d, e));
    return k->json;
}

static void refused(int status, const char *run, const char *words)
{
    char message[1024];
    tiny_message(run, message);
    if (!strstr(message, words))
        fail_msg("message '%s' lacks '%s'", message, words);
    if (status != 3)
        fail_msg("status %d: %s", status, message);
}

/* ---- it learns ------------------------------------------------------------------------------- */

static void test_learns(void **state)
{
    const char *run = tiny_name("learn");
    checkpoint_info k;
    char d[4096];
    assert_int_equal(
        TRAIN(NULL, run, tiny_path, "train.epochs=8", "train.lr=0.02", "train.label_smoothing=0"),
        0);
    read_state(run, &k, d);
    assert_true(k.best == 1);
    const json_t *first = json_array_get(k.history, 0), *last;
    checkpoint_release(&k);
    OK(checkpoint_newest(run, &k, d, e) == 1);
    assert_true(k.finished);
    assert_int_equal(k.epoch, 8);
    assert_int_equal(json_array_size(k.history), 8);
    first = json_array_get(k.history, 0);
    last = json_array_get(k.history, 7);
    double a = json_number_value(json_object_get(first, "train_loss")),
           b = json_number_value(json_object_get(last, "train_loss"));
    if (!(b < 0.3 && b < 0.5 * a))
        fail_msg("training loss %g -> %g", a, b);
    /* warm-up: 6 steps an epoch, LR(W - 1) = base */
    assert_true(json_number_value(json_object_get(first, "lr")) == 0.02);
    checkpoint_release(&k);
}

/* Micro-batches of an accumulated step are averaged: two of 12 are one of 24. */
static void test_accumulation(void **state)
{
    const char *a = tiny_name("acc1"), *b = tiny_name("acc2");
    double loss[2];
    for (int i = 0; i < 2; i++) {
        checkpoint_info k;
        char d[4096];
        assert_int_equal(TRAIN(NULL, i ? b : a, tiny_path, "train.sampling=all",
                               i ? "train.batch=12" : "train.batch=24",
                               i ? "train.accum=2" : "train.accum=1", "train.clip=0"),
                         0);
        OK(checkpoint_newest(i ? b : a, &k, d, e) == 1);
        assert_int_equal(k.step, 9); /* 72 rows, 24 per step, 3 epochs */
        loss[i] = json_number_value(json_object_get(json_array_get(k.history, 2), "train_loss"));
        checkpoint_release(&k);
    }
    if (!(fabs(loss[0] - loss[1]) < 2e-4))
        fail_msg("loss %.9g with one micro-batch, %.9g with two", loss[0], loss[1]);
}

static void newest_weights(const char *run, char sum[65])
{
    checkpoint_info k;
    char d[4096];
    OK(checkpoint_newest(run, &k, d, e) == 1);
    text_copy(sum, 65, k.model_sha256);
    checkpoint_release(&k);
}

static void history_lr(const char *run, double out[2])
{
    checkpoint_info k;
    char d[4096];
    OK(checkpoint_newest(run, &k, d, e) == 1);
    for (size_t i = 0; i < 2; i++)
        out[i] = json_number_value(json_object_get(json_array_get(k.history, i), "lr"));
    checkpoint_release(&k);
}

/* The published sums: without an average, half the rate makes the very same steps of two. */
static void test_accumulation_by_sum(void **state)
{
#define TWO_OF_12                                                                                  \
    "train.sampling=all", "train.batch=12", "train.accum=2", "train.clip=0",                       \
        "train.weight_decay=0", "train.epochs=2"
    char a[65], b[65], c[65];
    assert_int_equal(TRAIN(NULL, tiny_name("mean"), tiny_path, TWO_OF_12, "train.lr=0.01"), 0);
    assert_int_equal(TRAIN(NULL, tiny_name("sum"), tiny_path, TWO_OF_12, "train.lr=0.005",
                           "train.accum_average=false"),
                     0);
    assert_int_equal(TRAIN(NULL, tiny_name("half"), tiny_path, TWO_OF_12, "train.lr=0.005"), 0);
    newest_weights(tiny_name("mean"), a);
    newest_weights(tiny_name("sum"), b);
    newest_weights(tiny_name("half"), c);
    assert_string_equal(a, b);
    assert_string_not_equal(a, c);
}

/* Six micro-batches of 12, three steps an epoch; warm-up over two epochs: counted in steps W is 6
 * and epoch 1 ends with step 2, counted in micro-batches W is 12 and it ends with number 5. */
static void test_lr_counts(void **state)
{
    double lr[2];
    assert_int_equal(TRAIN(NULL, tiny_name("steps"), tiny_path, TWO_OF_12, "train.lr=0.01",
                           "train.warmup_epochs=2"),
                     0);
    history_lr(tiny_name("steps"), lr);
    assert_true(lr[0] == 0.01 * 2 / 5 && lr[1] == 0.01);
    assert_int_equal(TRAIN(NULL, tiny_name("batches"), tiny_path, TWO_OF_12, "train.lr=0.01",
                           "train.warmup_epochs=2", "train.lr_counts=batches"),
                     0);
    history_lr(tiny_name("batches"), lr);
    assert_true(lr[0] == 0.01 * 5 / 11 && lr[1] == 0.01);
}

/* ---- the same bytes -------------------------------------------------------------------------- */

static void test_threads(void **state)
{
    const char *run = tiny_name("j4");
    assert_int_equal(TRAIN(NULL, run, tiny_path, "-j4", "train.save_steps=4"), 0);
    tiny_is_wanted(run, "-j4");
    assert_int_equal(TRAIN(NULL, run, tiny_path, "-j2", "train.save_steps=4"), 0); /* again */
    tiny_is_wanted(run, "a finished run");
}

static void test_kill(void **state)
{
    static const char *const point[] = {
        "ckpt_before:1", "ckpt_inside:1",  "ckpt_inside:2", "ckpt_inside:3", "ckpt_after:1",
        "ckpt_after:2",  "ckpt_inside:14", "train_step:1",  "train_step:6",  "train_step:18"};
    for (size_t i = 0; i < COUNT_OF(point); i++) {
        char name[32];
        snprintf(name, sizeof name, "kill%zu", i);
        const char *run = tiny_name(name);
        assert_int_equal(TRAIN(point[i], run, tiny_path, "train.save_steps=4"), -SIGKILL);
        if (i % 5 == 0) /* and once more on the way */
            assert_int_equal(TRAIN("ckpt_inside:2", run, tiny_path, "train.save_steps=4"),
                             -SIGKILL);
        assert_int_equal(TRAIN(NULL, run, tiny_path, "train.save_steps=4"), 0);
        tiny_is_wanted(run, point[i]);
    }
}

/* A device that works behind the host's back has the next step before the last one is looked at. */
static void test_stop(void **state)
{
    const char *run = tiny_name("stop");
    char message[1024];
    int each = strcmp(test_device(), "cpu") ? 2 : 1; /* steps of a call; an epoch has 6 */
    for (int i = 0; i < 4 - each; i++) {
        assert_int_equal(TRAIN(NULL, run, tiny_path, "train.save_steps=4", "stop"), 75);
        tiny_message(run, message);
        char want[80];
        snprintf(want, sizeof want,
                 "stopped on request at epoch 1 step %d; the same command "
                 "continues",
                 each * (i + 1));
        assert_string_equal(message, want);
    }
    assert_int_equal(TRAIN(NULL, run, tiny_path, "train.save_steps=4"), 0);
    tiny_is_wanted(run, "a stopped run");
}

/* ---- kept patches ---------------------------------------------------------------------------- */

#define LOGGED "train.save_steps=4", "train.keep_log=true", "train.keep_schedule=code"

/* The log is part of the run: the same bytes after any death, and for any number of threads. */
static void test_keep_log(void **state)
{
    static const char *const point[] = {"ckpt_before:1", "ckpt_inside:2", "train_step:2",
                                        "train_step:6",  "ckpt_before:3", "train_step:17"};
    const char *first = tiny_name("logged");
    text want, got;
    text_init(&want);
    text_init(&got);
    assert_int_equal(TRAIN(NULL, first, tiny_path, LOGGED), 0);
    tiny_hash(first, &want);
    assert_non_null(strstr(want.s, "kept-epoch-000003.safetensors"));
    checkpoint_info
        k; /* the schedule, not the rate that it ignores, is what the run says of itself */
    char d[4096];
    OK(checkpoint_newest(first, &k, d, e) == 1);
    assert_true(k.model.keep_rate == 1);
    assert_string_equal(json_string_value(json_object_get(k.recipe, "keep_schedule")), "code");
    checkpoint_release(&k);
    for (size_t i = 0; i < COUNT_OF(point); i++) {
        char name[32];
        snprintf(name, sizeof name, "logged%zu", i);
        const char *run = tiny_name(name);
        assert_int_equal(TRAIN(point[i], run, tiny_path, LOGGED), -SIGKILL);
        assert_int_equal(TRAIN(NULL, run, tiny_path, LOGGED, "-j3"), 0);
        tiny_hash(run, &got);
        assert_string_equal(got.s, want.s);
    }
    text_release(&want);
    text_release(&got);
}

/* Does the plan of a run with these settings come with these words? */
static bool plan_says(const char *const *set, const char *words, train_plan *p)
{
    cfg *c = tiny_config();
    const char *file = tiny_name("said");
    train_result r;
    for (int i = 0; set[i]; i++)
        OK(cfg_set(c, set[i], e));
    said s = said_begin(file);
    OK(train_run(&(train_opts){.run = tiny_name("plan"),
                               .cohort = tiny_path,
                               .device = "cpu",
                               .threads = 1,
                               .seed = 7,
                               .dry_run = true,
                               .config = c},
                 &r, e));
    bool there = said_end(s, file, words);
    if (p)
        *p = r.plan;
    cfg_free(c);
    return there;
}
#define PLAN_SAYS(words, p, ...) plan_says((const char *const[]){__VA_ARGS__, NULL}, words, p)

/* Memory by hand where that is possible; the largest batch is the largest. What the tape and the
 * device hold is proved in test_model_plan. */
static void test_memory_plan(void **state)
{
    train_plan p, large, more, adam, full;
    char set[40];
    PLAN_SAYS("", &p, "train.batch=8", "train.cache_mib=0");
    int64_t image = TINY_SIDE * TINY_SIDE * 2, values = p.params * 4;
    const footprint *m = &p.memory.at[RUN_KEEP];
    assert_int_equal(m->params, values);
    assert_int_equal(m->grads, values);
    assert_int_equal(m->optimizer, values);
    assert_int_equal(m->images, 5 * 16 * image); /* scored sixteen by sixteen */
    assert_int_equal(m->total,
                     3 * values + m->activations + m->validation + m->workspace + m->images);
    assert_true(m->workspace > values && m->workspace < 3 * values);
    PLAN_SAYS("", &adam, "train.optimizer=adamw", "train.cache_mib=1");
    assert_int_equal(adam.memory.at[RUN_KEEP].optimizer, 2 * values);
    PLAN_SAYS("", &more, "train.batch=8", "train.cache_mib=0", "train.accum=8");
    assert_int_equal(more.memory.at[RUN_KEEP].grads,
                     4 * values); /* a tree of 8 holds three branches */
    assert_int_equal(more.memory.at[RUN_KEEP].total, m->total + 3 * values);
    assert_int_equal(adam.memory.at[RUN_KEEP].images,
                     5 * 16 * image + ((1 << 20) / image < 108 ? (1 << 20) / image : 108) * image);
    assert_true(p.memory.largest[RUN_KEEP] > 8 && p.memory.room > m->total);
    snprintf(set, sizeof set, "train.batch=%lld", (long long)p.memory.largest[RUN_KEEP]);
    PLAN_SAYS("", &large, set, "train.cache_mib=0");
    snprintf(set, sizeof set, "train.batch=%lld", (long long)p.memory.largest[RUN_KEEP] + 1);
    assert_true(large.memory.at[RUN_KEEP].total <= p.memory.room);
    if (p.memory.largest[RUN_KEEP] < 65536) {
        PLAN_SAYS("", &more, set, "train.cache_mib=0");
        assert_true(more.memory.at[RUN_KEEP].total > p.memory.room);
    }
    PLAN_SAYS("", &p, "train.batch=512", "model.keep_rate=0.25");
    PLAN_SAYS("", &full, "train.batch=512", "model.keep_rate=1");
    assert_true(2 * full.memory.at[RUN_KEEP].activations > 5 * p.memory.at[RUN_KEEP].activations);
}

/* What was kept once is kept again: a run that follows the log of another, from its own schedule
 * and rate, ends with the same weights. */
static void test_keep_replay(void **state)
{
    char set[160], a[65], b[65], c[65], *log = fs_join(tiny_name("logged"), "");
    snprintf(set, sizeof set, "train.keep_replay=%s", log);
    assert_int_equal(TRAIN(NULL, tiny_name("again"), tiny_path, "model.keep_rate=1", set), 0);
    train_plan p;
    assert_true(PLAN_SAYS("warn keep_rate_ignored model.keep_rate=0.5 train.keep_schedule=fixed "
                          "why=train.keep_replay_says_what_is_kept",
                          &p, set));
    assert_int_equal(p.kept, 16);
    assert_true(PLAN_SAYS("train.keep_schedule=code", NULL, set, "train.keep_schedule=code",
                          "model.keep_rate=1"));
    assert_false(PLAN_SAYS("keep_rate_ignored", NULL, set, "model.keep_rate=1"));
    char half[160]; /* the plan tells the log's number */
    snprintf(half, sizeof half, "train.keep_replay=%s", tiny_name("halves"));
    assert_int_equal(
        TRAIN(NULL, tiny_name("halves"), tiny_path, "train.epochs=1", "train.keep_log=true"), 0);
    PLAN_SAYS("", &p, half, "train.epochs=1", "model.keep_rate=1");
    assert_int_equal(p.kept, 8);
    /* and says so: not the rate and schedule of its config */
    checkpoint_info k;
    char d[4096];
    OK(checkpoint_newest(tiny_name("again"), &k, d, e) == 1);
    assert_string_equal(json_string_value(json_object_get(k.recipe, "keep_schedule")), "replay");
    keep_log l;
    char *third = fs_join(log, "kept-epoch-000003.safetensors");
    double sum = 0, share;
    OK(keep_log_read(&l, third, e));
    for (int i = 0; i < l.n; i++)
        sum += l.kept[i] * l.images[i];
    share = json_number_value(json_object_get(json_array_get(k.history, 2), "kept"));
    assert_true(fabs(share - sum / (16.0 * (double)l.n_rows)) < 1e-12 && share < 1);
    keep_log_release(&l);
    checkpoint_release(&k);
    refused(TRAIN(NULL, tiny_name("longer"), tiny_path, "train.epochs=5", set), tiny_name("longer"),
            "train.keep_replay: the log ends after epoch 3, train.epochs is 5");
    char one[200];
    snprintf(one, sizeof one, "train.keep_replay=%s", third);
    refused(TRAIN(NULL, tiny_name("longer"), tiny_path, one), tiny_name("longer"),
            "train.keep_replay: the log ends after epoch 1, train.epochs is 3");
    assert_false(fs_exists(tiny_name("longer")));
    mem_free(third);
    newest_weights(tiny_name("logged"), a);
    newest_weights(tiny_name("again"), b);
    newest_weights(tiny_name("base"), c);
    assert_string_equal(a, b);
    assert_string_not_equal(a, c);
    refused(TRAIN(NULL, tiny_name("again2"), tiny_path, set, "train.batch=4"), tiny_name("again2"),
            "train.keep_replay: ");
    refused(TRAIN(NULL, tiny_name("again3"), tiny_path, set, "seed=8"), tiny_name("again3"),
            "of the cohort, the epoch takes row");
    mem_free(log);
}

/* A ramp of EViT that ends with the run or later leaves no epoch at the configured rate. */
static void test_evit_ramp(void **state)
{
    static const char evit[] = "model.reduction=evit";
    assert_true(PLAN_SAYS("warn evit_rate_not_reached model.evit_keep=0.7 why=\"train.evit_start "
                          "and train.evit_warmup: the configured rate is reached after epoch 110, "
                          "train.epochs is 3\"",
                          NULL, evit, "model.depth=2", "model.reduction_layers=0",
                          "model.keep_rate=1", "train.evit_start=10", "train.evit_warmup=100"));
    assert_true(PLAN_SAYS("after epoch 3, train.epochs is 3", NULL, evit, "model.depth=2",
                          "model.reduction_layers=0", "model.keep_rate=1", "train.evit_start=1",
                          "train.evit_warmup=2"));
    assert_false(PLAN_SAYS("evit_rate", NULL, evit, "model.depth=2", "model.reduction_layers=0",
                           "model.keep_rate=1", "train.evit_warmup=2"));
    assert_false(PLAN_SAYS("evit_rate", NULL, "train.evit_warmup=100"));
}

/* Windows keep rows and columns: the share of patches is told, and only there. */
static void test_share_of_windows(void **state)
{
    assert_true(PLAN_SAYS("warn keep_rate_of_windows model.keep_rate=0.5 patches_kept=0.25 "
                          "why=\"of every window 1 of 2 rows and as many columns\"",
                          NULL, "model.name=swin_tiny_patch4_window7_224", "model.depth=0",
                          "model.patch=2", "model.window=2"));
    assert_false(PLAN_SAYS("keep_rate_of_windows", NULL, "model.name=swin_tiny_patch4_window7_224",
                           "model.depth=0", "model.patch=2", "model.window=2",
                           "model.keep_rate=1"));
    assert_false(PLAN_SAYS("keep_rate_of_windows", NULL, "model.keep_rate=0.5"));
}

/* exam.require asked of train: said where the cohort was split without it, silent where not. */
static void test_whole_exams(void **state)
{
    const char *file = tiny_name("said"), *other = tiny_name("three_images.h5");
    cfg *config = tiny_config();
    train_opts o = {
        .run = tiny_name("plan"), .device = "cpu", .threads = 1, .dry_run = true, .config = config};
    train_result r;
    cohort c;
    OK(cohort_read(&c, tiny_path, e));
    c.row[3].exam[31] = 'f'; /* one exam of three images, one of one */
    OK(cohort_write(&c, other, e));
    cohort_release(&c);
    for (int i = 0; i < 3; i++) {
        o.cohort = i ? other : tiny_path;
        o.whole_exams = i < 2;
        said s = said_begin(file);
        OK(train_run(&o, &r, e));
        assert_true(said_end(s, file,
                             "warn exam_require_ignored exams=2 why=\"these have not "
                             "exactly four images") == (i == 1));
    }
    cfg_free(config);
}

/* Patches of the breast only where the images have masks; nothing is begun without. */
static void test_keep_breast(void **state)
{
    const char *run = tiny_name("breast");
    refused(TRAIN(NULL, run, tiny_path, "model.keep_mode=breast"), run,
            "prepare the images with prepare.mask: true");
    assert_false(fs_exists(run));
    char *masked = fs_join(tiny_dir, "masked"), *path = fs_join(masked, "COHORT.h5"), a[65], b[65];
    OK(fs_mkdirs(masked, e));
    tiny_write(masked, "COHORT.h5", &(tiny_spec){.train = 6, .val = 3, .test = 1, .masks = true});
    assert_int_equal(TRAIN(NULL, run, path, "model.keep_mode=breast", "-j1"), 0);
    assert_int_equal(TRAIN(NULL, tiny_name("breast4"), path, "model.keep_mode=breast", "-j4"), 0);
    newest_weights(run, a);
    newest_weights(tiny_name("breast4"), b);
    assert_string_equal(a, b);
    assert_int_equal(TRAIN(NULL, tiny_name("any"), path), 0);
    newest_weights(tiny_name("any"), b);
    assert_string_not_equal(a, b);
    mem_free(masked);
    mem_free(path);
}

/* best, the newest, and nothing else; metrics.jsonl says what the checkpoint says. */
static void test_layout(void **state)
{
    const char *run = tiny_name("base");
    checkpoint_info k;
    char d[4096], *s;
    size_t len, lines = 0, folders = 0;
    text t;
    text_init(&t);
    tiny_hash(run, &t);
    for (char *p = t.s; (p = strstr(p, "state.json")); p++)
        folders++;
    OK(checkpoint_read_info(run, &k, d, e));
    assert_int_equal(folders, k.finished ? 1 : 2);
    assert_int_equal(k.best_epoch, k.epoch);
    checkpoint_release(&k);
    char *path = fs_join(run, "metrics.jsonl");
    OK(fs_read(path, 1 << 20, &s, &len, e));
    for (size_t i = 0; i < len; i++)
        lines += s[i] == '\n';
    assert_int_equal(lines, 3);
    mem_free(s);
    mem_free(path);
    assert_null(strstr(t.s, ".partial"));
    text_release(&t);
}

/* ---- refusals -------------------------------------------------------------------------------- */

static void test_other_run(void **state)
{
    const char *run = tiny_name("other");
    assert_int_equal(TRAIN(NULL, run, tiny_path, "train.epochs=1"), 0);
    refused(TRAIN(NULL, run, tiny_path, "train.epochs=1", "train.lr=0.5"), run,
            "belongs to a run with another config, seed or cohort; use another folder or --force; "
            "other: train.lr (was 0.01)");
    refused(TRAIN(NULL, run, tiny_path, "train.epochs=1", "seed=8"), run,
            "use another folder or --force; other: run.seed (was 7)");
    /* a folder whose config.yaml is gone still knows its run by the checkpoints */
    char *yaml = fs_join(run, "config.yaml");
    unlink(yaml);
    refused(TRAIN(NULL, run, tiny_path, "train.epochs=2"), run,
            "checkpoint 'ckpt-000006' belongs to a run with another config, seed or cohort");
    mem_free(yaml);
    assert_int_equal(TRAIN(NULL, run, tiny_path, "train.epochs=1", "seed=8", "force"), 0);
}

/* What cannot be read is refused before the folder is claimed: the corrected command runs. */
static void test_inputs_first(void **state)
{
    const char *run = tiny_name("inputs");
    char no_log[160], bad[160], *file = fs_join(tiny_dir, "bad.pth");
    snprintf(no_log, sizeof no_log, "train.keep_replay=%s/none", tiny_dir);
    snprintf(bad, sizeof bad, "train.init=%s", file);
    refused(TRAIN(NULL, run, tiny_path, "train.epochs=1", bad), run, "train.init: '");
    OK(fs_write(file, "nothing", 7, e));
    refused(TRAIN(NULL, run, tiny_path, "train.epochs=1", bad), run, "bad.pth");
    refused(TRAIN(NULL, run, tiny_path, "train.epochs=1", no_log), run, "none' does not exist");
    snprintf(no_log, sizeof no_log, "train.keep_replay=%s", tiny_dir); /* a folder without a log */
    refused(TRAIN(NULL, run, tiny_path, "train.epochs=1", no_log), run,
            "holds no kept-epoch-000001.safetensors, which a training with train.keep_log writes");
    snprintf(no_log, sizeof no_log, "train.keep_replay=%s", file);
    refused(TRAIN(NULL, run, tiny_path, "train.epochs=1", no_log), run,
            "train.keep_replay wants a RUN folder of a training with train.keep_log, or one of its "
            "files kept-epoch-NNNNNN.safetensors: ");
    assert_false(fs_exists(run));
    assert_int_equal(TRAIN(NULL, run, tiny_path, "train.epochs=1"), 0);
    mem_free(file);
}

/* A head with more classes than the label has is allowed, and said. */
static void test_classes_unused(void **state)
{
    char *told[2];
    size_t len;
    for (int i = 0; i < 2; i++) {
        char *talk = fs_join(tiny_dir, i ? "talk3" : "talk2");
        int saved = dup(2), file = open(talk, O_WRONLY | O_CREAT, 0600);
        dup2(file, 2);
        int status = TRAIN(NULL, tiny_name(i ? "classes3" : "classes2"), tiny_path, "warn",
                           "train.epochs=1", i ? "model.classes=3" : "model.classes=2");
        dup2(saved, 2);
        close(saved);
        close(file);
        assert_int_equal(status, 0);
        OK(fs_read(talk, 1 << 20, &told[i], &len, e));
        mem_free(talk);
    }
    assert_null(strstr(told[0], "classes_unused"));
    assert_non_null(strstr(told[1], "classes_unused model.classes=3 largest_class=1"));
    mem_free(told[0]);
    mem_free(told[1]);
}

/* A stem of three channels reads the grey plane three times. */
static void test_three_channels(void **state)
{
    const char *run = tiny_name("rgb");
    checkpoint_info c;
    char tiny_dir[4096];
    assert_int_equal(TRAIN(NULL, run, tiny_path, "train.epochs=1", "model.channels=3"), 0);
    OK(checkpoint_read_info(run, &c, tiny_dir, e));
    assert_int_equal(c.model.channels, 3);
    assert_true(c.val_auc >= 0 && c.val_auc <= 1);
    checkpoint_release(&c);
}

static void test_bad_input(void **state)
{
    const char *run = tiny_name("bad");
    refused(TRAIN(NULL, run, tiny_name("none.h5")), run, "does not exist; make it with");
    refused(TRAIN(NULL, run, tiny_path, "model.image_h=224"), run,
            "the cohort's images are 32 x 32; leave both 0");
    refused(TRAIN(NULL, run, tiny_path, "model.channels=2"), run,
            "read as 1 channel or as 3 equal ones");
    refused(TRAIN(NULL, run, tiny_path, "train.horizon=1"), run, "beyond the cohort's 1 sizes");
    refused(TRAIN(NULL, run, tiny_path, "model.patch=7"), run, "7");
    cohort c;
    const char *three = tiny_name("three.h5");
    OK(cohort_read(&c, tiny_path, e));
    c.row[5].y[0] = 2;
    OK(cohort_write(&c, three, e));
    cohort_release(&c);
    refused(TRAIN(NULL, run, three), run, "the cohort has class 2, model.classes is 2");
    assert_false(fs_exists(run)); /* nothing was begun */
    refused(TRAIN(NULL, run, tiny_path, "train.lr=100", "train.clip=0", "train.warmup_epochs=0"),
            run, "is not finite at epoch 1 step");
}

static void test_damaged_checkpoint(void **state)
{
    const char *run = tiny_name("damaged");
    checkpoint_info k;
    char d[4096], *s, message[1024];
    size_t len;
    assert_int_equal(TRAIN(NULL, run, tiny_path, "stop"), 75);
    OK(checkpoint_newest(run, &k, d, e) == 1);
    checkpoint_release(&k);
    char *path = fs_join(d, "model.safetensors");
    OK(fs_read(path, 1 << 26, &s, &len, e));
    s[len - 3] ^= 1;
    OK(fs_write(path, s, len, e));
    mem_free(s);
    mem_free(path);
    assert_int_equal(TRAIN(NULL, run, tiny_path), 6);
    tiny_message(run, message);
    assert_non_null(strstr(message, "the weights are not those that were saved"));
    path = fs_join(d, "state.json");
    OK(fs_write(path, "{}", 2, e));
    mem_free(path);
    assert_int_equal(TRAIN(NULL, run, tiny_path), 3);
    tiny_message(run, message);
    assert_non_null(strstr(message, "checkpoint 'ckpt-000001': "));
}

/* ---- other ends ------------------------------------------------------------------------------ */

static void test_early_stop(void **state)
{
    const char *run = tiny_name("early");
    checkpoint_info k;
    char d[4096];
    assert_int_equal(
        TRAIN(NULL, run, tiny_path, "train.lr=0", "train.epochs=20", "train.patience=2"), 0);
    OK(checkpoint_newest(run, &k, d, e) == 1);
    assert_int_equal(k.epoch, 3); /* the first is the best; two without a better one */
    assert_int_equal(k.best_epoch, 1);
    assert_true(k.finished);
    checkpoint_release(&k);
    read_state(run, &k, d);
    assert_non_null(strstr(d, "ckpt-000006"));
    checkpoint_release(&k);
}

/* What the child tells of what it took over: `line` and nothing that was loaded as it stands; "":
 * nothing at all, as with -q. */
static void talk_of_start(const char *run, const char *set, const char *level, const char *line)
{
    char *told, *talk = fs_join(tiny_dir, "talk");
    size_t len;
    int saved = dup(2), file = open(talk, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    dup2(file, 2);
    int status = TRAIN(NULL, run, tiny_path, set, "train.lr=0", "train.epochs=1", "force", level);
    dup2(saved, 2);
    close(saved);
    close(file);
    assert_int_equal(status, 0);
    OK(fs_read(talk, 1 << 20, &told, &len, e));
    if (line[0] ? !strstr(told, line) : len > 0)
        fail_msg("wanted '%s', told: %s", line, told);
    assert_null(strstr(told, "\nloaded "));
    mem_free(told);
    mem_free(talk);
}

/* A RUN folder, its file `best` and its checkpoint stand for the same weights. */
static void starts_from_a_run(const char *run, const checkpoint_info *k)
{
    char best[200], ckpt[4096], last[65] = "", set[4200];
    checkpoint_info got;
    OK(checkpoint_read_info(run, &got, ckpt, e));
    assert_string_equal(got.model_sha256, k->model_sha256);
    checkpoint_release(&got);
    snprintf(best, sizeof best, "%s/best", run);
    const char *from[] = {run, best, ckpt};
    for (int i = 0; i < 3; i++) {
        snprintf(set, sizeof set, "train.init=%s", from[i]);
        assert_int_equal(
            TRAIN(NULL, tiny_name("from_run"), tiny_path, set, "train.epochs=1", "force"), 0);
        char d[4096];
        read_state(tiny_name("from_run"), &got, d);
        if (i)
            assert_string_equal(got.model_sha256, last);
        text_copy(last, sizeof last, got.model_sha256);
        checkpoint_release(&got);
    }
    refused(TRAIN(NULL, tiny_name("no_run"), tiny_path, "train.init=/"), tiny_name("no_run"),
            "train.init: '/' is no run and no checkpoint: ");
}

/* From a file with another head: everything but the head is taken over (the rate is 0). */
static void test_warm_start(void **state)
{
    const char *run = tiny_name("warm");
    checkpoint_info k;
    char d[4096], init[200], set[240];
    pool *p = pool_new(1);
    backend *be;
    model *m, *got;
    OK((be = backend_new("cpu", p, e)));
    model_cfg c = {.name = "deit_tiny_patch16_224",
                   .image_h = 32,
                   .image_w = 32,
                   .patch = 8,
                   .depth = 1,
                   .channels = 1,
                   .classes = 5,
                   .keep_rate = 1,
                   .head_init = 0.02};
    OK((m = model_new(&c, be, 99, e)));
    snprintf(init, sizeof init, "%s/init.safetensors", tiny_dir);
    OK(weights_save(m, init, NULL, e));
    snprintf(set, sizeof set, "train.init=%s", init);
    talk_of_start(run, set, "warn", "");
    talk_of_start(run, set, "info", "kept     head.weight [2, 192]"); /* only counts the rest */
    read_state(run, &k, d);
    OK((got = checkpoint_load(d, &k, be, e)));
    int taken = 0;
    for (int i = 0; i < model_params(got)->n; i++) {
        param *x = &model_params(got)->p[i], *y = param_find(model_params(m), x->name);
        float *a = MEM_ARRAY(float, x->n), *b = MEM_ARRAY(float, x->n);
        assert_non_null(y);
        if (x->n == y->n) {
            param_read(model_params(got), x, a);
            param_read(model_params(m), y, b);
            assert_memory_equal(a, b, (size_t)x->n * sizeof *a);
            taken++;
        }
        mem_free(a);
        mem_free(b);
    }
    assert_int_equal(taken, model_params(got)->n - 2); /* all but head.weight and head.bias */
    starts_from_a_run(run, &k);
    model_free(got);
    model_free(m);
    checkpoint_release(&k);
    backend_free(be);
    pool_free(p);
}

static int setup(void **state)
{
    if (!tiny_setup("trainer", &(tiny_spec){.train = 18, .val = 9, .test = 6}))
        return -1;
    if (TRAIN(NULL, tiny_name("base"), tiny_path, "train.save_steps=4"))
        return -1;
    tiny_hash(tiny_name("base"), &tiny_wanted);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc > 2)
        return tiny_main(argc, argv);
    log_set_level(LOG_ERROR);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_learns),
        cmocka_unit_test(test_accumulation),
        cmocka_unit_test(test_accumulation_by_sum),
        cmocka_unit_test(test_lr_counts),
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_kill),
        cmocka_unit_test(test_stop),
        cmocka_unit_test(test_layout),
        cmocka_unit_test(test_keep_log),
        cmocka_unit_test(test_memory_plan),
        cmocka_unit_test(test_share_of_windows),
        cmocka_unit_test(test_keep_replay),
        cmocka_unit_test(test_evit_ramp),
        cmocka_unit_test(test_whole_exams),
        cmocka_unit_test(test_inputs_first),
        cmocka_unit_test(test_classes_unused),
        cmocka_unit_test(test_keep_breast),
        cmocka_unit_test(test_other_run),
        cmocka_unit_test(test_three_channels),
        cmocka_unit_test(test_bad_input),
        cmocka_unit_test(test_early_stop),
        cmocka_unit_test(test_warm_start),
        cmocka_unit_test(test_damaged_checkpoint),
    };
    return cmocka_run_group_tests(tests, setup, tiny_teardown);
}
