/* The epoch loop. A run is a pure function of (config, cohort, seed): a killed run continues from
 * its newest checkpoint and ends with the same bytes. patchdropout.md 4 and 5, design.md 5. */
#include "train/trainer.h"

#include "core/fs.h"
#include "core/kill.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/pool.h"
#include "train/checkpoint.h"
#include "train/loader.h"
#include "train/sampler.h"
#include "train/schedule.h"
#include "train/validate.h"
#include "train/weights.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct train_cfg {
    int64_t epochs, batch, accum, val_every, patience, size, cache_mib, horizon, save_steps;
    int64_t evit_start, evit_warmup;
    double lr, lr_final, warmup_epochs, drop_epoch, smoothing;
    int schedule, lr_counts, sampling, normalize, init_resample;
    bool accum_average;
    const char *init;
    optim_cfg optim;
} train_cfg;

#define AT(f) offsetof(train_cfg, f)
static const cfg_option table[] = {
    {"train.epochs", CFG_INT, AT(epochs), "50", 1, 100000, NULL, "epochs", "longest training"},
    {"train.batch", CFG_INT, AT(batch), "32", 1, 65536, NULL, "images", "images per micro-batch"},
    {"train.accum", CFG_INT, AT(accum), "1", 1, 65536, NULL, "micro-batches",
     "micro-batches per optimiser step"},
    {"train.accum_average", CFG_BOOL, AT(accum_average), "true", 0, 0, NULL, "",
     "average the gradients of these micro-batches; false adds them up, as published"},
    {"train.optimizer", CFG_ENUM, AT(optim.kind), "sgd", 0, 0, "sgd|adamw", "",
     "sgd with momentum as published, or adamw"},
    {"train.lr", CFG_REAL, AT(lr), "3e-4", 0, 100, NULL, "", "learning rate after warm-up"},
    {"train.lr_final", CFG_REAL, AT(lr_final), "0", 0, 100, NULL, "", "where cosine ends"},
    {"train.momentum", CFG_REAL, AT(optim.momentum), "0.9", 0, 1, NULL, "", "of sgd"},
    {"train.beta1", CFG_REAL, AT(optim.beta1), "0.9", 0, 1, NULL, "", "of adamw"},
    {"train.beta2", CFG_REAL, AT(optim.beta2), "0.999", 0, 1, NULL, "", "of adamw"},
    {"train.eps", CFG_REAL, AT(optim.eps), "1e-8", 0, 1, NULL, "", "of adamw"},
    {"train.weight_decay", CFG_REAL, AT(optim.weight_decay), "1e-4", 0, 10, NULL, "",
     "weight decay: coupled for sgd, decoupled for adamw; never on biases and norms"},
    {"train.decay_tokens", CFG_BOOL, AT(optim.decay_tokens), "true", 0, 0, NULL, "",
     "weight decay on class tokens, position embeddings and tables of relative positions too"},
    {"train.schedule", CFG_ENUM, AT(schedule), "constant", 0, 0, "constant|step|cosine", "",
     "learning rate after warm-up"},
    {"train.warmup_epochs", CFG_REAL, AT(warmup_epochs), "2", 0, 1000, NULL, "epochs",
     "linear warm-up from zero"},
    {"train.evit_start", CFG_INT, AT(evit_start), "0", 0, 100000, NULL, "epochs",
     "EViT: epochs with all tokens; 0 for fine-tuning, 10 in the published training from scratch"},
    {"train.evit_warmup", CFG_INT, AT(evit_warmup), "0", 0, 100000, NULL, "epochs",
     "EViT: epochs after these in which the keep rate falls to model.evit_keep (published: 100)"},
    {"train.drop_epoch", CFG_REAL, AT(drop_epoch), "400", 0, 1e6, NULL, "epochs",
     "where schedule step divides by ten"},
    {"train.lr_counts", CFG_ENUM, AT(lr_counts), "steps", 0, 0, "steps|batches", "",
     "what the learning rate advances with: optimiser steps, or micro-batches as published"},
    {"train.clip", CFG_REAL, AT(optim.clip), "1", 0, 1e9, NULL, "",
     "largest gradient norm; 0 switches clipping off"},
    {"train.clip_mode", CFG_ENUM, AT(optim.clip_mode), "global", 0, 0, "global|tensor", "",
     "one norm over all parameters, or each tensor by itself as the published code does"},
    {"train.label_smoothing", CFG_REAL, AT(smoothing), "0.1", 0, 1, NULL, "",
     "share of the target spread over all classes"},
    {"train.sampling", CFG_ENUM, AT(sampling), "balanced", 0, 0, "balanced|all", "",
     "balanced: every epoch all positives and, vendor by vendor, as many fresh negatives"},
    {"train.normalize", CFG_ENUM, AT(normalize), "all", 0, 0, "all|breast", "",
     "pixels whose mean and deviation normalise the input"},
    {"train.size", CFG_INT, AT(size), "0", 0, 3, NULL, "", "which of prepare.sizes to train on"},
    {"train.horizon", CFG_INT, AT(horizon), "0", 0, 7, NULL, "",
     "which of labels.horizons to learn"},
    {"train.val_every", CFG_INT, AT(val_every), "1", 1, 100000, NULL, "epochs",
     "validate after every so many epochs, and after the last"},
    {"train.patience", CFG_INT, AT(patience), "10", 0, 100000, NULL, "validations",
     "stop after so many validations without a better one; 0 = never"},
    {"train.save_steps", CFG_INT, AT(save_steps), "0", 0, 1e12, NULL, "steps",
     "also save every so many steps inside an epoch; 0 = at its end only"},
    {"train.cache_mib", CFG_INT, AT(cache_mib), "4096", 0, 1e7, NULL, "MiB",
     "memory for inflated images; changes speed only"},
    {"train.init", CFG_TEXT, AT(init), "", 0, 0, NULL, "",
     "file of weights to start from: safetensors, PyTorch .pth or AugReg .npz; empty: random"},
    {"train.init_resample", CFG_ENUM, AT(init_resample), "bilinear", 0, 0, RESAMPLE_WORDS, "",
     "how its position embedding is brought to another grid"},
};
const cfg_group train_options = {"Training", table, COUNT_OF(table)};

