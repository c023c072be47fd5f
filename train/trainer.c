/* The epoch loop. A run is a pure function of (config, cohort, seed): a killed run continues from
 * its newest checkpoint and ends with the same bytes. patchdropout.md 4 and 5, design.md 5. */
#include "train/trainer_open.h"

#include "core/fs.h"
#include "core/kill.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/pool.h"
#include "train/schedule.h"
#include "train/share.h"
#include "train/validate.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* The rate of step number `step`, which the micro-batch before at.batch ends. */
static double learning_rate(const trainer *t, int64_t step)
{
    bool steps = t->c.lr_counts == 0;
    int64_t unit = steps ? t->steps_per_epoch : trainer_micro_batches(t);
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
static double evit_keep(const trainer *t, int64_t step)
{
    if (t->mc.reduction != MODEL_EVIT)
        return 0;
    schedule_evit_ramp s = {t->mc.evit_keep, t->c.evit_start, t->c.evit_warmup, t->steps_per_epoch};
    return keep_rate_step(schedule_evit(&s, step), trainer_few_shapes(t) ? t->keep.rate_grid : 0,
                          t->mc.evit_keep);
}

static tensor *forward(trainer *t, const loader_batch *b, int64_t step)
{
    model_batch in = b->in;
    in.mean = t->at.mean;
    in.sd = t->at.sd;
    in.evit_keep = evit_keep(t, step);
    run_reset(t->tape);
    tensor *logits = model_forward(t->net, t->tape, &in);
    return op_loss(t->tape, logits, b->label, NULL, (float)t->c.smoothing);
}

/* The op that made a loss what it is: the micro-batch once more, forward. The weights are those
 * that it had: no step changes them after a norm that is not finite. */
static const char *find_nonfinite(trainer *t, const trainer_owed *o, int part)
{
    const int64_t which = o->batch + o->own.first + part;
    loader_plan p = t->plan;
    loader_batch b;
    err none = {0};
    p.only = &which;
    p.n_only = 1;
    loader_start(t->load, &p);
    const char *op = NULL;
    if (loader_next(t->load, &b, &none) > 0) {
        forward(t, &b, o->step);
        op = run_first_nonfinite(t->tape);
    }
    loader_stop(t->load);
    return op;
}

static bool check_losses(trainer *t, const trainer_owed *o, err *e)
{
    for (int i = 0; i < o->own.count; i++) {
        if (isfinite(o->loss[i]))
            continue;
        const char *op = find_nonfinite(t, o, i);
        return err_set(e, ERR_RANGE,
                       "the loss is not finite at epoch %lld step %lld (first in %s); lower "
                       "train.lr",
                       (long long)t->at.epoch + 1, (long long)o->step, op ? op : "the loss");
    }
    return true;
}

static void owed_release(trainer_owed *o)
{
    keep_log_release(&o->kept);
    mem_free(o->loss);
    o->loss = NULL;
}

/* Waits for a step, and hears of the other processes' part in it. */
static bool settle_step(trainer *t, trainer_owed *o, bool *stop, err *e)
{
    double *loss = MEM_ARRAY(double, o->parts);
    backend_wait(t->be, o->piece);
    if (o->failed)
        *e = o->e;
    bool ok = !o->failed && check_losses(t, o, e);
    for (int i = 0; i < o->own.count; i++)
        loss[o->own.first + i] = (double)o->loss[i];
    share_step s = {.parts = o->parts,
                    .loss = loss,
                    .stop = pool_stop_asked(),
                    .kept = t->keep.log ? &o->kept : NULL,
                    .whole = &t->kept};
    ok = share_step_end(t->o->ranks, &s, ok, e);
    *stop = *stop || s.stop;
    for (int i = 0; i < o->parts && ok; i++)
        t->at.loss_sum += loss[i];
    t->known += o->parts;
    mem_free(loss);
    if (ok && !isfinite(o->norm))
        ok = err_set(e, ERR_RANGE,
                     "the gradient is not finite at epoch %lld step %lld; lower train.lr",
                     (long long)t->at.epoch + 1, (long long)o->step);
    return ok;
}

/* Oldest first, until no more than `most` steps are owed. */
static bool settle(trainer *t, int most, bool *stop, err *e)
{
    bool ok = true;
    while (t->n_owed > most && ok) {
        trainer_owed *o = &t->owed[t->first_owed];
        t->first_owed = (t->first_owed + 1) % TRAINER_OWED;
        t->n_owed--;
        ok = settle_step(t, o, stop, e);
        owed_release(o);
    }
    return ok;
}

/* The log goes first: a checkpoint never knows of more micro-batches than it. */
static bool save(trainer *t, err *e)
{
    bool stop = false; /* whoever saves rests anyway */
    if (!settle(t, 0, &stop, e))
        return false;
    bool ok = !trainer_leads(t) || ((!t->keep.log || keep_log_write(&t->kept, t->o->run, e)) &&
                                    checkpoint_save(t->o->run, &t->at, t->net, t->opt, e));
    return ranks_agree(t->o->ranks, ok, e);
}

/* The logs of kept patches that this epoch writes and follows. */
static bool open_kept(trainer *t, err *e)
{
    keep_log_want w = trainer_kept_want(t);
    bool logs = t->keep.log && trainer_leads(t);
    keep_log_release(&t->kept);
    bool ok = (!logs || keep_log_resume(&t->kept, t->o->run, &w, t->at.batch, e)) &&
              trainer_open_replay(t, e);
    return ranks_agree(t->o->ranks, ok, e);
}

/* Asked for, not waited for: settle looks at the loss. */
static void micro_step(trainer *t, const loader_batch *b, float *out)
{
    backend_begin(t->be);
    tensor *loss = forward(t, b, t->at.step);
    grads_walk(t->grads, t->tape, loss);
    backend_later(t->be, out, loss->x, sizeof *out);
    backend_end(t->be);
    grads_keep(t->grads);
}

/* This process's micro-batches of the step, and the sum with those of the others. */
static bool walk_share(trainer *t, trainer_owed *o)
{
    bool ok = true;
    grads_begin(t->grads, &o->own);
    for (int k = 0; k < o->own.count && ok; k++) {
        loader_batch b;
        int got = loader_next(t->load, &b, &o->e);
        if (got == 0)
            BUG("train: the loader ended before the epoch");
        ok = got > 0;
        if (!ok)
            continue;
        micro_step(t, &b, &o->loss[k]);
        if (t->keep.log)
            keep_log_add(&o->kept, b.in.b, b.row, b.in.keep, b.in.n_keep);
    }
    grads_end(t->grads);
    return ok;
}

static trainer_owed *owe(trainer *t)
{
    int64_t left = trainer_micro_batches(t) - t->at.batch;
    ranks *r = t->o->ranks;
    if (t->n_owed == TRAINER_OWED)
        BUG("trainer: %d steps are owed", t->n_owed);
    trainer_owed *o = &t->owed[(t->first_owed + t->n_owed++) % TRAINER_OWED];
    *o = (trainer_owed){.step = t->at.step, .batch = t->at.batch};
    o->parts = (int)(left < t->c.accum ? left : t->c.accum);
    o->own = grads_deal(o->parts, ranks_rank(r), ranks_size(r));
    o->loss = MEM_ARRAY(float, o->own.count ? o->own.count : 1);
    keep_log_init(&o->kept, t->at.epoch + 1, model_patches(t->net));
    return o;
}

/* One optimiser step from micro-batch t->at.batch on. A device that works behind the host's back
 * has the next one before this is looked at; several processes agree on each. *stop: a signal came,
 * here or elsewhere. */
static bool train_step(trainer *t, bool *stop, err *e)
{
    trainer_owed *o = owe(t);
    o->failed = !walk_share(t, o);
    int64_t rows = t->n_epoch - t->at.batch * t->c.batch, most = o->parts * t->c.batch;
    t->images_done += rows < most ? rows : most;
    t->at.batch += o->parts;
    backend_begin(t->be);
    optim_step(t->opt, learning_rate(t, t->at.step), t->at.step + 1,
               t->c.accum_average ? o->parts : 1, &o->norm);
    o->piece = backend_end(t->be);
    bool later = backend_ahead(t->be) > 0 && ranks_size(t->o->ranks) == 1 && !o->failed;
    if (!settle(t, later, stop, e))
        return false;
    t->at.step++;
    kill_point("train_step");
    return true;
}

static void show_progress(const trainer *t, log_progress *bar)
{
    char note[64];
    int n = snprintf(note, sizeof note, "epoch %lld", (long long)t->at.epoch + 1);
    if (t->known)
        snprintf(note + n, sizeof note - (size_t)n, " loss %.4f",
                 t->at.loss_sum / (double)t->known);
    log_progress_step(bar, (uint64_t)(t->at.epoch * t->n_epoch + t->at.batch * t->c.batch), note);
}

/* Memory for the largest step, so that none allocates. */
static void reserve(trainer *t)
{
    footprint_ask ask = trainer_footprint(t);
    model_batch like = {.b = (int)(t->n_epoch < t->c.batch ? t->n_epoch : t->c.batch),
                        .n_keep = ask.kept,
                        .evit_keep = ask.evit_keep,
                        .view = &model_view_identity};
    run_reset(t->tape);
    run_reserve(t->tape, model_plan(t->net, RUN_TRAIN, t->level, &like).arena);
}

/* Between optimiser steps: stop if asked to, or save. */
static bool rest(trainer *t, bool stop, err *e)
{
    if (stop)
        return save(t, e) && err_set(e, ERR_STOPPED,
                                     "stopped on request at epoch %lld step "
                                     "%lld; the same command continues",
                                     (long long)t->at.epoch + 1, (long long)t->at.step);
    return !t->c.save_steps || t->at.step % t->c.save_steps || save(t, e);
}

/* The micro-batches of one epoch from t->at.batch on. */
static bool train_epoch(trainer *t, log_progress *bar, err *e)
{
    ranks *r = t->o->ranks;
    int64_t micro = trainer_micro_batches(t), *own = MEM_ARRAY(int64_t, micro);
    keep_plan keep = trainer_keep_plan(t);
    t->plan = (loader_plan){
        .row = t->epoch_rows,
        .n = t->n_epoch,
        .batch = (int)t->c.batch,
        .only = own,
        .n_only = share_order(t->at.batch, micro, t->c.accum, ranks_rank(r), ranks_size(r), own),
        .aug = &t->aug,
        .seed = t->o->seed,
        .epoch = (uint64_t)t->at.epoch,
        .keep = &keep,
        .horizon = (int)t->c.horizon};
    bool ok = true, stop = false;
    t->known = t->at.batch;
    reserve(t);
    loader_start(t->load, &t->plan);
    while (ok && t->at.batch < micro) {
        double t0 = now();
        ok = train_step(t, &stop, e) && (t->at.batch < micro || settle(t, 0, &stop, e));
        t->seconds += now() - t0;
        show_progress(t, bar);
        if (ok && t->at.batch < micro)
            ok = rest(t, stop, e);
    }
    loader_stop(t->load);
    mem_free(own);
    return ok;
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
    if (!trainer_leads(t))
        return ranks_agree(t->o->ranks, true, e);
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
    return ranks_agree(t->o->ranks, ok, e);
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
    validate_rows rows = {.net = t->net,
                          .load = t->load,
                          .info = &t->at,
                          .row = t->val,
                          .n = t->n_val,
                          .ranks = t->o->ranks};
    if (check && !validate_run(&rows, &t->data, &v, e))
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
    char when[48];
    snprintf(when, sizeof when, "after epoch %lld", (long long)t->at.epoch);
    return share_same_params(t->o->ranks, when, model_params(t->net), e) && save(t, e) &&
           write_metrics(t, e);
}

static bool make_plan(trainer *t, train_plan *p, err *e)
{
    model_counts n;
    if (!open_kept(t, e) || !model_count(model_config(t->net), &n, e))
        return false;
    footprint_ask ask = trainer_footprint(t);
    *p = (train_plan){.h = t->mc.image_h,
                      .w = t->mc.image_w,
                      .batch = t->c.batch,
                      .accum = t->c.accum,
                      .rows = t->n_epoch,
                      .steps = t->steps_per_epoch,
                      .epochs = t->c.epochs,
                      .val_images = t->n_val,
                      .params = n.params,
                      .macs = model_macs(&n.executed, MODEL_FVCORE),
                      .kept = ask.kept ? ask.kept : model_patches(t->net),
                      .patches = model_patches(t->net)};
    trainer_room(t, &p->memory);
    text_copy(p->model, sizeof p->model, t->mc.name);
    return true;
}

/* The level of recompute, and what can be said where memory is not enough. */
static bool take_room(trainer *t, room_plan *p, err *e)
{
    trainer_draw(t, t->at.epoch);
    if (!trainer_open_replay(t, e))
        return false;
    trainer_room(t, p);
    if (!room_enough(p, e))
        return false;
    backend_on_shortage(t->be, room_advice, p);
    t->level = p->level;
    run_recompute(t->tape, p->level);
    log_debug("memory",
              "recompute=%s activations=%lld total=%lld room=%lld reserve=%lld libraries=%lld "
              "before=%lld",
              room_level_name(p->level), (long long)p->at[p->level].activations,
              (long long)p->at[p->level].total, (long long)p->room, (long long)p->reserve,
              (long long)p->libraries, (long long)p->before);
    return true;
}

static bool train_all(trainer *t, err *e)
{
    log_progress bar;
    int64_t bad = 0;
    bool ok = write_metrics(t, e);
    log_progress_init(&bar, "train", "images", (uint64_t)(t->c.epochs * t->n_epoch));
    while (ok && !t->at.finished) {
        trainer_draw(t, t->at.epoch);
        ok = open_kept(t, e) && train_epoch(t, &bar, e) && close_epoch(t, &bad, e);
    }
    log_progress_end(&bar);
    return ok;
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

/* Process 0 claims the folder and puts it in order before the others look into it. */
static bool begin(trainer *t, fs_lock **lock, err *e)
{
    ranks *r = t->o->ranks;
    bool lead = trainer_leads(t);
    bool ok = !lead || (trainer_claim_folder(t, e) && (*lock = fs_lock_take(t->o->run, e)) &&
                        trainer_resume(t, e));
    if (!ranks_agree(r, ok, e))
        return false;
    return ranks_agree(r, lead || trainer_resume(t, e), e) && trainer_same(t, e);
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
    cfg_bind(o->config, &room_options, &t.room);
    if (!ranks_agree(o->ranks, trainer_open(&t, e) && trainer_prove_inputs(&t, e), e))
        goto done;
    if (!trainer_join(&t, e))
        goto done;
    if (o->dry_run) {
        ok = make_plan(&t, &out->plan, e);
        goto done;
    }
    if (!begin(&t, &lock, e))
        goto done;
    ok = t.at.finished ||
         (ranks_agree(o->ranks, take_room(&t, &out->plan.memory, e), e) && train_all(&t, e));
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
    grads_free(t.grads);
    optim_free(t.opt);
    model_free(t.net);
    loader_free(t.load);
    backend_free(t.be);
    for (int i = 0; i < TRAINER_OWED; i++)
        owed_release(&t.owed[i]);
    cohort_release(&t.data);
    pool_free(t.threads);
    mem_free(t.val);
    mem_free(t.epoch_rows);
    return ok;
}
