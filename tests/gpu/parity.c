/* Our side of gpu-check's comparison with PyTorch (parity.py): a network with weights, images and
 * kept patches that are functions of names and numbers, computed in every precision, with a last
 * block of all tokens and of those alone that the head reads.
 *   parity FOLDER MODEL DEPTH PX KEEP BATCH STEPS     on the device of $DEVICE
 * FOLDER/input.safetensors: every parameter by timm's name, image [b, px, px] (0 .. 65535), label
 * [b], keep [b, k], lr and weight_decay. FOLDER/<precision>_<cls|full>.safetensors: gradient.<name>
 * of the first step, logits [b, classes] and loss [steps] along AdamW (full: of the
 * first step alone); row [b, tokens], the
 * probabilities that the class token of block `row_block` gives, where scores are asked for. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "tests/device.h"
#include "tests/fixtures/deit/formula.h"
#include "train/optim.h"
#include "train/safetensors.h"
#include "train/weights.h"

enum { CLASSES = 2, BATCH_MOST = 8, STEPS_MOST = 100, ARRAYS = 400 };

#define LR           2e-4F
#define WEIGHT_DECAY 0.05F
#define QKV_GAIN     1.0
/* Small logits: with large ones the rounding of a few of them, one throw of dice, would be most of
 * the error of every gradient. */
#define HEAD_GAIN 0.1F
/* The first block's GELU works about -3.25, where its forms part by a seventh of what they are. */
#define TAIL      (-3.25F)
#define TAIL_GAIN 0.2F
#define MEAN      0.5F
#define SD        0.3F

typedef struct parity {
    const char *folder, *model;
    int64_t depth, px, batch, steps;
    double keep;
    pool *threads;
    uint16_t *image[BATCH_MOST];
    int32_t label[BATCH_MOST], *kept;
    int n_kept;
} parity;

/* Arrays that are written together; they own their values. */
typedef struct arrays {
    safetensors_writer *w;
    float *x[ARRAYS];
    int n;
} arrays;

static float *arrays_add(arrays *a, const char *name, int ndim, const int *shape)
{
    int64_t wide[ARRAY_NDIM_MAX], n = 1;
    for (int i = 0; i < ndim; i++)
        n *= wide[i] = shape[i];
    if (a->n == ARRAYS)
        BUG("parity: more than %d arrays", ARRAYS);
    float *x = a->x[a->n++] = MEM_ARRAY(float, n);
    safetensors_writer_add(a->w, name, ndim, wide, x);
    return x;
}

static bool arrays_write(arrays *a, err *e)
{
    bool ok = safetensors_writer_finish(a->w, e);
    for (int i = 0; i < a->n; i++)
        mem_free(a->x[i]);
    return ok;
}

static void number(arrays *a, const char *name, double x)
{
    *arrays_add(a, name, 1, (const int[]){1}) = (float)x;
}

static arrays arrays_new(const parity *p, const char *name)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s.safetensors", p->folder, name);
    return (arrays){.w = safetensors_writer_new(path, NULL)};
}

static model *network(const parity *p, backend *be, bool full, bool scores, err *e)
{
    char layer[16];
    snprintf(layer, sizeof layer, "%d", (int)p->depth - 2);
    const model_cfg c = {.name = p->model,
                         .image_h = p->px,
                         .image_w = p->px,
                         .depth = p->depth,
                         .channels = 3,
                         .classes = CLASSES,
                         .keep_rate = 1,
                         .full_last = full,
                         .reduction = scores ? MODEL_EVIT : MODEL_FULL,
                         .reduction_layers = layer,
                         .evit_keep = 0.5};
    model *m = model_new(&c, be, 1, e);
    param_set *s = m ? model_params(m) : NULL;
    for (int i = 0; m && i < s->n; i++) {
        param *q = &s->p[i];
        float *x = MEM_ARRAY(float, q->n);
        formula_param(q->name, q->ndim, q->shape[0], q->n, QKV_GAIN, x);
        for (int64_t k = 0; k < q->n; k++) {
            if (!strncmp(q->name, "head.", 5))
                x[k] *= HEAD_GAIN;
            if (!strncmp(q->name, "blocks.0.mlp.fc1.", 17))
                x[k] = TAIL_GAIN * x[k] + (q->ndim == 1 ? TAIL : 0);
        }
        param_write(s, q, x);
        mem_free(x);
    }
    return m;
}

static model_batch batch_of(const parity *p)
{
    return (model_batch){.b = (int)p->batch,
                         .h = (int)p->px,
                         .w = (int)p->px,
                         .image = (const uint16_t *const *)p->image,
                         .grey = true,
                         .mean = MEAN,
                         .sd = SD,
                         .keep = p->kept,
                         .n_keep = p->n_kept};
}

static bool write_input(parity *p, model *m, err *e)
{
    int b = (int)p->batch, px = (int)p->px;
    uint64_t sample[BATCH_MOST];
    for (int i = 0; i < b; i++) {
        p->image[i] = MEM_ARRAY(uint16_t, p->px * p->px);
        formula_image(i, 1, px, px, p->image[i]);
        p->label[i] = i % CLASSES;
        sample[i] = (uint64_t)i;
    }
    p->n_kept = model_kept(m, p->keep);
    p->kept = MEM_ARRAY(int32_t, b * p->n_kept);
    model_select(m, &(model_draw){.b = b, .sample = sample, .seed = 1, .rate = p->keep}, p->kept);

    arrays a = arrays_new(p, "input");
    param_set *s = model_params(m);
    for (int i = 0; i < s->n; i++)
        param_read(s, &s->p[i], arrays_add(&a, s->p[i].name, s->p[i].ndim, s->p[i].shape));
    float *image = arrays_add(&a, "image", 3, (const int[]){b, px, px});
    float *keep = arrays_add(&a, "keep", 2, (const int[]){b, p->n_kept});
    float *label = arrays_add(&a, "label", 1, &b);
    for (int64_t i = 0; i < p->batch * p->px * p->px; i++)
        image[i] = p->image[i / (p->px * p->px)][i % (p->px * p->px)];
    for (int i = 0; i < b * p->n_kept; i++)
        keep[i] = (float)p->kept[i];
    for (int i = 0; i < b; i++)
        label[i] = (float)p->label[i];
    number(&a, "lr", LR);
    number(&a, "weight_decay", WEIGHT_DECAY);
    number(&a, "mean", MEAN);
    number(&a, "sd", SD);
    number(&a, "row_block", (double)p->depth - 2);
    return arrays_write(&a, e);
}

