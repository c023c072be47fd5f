/* The table of quirks (compat.h). */
#include "cli/compat.h"

#include <stdio.h>
#include <string.h>

#include "core/log.h"
#include "core/text.h"

#define PD   "patchdropout"
#define EVIT "evit"
#define PPT  "ppt"
/* A quirk that a key reproduces, and one that stays behind. */
#define SET(program, quirk, key, value)                                                            \
    {                                                                                              \
        program, quirk, key, value, NULL, NULL                                                     \
    }
#define NOT(program, quirk, why)                                                                   \
    {                                                                                              \
        program, quirk, NULL, NULL, NULL, why                                                      \
    }

static const compat_row table[] = {
    /* training, patchdropout.md 4 and 9 */
    {PD, "the rate of kept patches varies by default and the configured one is ignored",
     "train.keep_schedule", "code", NULL,
     "refused for Swin, as there: give train.keep_schedule=fixed with it"},
    SET(PD, "gradients are clipped tensor by tensor", "train.clip_mode", "tensor"),
    SET(PD, "accumulated gradients are added up, not averaged", "train.accum_average", "false"),
    SET(PD, "the learning rate advances with every micro-batch", "train.lr_counts", "batches"),
    SET(PD,
        "the learning rate starts at 0, is constant after the warm-up and drops once to a tenth",
        "train.schedule", "step"),
    SET(PD, "weights decay in class token, positions and bias tables too", "train.decay_tokens",
        "true"),
    SET(PD, "no early stopping", "train.patience", "0"),
    SET(PD, "positions are resampled bilinearly", "train.init_resample", "bilinear"),
    SET(PD, "inputs are normalised by the data set, not as in pretraining", "train.normalize",
        "all"),
    SET(PD, "exams count in evaluation only with exactly four images", "eval.require", "exactly4"),
    {PD, "the same when the best epoch is chosen", "exam.require", "exactly4", NULL,
     "incomplete exams are not in the cohort then, and not trained on either"},
    {PD,
     "rows and columns that Swin keeps are dealt out to the windows in turn, with stale positions",
     "model.swin_sets", "tile", "swin_", NULL},
    {PD, "Swin's blocks start from other weights than timm's", "model.swin_init", "torch", "swin_",
     NULL},
    /* augmentation as it is wired, patchdropout.md 4 */
    SET(PD, "images are mirrored left to right", "augment.flip_horizontal", "0.5"),
    SET(PD, "images are never mirrored top to bottom", "augment.flip_vertical", "0"),
    {PD, "crops down to 8 % of the area", "augment.scale_min", "0.08", NULL,
     "the crop stays about the centre; augment.translate moves it"},
    SET(PD, "crops of aspect 3/4 to 4/3", "augment.aspect_max", "4/3"),
    SET(PD, "jitter of brightness by 0.4", "augment.brightness", "0.4"),
    SET(PD, "jitter of contrast by 0.4", "augment.contrast", "0.4"),
    /* left behind */
    NOT(PD, "images are scored through a crop of their centre",
        "tissue at the border would not be read; the whole image is scored"),
    NOT(PD, "jitter of saturation, one order of jitters by chance", "grey images have none"),
    NOT(PD, "public data sets lose 1 or 2 % to validation, the last of torch.randperm, seed 42",
        "mammograms were divided by a table (split.mode=column); for a public data set give "
        "split.draw=torch split.seed=42 split.val=natural split.strata= split.test_fraction=0 and "
        "split.val_fraction"),
    NOT(PD, "training on mammograms stops with an undefined name", "a crash"),
    NOT(PD, "mode inference loads data, builds another network and ends", "nothing is scored"),
    NOT(PD, "a run's folder does not depend on rate, size and seed",
        "runs would overwrite each other; a folder refuses another config"),
    NOT(PD, "what is left of an accumulation goes over to the next epoch, but for the first",
        "the end of an epoch ends a step; gradients are no part of a checkpoint"),
    NOT(PD, "every rank draws the same patches and rates", "one process trains"),
    NOT(PD, "rates that keep no patch are accepted", "a network that sees nothing learns nothing"),
    NOT(PD, "an unknown way of sampling is found out late", "it is refused when it is read"),
    NOT(PD, "a loss that is not finite ends in a crash", "it ends the run with a message"),
    NOT(PD, "images that fill up the last batch count twice in public validation",
        "batches are not filled up"),
    NOT(PD, "every epoch is kept", "the best and the newest checkpoint stay"),
    NOT(PD, "a missing manufacturer loses its positives", "an unknown vendor is a vendor"),
    NOT(PD, "a pretrained Swin fails at another resolution", "masks are computed, not loaded"),
    SET(PD, "images have three equal channels", "model.channels", "3"),
    /* token_reduction.md 5 and 7 */
    SET(EVIT, "the least attended tokens leave between blocks", "model.reduction", "evit"),
    SET(EVIT, "a single token that leaves is fused too, which only damps it", "model.evit_fuse_one",
        "true"),
    SET(EVIT, "all tokens stay for the first epochs", "train.evit_start", "10"),
    SET(EVIT, "the keep rate then falls over many epochs", "train.evit_warmup", "100"),
    SET(EVIT, "gradients are not clipped", "train.clip", "0"),
    SET(EVIT, "class token and positions do not decay", "train.decay_tokens", "false"),
    NOT(EVIT, "validation within training uses the keep rate of the moment",
        "it has the configured rate, that of later use"),
    NOT(EVIT, "distillation mixes up the images of a batch", "wrong results"),
    NOT(EVIT, "plain names and fixed large sizes crash", "a crash"),
    NOT(EVIT, "places of reduction are code that is evaluated", "they are a list that is checked"),
    SET(EVIT, "pictures show patch 0 for the fused token", "predict.evit_patch0", "true"),
    NOT(EVIT, "resuming wants the same resolution", "positions are resampled"),
    NOT(EVIT, "an average of the weights is kept and never used", "it changes no result"),
    NOT(EVIT, "the first two epochs train at the same rate, each at that of the one before",
        "the rate is a function of the step"),
    SET(PPT, "tokens are pruned or pooled between blocks", "model.reduction", "ppt"),
    SET(PPT, "counts and thresholds are those of 196 patches, whatever the size of the image",
        "model.ppt_rule", "absolute"),
    SET(PPT, "attention counts merged tokens by their size; the flag prop_attn switches it off",
        "model.ppt_size_bias", "true"),
    SET(PPT, "gradients are not clipped", "train.clip", "0"),
    SET(PPT, "class token and positions do not decay", "train.decay_tokens", "false"),
    NOT(PPT, "pruning loses the distillation token", "wrong results"),
    NOT(PPT, "a batch of both branches crashes where counts are cut", "a crash"),
    NOT(PPT, "only blocks of one class are changed", "every plain network is"),
    NOT(PPT, "resuming starts the averaged weights anew", "there are no averaged weights"),
    NOT(PPT, "speed is measured on random weights", "bench says what it ran on"),
    NOT(PPT, "a variance that is no number reduces nothing", "such a run ends with a message"),
    NOT(PPT, "similarities are computed in half precision under autocast",
        "they would differ from device to device"),
};

const compat_row *compat_at(int i)
{
    return i >= 0 && i < (int)COUNT_OF(table) ? &table[i] : NULL;
}

bool compat_check(const char *program, err *e)
{
    for (size_t i = 0; i < COUNT_OF(table); i++)
        if (!strcmp(table[i].program, program))
            return true;
    return err_set(e, ERR_USAGE, "--compat '%s': wanted patchdropout, evit or ppt", program);
}

static bool about_network(const cfg *c, const compat_row *r)
{
    return !strncmp(cfg_text(c, "model.name"), r->nets, strlen(r->nets)) && !cfg_given(c, r->key);
}

bool compat_apply(cfg *c, const char *program, bool first, err *e)
{
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        const compat_row *r = &table[i];
        char set[128];
        if (strcmp(r->program, program) || !r->key || first != !r->nets ||
            (r->nets && !about_network(c, r)))
            continue;
        snprintf(set, sizeof set, "%s=%s", r->key, r->value);
        if (!cfg_set(c, set, e))
            return err_wrap(e, "--compat %s", program);
        log_info("compat", "%s why=\"%s\"", set, r->quirk);
    }
    return true;
}
