/* What a training does before its first step: options, cohort and network fitted together, warnings
 * of what will not act, the folder and the state of an earlier call. patchdropout.md 5. */
#include "train/trainer_open.h"

#include "core/fs.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/pool.h"
#include "core/version.h"
#include "train/sampler.h"
#include "train/share.h"
#include "train/weights.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
    {"train.beta1", CFG_REAL, AT(optim.beta1), "0.9", 0, 0.999999, NULL, "", "of adamw"},
    {"train.beta2", CFG_REAL, AT(optim.beta2), "0.999", 0, 0.999999, NULL, "", "of adamw"},
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
    {"train.precision", CFG_ENUM, AT(how.precision), "f32", 0, 0, BACKEND_PRECISIONS, "",
     "what matrix products read and write; weights and sums are f32 always. bf16_fast: the "
     "residual "
     "stream, too, and GELU's tanh form in the products (model.gelu). Both need --device "
     "cuda"},
    {"train.deterministic", CFG_BOOL, AT(how.deterministic), "false", 0, 0, NULL, "",
     "the same bytes each time on a card too: attention's deterministic backward pass, which takes "
     "memory by the square of the tokens, and no timed choice. On the CPU it is so in any case"},
    {"train.reduce", CFG_ENUM, AT(reduce), "f32", 0, 0, "f32|bf16", "",
     "what gradients travel as between processes; bf16 needs --device cuda"},
    {"train.bucket_mib", CFG_INT, AT(bucket_mib), "16", 1, 1024, NULL, "MiB",
     "gradients that travel together between processes, while the backward pass goes on"},
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
    {"train.init", CFG_TEXT, AT(init), "", 0, 0, NULL, "",
     "weights to start from: a file (safetensors, PyTorch .pth, AugReg .npz), or a RUN or "
     "checkpoint "
     "folder of ours; empty: random"},
    {"train.init_resample", CFG_ENUM, AT(init_resample), "bilinear", 0, 0, RESAMPLE_WORDS, "",
     "how its position embedding is brought to another grid"},
};
const cfg_group train_options = {"Training", table, COUNT_OF(table)};

void trainer_draw(trainer *t, int64_t epoch)
{
    t->n_epoch = sampler_draw(&t->data, (int)t->c.horizon, t->c.sampling == 0, t->o->seed, epoch,
                              t->epoch_rows);
    if (t->n_epoch >= t->c.batch) /* whole batches only: every step has one shape */
        t->n_epoch -= t->n_epoch % t->c.batch;
}

int64_t trainer_micro_batches(const trainer *t)
{
    return (t->n_epoch + t->c.batch - 1) / t->c.batch;
}

bool trainer_few_shapes(const trainer *t)
{
    return strcmp(backend_name(t->be), "cpu") != 0;
}

/* ---- data and network ------------------------------------------------------------------------ */

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
    size_t cache = ((size_t)t->room.cache_mib << 20) / (size_t)ranks_local_size(t->o->ranks);
    t->load = loader_new(&t->data, (int)t->c.size, cache, e);
    if (!t->load)
        return false;
    t->val = MEM_ARRAY(int64_t, t->data.n ? t->data.n : 1);
    t->epoch_rows = MEM_ARRAY(int64_t, sampler_cap(&t->data));
    for (int64_t i = 0; i < t->data.n; i++)
        if (t->data.row[i].fold == COHORT_VAL && t->data.row[i].y[t->c.horizon] >= 0)
            t->val[t->n_val++] = i;
    if (t->o->whole_exams)
        warn_of_incomplete(&t->data);
    trainer_draw(t, 0);
    if (!t->n_epoch)
        return err_set(e, ERR_INPUT, "the cohort has no training image%s",
                       t->c.sampling == 0 ? " with a positive label" : "");
    int64_t micro = trainer_micro_batches(t);
    t->steps_per_epoch = (micro + t->c.accum - 1) / t->c.accum;
    return true;
}

/* The groups that make a run what it is. */
static const cfg_group *const run_groups[] = {&model_options, &augment_options, &train_options,
                                              &keep_options, NULL};

/* Whom the network learns from: a reader of its scores is told when a machine was not among them.
 * Rows lie in the order of patients. */
static void describe_training(const trainer *t, json_t *recipe)
{
    json_t *vendors = json_array(), *v;
    const cohort_row *before = NULL;
    int64_t images = 0, women = 0;
    for (int64_t i = 0; i < t->data.n; i++) {
        const cohort_row *r = &t->data.row[i];
        bool known = !r->vendor[0];
        size_t k;
        if (r->fold != COHORT_TRAIN || r->y[t->c.horizon] < 0)
            continue;
        images++;
        women += !before || strcmp(before->patient, r->patient) != 0;
        before = r;
        json_array_foreach(vendors, k, v) known = known || !strcmp(json_string_value(v), r->vendor);
        if (!known)
            json_array_append_new(vendors, json_words(r->vendor));
    }
    json_object_set_new(recipe, "training_images", json_integer(images));
    json_object_set_new(recipe, "training_patients", json_integer(women));
    json_object_set_new(recipe, "training_vendors", vendors);
}

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
    describe_training(t, k->recipe);
    return fs_sha256_file(t->o->cohort, k->cohort_sha256, e);
}

