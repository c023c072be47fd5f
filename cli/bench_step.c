/* bench step, bench infer: a network on random images that lie in the device's memory (gpu.md 8):
 * augmentation, forward, loss, backward, optimiser. Times are the device's own. */
#include "cli/bench_step.h"

#include "core/mem.h"
#include "core/pool.h"
#include "core/rng.h"
#include "core/text.h"
#include "model/laps.h"
#include "model/model.h"
#include "train/augment.h"
#include "train/optim.h"
#include "train/room.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LAPS_STEPS 5 /* that are cut into classes at most, after the timed ones */
#define BENCH_LR   1e-6
#define DISTINCT   16 /* images that are drawn; drawing one of 896 px takes 16 ms */

typedef struct bench_net {
    bench_device d;
    model *m;
    model_cfg mc;
    augment_cfg aug;
    model_batch in;
    uint16_t *pixels; /* device, [b, h, w] */
    const uint16_t **image;
    model_view *view;
    int32_t *keep, *label;
    run *r;
    run_level level;
    optim *o;
    optim_kind optimizer;
    int64_t step;
    size_t saved; /* bytes of the arena that forward leaves for backward */
    float loss;
    double norm;
    int64_t piece; /* of the last pass */
} bench_net;

/* What one call is asked to do. */
typedef struct bench_ask {
    int64_t size, batch, steps, warmup;
    double ceiling; /* TFLOP/s; 0 = measure */
    optim_kind optimizer;
} bench_ask;

typedef struct bench_times {
    double least, q1, median, q3, most; /* seconds of a step */
    int64_t graphs, issued;   /* of the timed steps: launches of graphs, or call by call */
    double lap[LAPS_CLASSES]; /* seconds of a step, by class */
} bench_times;

static bool integer(const cmd_args *a, const char *name, int64_t def, int64_t least, int64_t *out,
                    err *e)
{
    const char *v = cmd_value(a, name);
    *out = def;
    return !v || (text_i64(v, out) && *out >= least && *out <= 1000000) ||
           err_set(e, ERR_USAGE, "%s '%s': wanted an integer from %" PRId64 " to 1000000", name, v,
                   least);
}

static bool read_ask(const cmd_args *a, bench_ask *k, double *keep_rate, err *e)
{
    const char *keep = cmd_value(a, "--keep-rate"), *top = cmd_value(a, "--ceiling"),
               *optimizer = cmd_value(a, "--optimizer");
    k->ceiling = 0;
    k->optimizer = optimizer && !strcmp(optimizer, "sgd") ? OPTIM_SGD : OPTIM_ADAMW;
    if (!integer(a, "--image-size", 224, 1, &k->size, e) ||
        !integer(a, "--batch", 16, 1, &k->batch, e) ||
        !integer(a, "--steps", 30, 1, &k->steps, e) ||
        !integer(a, "--warmup", 10, 0, &k->warmup, e))
        return false;
    if (keep && !text_ratio(keep, keep_rate))
        return err_set(e, ERR_USAGE, "--keep-rate '%s': wanted a number or a ratio", keep);
    if (top && (!text_f64(top, &k->ceiling) || !(k->ceiling > 0)))
        return err_set(e, ERR_USAGE, "--ceiling '%s': wanted TFLOP/s, such as 790", top);
    if (optimizer && strcmp(optimizer, "adamw") && strcmp(optimizer, "sgd"))
        return err_set(e, ERR_USAGE, "--optimizer '%s': wanted adamw or sgd", optimizer);
    return true;
}

bool bench_device_open(const cmd_args *a, bench_device *d, err *e)
{
    d->precision = cfg_text(a->config, "train.precision");
    d->threads = pool_new(a->threads);
    d->be = backend_new(a->device, d->threads, e);
    backend_how how = {0};
    cfg_bind(a->config, &backend_options, &how);
    how.precision = !strcmp(d->precision, "f32")    ? BACKEND_F32
                    : !strcmp(d->precision, "bf16") ? BACKEND_BF16
                                                    : BACKEND_BF16_FAST;
    return d->be && backend_compute(d->be, &how, e);
}

void bench_device_close(bench_device *d)
{
    backend_free(d->be);
    pool_free(d->threads);
}