typedef struct trainer {
    const train_opts *o;
    train_cfg c;
    augment_cfg aug;
    keep_cfg keep;
    keep_log kept, replay; /* of the running epoch */
    model_cfg mc;
    cohort data;
    pool *threads;
    backend *be;
    model *net;
    loader *load;
    optim *opt;
    run *tape;
    checkpoint_info at; /* where training stands */
    int64_t *val, n_val, *epoch_rows, n_epoch;
    int64_t steps_per_epoch; /* optimiser steps */
    int64_t images_done;
    double seconds;
    bool warm; /* train.init is read */
    text yaml; /* of the run's config */
} trainer;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void draw_epoch(trainer *t, int64_t epoch)
{
    t->n_epoch = sampler_draw(&t->data, (int)t->c.horizon, t->c.sampling == 0, t->o->seed, epoch,
                              t->epoch_rows);
    if (t->n_epoch >= t->c.batch) /* whole batches only: every step has one shape */
        t->n_epoch -= t->n_epoch % t->c.batch;
}

static int64_t micro_batches(const trainer *t)
{
    return (t->n_epoch + t->c.batch - 1) / t->c.batch;
}

/* ---- opening --------------------------------------------------------------------------------- */

static bool fit_model(trainer *t, err *e)
{
    model_cfg *m = &t->mc;
    int h = t->data.h[t->c.size], w = t->data.w[t->c.size];
    cfg_bind(t->o->config, &model_options, m);
    if ((m->image_h && m->image_h != h) || (m->image_w && m->image_w != w))
        return err_set(e, ERR_CONFIG,
                       "model.image_h x model.image_w is %lld x %lld, the cohort's images are %d x "
                       "%d; leave both 0",
                       (long long)m->image_h, (long long)m->image_w, h, w);
    int most = 0;
    for (int64_t i = 0; i < t->data.n; i++)
        most = t->data.row[i].y[t->c.horizon] > most ? t->data.row[i].y[t->c.horizon] : most;
    if (most >= m->classes)
        return err_set(e, ERR_CONFIG, "the cohort has class %d, model.classes is %lld", most,
                       (long long)m->classes);
    if (m->classes > 2 && most + 1 < m->classes)
        log_warn("classes_unused",
                 "model.classes=%lld largest_class=%d why=no_image_has_the_others",
                 (long long)m->classes, most);
    if (m->channels != 1 && m->channels != 3)
        return err_set(
            e, ERR_CONFIG,
            "model.channels is %lld; a grey image is read as 1 channel or as 3 equal ones",
            (long long)m->channels);
    m->image_h = h;
    m->image_w = w;
    if (t->keep.replay[0]) {
        if (t->keep.schedule != KEEP_FIXED || m->keep_rate < 1)
            log_warn("keep_rate_ignored",
                     "model.keep_rate=%g train.keep_schedule=%s "
                     "why=train.keep_replay_says_what_is_kept",
                     m->keep_rate, cfg_text(t->o->config, "train.keep_schedule"));
        m->keep_rate = 1;
    } else if (t->keep.schedule != KEEP_FIXED && m->keep_rate < 1) {
        log_warn("keep_rate_ignored",
                 "model.keep_rate=%g why=train.keep_schedule_draws_every_rate_itself",
                 m->keep_rate);
        m->keep_rate = 1;
    }
    return true;
}