static bool check_keep(const trainer *t, err *e)
{
    if (!keep_check((keep_schedule)t->keep.schedule, "model.keep_rate", t->mc.keep_rate, t->net, e))
        return false;
    keep_warn_share("model.keep_rate", t->mc.keep_rate, t->net);
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

/* Processes with the same cores part them. */
static pool *open_threads(const trainer *t)
{
    int share = ranks_per_cores(t->o->ranks);
    pool *all = pool_new(t->o->threads);
    if (t->o->threads || share == 1)
        return all;
    int n = pool_threads(all) / share;
    pool_free(all);
    return pool_new(n ? n : 1);
}

/* The device; of a dry run also a card that is not here. */
static backend *open_device(const trainer *t, err *e)
{
    if (t->o->dry_run && !strncmp(t->o->device, "cuda", 4) && t->room.memory_gib > 0)
        return backend_described(t->threads);
    return backend_new_shared(t->o->device, t->o->ranks, t->threads, e);
}

/* A process without a micro-batch in any step is a mistake. */
static bool check_share(const trainer *t, err *e)
{
    int size = ranks_size(t->o->ranks);
    if (t->c.accum < size)
        return err_set(e, ERR_CONFIG,
                       "%d processes share the micro-batches of a step, and train.accum is %lld; "
                       "set it to %d (steps of %lld images), with a smaller train.batch for the "
                       "same steps",
                       size, (long long)t->c.accum, size, (long long)size * t->c.batch);
    int most = grads_deal((int)t->c.accum, 0, size).count,
        least = grads_deal((int)t->c.accum, size - 1, size).count;
    if (least < most)
        log_warn("shares_uneven",
                 "train.accum=%lld processes=%d most=%d least=%d why=\"they are dealt in blocks of "
                 "a power of two; %d, %d or %d are dealt evenly\"",
                 (long long)t->c.accum, size, most, least, size, 2 * size, 4 * size);
    return true;
}

bool trainer_open(trainer *t, err *e)
{
    t->threads = open_threads(t);
    if (!open_data(t, e) || !fit_model(t, e) || !check_share(t, e))
        return false;
    ranks_limit(t->o->ranks, t->room.patience_s);
    t->be = open_device(t, e);
    cfg_bind(t->o->config, &backend_options, &t->c.how);
    if (!t->be || !backend_compute(t->be, &t->c.how, e))
        return false;
    backend_graphs(t->be, t->room.cuda_graphs);
    loader_use(t->load, t->be);
    if (t->c.how.deterministic && !trainer_few_shapes(t))
        log_info("deterministic", "device=cpu why=it_is_so_in_any_case");
    t->net = model_new(&t->mc, t->be, t->o->seed, e);
    if (!t->net)
        return false;
    t->mc = *model_config(t->net);
    warn_of_ramp(t);
    if (!check_keep(t, e))
        return false;
    t->opt = optim_new(&t->c.optim, model_params(t->net));
    t->grads = grads_new(model_params(t->net), (size_t)t->c.bucket_mib << 20);
    t->tape = run_new(t->be, RUN_TRAIN);
    return describe(t, e);
}

bool trainer_join(trainer *t, err *e)
{
    ranks *r = t->o->ranks;
    if (!r && !getenv("MAMMOVIT_TEST_GROUP"))
        return true;
    t->joined = backend_join(t->be, r, (tensor_type)t->c.reduce, e);
    return ranks_agree(r, t->joined, e);
}

bool trainer_same(trainer *t, err *e)
{
    ranks *r = t->o->ranks;
    char place[64], seed[32];
    snprintf(seed, sizeof seed, "%llu", (unsigned long long)t->at.seed);
    snprintf(place, sizeof place, "epoch %lld step %lld", (long long)t->at.epoch,
             (long long)t->at.step);
    return ranks_same(r, "the version of the program", version_git(), e) &&
           ranks_same(r, "the device", backend_name(t->be), e) &&
           ranks_same(r, "the instruction set", backend_isa(t->be), e) &&
           ranks_same(r, "run.seed", seed, e) &&
           ranks_same(r, "the hash of the config", t->at.config_sha256, e) &&
           ranks_same(r, "the hash of the cohort", t->at.cohort_sha256, e) &&
           ranks_same(r, "the place to continue from", place, e) &&
           share_same_params(r, "at the start", model_params(t->net), e);
}

/* ---- what a run starts from ------------------------------------------------------------------ */

/* What is loaded as it stands is only counted, unless there is much talk. */
static void show_taken(const char *lines)
{
    bool all = log_get_level() >= LOG_DEBUG;
    if (log_get_level() < LOG_INFO)
        return;
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
    text file;
    text_init(&r.table);
    text_init(&file);
    bool ok = (checkpoint_weights(t->c.init, &file, e) || err_wrap(e, "train.init")) &&
              weights_load(t->net, file.s,
                           &(weights_opts){.resample = (resample_how)t->c.init_resample}, &r, e);
    text_release(&file);
    if (ok) {
        show_taken(r.table.s);
        log_info("weights_loaded", "loaded=%d resized=%d kept=%d unused=%d", r.loaded, r.resized,
                 r.kept, r.unused);
    }
    text_release(&r.table);
    t->warm = ok;
    return ok;
}

keep_log_want trainer_kept_want(const trainer *t)
{
    return (keep_log_want){.epoch = t->at.epoch + 1,
                           .row = t->epoch_rows,
                           .n_rows = t->n_epoch,
                           .batch = (int)t->c.batch,
                           .patches = model_patches(t->net)};
}

keep_plan trainer_keep_plan(const trainer *t)
{
    return (keep_plan){.net = t->net,
                       .schedule = (keep_schedule)t->keep.schedule,
                       .rate = t->mc.keep_rate,
                       .grid = t->keep.grid,
                       .rate_grid = trainer_few_shapes(t) ? t->keep.rate_grid : 0,
                       .quantum = trainer_few_shapes(t) ? (int)t->keep.token_quantum : 1,
                       .seed = t->o->seed,
                       .epoch = (uint64_t)t->at.epoch,
                       .replay = t->replay.n ? &t->replay : NULL};
}

/* All images that epochs draw from, and those of validation. */
static int64_t images_read(const trainer *t)
{
    int64_t n = t->n_val;
    for (int64_t i = 0; i < t->data.n; i++)
        n += t->data.row[i].fold == COHORT_TRAIN && t->data.row[i].y[t->c.horizon] >= 0;
    return n;
}

footprint_ask trainer_footprint(const trainer *t)
{
    keep_plan keep = trainer_keep_plan(t);
    int kept = keep_most(&keep);
    bool ramp = t->mc.reduction == MODEL_EVIT && t->c.evit_start + t->c.evit_warmup > 0;
    return (footprint_ask){.net = t->net,
                           .load = t->load,
                           .optimizer = (optim_kind)t->c.optim.kind,
                           .parts = grads_deal((int)t->c.accum, 0, ranks_size(t->o->ranks)).count,
                           .kept = kept < model_patches(t->net) ? kept : 0,
                           .evit_keep = ramp ? 1 : 0,
                           .rows = images_read(t),
                           .sums = t->joined && (tensor_type)t->c.reduce == TENSOR_BF16
                                       ? grads_largest(t->grads) * (int64_t)tensor_size(TENSOR_BF16)
                                       : 0,
                           .validates = t->n_val > 0,
                           .card = !strcmp(backend_name(t->be), "cuda")};
}

#define ROOM_LIBRARIES 32 /* part of a card for code that its libraries load when first used */

void trainer_room(trainer *t, room_plan *out)
{
    footprint_ask ask = trainer_footprint(t);
    backend_fixed fixed;
    footprint f;
    footprint_of(&ask, RUN_KEEP, t->c.batch, &f); /* opens what the network's ops want */
    backend_fixed_of(t->be, 0, &fixed);
    int64_t free = backend_room(t->be), room, reserve = 0;
    if (t->room.memory_gib > 0) {
        room = (int64_t)(t->room.memory_gib * (double)(1 << 30));
    } else if (ask.card) {
        reserve = free / ROOM_LIBRARIES;
        room = free - reserve + f.held;
    } else { /* processes of a machine share it */
        room = free / ranks_local_size(t->o->ranks);
    }
    room_fill(&t->room, &ask, t->c.batch, room, out);
    out->reserve = reserve;
    out->libraries = fixed.libraries;
    out->before = fixed.before;
}

bool trainer_open_replay(trainer *t, err *e)
{
    keep_log_want w = trainer_kept_want(t);
    keep_log_release(&t->replay);
    if (!t->keep.replay[0])
        return true;
    if (!fs_exists(t->keep.replay))
        return err_set(e, ERR_CONFIG, "train.keep_replay: '%s' does not exist", t->keep.replay);
    return keep_log_replay(&t->replay, t->keep.replay, &w, e) &&
           keep_replay_check(&t->replay, t->net, e);
}

bool trainer_prove_inputs(trainer *t, err *e)
{
    checkpoint_info c;
    char dir[4096];
    err later = {0}; /* resume finds it again */
    int found =
        t->o->force || !fs_exists(t->o->run) ? 0 : checkpoint_newest(t->o->run, &c, dir, &later);
    if (found > 0)
        checkpoint_release(&c);
    bool ok = found || (warm_start(t, e) && trainer_open_replay(t, e));
    keep_log_release(&t->replay);
    return ok;
}

/* ---- the folder ------------------------------------------------------------------------------ */

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

bool trainer_claim_folder(trainer *t, err *e)
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

bool trainer_resume(trainer *t, err *e)
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
    return ok && (!trainer_leads(t) || checkpoint_settle(t->o->run, k, e));
}
