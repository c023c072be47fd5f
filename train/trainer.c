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
static double evit_keep(const trainer *t)
{
    if (t->mc.reduction != MODEL_EVIT)
        return 0;
    schedule_evit_ramp s = {t->mc.evit_keep, t->c.evit_start, t->c.evit_warmup, t->steps_per_epoch};
    return schedule_evit(&s, t->at.step);
}

static bool micro_step(trainer *t, const loader_batch *b, double *out, err *e)
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
    grads_walk(t->grads, t->tape, l);
    *out = (double)loss;
    return true;
}

/* The log goes first: a checkpoint never knows of more micro-batches than it. */
static bool save(trainer *t, err *e)
{
    bool ok = !trainer_leads(t) || ((!t->keep.log || keep_log_write(&t->kept, t->o->run, e)) &&
                                    checkpoint_save(t->o->run, &t->at, t->net, t->opt, e));
    return ranks_agree(t->o->ranks, ok, e);
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
    keep_log_want w = trainer_kept_want(t);
    bool logs = t->keep.log && trainer_leads(t);
    keep_log_release(&t->kept);
    bool ok = (!logs || keep_log_resume(&t->kept, t->o->run, &w, t->at.batch, e)) &&
              trainer_open_replay(t, e);
    return ranks_agree(t->o->ranks, ok, e);
}

/* This process's micro-batches of the step, and the sum with those of the others. */
static bool walk_share(trainer *t, const grads_share *own, double *loss, err *e)
{
    bool ok = true;
    grads_begin(t->grads, own);
    for (int k = 0; k < own->count && ok; k++) {
        loader_batch b;
        int got = loader_next(t->load, &b, e);
        if (got == 0)
            BUG("train: the loader ended before the epoch");
        ok = got > 0 && micro_step(t, &b, &loss[own->first + k], e);
        if (ok && t->keep.log)
            keep_log_add(&t->own, b.in.b, b.row, b.in.keep, b.in.n_keep);
    }
    grads_end(t->grads);
    return ok;
}

/* One optimiser step from micro-batch t->at.batch on. *stop: a signal came, here or elsewhere. */
static bool train_step(trainer *t, bool *stop, err *e)
{
    ranks *r = t->o->ranks;
    int64_t left = trainer_micro_batches(t) - t->at.batch;
    int parts = (int)(left < t->c.accum ? left : t->c.accum);
    grads_share own = grads_deal(parts, ranks_rank(r), ranks_size(r));
    double *loss = MEM_ARRAY(double, parts);
    keep_log_init(&t->own, t->at.epoch + 1, model_patches(t->net));
    bool ok = walk_share(t, &own, loss, e);
    share_step s = {.parts = parts,
                    .loss = loss,
                    .stop = pool_stop_asked(),
                    .kept = t->keep.log ? &t->own : NULL,
                    .whole = &t->kept};
    ok = share_step_end(r, &s, ok, e);
    *stop = s.stop;
    for (int i = 0; i < parts && ok; i++)
        t->at.loss_sum += loss[i];
    keep_log_release(&t->own);
    mem_free(loss);
    if (!ok)
        return false;
    int64_t rows = t->n_epoch - t->at.batch * t->c.batch, most = parts * t->c.batch;
    t->images_done += rows < most ? rows : most;
    t->at.batch += parts;
    double norm = optim_step(t->opt, learning_rate(t, t->at.step), t->at.step + 1,
                             t->c.accum_average ? parts : 1);
    if (!isfinite(norm))
        return err_set(e, ERR_RANGE,
                       "the gradient is not finite at epoch %lld step %lld; lower train.lr",
                       (long long)t->at.epoch + 1, (long long)t->at.step);
    t->at.step++;
    kill_point("train_step");
    return true;
}

/* The micro-batches of one epoch from t->at.batch on. */
static bool train_epoch(trainer *t, log_progress *bar, err *e)
{
    ranks *r = t->o->ranks;
    int64_t micro = trainer_micro_batches(t), *own = MEM_ARRAY(int64_t, micro);
    keep_plan keep = plan_keep(t);
    loader_plan p = {
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
    bool ok = true;
    loader_start(t->load, &p);
    while (ok && t->at.batch < micro) {
        bool stop;
        double t0 = now();
        ok = train_step(t, &stop, e);
        t->seconds += now() - t0;
        char note[64];
        snprintf(note, sizeof note, "epoch %lld loss %.4f", (long long)t->at.epoch + 1,
                 t->at.loss_sum / (double)t->at.batch);
        log_progress_step(bar, (uint64_t)(t->at.epoch * t->n_epoch + t->at.batch * t->c.batch),
                          note);
        bool inside = t->at.batch < micro;
        if (ok && inside && stop) {
            ok = save(t, e) && err_set(e, ERR_STOPPED,
                                       "stopped on request at epoch %lld step "
                                       "%lld; the same command continues",
                                       (long long)t->at.epoch + 1, (long long)t->at.step);
        } else if (ok && inside && t->c.save_steps && t->at.step % t->c.save_steps == 0) {
            ok = save(t, e);
        }
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

/* All images that epochs draw from, and those of validation. */
static int64_t images_read(const trainer *t)
{
    int64_t n = t->n_val;
    for (int64_t i = 0; i < t->data.n; i++)
        n += t->data.row[i].fold == COHORT_TRAIN && t->data.row[i].y[t->c.horizon] >= 0;
    return n;
}

static bool make_plan(trainer *t, train_plan *p, err *e)
{
    model_counts n;
    if (!open_kept(t, e) || !model_count(model_config(t->net), &n, e))
        return false;
    keep_plan keep = plan_keep(t);
    int kept = keep_most(&keep), patches = model_patches(t->net);
    bool ramp = t->mc.reduction == MODEL_EVIT && t->c.evit_start + t->c.evit_warmup > 0;
    footprint_ask ask = {.net = t->net,
                         .load = t->load,
                         .optimizer = (optim_kind)t->c.optim.kind,
                         .kept = kept < patches ? kept : 0,
                         .evit_keep = ramp ? 1 : 0,
                         .rows = images_read(t),
                         .parts = grads_deal((int)t->c.accum, 0, ranks_size(t->o->ranks)).count,
                         .validates = t->n_val > 0};
    *p = (train_plan){.h = t->mc.image_h,
                      .w = t->mc.image_w,
                      .batch = t->c.batch,
                      .accum = t->c.accum,
                      .rows = t->n_epoch,
                      .steps = t->steps_per_epoch,
                      .epochs = t->c.epochs,
                      .val_images = t->n_val,
                      .params = n.params,
                      .machine = mem_machine(),
                      .macs = model_macs(&n.executed, MODEL_FVCORE),
                      .kept = kept,
                      .patches = patches};
    footprint_of(&ask, t->c.batch, &p->memory);
    p->largest_batch = footprint_largest(&ask, p->machine);
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
    if (!ranks_agree(o->ranks, trainer_open(&t, e) && trainer_prove_inputs(&t, e), e))
        goto done;
    if (o->dry_run) {
        ok = make_plan(&t, &out->plan, e);
        goto done;
    }
    if (!trainer_join(&t, e) || !begin(&t, &lock, e))
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
    grads_free(t.grads);
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
