/* train: cohort + config -> RUN folder. */
#include "cli/cmd.h"

#include "cli/idle.h"

#include "core/fs.h"
#include "core/json.h"
#include "core/mem.h"
#include "train/trainer.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static double mib(int64_t bytes)
{
    return (double)bytes / 1048576;
}

/* What only the card knows is null where none is here. */
static json_t *known(int64_t bytes)
{
    return bytes < 0 ? json_null() : json_integer((json_int_t)bytes);
}

static json_t *footprint_json(const footprint *m)
{
    const struct {
        const char *name;
        int64_t bytes;
    } part[] = {{"params", m->params},
                {"grads", m->grads},
                {"optimizer", m->optimizer},
                {"saved", m->saved},
                {"activations", m->activations},
                {"validation", m->validation},
                {"workspace", m->workspace},
                {"images", m->images},
                {"products", m->products},
                {"staging", m->staging},
                {"sums", m->sums},
                {"page_locked", m->locked},
                {"total", m->total}};
    json_t *o = json_object();
    for (size_t i = 0; i < COUNT_OF(part); i++)
        json_object_set_new(o, part[i].name, json_integer((json_int_t)part[i].bytes));
    return o;
}

/* The parts at the level that is taken, and each level's under its name. */
static json_t *memory_json(const room_plan *p)
{
    json_t *o = footprint_json(&p->at[p->level]), *levels = json_object();
    for (int i = 0; i < ROOM_LEVELS; i++) {
        json_t *l = footprint_json(&p->at[i]);
        json_object_set_new(l, "largest_batch", json_integer((json_int_t)p->largest[i]));
        json_object_set_new(l, "fits", json_boolean(p->at[i].total <= p->room));
        json_object_set_new(levels, room_level_name((run_level)i), l);
    }
    json_object_set_new(o, "levels", levels);
    json_object_set_new(o, "recompute", json_string(room_level_name(p->level)));
    json_object_set_new(o, "device", json_string(p->ask.card ? "card" : "machine"));
    json_object_set_new(o, "room", json_integer((json_int_t)p->room));
    json_object_set_new(o, "reserve", json_integer((json_int_t)p->reserve));
    json_object_set_new(o, "libraries", known(p->libraries));
    json_object_set_new(o, "before", known(p->before));
    json_object_set_new(o, "largest_batch", json_integer((json_int_t)p->largest[p->level]));
    return o;
}

/* What a card has beside the network: told exactly, measured, or not known. */
static void card_words(const room_plan *p, text *t)
{
    const footprint *m = &p->at[p->level];
    text_addf(t,
              "  workspace of cuBLASLt %.1f, staging %.1f, gradients as bf16 for NCCL %.1f, "
              "page-locked (of the machine) %.1f MiB\n",
              mib(m->products), mib(m->staging), mib(m->sums), mib(m->locked));
    if (p->libraries < 0)
        text_add(t, "  the driver's context, NVIDIA's libraries and NCCL's channels: not known "
                    "without the card\n");
    else
        text_addf(t,
                  "  measured, and not in the sum: taken before (context, other programs) %.1f, by "
                  "opening NVIDIA's libraries %.1f MiB; left to code that they load later %.1f "
                  "MiB\n",
                  mib(p->before), mib(p->libraries), mib(p->reserve));
}

static void memory_words(const room_plan *p, text *t)
{
    const footprint *m = &p->at[p->level];
    const char *where = p->ask.card ? "card" : "machine";
    text_addf(t, "memory of training %.1f MiB with train.recompute=%s (the %s has %.0f MiB):\n",
              mib(m->total), room_level_name(p->level), where, mib(p->room));
    text_addf(t, "  parameters %.1f, gradients %.1f, optimiser %.1f MiB\n", mib(m->params),
              mib(m->grads), mib(m->optimizer));
    text_addf(t, "  activations of validation %.1f, workspace %.1f, images%s %.1f MiB\n",
              mib(m->validation), mib(m->workspace), p->ask.card ? " (of the machine)" : "",
              mib(m->images));
    if (p->ask.card)
        card_words(p, t);
    text_add(t, "  recompute   saved MiB   activations MiB   total MiB   largest train.batch\n");
    for (int i = 0; i < ROOM_LEVELS; i++)
        text_addf(t, "  %-9s %11.1f %17.1f %11.1f %21" PRId64 "%s\n", room_level_name((run_level)i),
                  mib(p->at[i].saved), mib(p->at[i].activations), mib(p->at[i].total),
                  p->largest[i], i == (int)p->level ? "  <" : "");
    if (!p->largest[RUN_BLOCK])
        text_addf(t, "  not even train.batch=1 fits the %s\n", where);
}

