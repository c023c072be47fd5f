/* The record of one pass of token reduction, and the way back from rows to patches. */
#include "model/watch.h"

#include <string.h>

#include "core/mem.h"

void watch_release(model_watch *w)
{
    for (int i = 0; i < w->layers; i++) {
        watch_layer *l = &w->layer[i];
        mem_free(l->dst);
        mem_free(l->score);
        mem_free(l->size);
        mem_free(l->pooled);
        mem_free(l->spread);
    }
    for (int i = 0; i < w->blocks; i++) {
        mem_free(w->block[i].q);
        mem_free(w->block[i].k);
        mem_free(w->block[i].bias);
    }
    mem_free(w->block);
    *w = (model_watch){.attention = w->attention};
}

void watch_patches(const model_watch *w, int sample, int layers, const int32_t *keep, int patches,
                   int32_t *row, int32_t *alone)
{
    if (layers < 1 || layers > w->layers || sample < 0 || sample >= w->b)
        BUG("watch: sample %d of %d after %d layers of %d", sample, w->b, layers, w->layers);
    int n = w->layer[0].n_in - w->prefix, rows = w->layer[layers - 1].n_out;
    int32_t *at = MEM_ARRAY(int32_t, 2 * n + rows + 1), *melted = at + n, *held = melted + n;
    for (int j = 0; j < n; j++)
        at[j] = w->prefix + j;
    for (int i = 0; i < layers; i++) {
        const watch_layer *l = &w->layer[i];
        for (int j = 0; j < n; j++) {
            at[j] = at[j] < 0 ? -1 : l->dst[(int64_t)sample * l->n_in + at[j]];
            melted[j] |= at[j] >= 0 && at[j] == l->fused;
        }
    }
    if (row)
        memset(row, -1, (size_t)patches * sizeof *row);
    for (int j = 0; j < n; j++) {
        int patch = keep ? keep[j] : j;
        if (patch < 0 || patch >= patches)
            BUG("watch: patch %d of %d", patch, patches);
        if (row)
            row[patch] = at[j];
        if (at[j] >= 0)
            held[at[j]]++;
    }
    if (alone) {
        memset(alone, -1, (size_t)rows * sizeof *alone);
        for (int j = 0; j < n; j++) {
            if (at[j] >= 0 && held[at[j]] == 1 && !melted[j])
                alone[at[j]] = keep ? keep[j] : j;
        }
    }
    mem_free(at);
}