/* A ramp that outlasts the run: no epoch has the rate that validation and later use have. */
static void warn_of_ramp(const trainer *t)
{
    int64_t reached = t->c.evit_start + t->c.evit_warmup;
    if (t->mc.reduction == MODEL_EVIT && reached >= t->c.epochs)
        log_warn("evit_rate_not_reached",
                 "model.evit_keep=%g why=\"train.evit_start and train.evit_warmup: the configured "
                 "rate is reached after epoch %lld, train.epochs is %lld\"",
                 t->mc.evit_keep, (long long)reached, (long long)t->c.epochs);
}

/* exam.require of the config did not make this cohort. */
static void warn_of_incomplete(const cohort *c)
{
    int64_t exams = 0;
    for (int64_t a = 0, b; a < c->n; a = b) {
        for (b = a + 1; b < c->n && !strcmp(c->row[a].exam, c->row[b].exam);)
            b++;
        exams += b - a != 4;
    }
    if (exams)
        log_warn("exam_require_ignored",
                 "exams=%lld why=\"these have not exactly four images; exam.require acts in split "
                 "only, and the cohort was split without it\"",
                 (long long)exams);
}

static bool open_data(trainer *t, err *e)
{
    if (!cohort_read(&t->data, t->o->cohort, e) || !cohort_check(&t->data, e))
        return false;
    if (t->c.size >= t->data.n_sizes || t->c.horizon >= t->data.n_horizons)
        return err_set(e, ERR_CONFIG,
                       "train.size or train.horizon is beyond the cohort's %d sizes, %d horizons",
                       t->data.n_sizes, t->data.n_horizons);
    t->load = loader_new(&t->data, (int)t->c.size, (size_t)t->c.cache_mib << 20, e);
    if (!t->load)
        return false;
    t->val = MEM_ARRAY(int64_t, t->data.n ? t->data.n : 1);
    t->epoch_rows = MEM_ARRAY(int64_t, sampler_cap(&t->data));
    for (int64_t i = 0; i < t->data.n; i++)
        if (t->data.row[i].fold == COHORT_VAL && t->data.row[i].y[t->c.horizon] >= 0)
            t->val[t->n_val++] = i;
    if (t->o->whole_exams)
        warn_of_incomplete(&t->data);
    draw_epoch(t, 0);
    if (!t->n_epoch)
        return err_set(e, ERR_INPUT, "the cohort has no training image%s",
                       t->c.sampling == 0 ? " with a positive label" : "");
    int64_t micro = micro_batches(t);
    t->steps_per_epoch = (micro + t->c.accum - 1) / t->c.accum;
    return true;
}

/* The groups that make a run what it is. */
static const cfg_group *const run_groups[] = {&model_options, &augment_options, &train_options,
                                              &keep_options, NULL};

static bool describe(trainer *t, err *e)
{
    checkpoint_info *k = &t->at;
    k->model = *model_config(t->net);
    k->mean = (float)(t->c.normalize == 0 ? t->data.mean_all : t->data.mean_breast);
    k->sd = (float)(t->c.normalize == 0 ? t->data.sd_all : t->data.sd_breast);
    text_copy(k->prepare_id, sizeof k->prepare_id, t->data.prepare_id);
    k->prepare_yaml = t->data.prepare_yaml;
    k->n_horizons = t->data.n_horizons;
    memcpy(k->horizon_years, t->data.horizon_years, sizeof k->horizon_years);
    k->horizon = (int)t->c.horizon;
    cfg_hash(t->o->config, run_groups, k->config_sha256);
    k->seed = t->o->seed;
    cfg_dump(t->o->config, run_groups, false, &t->yaml);
    k->config_yaml = t->yaml.s;
    k->recipe =
        json_pack("{s:s, s:o, s:I, s:o}", "optimizer", cfg_text(t->o->config, "train.optimizer"),
                  "lr", json_num(t->c.lr), "batch_size", (json_int_t)(t->c.batch * t->c.accum),
                  "pretrained", json_words(t->c.init[0] ? fs_base(t->c.init) : "none"));
    if (t->keep.replay[0] || t->keep.schedule != KEEP_FIXED)
        json_object_set_new(k->recipe, "keep_schedule",
                            t->keep.replay[0]
                                ? json_string("replay")
                                : json_string(cfg_text(t->o->config, "train.keep_schedule")));
    return fs_sha256_file(t->o->cohort, k->cohort_sha256, e);
}

