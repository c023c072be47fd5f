/* train: cohort + config -> RUN folder. */
#include "cli/cmd.h"

#include "core/fs.h"
#include "core/mem.h"
#include "train/trainer.h"

#include <stdio.h>

static bool train(cmd_args *a, err *e)
{
    run_cfg rc;
    train_result r = {0};
    cfg_bind(a->config, &run_options, &rc);
    if (!cmd_need_out(a, "the folder of the run, such as -o run", e))
        return false;
    char *own = rc.cohort[0] ? NULL : fs_join(rc.dir, "cohort.h5");
    train_opts o = {
        .cohort = own ? own : rc.cohort,
        .run = a->out,
        .config = a->config,
        .device = a->device,
        .threads = a->threads,
        .seed = (uint64_t)rc.seed,
        .force = a->force,
        .dry_run = a->dry_run,
    };
    bool ok = train_run(&o, &r, e);
    mem_free(own);
    if (!ok || a->dry_run)
        return ok;
    if (a->json)
        printf("{\"epochs\": %d, \"best_epoch\": %d, \"best_auc\": %.9g, \"images_per_second\": "
               "%.4g}\n",
               r.epochs, r.best_epoch, r.best_auc, r.images_per_second);
    else
        printf("%d epochs, best validation exam AUC %.4f after epoch %d\n"
               "next: mammovit predict %s --cohort %s --split test -o PRED\n",
               r.epochs, r.best_auc, r.best_epoch, a->out, rc.cohort[0] ? rc.cohort : "COHORT.h5");
    return true;
}

const cmd cmd_train = {
    .verb = "train",
    .usage = "train -c CONFIG [-c MORE] -o RUN",
    .summary = "train a network on a cohort",
    .help = "Trains the network of model.* on the training rows of run.cohort, validates by "
            "exam-level AUC,\nkeeps checkpoints, stops early, and resumes when the same command is "
            "given again.\n--dry-run prints the plan: parameters, memory, steps.",
    .fn = train,
    .min_words = 0,
    .max_words = 0,
};
