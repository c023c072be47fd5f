/* flops: exact multiply-add, parameter and token counts of a network. */
#include "cli/cmd.h"

#include "core/text.h"
#include "model/model.h"

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

static bool integer(const cmd_args *a, const char *name, int64_t *out, err *e)
{
    const char *v = cmd_value(a, name);
    return !v || text_i64(v, out) || err_set(e, ERR_USAGE, "%s '%s' is not an integer", name, v);
}

static bool flops(cmd_args *a, err *e)
{
    model_cfg m;
    model_counts n;
    cfg_bind(a->config, &model_options, &m);
    const char *convention = cmd_value(a, "--convention"), *keep = cmd_value(a, "--keep-rate"),
               *size = cmd_value(a, "--image-size");
    if (cmd_value(a, "--model"))
        m.name = cmd_value(a, "--model");
    if (!cfg_given(a->config, "model.channels"))
        m.channels = 3;
    if (!cfg_given(a->config, "model.classes"))
        m.classes = 1000;
    if (!cfg_given(a->config, "model.keep_rate"))
        m.keep_rate = 1;
    if (keep && !text_ratio(keep, &m.keep_rate))
        return err_set(e, ERR_USAGE, "--keep-rate '%s': wanted a number or a ratio such as 3/7",
                       keep);
    if ((size && !image_size(size, &m, e)) || !integer(a, "--patch-size", &m.patch, e) ||
        !integer(a, "--channels", &m.channels, e) || !integer(a, "--classes", &m.classes, e) ||
        !model_count(&m, &n, e))
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
               json_pack("{s:s, s:I, s:I, s:I, s:o}", "convention", conventions[how], "macs",
                         (json_int_t)macs, "macs_executed", (json_int_t)executed, "params",
                         (json_int_t)n.params, "tokens", tokens),
               "%s, %" PRId64 " channels, %" PRId64 " classes, keep rate %.9g, counted as %s does\n"
               "multiply-adds, published form: %" PRId64 "\nmultiply-adds, as executed:    %" PRId64
               "\nparameters:                    %" PRId64 "\ntokens per block:             %s\n",
               m.name, m.channels, m.classes, m.keep_rate, conventions[how], macs, executed,
               n.params, list.s);
    text_release(&list);
    return true;
}

static const cmd_opt opts[] = {
    {"--model", "M", "timm name, such as deit_base_patch16_224"},
    {"--image-size", "S|HxW", "pixels; default: the name's own"},
    {"--patch-size", "P", "pixels; default: the name's own"},
    {"--keep-rate", "K", "fraction of patches kept, 0.25 or 3/7; default 1"},
    {"--channels", "3", "image channels, as published"},
    {"--classes", "C", "default 1000, as published"},
    {"--convention", "C", "fvcore (default), torchprofile or core: see below"},
    {NULL, NULL, NULL},
};
const cmd cmd_flops = {
    .verb = "flops",
    .usage = "flops --model M --image-size S|HxW [--patch-size P] [--keep-rate K] "
             "[--convention C] [--json]",
    .summary = "exact multiply-add and parameter counts of a network",
    .help = "Counts on a shape-only run of the same code that trains. Every convention counts a "
            "multiply-add of a matrix\nproduct or convolution as 1. core: nothing else; fvcore "
            "(PatchDropout's tables): LayerNorm 5 per element;\ntorchprofile (EViT, PPT, PiT): "
            "LayerNorm 1 per element, the scaling of attention logits, token selection.\n"
            "Published form: all patches embedded, full last block.\nAs executed: only kept "
            "patches are embedded and the last block "
            "computes the class token only.\nThe depth is changed with --set model.depth=24.",
    .fn = flops,
    .opts = opts,
    .max_words = 0,
};