/* What is loaded as it stands is only counted, unless there is much talk. */
static void show_taken(const char *lines)
{
    bool all = log_get_level() >= LOG_DEBUG;
    for (const char *s = lines, *end; (end = strchr(s, '\n')); s = end + 1)
        if (all || strncmp(s, "loaded ", 7))
            fprintf(stderr, "%.*s\n", (int)(end - s), s);
}

static bool warm_start(trainer *t, err *e)
{
    weights_report r = {0};
    if (!t->c.init[0] || t->warm)
        return true;
    if (!fs_exists(t->c.init))
        return err_set(e, ERR_CONFIG, "train.init: '%s' does not exist", t->c.init);
    text_init(&r.table);
    bool ok = weights_load(t->net, t->c.init,
                           &(weights_opts){.resample = (resample_how)t->c.init_resample}, &r, e);
    if (ok) {
        show_taken(r.table.s);
        log_info("weights_loaded", "loaded=%d resized=%d kept=%d unused=%d", r.loaded, r.resized,
                 r.kept, r.unused);
    }
    text_release(&r.table);
    t->warm = ok;
    return ok;
}

static keep_log_want kept_want(const trainer *t)
{
    return (keep_log_want){.epoch = t->at.epoch + 1,
                           .row = t->epoch_rows,
                           .n_rows = t->n_epoch,
                           .batch = (int)t->c.batch,
                           .patches = model_patches(t->net)};
}

static bool open_replay(trainer *t, err *e)
{
    keep_log_want w = kept_want(t);
    keep_log_release(&t->replay);
    if (!t->keep.replay[0])
        return true;
    if (!fs_exists(t->keep.replay))
        return err_set(e, ERR_CONFIG, "train.keep_replay: '%s' does not exist", t->keep.replay);
    return keep_log_replay(&t->replay, t->keep.replay, &w, e) &&
           keep_replay_check(&t->replay, t->net, e);
}

/* What a new run reads is proven before it claims its folder; a wrong path leaves nothing behind. A
 * run that continues has its weights. */
static bool prove_inputs(trainer *t, err *e)
{
    checkpoint_info c;
    char dir[4096];
    err later = {0}; /* resume finds it again */
    int found =
        t->o->force || !fs_exists(t->o->run) ? 0 : checkpoint_newest(t->o->run, &c, dir, &later);
    if (found > 0)
        checkpoint_release(&c);
    bool ok = found || (warm_start(t, e) && open_replay(t, e));
    keep_log_release(&t->replay);
    return ok;
}

/* The keys in which the config of a folder and that of this run differ. */
static void add_differences(const trainer *t, const char *have, size_t len, text *out)
{
    unsigned long long seed;
    char sum[65];
    err none = {0};
    cfg *was = cfg_new(run_groups, COUNT_OF(run_groups) - 1);
    if (sscanf(have, "# seed %20llu, cohort %64s", &seed, sum) == 2) {
        if (seed != t->o->seed)
            text_addf(out, " run.seed (was %llu)", seed);
        if (strcmp(sum, t->at.cohort_sha256))
            text_add(out, " run.cohort");
    }
    bool known = cfg_load_text(was, have, len, "config.yaml", &none);
    for (const cfg_group *const *g = run_groups; known && *g; g++) {
        for (size_t i = 0; i < (*g)->n; i++) {
            const char *key = (*g)->options[i].key, *old = cfg_text(was, key);
            if (strcmp(old, cfg_text(t->o->config, key)))
                text_addf(out, " %s (was %s)", key, old);
        }
    }
    cfg_free(was);
}

