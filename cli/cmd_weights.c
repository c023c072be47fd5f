/* weights: pretrained files in, plain safetensors out. */
#include "cli/cmd.h"

#include "core/mem.h"
#include "core/pool.h"
#include "train/checkpoint.h"
#include "train/trainer.h"
#include "train/weights.h"

#include <stdio.h>
#include <string.h>

/* Try the import on the configured network and print what would happen to every parameter. */
static bool import(cmd_args *a, const char *file, err *e)
{
    run_cfg rc;
    model_cfg mc;
    weights_report r = {0};
    cfg_bind(a->config, &model_options, &mc);
    cfg_bind(a->config, &run_options, &rc);
    if (!cmd_need_out(a, "the safetensors file to write", e))
        return false;
    pool *threads = pool_new(a->threads);
    backend *be = backend_new(a->device, threads, e);
    model *m = be ? model_new(&mc, be, (uint64_t)rc.seed, e) : NULL;
    text_init(&r.table);
    bool ok = m && weights_load(m, file, &(weights_opts){0}, &r, e);
    if (ok)
        cmd_result(a,
                   json_pack("{s:i, s:i, s:i, s:i}", "loaded", r.loaded, "resized", r.resized,
                             "kept", r.kept, "unused", r.unused),
                   "%s%d loaded, %d resized, %d kept at their initial values, %d unused\n",
                   r.table.s, r.loaded, r.resized, r.kept, r.unused);
    ok = ok && weights_save(m, a->out, NULL, e);
    text_release(&r.table);
    model_free(m);
    backend_free(be);
    pool_free(threads);
    return ok;
}

static bool export_weights(cmd_args *a, const char *from, err *e)
{
    checkpoint_info k;
    char dir[4096];
    if (!cmd_need_out(a, "the safetensors file to write", e) ||
        !checkpoint_read_info(from, &k, dir, e))
        return false;
    pool *threads = pool_new(a->threads);
    backend *be = backend_new(a->device, threads, e);
    model *m = be ? checkpoint_load(dir, &k, be, e) : NULL;
    json_t *meta = json_pack("{s:s, s:s}", "format", "pt", "model", k.model.name);
    bool ok = m && weights_save(m, a->out, meta, e);
    if (ok)
        cmd_result(a, json_pack("{s:o, s:s}", "file", json_words(a->out), "model", k.model.name),
                   "%s: %s, timm's tensor names\n", a->out, k.model.name);
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
        return import(a, a->word[1], e);
    if (!strcmp(a->word[0], "export"))
        return export_weights(a, a->word[1], e);
    return err_set(e, ERR_USAGE, "unknown action '%s'; wanted import or export", a->word[0]);
}

const cmd cmd_weights = {
    .verb = "weights",
    .usage = "weights import FILE.safetensors -o OUT.safetensors -c CONFIG | weights export "
             "RUN|CKPT -o OUT.safetensors",
    .summary = "bring in pretrained weights, hand out trained ones",
    .help = "import: fits a safetensors file with timm's names to the network of the config (one "
            "channel, another\ngrid, another head), prints what became of every tensor and writes "
            "the result; train.init does the\nsame at the start of a training. export: the weights "
            "of a checkpoint under timm's names. Files of\nPyTorch's own format are not read.",
    .fn = weights,
    .min_words = 2,
    .max_words = 2,
};