static void print_plan(const cmd_args *a, const train_plan *p)
{
    text memory;
    text_init(&memory);
    memory_words(&p->memory, &memory);
    cmd_result(
        a,
        json_pack("{s:s, s:I, s:I, s:i, s:i, s:I, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "model",
                  p->model, "image_h", (json_int_t)p->h, "image_w", (json_int_t)p->w, "kept",
                  p->kept, "patches", p->patches, "params", (json_int_t)p->params, "memory",
                  memory_json(&p->memory), "macs", (json_int_t)p->macs, "rows", (json_int_t)p->rows,
                  "batch", (json_int_t)p->batch, "accum", (json_int_t)p->accum, "steps",
                  (json_int_t)p->steps, "epochs", (json_int_t)p->epochs, "val_images",
                  (json_int_t)p->val_images),
        "network %s, %" PRId64 " x %" PRId64 " px, at most %d of %d patches kept in training\n"
        "parameters %" PRId64 "\n%s"
        "multiply-adds per image %.3f G forward\n"
        "training rows per epoch %" PRId64 ", batch %" PRId64 " x %" PRId64 ", %" PRId64
        " steps, %" PRId64 " epochs at most\n"
        "validation images %" PRId64 "\n",
        p->model, p->h, p->w, p->kept, p->patches, p->params, memory.s, (double)p->macs / 1e9,
        p->rows, p->batch, p->accum, p->steps, p->epochs, p->val_images);
    text_release(&memory);
}

static bool train(cmd_args *a, err *e)
{
    run_cfg rc;
    train_result r = {0};
    cfg_bind(a->config, &run_options, &rc);
    if (!cmd_need_out(a, "the folder of the run, such as -o run", e))
        return false;
    idle_warn(a, "model augment train");
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
        .ranks = a->ranks,
        .whole_exams = cmd_whole_exams(a),
    };
    bool ok = train_run(&o, &r, e);
    mem_free(own);
    if (!ok || ranks_rank(a->ranks))
        return ok;
    if (a->dry_run) {
        print_plan(a, &r.plan);
        return true;
    }
    text best;
    text_init(&best);
    if (isnan(r.best_auc))
        text_add(&best, "no validation AUC");
    else
        text_addf(&best, "best validation exam AUC %.4f after epoch %d", r.best_auc, r.best_epoch);
    cmd_result(a,
               json_pack("{s:i, s:i, s:o, s:o}", "epochs", r.epochs, "best_epoch", r.best_epoch,
                         "best_auc", json_num(r.best_auc), "images_per_second",
                         json_num(r.images_per_second)),
               "%d epochs, %s\nnext: mammovit predict %s --cohort %s --split val -o PRED-VAL\n"
               "      (and once the recipe is final: the same with --split test -o PRED-TEST)\n",
               r.epochs, best.s, a->out, rc.cohort[0] ? rc.cohort : "COHORT.h5");
    text_release(&best);
    return true;
}

const cmd cmd_train = {
    .verb = "train",
    .usage = "train -c CONFIG [-c MORE] -o RUN",
    .summary = "train a network on a cohort",
    .help = "Trains the network of model.* on the training rows of run.cohort, validates by "
            "exam-level AUC,\nkeeps checkpoints, stops early, and resumes when the same command is "
            "given again.\n--dry-run prints the plan: parameters, steps, memory by its parts, and "
            "the largest batch that fits\nthe machine; nothing is trained.\n"
            "Under mpirun or srun all processes train together, one per card: they share the "
            "train.accum\nmicro-batches of every step.",
    .fn = train,
    .together = true,
    .min_words = 0,
    .max_words = 0,
};