/* A new run writes its config; a resumed one must have the same. */
static bool claim_folder(trainer *t, err *e)
{
    char *path = fs_join(t->o->run, "config.yaml"), *have = NULL;
    size_t len;
    text want, differ;
    bool ok = true;
    text_init(&want);
    text_init(&differ);
    text_addf(&want, "# seed %llu, cohort %s\n", (unsigned long long)t->o->seed,
              t->at.cohort_sha256);
    cfg_dump(t->o->config, run_groups, false, &want);
    if (t->o->force)
        ok = fs_remove_tree(t->o->run, e);
    if (ok && fs_exists(path)) {
        ok = fs_read(path, 1 << 20, &have, &len, e);
        if (ok && strcmp(have, want.s)) {
            add_differences(t, have, len, &differ);
            ok = err_set(e, ERR_CONFIG,
                         "'%s' belongs to a run with another config, seed or cohort; use another "
                         "folder or --force%s%s",
                         path, differ.len ? "; other:" : "", differ.s);
        }
    } else if (ok) {
        ok = fs_mkdirs(t->o->run, e) && fs_write(path, want.s, want.len, e);
    }
    text_release(&want);
    text_release(&differ);
    mem_free(have);
    mem_free(path);
    return ok;
}

/* A checkpoint that lies in this run's folder must be this run's. */
static bool same_run(const trainer *t, const checkpoint_info *c, const char *dir, err *e)
{
    const char *isa = json_string_value(json_object_get(c->json, "isa"));
    if (c->seed != t->at.seed || strcmp(c->config_sha256, t->at.config_sha256) ||
        strcmp(c->cohort_sha256, t->at.cohort_sha256))
        return err_set(e, ERR_CONFIG,
                       "checkpoint '%s' belongs to a run with another config, seed or cohort; use "
                       "another folder or --force",
                       fs_base(dir));
    if (isa && strcmp(isa, backend_isa(t->be)))
        log_warn("other_processor", "saved=%s now=%s why=bytes_may_differ", isa,
                 backend_isa(t->be));
    return true;
}

/* Continue from the newest checkpoint, if there is one. */
static bool resume(trainer *t, err *e)
{
    checkpoint_info c;
    char dir[4096];
    int found = checkpoint_newest(t->o->run, &c, dir, e);
    if (found < 0)
        return false;
    if (!found) {
        t->at.history = json_array();
        t->at.best = NAN;
        t->at.val_auc = NAN;
        return warm_start(t, e);
    }
    char *weights = fs_join(dir, "model.safetensors"), *state = fs_join(dir, "optim.safetensors"),
         sum[65];
    bool ok = same_run(t, &c, dir, e) && fs_sha256_file(weights, sum, e);
    if (ok && strcmp(sum, c.model_sha256))
        ok = err_set(e, ERR_MISMATCH, "checkpoint '%s': the weights are not those that were saved",
                     fs_base(dir));
    ok = ok && weights_load(t->net, weights, &(weights_opts){.exact = true}, NULL, e) &&
         optim_load(t->opt, state, e);
    checkpoint_info *k = &t->at;
    k->epoch = c.epoch;
    k->step = c.step;
    k->batch = c.batch;
    k->loss_sum = c.loss_sum;
    k->val_auc = c.val_auc;
    k->best = c.best;
    k->best_epoch = c.best_epoch;
    k->best_step = c.best_step;
    k->finished = c.finished;
    k->history = json_incref(c.history);
    text_copy(k->model_sha256, sizeof k->model_sha256, c.model_sha256);
    mem_free(weights);
    mem_free(state);
    checkpoint_release(&c);
    if (ok && !k->finished)
        log_info("resume", "epoch=%lld step=%lld", (long long)k->epoch, (long long)k->step);
    return ok && checkpoint_settle(t->o->run, k, e);
}

/* ---- steps ----------------------------------------------------------------------------------- */

/* The rate of step number `step`, which the micro-batch before at.batch ends. */
static double learning_rate(const trainer *t, int64_t step)
{
    bool steps = t->c.lr_counts == 0;
    int64_t unit = steps ? t->steps_per_epoch : micro_batches(t);
    schedule s = {
        .kind = (schedule_kind)t->c.schedule,
        .base = t->c.lr,
        .final = t->c.lr_final,
        .warmup = (int64_t)(t->c.warmup_epochs * (double)unit),
        .total = t->c.epochs * unit,
        .drop = (int64_t)(t->c.drop_epoch * (double)unit),
    };
    return schedule_lr(&s, steps ? step : t->at.epoch * unit + t->at.batch - 1);
}

