/* Attention rollout (rollout.h). The one product that it needs of a block, v A for a row vector v,
 * is what the backward pass of attention gives its values: dV = A^T dO. So it runs as that op, on
 * whatever device there is, with v as the gradient of one channel per head. */
#include "model/rollout.h"

#include <math.h>
#include <string.h>

#include "core/mem.h"

/* Columns from .. from + n - 1 of host rows that are `c` wide. */
static float *columns(const float *x, int64_t rows, int c, int from, int n)
{
    float *y = MEM_ARRAY(float, rows *n);
    for (int64_t i = 0; i < rows; i++)
        memcpy(y + i * n, x + i * c + from, (size_t)n * sizeof *y);
    return y;
}

static float *fetch(run *r, const tensor *t)
{
    float *x = MEM_ARRAY(float, tensor_count(t));
    run_read(r, t, x);
    return x;
}

void rollout_note(run *r, model_watch *w, const tensor *x, const op_attention_spec *how)
{
    if (!w || !w->attention || run_is_shape(r))
        return;
    const tensor *kv = how->kv ? how->kv : x;
    int d = how->kv ? x->c : x->c / 3;
    size_t old = (size_t)w->blocks * sizeof *w->block;
    w->block = mem_realloc(w->block, old, old + sizeof *w->block);
    watch_block *b = &w->block[w->blocks++];
    *b = (watch_block){.queries = x->n, .keys = kv->n, .d = d, .heads = how->heads};
    b->read = how->readers;
    float *all = fetch(r, kv), *q = how->kv ? fetch(r, x) : NULL;
    b->q = q ? q : columns(all, (int64_t)x->b * x->n, x->c, 0, d);
    b->k = columns(all, (int64_t)kv->b * kv->n, kv->c, q ? 0 : d, d);
    b->bias = how->bias ? fetch(r, how->bias) : NULL;
    mem_free(all);
}

int rollout_rows(const model_watch *w, int block)
{
    if (block < 0 || block >= w->blocks)
        BUG("rollout: block %d of %d", block, w->blocks);
    return w->block[block].keys;
}

/* out [keys] = mean over heads of v [queries] A. */
static void through(const watch_block *b, backend *be, int sample, const double *v, double *out)
{
    int d = b->d, head = d / b->heads;
    int64_t keys = b->keys;
    float *kv = MEM_ARRAY(float, keys * 2 * d), *dy = MEM_ARRAY(float, (int64_t)b->queries *d);
    for (int64_t j = 0; j < keys; j++)
        memcpy(kv + j * 2 * d, b->k + (sample * keys + j) * d, (size_t)d * sizeof *kv);
    for (int64_t i = 0; i < b->queries; i++)
        for (int h = 0; h < b->heads; h++)
            dy[i * d + h * head] = (float)v[i];
    run *r = run_new(be, RUN_TRAIN);
    tensor *q = run_input(r, 1, b->queries, d, b->q + (int64_t)sample * b->queries * d, true);
    tensor *t = run_input(r, 1, b->keys, 2 * d, kv, false);
    op_attention_spec how = {.heads = b->heads, .kv = t};
    if (b->bias)
        how.bias = run_input(r, 1, b->keys, 1, b->bias + sample * keys, true);
    run_backward_from(r, op_attention(r, q, &how, NULL), dy);
    run_read_grad(r, t, kv);
    for (int64_t j = 0; j < keys; j++) {
        double sum = 0;
        for (int h = 0; h < b->heads; h++)
            sum += (double)kv[j * 2 * d + d + h * head];
        out[j] = sum / b->heads;
    }
    run_free(r);
    mem_free(kv);
    mem_free(dy);
}

/* Weight of row j in the row that it went to: its attention where EViT fused it, its size where PPT
 * merged it; every other row has company only of size. */
static double weight_of(const model_watch *w, const watch_layer *l, const watch_block *b,
                        int sample, int j)
{
    int64_t at = (int64_t)sample * l->n_in + j;
    if (l->fused >= 0 && l->dst[at] == l->fused)
        return (double)l->score[at];
    return b->bias ? exp((double)b->bias[at]) : 1;
}

/* v over the rows that left block i -> over those that entered its reduction. */
static double *back_through_map(const model_watch *w, int block, int sample, double *v)
{
    const watch_layer *l = NULL;
    for (int i = 0; i < w->layers; i++)
        if (w->layer[i].block == block)
            l = &w->layer[i];
    if (!l)
        return v;
    const watch_block *b = &w->block[block];
    const int32_t *dst = l->dst + (int64_t)sample * l->n_in;
    double *total = MEM_ARRAY(double, l->n_out), *out = MEM_ARRAY(double, l->n_in);
    for (int j = 0; j < l->n_in; j++)
        if (dst[j] >= 0)
            total[dst[j]] += weight_of(w, l, b, sample, j);
    for (int j = 0; j < l->n_in; j++)
        if (dst[j] >= 0 && total[dst[j]] > 0)
            out[j] = v[dst[j]] * weight_of(w, l, b, sample, j) / total[dst[j]];
    mem_free(total);
    mem_free(v);
    return out;
}

void rollout_follow(const model_watch *w, backend *be, int sample, double *start, double *last)
{
    int block = w->blocks - 1;
    if (block < 0 || sample < 0 || sample >= w->b)
        BUG("rollout: sample %d of %d, %d blocks", sample, w->b, w->blocks);
    int readers = w->block[block].read;
    if (readers < 1 || readers > w->prefix)
        BUG("rollout: %d queries of the last block count, %d tokens come before patches", readers,
            w->prefix);
    double *v = MEM_ARRAY(double, w->block[block].keys);
    for (int i = 0; i < readers; i++)
        v[i] = 1.0 / readers;
    for (; block >= 0; block--) {
        v = back_through_map(w, block, sample, v);
        const watch_block *b = &w->block[block];
        double *next = MEM_ARRAY(double, b->keys);
        through(b, be, sample, v, next);
        if (block == w->blocks - 1)
            memcpy(last, next, (size_t)b->keys * sizeof *last);
        for (int j = 0; j < b->keys; j++)
            next[j] = (next[j] + v[j]) / 2;
        mem_free(v);
        v = next;
    }
    memcpy(start, v, (size_t)w->block[0].keys * sizeof *start);
    mem_free(v);
}
