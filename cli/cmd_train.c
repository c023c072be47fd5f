/* train: cohort + config -> RUN folder. */
#include "cli/cmd.h"

#include "core/fs.h"
#include "core/json.h"
#include "core/mem.h"
#include "train/trainer.h"

#include <math.h>
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
    if (a->json) {
        json_t *j = json_pack("{s:i, s:i, s:o, s:o}", "epochs", r.epochs, "best_epoch",
                              r.best_epoch, "best_auc", json_num(r.best_auc), "images_per_second",
                              json_num(r.images_per_second));
        text t;
        text_init(&t);
        json_write_text(j, false, &t);
        printf("%s\n", t.s);
        text_release(&t);
        json_decref(j);
        return true;
    }
    if (isnan(r.best_auc))
        printf("%d epochs, no validation AUC\n", r.epochs);
    else
        printf("%d epochs, best validation exam AUC %.4f after epoch %d\n", r.epochs, r.best_auc,
               r.best_epoch);
    printf("next: mammovit predict %s --cohort %s --split test -o PRED\n", a->out,
           rc.cohort[0] ? rc.cohort : "COHORT.h5");
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
