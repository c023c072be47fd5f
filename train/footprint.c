/* Adds up what parameters, optimiser, tape, device and loader will hold (footprint.h). */
#include "train/footprint.h"

#include "model/grads.h"
#include "train/validate.h"

#define BATCH_MOST 65536 /* of train.batch */

void footprint_of(const footprint_ask *k, run_level level, int64_t batch, footprint *out)
{
    int64_t values = model_params(k->net)->total * (int64_t)sizeof(float);
    model_batch in = {.b = (int)batch, .n_keep = k->kept, .evit_keep = k->evit_keep};
    in.view = &model_view_identity;
    in.grey = true;
    model_batch all = {.b = VALIDATE_BATCH, .grey = true};
    model_bytes step = model_plan(k->net, RUN_TRAIN, level, &in), check = {0};
    if (k->validates)
        check = model_plan(k->net, RUN_INFER, RUN_KEEP, &all);
    size_t work = step.workspace > check.workspace ? step.workspace : check.workspace;
    int64_t largest = k->validates && batch < VALIDATE_BATCH ? VALIDATE_BATCH : batch;
    backend_fixed fixed;
    backend_fixed_of(model_params(k->net)->be, step.staged, &fixed);
    *out = (footprint){.params = values,
                       .grads = values * (1 + grads_copies(k->parts)),
                       .saved = (int64_t)step.saved,
                       .optimizer = k->optimizer == OPTIM_ADAMW ? 2 * values : values,
                       .activations = (int64_t)step.arena,
                       .validation = (int64_t)check.arena,
                       .workspace = (int64_t)work,
                       .images = (int64_t)loader_bytes(k->load, (int)largest, k->rows),
                       .products = (int64_t)fixed.products,
                       .staging = (int64_t)fixed.staging,
                       .sums = k->sums};
    if (k->card)
        out->locked = (int64_t)(fixed.locked + loader_ahead(k->load, (int)largest));
    out->held = 2 * values + out->optimizer + (int64_t)fixed.held;
    out->total = out->params + out->grads + out->optimizer + out->activations + out->validation +
                 out->workspace + out->products + out->staging + out->sums +
                 (k->card ? 0 : out->images);
}

static bool fits(const footprint_ask *k, run_level level, int64_t batch, int64_t room)
{
    footprint f;
    footprint_of(k, level, batch, &f);
    return f.total <= room;
}

int64_t footprint_largest(const footprint_ask *k, run_level level, int64_t room)
{
    int64_t low = 0, high = 1; /* low fits, high may not */
    while (high <= BATCH_MOST && fits(k, level, high, room)) {
        low = high;
        high *= 2;
    }
    while (high - low > 1) {
        int64_t half = low + (high - low) / 2;
        if (half <= BATCH_MOST && fits(k, level, half, room))
            low = half;
        else
            high = half;
    }
    return low;
}
