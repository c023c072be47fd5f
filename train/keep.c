/* Rates of PatchDropout and the draw of a batch. patchdropout.md 1. */
#include "train/keep.h"

#include <math.h>
#include <string.h>

#include "core/log.h"
#include "core/rng.h"
#include "model/select.h"

#define STEPS 20 /* of the grid of rates */

#define AT(f) offsetof(keep_cfg, f)
static const cfg_option table[] = {
    {"train.keep_schedule", CFG_ENUM, AT(schedule), "fixed", 0, 0, "fixed|paper|code", "",
     "share of patches kept by a micro-batch: model.keep_rate, uniform in 0.5..1, or 1 half of the "
     "time and else from 0.5, 0.55, ..., 1 as the published program; the last two ignore "
     "model.keep_rate"},
    {"train.keep_grid", CFG_BOOL, AT(grid), "false", 0, 0, NULL, "",
     "schedule paper draws from 0.5, 0.55, ..., 1 instead of all values between"},
    {"train.keep_rate_grid", CFG_REAL, AT(rate_grid), "0.05", 0, 0.5, NULL, "",
     "on a card, where the rate varies (train.keep_schedule, train.evit_warmup): it goes by such "
     "steps, because every number of tokens wants plans of its own; 0: exact, as on the CPU "
     "always"},
    {"train.token_quantum", CFG_INT, AT(token_quantum), "16", 1, 4096, NULL, "patches",
     "on a card, where train.keep_schedule varies and patches are drawn one by one: the kept ones "
     "are "
     "a multiple of this; 1: exact, as on the CPU always"},
    {"train.keep_log", CFG_BOOL, AT(log), "false", 0, 0, NULL, "",
     "write which patches every image kept: RUN/kept-epoch-NNNNNN.safetensors"},
    {"train.keep_replay", CFG_TEXT, AT(replay), "", 0, 0, NULL, "",
     "folder of such files, or one file, whose patches are kept instead of a draw; empty: draw"},
};
const cfg_group keep_options = {"Kept patches", table, COUNT_OF(table)};

bool keep_check(keep_schedule schedule, const char *key, double rate, const model *net, err *e)
{
    if (schedule == KEEP_FIXED)
        return model_check_rate(net, key, rate, e);
    if (model_config(net)->window)
        return err_set(
            e, ERR_CONFIG,
            "train.keep_schedule: a rate that varies is drawn as a share of all patches, "
            "but %s keeps whole rows and columns of its windows; use fixed",
            model_config(net)->name);
    return model_check_rate(net, "train.keep_schedule", KEEP_LOWEST, e);
}

void keep_warn_share(const char *key, double rate, const model *net)
{
    int window = (int)model_config(net)->window;
    if (!window || rate >= 1)
        return;
    double share = (double)model_kept(net, rate) / model_patches(net);
    log_warn("keep_rate_of_windows",
             "%s=%g patches_kept=%.4g why=\"of every window %ld of %d rows and as many columns\"",
             key, rate, share, lround(sqrt(share) * window), window);
}

bool keep_replay_check(const keep_log *l, const model *net, err *e)
{
    for (int i = 0; i < l->n; i++) {
        const char *wrong = NULL;
        if (l->kept[i] < l->patches)
            wrong = model_keep_fault(net, l->images[i], l->index + l->at[i], l->kept[i]);
        if (wrong)
            return err_set(e, ERR_INPUT, "train.keep_replay: micro-batch %d is nothing for %s: %s",
                           i, model_config(net)->name, wrong);
    }
    return true;
}

/* 1 - m/20 in IEEE double, as the published program computes it. */
static double on_grid(rng *r)
{
    return 1 - rng_below(r, STEPS / 2 + 1) / (double)STEPS;
}

double keep_rate_step(double rate, double grid, double least)
{
    if (grid > 0)
        rate = 1 - round((1 - rate) / grid) * grid;
    return rate < least ? least : rate;
}

/* A rate whose count is a multiple of the quantum; the half keeps it clear of rounding. */
static double whole_quanta(const keep_plan *p, double rate)
{
    int n = model_patches(p->net), k = model_kept(p->net, rate), q = p->quantum;
    int mode = model_config(p->net)->keep_mode;
    if (q < 2 || k == n || (mode != SELECT_RANDOM && mode != SELECT_BREAST))
        return rate;
    k = (k + q / 2) / q * q;
    k = k < q ? q : k;
    return k < n ? (k + 0.5) / n : 1;
}

static double drawn_rate(const keep_plan *p, int64_t batch)
{
    rng r;
    rng_init(&r, p->seed, RNG_KEEPRATE, (uint64_t)batch, p->epoch);
    if (p->schedule == KEEP_CODE)
        return rng_u32(&r) & 1 ? 1 : on_grid(&r);
    return p->grid ? on_grid(&r) : 1 - (1 - KEEP_LOWEST) * rng_f64(&r);
}

double keep_rate(const keep_plan *p, int64_t batch)
{
    if (p->schedule == KEEP_FIXED)
        return p->rate;
    double rate = keep_rate_step(drawn_rate(p, batch), p->rate_grid, KEEP_LOWEST);
    return p->quantum > 1 ? whole_quanta(p, rate) : rate;
}

int keep_count(const keep_plan *p, int64_t batch)
{
    return p->replay ? p->replay->kept[batch] : model_kept(p->net, keep_rate(p, batch));
}

int keep_most(const keep_plan *p)
{
    if (p->replay)
        return keep_log_most(p->replay);
    return p->schedule == KEEP_FIXED ? model_kept(p->net, p->rate) : model_patches(p->net);
}

int keep_draw(const keep_plan *p, int64_t batch, int b, const uint64_t *sample,
              const uint8_t *breast, int32_t *out)
{
    model_draw d = {.b = b,
                    .sample = sample,
                    .breast = breast,
                    .seed = p->seed,
                    .epoch = p->epoch,
                    .rate = keep_rate(p, batch)};
    int n = keep_count(p, batch);
    if (n == model_patches(p->net))
        return n;
    if (p->replay)
        memcpy(out, p->replay->index + p->replay->at[batch], (size_t)b * (size_t)n * sizeof *out);
    else
        model_select(p->net, &d, out);
    return n;
}
