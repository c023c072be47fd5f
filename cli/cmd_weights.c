/* weights: pretrained files in, plain safetensors out. */
#include "cli/cmd.h"
#include "cli/show_weights.h"

#include "core/mem.h"
#include "core/pool.h"
#include "train/checkpoint.h"
#include "train/trainer.h"
#include "train/weights.h"

#include <stdio.h>
#include <string.h>

/* Other programs tell the format by the name. */
static bool named_file(const cmd_args *a, const char *action, err *e)
{
    if (!cmd_need_out(a, "the safetensors file to write", e))
        return false;
    return text_ends(a->out, ".safetensors") ||
           err_set(e, ERR_USAGE, "-o '%s': %s writes safetensors; name it .safetensors", a->out,
                   action);
}

/* Try the import on the configured network and print what would happen to every parameter. */
static bool import_file(cmd_args *a, const char *file, err *e)
{
    run_cfg rc;
    model_cfg mc;
    weights_report r = {0};
    cfg_bind(a->config, &model_options, &mc);
    cfg_bind(a->config, &run_options, &rc);
    if (cmd_value(a, "--model"))
        mc.name = cmd_value(a, "--model");
    weights_opts how = {.resample = resample_of(cfg_text(a->config, "train.init_resample"))};
    if (!named_file(a, "import", e))
        return false;
    pool *threads = pool_new(a->threads);
    backend *be = backend_new(a->device, threads, e);
    model *m = be ? model_new(&mc, be, (uint64_t)rc.seed, e) : NULL;
    text_init(&r.table);
    bool ok = m && weights_load(m, file, &how, &r, e) && weights_save(m, a->out, NULL, e);
    if (ok)
        cmd_result(a,
                   json_pack("{s:i, s:i, s:i, s:i}", "loaded", r.loaded, "resized", r.resized,
                             "kept", r.kept, "unused", r.unused),
                   "%s%d loaded, %d resized, %d kept at their initial values, %d unused\n",
                   r.table.s, r.loaded, r.resized, r.kept, r.unused);
    text_release(&r.table);
    model_free(m);
    backend_free(be);
    pool_free(threads);
    return ok;
}

static bool parse_layout(const cmd_args *a, names_layout *out, err *e)
{
    const char *word = cmd_value(a, "--layout");
    *out = NAMES_TIMM;
    if (!word || !strcmp(word, "timm"))
        return true;
    *out = NAMES_TIMM04;
    return !strcmp(word, "timm0.4") ||
           err_set(e, ERR_USAGE, "--layout '%s': wanted timm or timm0.4", word);
}

static bool export_file(cmd_args *a, const char *from, err *e)
{
    checkpoint_info k;
    names_layout layout;
    char dir[4096];
    if (!named_file(a, "export", e) || !parse_layout(a, &layout, e) ||
        !checkpoint_read_info(from, &k, dir, e))
        return false;
    pool *threads = pool_new(a->threads);
    backend *be = backend_new(a->device, threads, e);
    model *m = be ? checkpoint_load(dir, &k, be, e) : NULL;
    json_t *meta = json_pack("{s:s, s:s}", "format", "pt", "model", k.model.name);
    bool ok = m && weights_export(m, a->out, layout, meta, e);
    if (ok)
        cmd_result(a, json_pack("{s:o, s:s}", "file", json_words(a->out), "model", k.model.name),
                   "%s: %s, tensor names of timm %s\n", a->out, k.model.name,
                   layout == NAMES_TIMM04 ? "0.4" : "0.9 and later");
    json_decref(meta);
    model_free(m);
    backend_free(be);
    pool_free(threads);
    checkpoint_release(&k);
    return ok;
}

static bool weights(cmd_args *a, err *e)
{
    if (!strcmp(a->word[0], "import"))
        return import_file(a, a->word[1], e);
    if (!strcmp(a->word[0], "export"))
        return export_file(a, a->word[1], e);
    if (!strcmp(a->word[0], "show"))
        return show_weights(a, a->word[1], e);
    return err_set(e, ERR_USAGE, "unknown action '%s'; wanted import, export or show", a->word[0]);
}

static const cmd_opt opts[] = {
    {"--model", "M", "import: timm name of the network; default: model.name of the config"},
    {"--layout", "L", "export: names of timm (0.9 and later, the default) or timm0.4"},
    {NULL, NULL, NULL},
};
const cmd cmd_weights = {
    .verb = "weights",
    .usage = "weights import FILE -o OUT.safetensors [--model M] [-c CONFIG] | weights export "
             "RUN|CKPT -o OUT.safetensors [--layout L] | weights show FILE",
    .summary = "bring in pretrained weights, hand out trained ones",
    .help = "FILE: safetensors, PyTorch's .pth/.pt/.bin (its pickle is read, never executed) or an "
            "AugReg .npz,\ntold by its first bytes. import: fits it to the network of the config "
            "(other names, one channel,\nanother grid, another head), prints what became of every "
            "tensor and writes the result; train.init\ndoes the same at the start of a training. "
            "export: the weights of a checkpoint under timm's names.\nshow: the arrays of a file.",
    .fn = weights,
    .opts = opts,
    .min_words = 2,
    .max_words = 2,
};