static void read_gradients(arrays *a, const param_set *s)
{
    for (int i = 0; i < s->n; i++) {
        const param *q = &s->p[i];
        char name[128];
        snprintf(name, sizeof name, "gradient.%s", q->name);
        backend_to_host(s->be, arrays_add(a, name, q->ndim, q->shape), q->g,
                        (size_t)q->n * sizeof(float));
    }
}

/* The first step's gradients, and every step's loss. */
static void train(const parity *p, model *m, int steps, arrays *a)
{
    const optim_cfg adamw = {.kind = OPTIM_ADAMW,
                             .beta1 = 0.9,
                             .beta2 = 0.999,
                             .eps = 1e-8,
                             .weight_decay = WEIGHT_DECAY,
                             .decay_tokens = true};
    param_set *s = model_params(m);
    model_batch in = batch_of(p);
    run *r = run_new(s->be, RUN_TRAIN);
    optim *o = optim_new(&adamw, s);
    float *losses = arrays_add(a, "loss", 1, &steps);
    double norm;
    for (int step = 0; step < steps; step++) {
        run_reset(r);
        param_zero_grad(s);
        tensor *z = model_forward(m, r, &in), *l = op_loss(r, z, p->label, NULL, 0);
        run_backward(r, l);
        run_read(r, l, &losses[step]);
        if (step == 0) {
            run_read(r, z, arrays_add(a, "logits", 2, (const int[]){(int)p->batch, CLASSES}));
            read_gradients(a, s);
        }
        backend_begin(s->be);
        optim_step(o, LR, step + 1, 1, &norm);
        backend_wait(s->be, backend_end(s->be));
    }
    optim_free(o);
    run_free(r);
}

/* What token selectors are given: the class token's probabilities, averaged over heads. */
static bool read_row(const parity *p, backend *be, arrays *a, err *e)
{
    model *m = network(p, be, false, true, e);
    if (!m)
        return false;
    model_watch w = {0};
    model_batch in = batch_of(p);
    run *r = run_new(be, RUN_INFER);
    in.watch = &w;
    model_forward(m, r, &in);
    int n = w.layer[0].n_in, b = (int)p->batch;
    if (w.layers != 1 || !w.layer[0].score)
        BUG("parity: no scores in %d layers", w.layers);
    memcpy(arrays_add(a, "row", 2, (const int[]){b, n}), w.layer[0].score,
           (size_t)(b * n) * sizeof(float));
    watch_release(&w);
    run_free(r);
    model_free(m);
    return true;
}

static bool compute(parity *p, backend_precision precision, bool full, err *e)
{
    static const char *const words[] = {"f32", "bf16", "bf16_fast"};
    char name[32];
    snprintf(name, sizeof name, "%s_%s", words[precision], full ? "full" : "cls");
    backend_how how = {.precision = precision, .timed = true, .cache = p->folder};
    backend *be = backend_new(test_device(), p->threads, e);
    bool ok = be && backend_compute(be, &how, e);
    model *m = ok ? network(p, be, full, false, e) : NULL;
    ok = m && (p->kept || write_input(p, m, e));
    if (ok) {
        arrays a = arrays_new(p, name);
        train(p, m, full ? 1 : (int)p->steps, &a);
        err late = {0};
        ok = full || read_row(p, be, &a, e);
        ok = arrays_write(&a, ok ? e : &late) && ok;
        printf("%s\n", name);
    }
    model_free(m);
    backend_free(be);
    return ok;
}

static bool read_words(char **v, parity *p)
{
    char *end[5];
    p->folder = v[1];
    p->model = v[2];
    p->depth = strtol(v[3], &end[0], 10);
    p->px = strtol(v[4], &end[1], 10);
    p->keep = strtod(v[5], &end[2]);
    p->batch = strtol(v[6], &end[3], 10);
    p->steps = strtol(v[7], &end[4], 10);
    for (int i = 0; i < 5; i++)
        if (*end[i] || end[i] == v[3 + i])
            return false;
    return p->depth >= 2 && p->px > 0 && p->batch >= 1 && p->batch <= BATCH_MOST && p->steps >= 1 &&
           p->steps <= STEPS_MOST;
}

int main(int argc, char **argv)
{
    parity p = {0};
    err e = {0};
    bool ok = true;
    if (argc != 8 || !read_words(argv, &p)) {
        fprintf(stderr, "usage: parity FOLDER MODEL DEPTH PX KEEP BATCH STEPS\n");
        return 2;
    }
    p.threads = pool_new(0);
    for (int k = BACKEND_F32; ok && k <= BACKEND_BF16_FAST; k++)
        for (int full = 0; ok && full < 2; full++)
            ok = compute(&p, (backend_precision)k, full, &e);
    if (!ok)
        fprintf(stderr, "parity: %s\n", e.msg);
    for (int i = 0; i < BATCH_MOST; i++)
        mem_free(p.image[i]);
    mem_free(p.kept);
    pool_free(p.threads);
    return ok ? 0 : 1;
}
