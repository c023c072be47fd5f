/* The maps of one image (maps_trace.h). */
#include "train/maps_trace.h"

#include <math.h>
#include <string.h>

#include "core/mem.h"
#include "model/rollout.h"

/* Tokens of the patches, before anything left: token j is patch seen[j]. */
typedef struct sight {
    const maps_look *in;
    maps_trace *t;
    int32_t *seen;
    int n;
    int32_t *row, *alone; /* after the layer at hand; row also before the first */
    int32_t *before;      /* [patches] row that entered the layer */
} sight;

static void allocate(maps_trace *t)
{
    size_t p = (size_t)t->patches, all = p * (size_t)(t->layers ? t->layers : 1);
    t->survival = MEM_ARRAY(uint8_t, p);
    t->state = MEM_ARRAY(uint8_t, all);
    t->group = MEM_ARRAY(int32_t, all);
    t->attention = MEM_ARRAY(float, all);
    t->log2_size = MEM_ARRAY(float, all);
    t->last = MEM_ARRAY(float, p);
    t->rollout = MEM_ARRAY(float, p);
}

void maps_trace_release(maps_trace *t)
{
    mem_free(t->survival);
    mem_free(t->state);
    mem_free(t->group);
    mem_free(t->attention);
    mem_free(t->log2_size);
    mem_free(t->last);
    mem_free(t->rollout);
    *t = (maps_trace){0};
}

static bool unseen(const sight *s, int patch)
{
    return s->t->survival[patch] == MAPS_UNSEEN;
}

/* Is the patch's token still the patch, or an average that it is part of? */
static bool stands(uint8_t state)
{
    return state == MAPS_ALONE || state == MAPS_MERGED;
}

/* The state of every patch after layer l, and what its token is. */
static void follow_layer(sight *s, int l)
{
    maps_trace *t = s->t;
    const model_watch *w = s->in->watch;
    uint8_t *state = t->state + (size_t)l * (size_t)t->patches;
    int32_t *group = t->group + (size_t)l * (size_t)t->patches;
    float *size = t->log2_size + (size_t)l * (size_t)t->patches;
    int32_t *held = MEM_ARRAY(int32_t, w->layer[l].n_out);
    watch_patches(w, 0, l + 1, s->in->keep, t->patches, s->row, s->alone);
    for (int p = 0; p < t->patches; p++)
        if (s->row[p] >= 0)
            held[s->row[p]]++;
    for (int p = 0; p < t->patches; p++) {
        int row = s->row[p];
        group[p] = row < 0 ? -1 : row - w->prefix;
        size[p] = row < 0 ? NAN : (float)log2(held[row]);
        if (unseen(s, p))
            state[p] = MAPS_UNSEEN;
        else if (row < 0)
            state[p] = MAPS_GONE;
        else if (s->alone[row] == p)
            state[p] = MAPS_ALONE;
        else
            state[p] = t->reduction == MODEL_PPT ? MAPS_MERGED : MAPS_FUSED;
        t->survival[p] += !unseen(s, p) && stands(state[p]);
    }
    mem_free(held);
}

/* Attention to the rows that entered layer l, which s->before names; only to patches that stood. */
static void attend(const sight *s, int l)
{
    const maps_trace *t = s->t;
    const watch_layer *w = &s->in->watch->layer[l];
    float n = (float)(w->n_in - s->in->watch->prefix);
    float *a = t->attention + (size_t)l * (size_t)t->patches;
    const uint8_t *state = l ? t->state + (size_t)(l - 1) * (size_t)t->patches : NULL;
    for (int p = 0; p < t->patches; p++) {
        bool there = l ? stands(state[p]) : !unseen(s, p);
        a[p] = there && w->score ? w->score[s->before[p]] * n : NAN;
    }
}

static void count_breast(const sight *s)
{
    maps_trace *t = s->t;
    const model_cfg *m = model_config(s->in->net);
    double *area = MEM_ARRAY(double, t->patches), all = 0;
    for (int64_t y = 0; s->in->mask && y < m->image_h; y++)
        for (int64_t x = 0; x < m->image_w; x++)
            area[y / m->patch * t->cols + x / m->patch] += s->in->mask[y * m->image_w + x];
    for (int p = 0; p < t->patches; p++)
        all += area[p];
    for (int l = 0; l < t->layers; l++) {
        const uint8_t *state = t->state + (size_t)l * (size_t)t->patches;
        double kept = 0, there = 0;
        for (int p = 0; p < t->patches; p++) {
            kept += state[p] == MAPS_ALONE ? area[p] : 0;
            there += state[p] == MAPS_GONE || state[p] == MAPS_UNSEEN ? 0 : area[p];
        }
        t->kept[l] = all > 0 ? kept / all : NAN;
        t->there[l] = all > 0 ? there / all : NAN;
    }
    mem_free(area);
}

static void follow_attention(sight *s)
{
    maps_trace *t = s->t;
    const model_watch *w = s->in->watch;
    int rows = rollout_rows(w, w->blocks - 1);
    double *start = MEM_ARRAY(double, rollout_rows(w, 0)), *last = MEM_ARRAY(double, rows);
    const uint8_t *state =
        t->layers ? t->state + (size_t)(t->layers - 1) * (size_t)t->patches : NULL;
    rollout_follow(w, s->in->be, 0, start, last);
    for (int p = 0; p < t->patches; p++)
        t->rollout[p] = t->last[p] = NAN;
    for (int j = 0; j < s->n; j++) {
        int p = s->seen[j];
        t->rollout[p] = (float)start[w->prefix + j];
        if (!state || stands(state[p]))
            t->last[p] = (float)(last[s->before[p]] * (rows - w->prefix));
    }
    mem_free(start);
    mem_free(last);
}

void maps_trace_make(const maps_look *in, maps_trace *t)
{
    const model_watch *w = in->watch;
    *t = (maps_trace){.layers = w->layers, .reduction = model_config(in->net)->reduction};
    model_grid(in->net, &t->rows, &t->cols);
    t->patches = t->rows * t->cols;
    allocate(t);
    sight s = {.in = in, .t = t, .n = in->keep ? in->n_keep : t->patches};
    int most = s.n + w->prefix;
    s.seen = MEM_ARRAY(int32_t, s.n);
    s.row = MEM_ARRAY(int32_t, t->patches);
    s.before = MEM_ARRAY(int32_t, t->patches);
    s.alone = MEM_ARRAY(int32_t, most);
    memset(t->survival, in->keep ? MAPS_UNSEEN : 0, (size_t)t->patches);
    memset(s.before, -1, (size_t)t->patches * sizeof *s.before);
    for (int j = 0; j < s.n; j++) {
        s.seen[j] = in->keep ? in->keep[j] : j;
        s.before[s.seen[j]] = w->prefix + j;
        t->survival[s.seen[j]] = 0;
    }
    for (int l = 0; l < t->layers; l++) {
        t->block[l] = w->layer[l].block;
        attend(&s, l);
        follow_layer(&s, l);
        memcpy(s.before, s.row, (size_t)t->patches * sizeof *s.row);
        t->spread[l] = w->layer[l].spread ? w->layer[l].spread[0] : NAN;
        t->branch[l] = w->layer[l].pooled ? (int8_t)w->layer[l].pooled[0] : -1;
    }
    count_breast(&s);
    follow_attention(&s);
    mem_free(s.seen);
    mem_free(s.row);
    mem_free(s.before);
    mem_free(s.alone);
}