/* For model_batch: 0 leaves the configured rate, as validation has it. */
static double evit_keep(const trainer *t)
{
    if (t->mc.reduction != MODEL_EVIT)
        return 0;
    schedule_evit_ramp s = {t->mc.evit_keep, t->c.evit_start, t->c.evit_warmup, t->steps_per_epoch};
    return schedule_evit(&s, t->at.step);
}

static bool micro_step(trainer *t, const loader_batch *b, err *e)
{
    model_batch in = b->in;
    float loss;
    in.mean = t->at.mean;
    in.sd = t->at.sd;
    in.evit_keep = evit_keep(t);
    run_reset(t->tape);
    tensor *logits = model_forward(t->net, t->tape, &in);
    tensor *l = op_loss(t->tape, logits, b->label, NULL, (float)t->c.smoothing);
    run_read(t->tape, l, &loss);
    if (!isfinite(loss)) {
        const char *op = run_first_nonfinite(t->tape);
        return err_set(e, ERR_RANGE,
                       "the loss is not finite at epoch %lld step %lld (first in %s); lower "
                       "train.lr",
                       (long long)t->at.epoch + 1, (long long)t->at.step, op ? op : "the loss");
    }
    run_backward(t->tape, l);
    t->at.loss_sum += (double)loss;
    t->images_done += b->in.b;
    return true;
}

/* The log goes first: a checkpoint never knows of more micro-batches than it. */
static bool save(trainer *t, err *e)
{
    return (!t->keep.log || keep_log_write(&t->kept, t->o->run, e)) &&
           checkpoint_save(t->o->run, &t->at, t->net, t->opt, e);
}

static keep_plan plan_keep(const trainer *t)
{
    return (keep_plan){.net = t->net,
                       .schedule = (keep_schedule)t->keep.schedule,
                       .rate = t->mc.keep_rate,
                       .grid = t->keep.grid,
                       .seed = t->o->seed,
                       .epoch = (uint64_t)t->at.epoch,
                       .replay = t->replay.n ? &t->replay : NULL};
}

/* The logs of kept patches that this epoch writes and follows. */
static bool open_kept(trainer *t, err *e)
{
    keep_log_want w = kept_want(t);
    keep_log_release(&t->kept);
    return (!t->keep.log || keep_log_resume(&t->kept, t->o->run, &w, t->at.batch, e)) &&
           open_replay(t, e);
}

/* The micro-batches of one epoch from t->at.batch on. */
static bool train_epoch(trainer *t, log_progress *bar, err *e)
{
    int64_t micro = micro_batches(t);
    int parts = 0, got = 1;
    loader_batch b;
    keep_plan keep = plan_keep(t);
    loader_plan p = {.row = t->epoch_rows,
                     .n = t->n_epoch,
                     .batch = (int)t->c.batch,
                     .first = t->at.batch,
                     .aug = &t->aug,
                     .seed = t->o->seed,
                     .epoch = (uint64_t)t->at.epoch,
                     .keep = &keep,
                     .horizon = (int)t->c.horizon};
    bool ok = true;
    loader_start(t->load, &p);
    param_zero_grad(model_params(t->net));
    while (ok && t->at.batch < micro && (got = loader_next(t->load, &b, e)) > 0) {
        double t0 = now();
        ok = micro_step(t, &b, e);
        if (t->keep.log)
            keep_log_add(&t->kept, b.in.b, b.row, b.in.keep, b.in.n_keep);
        t->at.batch++;
        parts++;
        if (ok && (parts == t->c.accum || t->at.batch == micro)) {
            double norm = optim_step(t->opt, learning_rate(t, t->at.step), t->at.step + 1,
                                     t->c.accum_average ? parts : 1);
            if (!isfinite(norm))
                ok = err_set(e, ERR_RANGE,
                             "the gradient is not finite at epoch %lld step %lld; lower train.lr",
                             (long long)t->at.epoch + 1, (long long)t->at.step);
            param_zero_grad(model_params(t->net));
            t->at.step++;
            parts = 0;
            kill_point("train_step");
        }
        t->seconds += now() - t0;
        char note[64];
        snprintf(note, sizeof note, "epoch %lld loss %.4f", (long long)t->at.epoch + 1,
                 t->at.loss_sum / (double)t->at.batch);
        log_progress_step(bar, (uint64_t)(t->at.epoch * t->n_epoch + t->at.batch * t->c.batch),
                          note);
        bool whole = parts == 0 && t->at.batch < micro;
        if (ok && whole && pool_stop_asked()) {
            ok = save(t, e) && err_set(e, ERR_STOPPED,
                                       "stopped on request at epoch %lld step "
                                       "%lld; the same command continues",
                                       (long long)t->at.epoch + 1, (long long)t->at.step);
        } else if (ok && whole && t->c.save_steps && t->at.step % t->c.save_steps == 0) {
            ok = save(t, e);
        }
    }
    loader_stop(t->load);
    return ok && got > 0;
}

