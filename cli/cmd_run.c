/* run: the whole corridor from one config, resumable: every stage is asked, finished ones answer at
 * once. */
#include "cli/cmd.h"

#include "cli/idle.h"

#include "core/fs.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/text.h"
#include "dicom/scan.h"
#include "eval/report.h"
#include "preprocess/prepare.h"
#include "preprocess/split.h"
#include "train/predict.h"
#include "train/trainer.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

typedef struct corridor {
    cmd_args *a;
    run_cfg rc;
    char *store, *cohort, *run, *pred_val, *pred_test, *report, *stamp;
} corridor;

static bool do_scan(corridor *k, err *e)
{
    scan_result r = {0};
    scan_opts o = {.archive = k->rc.archive.v,
                   .n_archives = k->rc.archive.n,
                   .store = k->store,
                   .config = k->a->config,
                   .threads = k->a->threads,
                   .shard_n = 1};
    if (!k->rc.archive.n)
        return err_set(e, ERR_CONFIG, "run.archive is empty: name the folders of the archive");
    if (!scan_run(&o, &r, e))
        return false;
    cmd_result(k->a,
               json_pack("{s:s, s:I, s:I, s:I}", "stage", "scan", "seen", (json_int_t)r.seen,
                         "candidates", (json_int_t)r.candidates, "failed", (json_int_t)r.failed),
               "scan: %" PRId64 " files, %" PRId64 " images to judge, %" PRId64 " unreadable\n",
               r.seen, r.candidates, r.failed);
    return true;
}

static bool do_prepare(corridor *k, err *e)
{
    prepare_result r = {0};
    prepare_opts o = {
        .store = k->store, .config = k->a->config, .threads = k->a->threads, .shard_n = 1};
    if (!prepare_run(&o, &r, e))
        return false;
    cmd_result(k->a,
               json_pack("{s:s, s:I, s:I, s:I}", "stage", "prepare", "kept", (json_int_t)r.kept,
                         "excluded", (json_int_t)r.excluded, "failed", (json_int_t)r.failed),
               "prepare: %" PRId64 " kept, %" PRId64 " excluded, %" PRId64 " failed\n", r.kept,
               r.excluded, r.failed);
    return true;
}

/* What the split depends on: the labels, the config and every image's outcome. */
static bool split_stamp(corridor *k, text *out, err *e)
{
    char sum[65], id[65];
    char *flow = fs_join(k->store, "flow.json");
    bool ok = fs_sha256_file(k->rc.labels, sum, e);
    if (ok)
        text_addf(out, "labels %s\n", sum);
    ok = ok && fs_sha256_file(flow, sum, e);
    if (ok)
        text_addf(out, "prepare %s\n", sum);
    static const cfg_group *const mine[] = {&prepare_options, &exclude_options, &labels_options,
                                            &split_options, NULL};
    cfg_hash(k->a->config, mine, id);
    text_addf(out, "config %s\n", id);
    mem_free(flow);
    return ok;
}

static bool unchanged(const char *file, const char *want)
{
    char *have = NULL;
    size_t len = 0;
    bool same = fs_exists(file) && fs_read(file, 4096, &have, &len, NULL) && !strcmp(have, want);
    mem_free(have);
    return same;
}

static bool do_split(corridor *k, err *e)
{
    split_result r = {0};
    text stamp;
    bool ok = true;
    split_opts o = {.store = k->store,
                    .labels_csv = k->rc.labels,
                    .out = k->cohort,
                    .config = k->a->config,
                    .threads = k->a->threads,
                    .force = true};
    if (!k->rc.labels[0])
        return err_set(e, ERR_CONFIG, "run.labels is empty: name the clinical CSV");
    text_init(&stamp);
    ok = split_stamp(k, &stamp, e);
    if (ok && fs_exists(k->cohort) && unchanged(k->stamp, stamp.s)) {
        cmd_result(k->a, json_pack("{s:s, s:b}", "stage", "split", "done_before", 1),
                   "split: done before\n");
    } else if (ok) {
        ok = split_run(&o, &r, e) && fs_write(k->stamp, stamp.s, stamp.len, e);
        if (ok)
            cmd_result(
                k->a,
                json_pack("{s:s, s:I, s:I, s:I}", "stage", "split", "images", (json_int_t)r.images,
                          "exams", (json_int_t)r.exams, "patients", (json_int_t)r.patients),
                "split: %" PRId64 " images of %" PRId64 " exams of %" PRId64
                " patients; exams for training %" PRId64 ", validation %" PRId64 ", test %" PRId64
                "\n",
                r.images, r.exams, r.patients, r.fold_exams[0], r.fold_exams[1], r.fold_exams[2]);
    }
    text_release(&stamp);
    return ok;
}

static bool do_train(corridor *k, err *e)
{
    train_result r = {0};
    train_opts o = {.cohort = k->cohort,
                    .run = k->run,
                    .config = k->a->config,
                    .device = k->a->device,
                    .threads = k->a->threads,
                    .seed = (uint64_t)k->rc.seed,
                    .force = k->a->force,
                    .whole_exams = cmd_whole_exams(k->a)};
    if (!train_run(&o, &r, e))
        return false;
    text how;
    text_init(&how);
    if (!isnan(r.best_auc))
        text_addf(&how, ", best validation exam AUC %.4f after epoch %d", r.best_auc, r.best_epoch);
    if (r.images_per_second > 0)
        text_addf(&how, ", %.0f images/s", r.images_per_second);
    cmd_result(k->a,
               json_pack("{s:s, s:i, s:i, s:o, s:o}", "stage", "train", "epochs", r.epochs,
                         "best_epoch", r.best_epoch, "best_auc", json_num(r.best_auc),
                         "images_per_second", json_num(r.images_per_second)),
               "train: %d epochs%s\n", r.epochs, how.s);
    text_release(&how);
    return true;
}

