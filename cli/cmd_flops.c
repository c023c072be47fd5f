/* flops: exact multiply-add, parameter and token counts of a network. */
#include "cli/cmd.h"

#include "core/text.h"
#include "model/model.h"
#include "preprocess/prepare.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* "896" or "1152x896" (rows x columns). */
static bool image_size(const char *s, model_cfg *m, err *e)
{
    char buf[32], *x;
    text_copy(buf, sizeof buf, s);
    x = strchr(buf, 'x');
    if (x)
        *x = 0;
    if (!text_i64(buf, &m->image_h) || !text_i64(x ? x + 1 : buf, &m->image_w))
        return err_set(e, ERR_USAGE, "--image-size '%s': wanted S or HxW", s);
    return true;
}

/* In the order of model_convention. */
static const char *const conventions[] = {"fvcore", "torchprofile", "core"};

static bool choice(const char *name, int *out, err *e)
{
    for (*out = 0; *out < (int)COUNT_OF(conventions); ++*out) {
        if (!strcmp(name, conventions[*out]))
            return true;
    }
    return err_set(e, ERR_USAGE, "--convention '%s': wanted fvcore, torchprofile or core", name);
}

/* Room for the words of --token-reduction; the configuration borrows from it. */
typedef struct reduction_words {
    char buf[96];
    const char *path; /* PPT's branches, or NULL */
} reduction_words;

static bool reduction_word(const char *w, reduction_words *to, model_cfg *m)
{
    if (m->reduction == MODEL_EVIT && !strcmp(w, "nofuse"))
        m->evit_fuse = false;
    else if (!strncmp(w, "layers=", 7))
        m->reduction_layers = w + 7;
    else if (m->reduction == MODEL_PPT && !strncmp(w, "path=", 5))
        to->path = w + 5;
    else
        return false;
    return true;
}

/* "evit:0.7[,nofuse][,layers=3/6/9]" or "ppt:50[,layers=3/6/9][,path=MPP]". */
static bool token_reduction(const char *s, reduction_words *to, model_cfg *m, err *e)
{
    text_copy(to->buf, sizeof to->buf, s);
    char *word = to->buf, *next = strchr(word, ',');
    bool ok = strlen(s) < sizeof to->buf;
    if (next)
        *next++ = 0;
    if (!strncmp(word, "evit:", 5)) {
        m->reduction = MODEL_EVIT;
        ok = ok && text_ratio(word + 5, &m->evit_keep);
    } else {
        m->reduction = MODEL_PPT;
        ok = ok && !strncmp(word, "ppt:", 4) && text_i64(word + 4, &m->ppt_tokens);
    }
    while (ok && next) {
        word = next;
        next = strchr(word, ',');
        if (next)
            *next++ = 0;
        ok = reduction_word(word, to, m);
    }
    return ok || err_set(e, ERR_USAGE,
                         "--token-reduction '%s': wanted evit:0.7[,nofuse][,layers=3/6/9] or "
                         "ppt:50[,layers=3/6/9][,path=MPP]",
                         s);
}

static bool integer(const cmd_args *a, const char *name, int64_t *out, err *e)
{
    const char *v = cmd_value(a, name);
    return !v || text_i64(v, out) || err_set(e, ERR_USAGE, "%s '%s' is not an integer", name, v);
}

/* A configuration counts as it trains: with the images that prepare.sizes makes. What none gives is
 * as published. */
static bool base(const cmd_args *a, model_cfg *m, err *e)
{
    int n, h[PREPARE_SIZES], w[PREPARE_SIZES];
    int64_t at;
    cfg_bind(a->config, &model_options, m);
    if (!a->has_config && !cfg_given(a->config, "model.channels"))
        m->channels = 3;
    if (!a->has_config && !cfg_given(a->config, "model.classes"))
        m->classes = 1000;
    if (!a->has_config && !cfg_given(a->config, "prepare.sizes"))
        return true;
    if (!prepare_sizes(a->config, &n, h, w, e))
        return false;
    if (!text_i64(cfg_text(a->config, "train.size"), &at) || at >= n)
        return err_set(e, ERR_CONFIG, "train.size: %s is beyond the %d sizes of prepare.sizes",
                       cfg_text(a->config, "train.size"), n);
    m->image_h = m->image_h ? m->image_h : h[at];
    m->image_w = m->image_w ? m->image_w : w[at];
    return true;
}