static json_t *epoch_json(const trainer *t, double lr, double train_loss, const validate_result *v)
{
    json_t *o = json_object();
    json_object_set_new(o, "epoch", json_integer(t->at.epoch));
    json_object_set_new(o, "step", json_integer(t->at.step));
    json_object_set_new(o, "lr", json_num(lr));
    json_object_set_new(o, "train_loss", json_num(train_loss));
    if (t->replay.n)
        json_object_set_new(o, "kept", json_num(keep_log_share(&t->replay)));
    if (v) {
        json_object_set_new(o, "val_loss", json_num(v->loss));
        json_object_set_new(o, "val_auc_exam", json_num(v->exam.value));
        json_object_set_new(o, "val_auc_exam_lo", json_num(v->exam.lo));
        json_object_set_new(o, "val_auc_exam_hi", json_num(v->exam.hi));
        json_object_set_new(o, "val_auc_image", json_num(v->image.value));
        json_object_set_new(o, "val_exams", json_integer(v->exam.n));
    }
    return o;
}

/* metrics.jsonl is the history, rewritten whole: it can never disagree with the checkpoint. */
static bool write_metrics(const trainer *t, err *e)
{
    char *path = fs_join(t->o->run, "metrics.jsonl");
    text out;
    text_init(&out);
    for (size_t i = 0; i < json_array_size(t->at.history); i++) {
        json_write_text(json_array_get(t->at.history, i), false, &out);
        if (!out.len || out.s[out.len - 1] != '\n')
            text_add(&out, "\n");
    }
    bool ok = fs_write(path, out.s, out.len, e);
    text_release(&out);
    mem_free(path);
    return ok;
}

/* After an epoch: validate, judge, save. */
static bool close_epoch(trainer *t, int64_t *bad, err *e)
{
    validate_result v;
    double lr = learning_rate(t, t->at.step - 1);
    double train_loss = t->at.loss_sum / (double)t->at.batch;
    t->at.epoch++;
    t->at.batch = 0;
    t->at.loss_sum = 0;
    bool last = t->at.epoch >= t->c.epochs;
    bool check = t->n_val && (t->at.epoch % t->c.val_every == 0 || last);
    if (check && !validate_run(t->net, t->load, &t->data, t->val, t->n_val, &t->at, &v, e))
        return false;
    double criterion = !t->n_val ? (double)t->at.epoch
                       : !check  ? NAN
                                 : (isnan(v.exam.value) ? -v.loss : v.exam.value);
    t->at.val_auc = check ? v.exam.value : NAN;
    if (!isnan(criterion) && (isnan(t->at.best) || criterion > t->at.best)) {
        t->at.best = criterion;
        t->at.best_epoch = t->at.epoch;
        t->at.best_step = t->at.step;
    }
    *bad = check ? (t->at.epoch - t->at.best_epoch) / t->c.val_every : *bad;
    t->at.finished = last || (t->c.patience && t->n_val && *bad >= t->c.patience);
    json_array_append_new(t->at.history, epoch_json(t, lr, train_loss, check ? &v : NULL));
    if (check)
        log_info("epoch", "epoch=%lld train_loss=%.4f val_loss=%.4f val_exam_auc=%.4f%s",
                 (long long)t->at.epoch, train_loss, v.loss, v.exam.value,
                 t->at.best_epoch == t->at.epoch ? " best=yes" : "");
    return save(t, e) && write_metrics(t, e);
}

static bool make_plan(trainer *t, train_plan *p, err *e)
{
    model_counts n;
    if (!open_kept(t, e) || !model_count(model_config(t->net), &n, e))
        return false;
    keep_plan keep = plan_keep(t);
    int copies = t->c.optim.kind == OPTIM_ADAMW ? 4 : 3;
    *p = (train_plan){.h = t->mc.image_h,
                      .w = t->mc.image_w,
                      .batch = t->c.batch,
                      .accum = t->c.accum,
                      .rows = t->n_epoch,
                      .steps = t->steps_per_epoch,
                      .epochs = t->c.epochs,
                      .val_images = t->n_val,
                      .params = n.params,
                      .param_bytes = n.params * (int64_t)sizeof(float) * copies,
                      .macs = model_macs(&n.executed, MODEL_FVCORE),
                      .kept = keep_most(&keep),
                      .patches = model_patches(t->net)};
    text_copy(p->model, sizeof p->model, t->mc.name);
    return true;
}

