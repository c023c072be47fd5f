/* The table of conditions (idle.h). A key acts only where every row about it holds. */
#include "cli/idle.h"

#include <string.h>

#include "cli/compat.h"
#include "core/log.h"
#include "core/text.h"

#define WORD_MAX 64

/* when: alternatives separated by '|', each "KEY=VALUE" or "KEY!VALUE" (any other value). */
static const struct idle_row {
    const char *keys, *when;
} table[] = {
    {"prepare.mm", "prepare.fit=mm"},
    {"prepare.voi", "prepare.processing!deeplibra"},
    {"prepare.voi_prefer prepare.voi_item", "prepare.voi=header"},
    {"prepare.window_function prepare.window_center prepare.window_width", "prepare.voi=window"},
    {"prepare.percentile_low prepare.percentile_high", "prepare.voi=percentile"},
    {"prepare.margin_mm prepare.margin", "prepare.crop=true"},
    {"split.folds split.fold", "split.mode=kfold"},
    {"split.leave_out", "split.mode=leave_site_out|split.mode=leave_vendor_out"},
    {"split.test_from", "split.mode=temporal"},
    {"split.test_fraction", "split.mode=fractions|split.mode=kfold"},
    {"split.val split.val_fraction split.val_natural_fraction", "split.mode!kfold"},
    {"split.val split.val_fraction split.val_natural_fraction", "split.mode!column"},
    {"model.keep_mode", "model.keep_rate!1|train.keep_schedule!fixed"},
    {"model.keep_mode train.keep_grid train.token_quantum", "train.keep_replay="},
    {"model.swin_sets", "model.keep_rate!1"},
    {"model.reduction_layers", "model.reduction!none"},
    {"model.evit_keep model.evit_fuse model.evit_fuse_one", "model.reduction=evit"},
    {"model.evit_fuse_one", "model.evit_fuse=true"},
    {"model.ppt_rule model.ppt_tokens model.ppt_tau model.ppt_size_bias", "model.reduction=ppt"},
    {"augment.flip_horizontal augment.flip_vertical augment.rotate augment.scale_min",
     "augment.enabled=true"},
    {"augment.scale_max augment.aspect_max augment.translate augment.brightness augment.contrast",
     "augment.enabled=true"},
    {"train.evit_start train.evit_warmup", "model.reduction=evit"},
    {"train.keep_grid", "train.keep_schedule=paper"},
    {"train.token_quantum", "train.keep_schedule!fixed"},
    {"train.keep_rate_grid", "train.keep_schedule!fixed|train.evit_warmup!0"},
    {"cuda.timed", "train.deterministic=false"},
    {"train.momentum", "train.optimizer=sgd"},
    {"train.beta1 train.beta2 train.eps", "train.optimizer=adamw"},
    {"train.decay_tokens", "train.weight_decay!0"},
    {"train.lr_final", "train.schedule=cosine"},
    {"train.drop_epoch", "train.schedule=step"},
    {"train.clip_mode", "train.clip!0"},
    {"train.init_resample", "train.init!"},
    {"predict.keep_seed", "predict.keep_rate!1"},
    {"predict.pages_seed", "predict.pages!0"},
    {"predict.evit_mask", "predict.maps!none"},
    {"predict.evit_patch0", "predict.evit_mask=true"},
};

const char *idle_keys(int i)
{
    return i >= 0 && i < (int)COUNT_OF(table) ? table[i].keys : NULL;
}

const char *idle_condition(int i)
{
    return i >= 0 && i < (int)COUNT_OF(table) ? table[i].when : NULL;
}

/* The next word of a list into out; NULL at its end. */
static const char *next_word(const char *list, const char *between, char out[WORD_MAX])
{
    list += strspn(list, between);
    size_t n = strcspn(list, between);
    if (!n)
        return NULL;
    if (n >= WORD_MAX)
        BUG("idle: a word of %zu letters", n);
    memcpy(out, list, n);
    out[n] = 0;
    return list + n;
}

static bool in_list(const char *list, const char *word)
{
    char w[WORD_MAX];
    while ((list = next_word(list, " ", w))) {
        if (!strcmp(w, word))
            return true;
    }
    return false;
}

static const char *value_of(const cfg *c, const char *key)
{
    const char *s = cfg_text(c, key);
    return strcmp(s, "\"\"") ? s : "";
}

static bool holds(const cfg *c, const char *when)
{
    char w[WORD_MAX];
    while ((when = next_word(when, "|", w))) {
        char *sign = strpbrk(w, "=!");
        if (!sign)
            BUG("idle: condition '%s'", w);
        bool equal = *sign == '=';
        *sign = 0;
        if (!strcmp(value_of(c, w), sign + 1) == equal)
            return true;
    }
    return false;
}

/* The condition in words, and what is there. */
static void tell(const cfg *c, const char *when, text *why)
{
    char w[WORD_MAX];
    const char *sep = "it acts with ";
    while ((when = next_word(when, "|", w))) {
        char *sign = strpbrk(w, "=!");
        bool equal = *sign == '=';
        *sign = 0;
        const char *want = sign[1] ? sign + 1 : "empty", *is = value_of(c, w);
        text_addf(why, "%s%s %s%s, here %s", sep, w, equal ? "" : "other than ", want,
                  *is ? is : "empty");
        sep = ", or with ";
    }
}

bool idle_why(const cfg *c, const char *key, text *why)
{
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        if (in_list(table[i].keys, key) && !holds(c, table[i].when)) {
            tell(c, table[i].when, why);
            return true;
        }
    }
    return false;
}

/* Set by --compat to what it is now. */
static bool of_compat(const cmd_args *a, const char *key)
{
    for (int i = 0; a->compat && compat_at(i); i++) {
        const compat_row *r = compat_at(i);
        if (r->key && !strcmp(r->key, key) && !strcmp(r->program, a->compat) &&
            !strcmp(r->value, cfg_text(a->config, key)))
            return true;
    }
    return false;
}

static void warn_of(const cmd_args *a, const cfg *plain, const char *rooms, const char *key)
{
    char room[WORD_MAX];
    text why;
    text_copy(room, sizeof room, key);
    room[strcspn(room, ".")] = 0;
    if ((rooms && !in_list(rooms, room)) || !cfg_given(a->config, key) || of_compat(a, key) ||
        !strcmp(cfg_text(a->config, key), cfg_text(plain, key)))
        return;
    text_init(&why);
    if (idle_why(a->config, key, &why))
        log_warn("key_without_effect", "%s=%s why=\"%s\"", key, cfg_text(a->config, key), why.s);
    text_release(&why);
}

void idle_warn(const cmd_args *a, const char *rooms)
{
    if (a->foreign.training)
        return;
    cfg *plain = args_schema();
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        char key[WORD_MAX];
        for (const char *s = table[i].keys; (s = next_word(s, " ", key));) {
            bool before = false; /* another row was about it */
            for (size_t k = 0; k < i && !before; k++)
                before = in_list(table[k].keys, key);
            if (!before)
                warn_of(a, plain, rooms, key);
        }
    }
    cfg_free(plain);
}