static bool flops(cmd_args *a, err *e)
{
    model_cfg m;
    model_counts n;
    if (!base(a, &m, e))
        return false;
    const char *convention = cmd_value(a, "--convention"), *keep = cmd_value(a, "--keep-rate"),
               *size = cmd_value(a, "--image-size"), *cut = cmd_value(a, "--token-reduction");
    reduction_words words = {0};
    if (cmd_value(a, "--model"))
        m.name = cmd_value(a, "--model");
    if (keep && !text_ratio(keep, &m.keep_rate))
        return err_set(e, ERR_USAGE, "--keep-rate '%s': wanted a number or a ratio such as 3/7",
                       keep);
    if ((size && !image_size(size, &m, e)) || !integer(a, "--patch-size", &m.patch, e) ||
        !integer(a, "--channels", &m.channels, e) || !integer(a, "--classes", &m.classes, e) ||
        (cut && !token_reduction(cut, &words, &m, e)) || !model_count_path(&m, words.path, &n, e))
        return false;
    int how = 0;
    if (convention && !choice(convention, &how, e))
        return false;
    int64_t macs = model_macs(&n.published, (model_convention)how);
    int64_t executed = model_macs(&n.executed, (model_convention)how);
    json_t *tokens = json_array();
    text list;
    text_init(&list);
    for (int i = 0; i < n.n_tokens; i++) {
        text_addf(&list, " %d", n.tokens[i]);
        json_array_append_new(tokens, json_integer(n.tokens[i]));
    }
    cmd_result(a,
               json_pack("{s:s, s:I, s:I, s:I, s:I, s:s, s:I, s:I, s:I, s:o}", "model", m.name,
                         "image_h", (json_int_t)n.image_h, "image_w", (json_int_t)n.image_w,
                         "channels", (json_int_t)m.channels, "classes", (json_int_t)m.classes,
                         "convention", conventions[how], "macs", (json_int_t)macs, "macs_executed",
                         (json_int_t)executed, "params", (json_int_t)n.params, "tokens", tokens),
               "%s, %" PRId64 " x %" PRId64 " px, %" PRId64 " channel%s, %" PRId64
               " classes, keep rate %.9g, counted as %s does\n"
               "multiply-adds, published form: %" PRId64 "\nmultiply-adds, as executed:    %" PRId64
               "\nparameters:                    %" PRId64 "\ntokens per block:             %s\n",
               m.name, n.image_h, n.image_w, m.channels, m.channels == 1 ? "" : "s", m.classes,
               m.keep_rate, conventions[how], macs, executed, n.params, list.s);
    text_release(&list);
    return true;
}

static const cmd_opt opts[] = {
    {"--model", "M", "timm name, such as deit_base_patch16_224; default: model.name"},
    {"--image-size", "S|HxW", "pixels; default: prepare.sizes of a config, else the name's own"},
    {"--patch-size", "P", "pixels; default: the name's own"},
    {"--keep-rate", "K", "fraction of patches kept, 0.25 or 3/7; default: of the config, else 1"},
    {"--token-reduction", "R", "evit:0.7[,nofuse] or ppt:50[,path=MPP]; both [,layers=3/6/9]"},
    {"--channels", "C", "default: model.channels of a config, else 3, as published"},
    {"--classes", "C", "default: model.classes of a config, else 1000, as published"},
    {"--convention", "C", "fvcore (default), torchprofile or core: see above"},
    {NULL, NULL, NULL},
};
const cmd cmd_flops = {
    .verb = "flops",
    .usage = "flops [-c CONFIG] [--model M] [--image-size S|HxW] [--patch-size P] [--keep-rate K] "
             "[--channels C] [--classes C] [--token-reduction R] [--convention C] [--json]",
    .summary = "exact multiply-add and parameter counts of a network",
    .help = "Counts on a shape-only run of the same code that trains. Every convention counts a "
            "multiply-add of a matrix\nproduct or convolution as 1. core: nothing else; fvcore "
            "(PatchDropout's tables): LayerNorm 5 per element;\ntorchprofile (EViT, PPT, PiT): "
            "LayerNorm 1 per element, the scaling of attention logits, token selection.\n"
            "Published form: all patches embedded, full last block.\nAs executed: only kept "
            "patches are embedded and the last block "
            "computes the class token only.\nWith -c the network, image size, channels and classes "
            "are those of "
            "the config; without it the published ones.\nThe depth is changed with --set "
            "model.depth=24.\n"
            "--token-reduction: evit keeps that fraction of the patch tokens at blocks 3, 6 and 9 "
            "(counted from 0), with\na fused token unless nofuse; ppt takes that many away, and "
            "path tells for each block whether the image's tokens\nare merged (M, the default) or "
            "pruned (P), which only costs differ by. Tokens are those that enter each block.",
    .fn = flops,
    .opts = opts,
    .max_words = 0,
};