static bool train_all(trainer *t, err *e)
{
    log_progress bar;
    int64_t bad = 0;
    bool ok = write_metrics(t, e);
    log_progress_init(&bar, "train", "images", (uint64_t)(t->c.epochs * t->n_epoch));
    while (ok && !t->at.finished) {
        draw_epoch(t, t->at.epoch);
        ok = open_kept(t, e) && train_epoch(t, &bar, e) && close_epoch(t, &bad, e);
    }
    log_progress_end(&bar);
    return ok;
}

static bool check_keep(const trainer *t, err *e)
{
    if (!keep_check((keep_schedule)t->keep.schedule, "model.keep_rate", t->mc.keep_rate, t->net, e))
        return false;
    if (t->keep.log && t->data.n > KEEP_LOG_ROWS)
        return err_set(e, ERR_CONFIG, "train.keep_log: a log holds %d rows, the cohort has %lld",
                       KEEP_LOG_ROWS, (long long)t->data.n);
    if (t->keep.replay[0] && t->mc.window)
        return err_set(e, ERR_CONFIG,
                       "train.keep_replay: %s keeps rows and columns of its windows; only networks "
                       "without windows follow a log",
                       t->mc.name);
    if (t->keep.replay[0] && !keep_log_lasts(t->keep.replay, t->c.epochs, e))
        return false;
    return !model_wants_breast(t->net) || loader_need_masks(t->load, e);
}

static bool open_all(trainer *t, err *e)
{
    t->threads = pool_new(t->o->threads);
    if (!open_data(t, e) || !fit_model(t, e))
        return false;
    t->be = backend_new(t->o->device, t->threads, e);
    t->net = t->be ? model_new(&t->mc, t->be, t->o->seed, e) : NULL;
    if (!t->net)
        return false;
    t->mc = *model_config(t->net);
    warn_of_ramp(t);
    if (!check_keep(t, e))
        return false;
    t->opt = optim_new(&t->c.optim, model_params(t->net));
    t->tape = run_new(t->be, RUN_TRAIN);
    return describe(t, e);
}

/* Validation AUC of the best epoch; NaN where it has none (no validation images, or one class). */
static double best_auc(const trainer *t)
{
    for (size_t i = 0; i < json_array_size(t->at.history); i++) {
        const json_t *h = json_array_get(t->at.history, i), *v = json_object_get(h, "val_auc_exam");
        if (json_integer_value(json_object_get(h, "epoch")) == t->at.best_epoch &&
            json_is_number(v))
            return json_number_value(v);
    }
    return NAN;
}

bool train_run(const train_opts *o, train_result *out, err *e)
{
    trainer t = {.o = o};
    fs_lock *lock = NULL;
    bool ok = false;
    memset(out, 0, sizeof *out);
    cohort_init(&t.data);
    text_init(&t.yaml);
    cfg_bind(o->config, &train_options, &t.c);
    cfg_bind(o->config, &augment_options, &t.aug);
    cfg_bind(o->config, &keep_options, &t.keep);
    if (!open_all(&t, e) || !prove_inputs(&t, e))
        goto done;
    if (o->dry_run) {
        ok = make_plan(&t, &out->plan, e);
        goto done;
    }
    if (!claim_folder(&t, e) || !(lock = fs_lock_take(o->run, e)) || !resume(&t, e))
        goto done;
    ok = train_all(&t, e);
    out->epochs = (int)t.at.epoch;
    out->best_epoch = (int)t.at.best_epoch;
    out->best_auc = best_auc(&t);
    out->images_per_second = t.seconds > 0 ? (double)t.images_done / t.seconds : 0;
done:
    fs_lock_release(lock);
    json_decref(t.at.history);
    json_decref(t.at.recipe);
    keep_log_release(&t.kept);
    keep_log_release(&t.replay);
    text_release(&t.yaml);
    run_free(t.tape);
    optim_free(t.opt);
    model_free(t.net);
    backend_free(t.be);
    loader_free(t.load);
    cohort_release(&t.data);
    pool_free(t.threads);
    mem_free(t.val);
    mem_free(t.epoch_rows);
    return ok;
}