void bench_device_tell(const bench_device *d, json_t *o)
{
    json_object_set_new(o, "device", json_string(backend_name(d->be)));
    json_object_set_new(o, "title", json_string(backend_title(d->be)));
    json_object_set_new(o, "emulated", json_boolean(backend_emulated(d->be)));
    json_object_set_new(o, "precision", json_string(d->precision));
    json_object_set_new(o, "threads", json_integer(pool_threads(d->threads)));
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double bench_middle(double *x, int n)
{
    qsort(x, (size_t)n, sizeof *x, by_value);
    return n % 2 ? x[n / 2] : 0.5 * (x[n / 2 - 1] + x[n / 2]);
}

static void net_close(bench_net *b)
{
    run_free(b->r);
    optim_free(b->o);
    model_free(b->m);
    if (b->d.be)
        backend_dealloc(b->d.be, b->pixels);
    mem_free(b->image);
    mem_free(b->view);
    mem_free(b->keep);
    mem_free(b->label);
    bench_device_close(&b->d);
}

static void fill_pixels(bench_net *b, int64_t n)
{
    int64_t area = b->mc.image_h * b->mc.image_w;
    size_t bytes = (size_t)area * sizeof *b->pixels;
    uint16_t *x = MEM_ARRAY(uint16_t, area);
    b->pixels = backend_alloc(b->d.be, (size_t)n * bytes);
    for (int64_t i = 0; i < n; i++) {
        rng r;
        b->image[i] = b->pixels + i * area;
        if (i >= DISTINCT) {
            backend_copy(b->d.be, b->pixels + i * area, b->image[i % DISTINCT], bytes);
            continue;
        }
        rng_init(&r, 1, RNG_TEST, (uint64_t)i, 0);
        for (int64_t k = 0; k < area; k++)
            x[k] = (uint16_t)rng_u32(&r);
        backend_to_device(b->d.be, b->pixels + i * area, x, bytes);
    }
    mem_free(x);
}

static void fill_batch(bench_net *b, int n, bool training)
{
    int patches = model_patches(b->m), kept = model_kept(b->m, b->mc.keep_rate);
    uint64_t *sample = MEM_ARRAY(uint64_t, n);
    b->image = MEM_ARRAY(const uint16_t *, n);
    b->label = MEM_ARRAY(int32_t, n);
    b->view = training && b->aug.enabled ? MEM_ARRAY(model_view, n) : NULL;
    b->keep = kept < patches ? MEM_ARRAY(int32_t, (size_t)n * (size_t)kept) : NULL;
    fill_pixels(b, n);
    for (int i = 0; i < n; i++) {
        b->label[i] = i % (int)b->mc.classes;
        sample[i] = (uint64_t)i;
    }
    if (b->keep)
        model_select(b->m,
                     &(model_draw){.b = n, .sample = sample, .seed = 1, .rate = b->mc.keep_rate},
                     b->keep);
    mem_free(sample);
    b->in = (model_batch){.b = n,
                          .h = (int)b->mc.image_h,
                          .w = (int)b->mc.image_w,
                          .image = b->image,
                          .grey = true,
                          .resident = true,
                          .view = b->view,
                          .mean = 0.5f,
                          .sd = 0.3f,
                          .keep = b->keep,
                          .n_keep = b->keep ? kept : 0};
}

static bool net_open(const cmd_args *a, bench_net *b, const bench_ask *k, bool training, err *e)
{
    const optim_cfg how = {.kind = k->optimizer,
                           .momentum = 0.9,
                           .beta1 = 0.9,
                           .beta2 = 0.999,
                           .eps = 1e-8,
                           .weight_decay = 0.05,
                           .decay_tokens = true};
    room_cfg room;
    cfg_bind(a->config, &augment_options, &b->aug);
    cfg_bind(a->config, &room_options, &room);
    b->level = room.recompute ? (run_level)(room.recompute - 1) : RUN_KEEP;
    b->mc.name = cmd_value(a, "--model") ? cmd_value(a, "--model") : "deit_small_patch16_224";
    b->mc.image_h = b->mc.image_w = k->size;
    b->m = bench_device_open(a, &b->d, e) ? model_new(&b->mc, b->d.be, 1, e) : NULL;
    if (!b->m || !model_check_rate(b->m, "--keep-rate", b->mc.keep_rate, e))
        return false;
    b->mc = *model_config(b->m);
    fill_batch(b, (int)k->batch, training);
    b->r = run_new(b->d.be, training ? RUN_TRAIN : RUN_INFER);
    b->o = training ? optim_new(&how, model_params(b->m)) : NULL;
    b->optimizer = k->optimizer;
    run_recompute(b->r, b->level);
    return true;
}

static void one_pass(bench_net *b)
{
    uint64_t step = (uint64_t)++b->step;
    for (int i = 0; i < b->in.b && b->view; i++)
        augment_view(&b->aug, b->in.h, b->in.w, 1, (uint64_t)i, step, &b->view[i]);
    backend_begin(b->d.be);
    run_reset(b->r);
    if (b->o)
        param_zero_grad(model_params(b->m));
    tensor *logits = model_forward(b->m, b->r, &b->in);
    if (b->o) {
        tensor *loss = op_loss(b->r, logits, b->label, NULL, 0.1f);
        b->saved = run_bytes(b->r);
        run_backward(b->r, loss);
        optim_step(b->o, BENCH_LR, b->step, 1, &b->norm);
        backend_later(b->d.be, &b->loss, loss->x, sizeof b->loss);
    }
    b->piece = backend_end(b->d.be);
}

static void measure(bench_net *b, const bench_ask *k, bench_times *out)
{
    int n = (int)k->steps, cut = n < LAPS_STEPS ? n : LAPS_STEPS;
    void **mark = MEM_ARRAY(void *, n + 1);
    double *s = MEM_ARRAY(double, n);
    for (int64_t i = 0; i < k->warmup; i++)
        one_pass(b);
    backend_graphed before, after;
    backend_graphs_done(b->d.be, &before);
    mark[0] = backend_mark(b->d.be, NULL);
    for (int i = 0; i < n; i++) {
        one_pass(b);
        mark[i + 1] = backend_mark(b->d.be, NULL);
    }
    backend_graphs_done(b->d.be, &after);
    out->graphs = after.launched - before.launched;
    out->issued = after.issued - before.issued;
    for (int i = 0; i < n; i++)
        s[i] = backend_between(b->d.be, mark[i], mark[i + 1]);
    for (int i = 0; i <= n; i++)
        backend_unmark(b->d.be, mark[i]);
    out->median = bench_middle(s, n);
    out->least = s[0];
    out->most = s[n - 1];
    out->q1 = s[n / 4];
    out->q3 = s[n - 1 - n / 4];
    laps *l = laps_start(b->d.be);
    for (int i = 0; i < cut; i++)
        one_pass(b);
    laps_stop(l, out->lap);
    for (int i = 0; i < LAPS_CLASSES; i++)
        out->lap[i] /= cut;
    backend_wait(b->d.be, b->piece);
    mem_free(s);
    mem_free(mark);
}

/* Multiply-adds of a forward pass of one image. */
typedef struct bench_work {
    double executed;
    double nominal; /* the whole network over the kept patches: with a last block of all tokens */
    double embed;   /* of these, cutting patches: their input wants no gradient */
    int64_t tokens; /* that enter the blocks, all blocks together */
} bench_work;

static bool work_of(const bench_net *b, bench_work *w, err *e)
{
    model_counts n;
    if (!model_count(&b->mc, &n, e))
        return false;
    *w = (bench_work){.executed = (double)model_macs(&n.executed, MODEL_CORE)};
    w->nominal = w->executed;
    for (int i = 0; i < n.n_tokens; i++)
        w->tokens += n.tokens[i];
    if (!model_is_sequence(b->m))
        return true;
    int kept = b->in.keep ? b->in.n_keep : model_patches(b->m);
    double patch = (double)(b->mc.channels * b->mc.patch * b->mc.patch) * model_width(b->m);
    w->embed = kept * patch;
    w->nominal =
        (double)model_macs(&n.published, MODEL_CORE) - (model_patches(b->m) - kept) * patch;
    return true;
}

static json_t *classes_json(const bench_times *t)
{
    json_t *o = json_object();
    for (int i = 0; i < LAPS_CLASSES; i++)
        json_object_set_new(o, laps_name((laps_class)i), json_num(1e3 * t->lap[i]));
    return o;
}

static json_t *memory_json(const bench_net *b, size_t *all)
{
    size_t params = (size_t)model_params(b->m)->total * sizeof(float);
    backend_fixed fixed;
    backend_fixed_of(b->d.be, 0, &fixed);
    size_t part[] = {params,
                     params,
                     b->o ? (size_t)(b->optimizer == OPTIM_ADAMW ? 2 : 1) * params : 0,
                     run_held(b->r),
                     backend_workspace(b->d.be),
                     fixed.held,
                     (size_t)fixed.libraries,
                     (size_t)(b->in.b * b->mc.image_h * b->mc.image_w) * sizeof(uint16_t)};
    static const char *const names[] = {"params",    "grads", "optimizer", "arena",
                                        "workspace", "held",  "libraries", "images"};
    json_t *o = json_object();
    *all = 0;
    for (size_t i = 0; i < COUNT_OF(part); i++) {
        json_object_set_new(o, names[i], json_integer((json_int_t)part[i]));
        *all += part[i];
    }
    return o;
}

static void tell(const cmd_args *a, const bench_net *b, const bench_ask *k, const bench_times *t,
                 const bench_work *w)
{
    double images = b->in.b / t->median;
    double flops = b->o ? 6 : 2, less = b->o ? 2 * w->embed : 0;
    double done = 1e-12 * images * (flops * w->executed - less);
    double nominal = 1e-12 * images * (flops * w->nominal - less);
    double saved = (double)b->saved / ((double)w->tokens * b->in.b);
    const char *what = b->o ? "step" : "infer";
    size_t all;
    json_t *memory = memory_json(b, &all), *o = json_object();
    text line;
    text_init(&line);
    json_object_set_new(o, "bench", json_string(what));
    json_object_set_new(o, "model", json_string(b->mc.name));
    json_object_set_new(o, "image_size", json_integer(b->mc.image_h));
    json_object_set_new(o, "keep_rate", json_num(b->mc.keep_rate));
    json_object_set_new(o, "batch", json_integer(b->in.b));
    bench_device_tell(&b->d, o);
    json_object_set_new(o, "steps", json_integer(k->steps));
    json_object_set_new(o, "warmup", json_integer(k->warmup));
    json_object_set_new(o, "images_per_second", json_num(images));
    json_object_set_new(o, "step_ms",
                        json_pack("{s:o, s:o, s:o, s:o, s:o}", "median", json_num(1e3 * t->median),
                                  "min", json_num(1e3 * t->least), "q1", json_num(1e3 * t->q1),
                                  "q3", json_num(1e3 * t->q3), "max", json_num(1e3 * t->most)));
    json_object_set_new(o, "tflops", json_num(done));
    json_object_set_new(o, "nominal_tflops", json_num(nominal));
    json_object_set_new(o, "ceiling_tflops", json_num(k->ceiling));
    json_object_set_new(o, "mfu", json_num(nominal / k->ceiling));
    json_object_set_new(o, "peak_bytes", json_integer((json_int_t)all));
    json_object_set_new(o, "memory", memory);
    if (b->o) {
        json_object_set_new(o, "optimizer",
                            json_string(b->optimizer == OPTIM_ADAMW ? "adamw" : "sgd"));
        json_object_set_new(o, "recompute", json_string(room_level_name(b->level)));
        json_object_set_new(o, "full_last", json_boolean(b->mc.full_last));
        json_object_set_new(o, "parameters", json_integer(model_params(b->m)->total));
        json_object_set_new(o, "saved_bytes", json_integer((json_int_t)b->saved));
        json_object_set_new(o, "saved_bytes_per_token_layer", json_num(saved));
        json_object_set_new(o, "saved_widths", json_num(saved / model_width(b->m)));
        json_object_set_new(o, "loss", json_num(b->loss));
    }
    json_object_set_new(o, "class_ms", classes_json(t));
    json_object_set_new(o, "graphs", json_integer((json_int_t)t->graphs));
    json_object_set_new(o, "issued", json_integer((json_int_t)t->issued));
    text_addf(&line,
              "%-6s %s %" PRId64 " px keep %.3g batch %d on %s%s, %s: %.2f images/s, %.2f ms "
              "(%.2f to %.2f), %.3f TFLOP/s = %.2f of %.3f, memory %.0f MiB",
              what, b->mc.name, b->mc.image_h, b->mc.keep_rate, b->in.b, backend_title(b->d.be),
              backend_emulated(b->d.be) ? " (emulated: no figure of a card)" : "", b->d.precision,
              images, 1e3 * t->median, 1e3 * t->q1, 1e3 * t->q3, nominal, nominal / k->ceiling,
              k->ceiling, (double)all / 1048576);
    if (b->o)
        text_addf(&line, ", saved %.1f widths of each token and layer", saved / model_width(b->m));
    text_add(&line, "\n      ");
    for (int i = 0; i < LAPS_CLASSES; i++)
        text_addf(&line, " %s %.2f", laps_name((laps_class)i), 1e3 * t->lap[i]);
    cmd_result(a, o, "%s ms\n", line.s);
    text_release(&line);
}

bool bench_step(cmd_args *a, bool training, err *e)
{
    bench_net b = {0};
    bench_ask k;
    bench_times t;
    bench_work w;
    cfg_bind(a->config, &model_options, &b.mc);
    bool ok = read_ask(a, &k, &b.mc.keep_rate, e) && net_open(a, &b, &k, training, e) &&
              work_of(&b, &w, e);
    if (ok) {
        k.ceiling = k.ceiling > 0 ? k.ceiling : bench_ceiling(&b.d);
        measure(&b, &k, &t);
        ok = !training || isfinite(b.loss) ||
             err_set(e, ERR_MISMATCH, "the loss after %" PRId64 " steps is %g", b.step, b.loss);
    }
    if (ok)
        tell(a, &b, &k, &t, &w);
    net_close(&b);
    return ok;
}