static bool predict_fold(corridor *k, const char *split, const char *out, err *e)
{
    predict_result r = {0};
    const char *ckpt[1] = {k->run};
    predict_opts o = {.checkpoint = ckpt,
                      .n_checkpoints = 1,
                      .cohort = k->cohort,
                      .split = split,
                      .out = out,
                      .config = k->a->config,
                      .device = k->a->device,
                      .threads = k->a->threads,
                      .force = k->a->force,
                      .replace = true};
    if (!predict_run(&o, &r, e))
        return false;
    cmd_result(k->a,
               json_pack("{s:s, s:s, s:I, s:I, s:b}", "stage", "predict", "split", split, "images",
                         (json_int_t)r.images, "exams", (json_int_t)r.exams, "done_before",
                         (int)r.made_before),
               "predict: %" PRId64 " images of %" PRId64 " %s exams%s\n", r.images, r.exams, split,
               r.made_before ? ", done before" : "");
    return true;
}

static bool do_predict(corridor *k, err *e)
{
    return predict_fold(k, "val", k->pred_val, e) && predict_fold(k, "test", k->pred_test, e);
}

static bool do_report(corridor *k, err *e)
{
    report_headline h = {0};
    const char *in[1] = {k->pred_test};
    report_opts o = {.inputs = in,
                     .n_inputs = 1,
                     .out_dir = k->report,
                     .val = k->pred_val,
                     .final = true,
                     .force = k->a->force,
                     .replace = true,
                     .threads = k->a->threads};
    cfg_bind(k->a->config, &eval_options, &o.cfg);
    if (!report_write(&o, &h, e))
        return false;
    cmd_print_headline(k->a, &h);
    return true;
}

static const struct {
    const char *name;
    bool (*fn)(corridor *k, err *e);
} stages[] = {{"scan", do_scan},   {"prepare", do_prepare}, {"split", do_split},
              {"train", do_train}, {"predict", do_predict}, {"report", do_report}};

static bool find_stage(const char *name, int absent, int *out, err *e)
{
    *out = absent;
    if (!name)
        return true;
    for (size_t i = 0; i < COUNT_OF(stages); i++)
        if (!strcmp(stages[i].name, name)) {
            *out = (int)i;
            return true;
        }
    return err_set(e, ERR_USAGE,
                   "unknown stage '%s'; wanted scan, prepare, split, train, predict or report",
                   name);
}

static bool walk(cmd_args *a, err *e)
{
    corridor k = {.a = a};
    int from, to;
    bool ok;
    cfg_bind(a->config, &run_options, &k.rc);
    if (ranks_started() > 1)
        return err_set(
            e, ERR_USAGE,
            "started as %d processes, and run works as one; start 'mammovit train' under "
            "mpirun or srun, the other stages without",
            ranks_started());
    if (!find_stage(cmd_value(a, "--from"), 0, &from, e) ||
        !find_stage(cmd_value(a, "--to"), (int)COUNT_OF(stages) - 1, &to, e) ||
        !fs_mkdirs(k.rc.dir, e))
        return false;
    idle_warn(a, NULL);
    k.store = fs_join(k.rc.dir, "store");
    k.cohort = k.rc.cohort[0] ? mem_strdup(k.rc.cohort) : fs_join(k.rc.dir, "cohort.h5");
    k.stamp = fs_join(k.rc.dir, "cohort.inputs");
    k.run = fs_join(k.rc.dir, "run");
    k.pred_val = fs_join(k.rc.dir, "pred-val");
    k.pred_test = fs_join(k.rc.dir, "pred-test");
    k.report = fs_join(k.rc.dir, "report");
    ok = true;
    for (int i = from; i <= to && ok; i++) {
        ok = stages[i].fn(&k, e);
        if (!ok)
            err_wrap(e, "%s", stages[i].name);
        fflush(stdout);
    }
    mem_free(k.store);
    mem_free(k.cohort);
    mem_free(k.stamp);
    mem_free(k.run);
    mem_free(k.pred_val);
    mem_free(k.pred_test);
    mem_free(k.report);
    return ok;
}

static const cmd_opt opts[] = {
    {"--from", "STAGE", "begin here: scan, prepare, split, train, predict or report"},
    {"--to", "STAGE", "end here"},
    {NULL, NULL, NULL},
};
const cmd cmd_run = {
    .verb = "run",
    .usage = "run -c CONFIG [--from STAGE] [--to STAGE]",
    .summary = "the whole corridor: scan, prepare, split, train, predict, report",
    .help = "Everything lands in run.dir: store/, cohort.h5, run/, pred-val/, pred-test/, report/. "
            "Stopped or\nkilled at any moment, the same command continues. The report looks at the "
            "test exams: end with\n--to train while a recipe is still being chosen.",
    .fn = walk,
    .opts = opts,
    .foreign_bytes = true,
    .max_words = 0,
};
