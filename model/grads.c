/* The tree of sums over micro-batches, and buckets on their way to the other processes. Backward
 * adds into the gradients of the set; what is complete of the tree to the left lies in `held`, a
 * stack of copies, as the digits of a binary counter do. */
#include "model/grads.h"

#include "core/mem.h"
#include "core/ranks.h"

#define HELD_MAX 32

typedef struct bucket {
    int64_t at, n; /* floats of the set's block */
    int left;      /* uses that the running walk has still to come to */
} bucket;

struct grads {
    param_set *s;
    int64_t n;      /* floats of all gradients */
    bucket *bucket; /* in the order in which backward completes them: last parameter first */
    int buckets, next;
    int *of; /* [s->n] bucket of each parameter */
    float *held[HELD_MAX];
    int helds, part;
    grads_share share;
};

grads_share grads_deal(int parts, int rank, int size)
{
    int64_t each = 1;
    while (each * size < parts)
        each *= 2;
    int64_t first = rank * each < parts ? rank * each : parts;
    return (grads_share){.first = (int)first,
                         .count = (int)(parts - first < each ? parts - first : each),
                         .active = (int)((parts + each - 1) / each)};
}

int grads_copies(int count)
{
    int most = 0;
    for (int i = 0; i + 1 < count; i += 2) {
        int n = __builtin_popcount((unsigned)i) + 1;
        most = n > most ? n : most;
    }
    return most;
}

grads *grads_new(param_set *s, size_t bytes)
{
    grads *g = MEM_NEW(grads);
    g->s = s;
    g->n = param_grads(s);
    g->bucket = MEM_ARRAY(bucket, s->n ? s->n : 1);
    g->of = MEM_ARRAY(int, s->n ? s->n : 1);
    int64_t end = g->n;
    for (int i = s->n - 1; i >= 0; i--) {
        int64_t at = s->p[i].g - s->g;
        g->of[i] = g->buckets;
        if ((size_t)(end - at) * sizeof(float) >= bytes || i == 0) {
            g->bucket[g->buckets++] = (bucket){.at = at, .n = end - at};
            end = at;
        }
    }
    return g;
}

int64_t grads_largest(const grads *g)
{
    int64_t most = 0;
    for (int i = 0; i < g->buckets; i++)
        most = g->bucket[i].n > most ? g->bucket[i].n : most;
    return most;
}

void grads_free(grads *g)
{
    if (!g)
        return;
    for (int i = 0; i < HELD_MAX; i++)
        backend_dealloc(g->s->be, g->held[i]);
    mem_free(g->bucket);
    mem_free(g->of);
    mem_free(g);
}

void grads_begin(grads *g, const grads_share *share)
{
    param_zero_grad(g->s);
    g->share = *share;
    g->part = g->next = g->helds = 0;
}

/* What stands to the left of these gradients, nearest first; then to the other processes. */
static void send_next(grads *g)
{
    const bucket *b = &g->bucket[g->next++];
    float *x = g->s->g + b->at;
    for (int i = g->helds - 1; i >= 0; i--)
        backend_fold(g->s->be, x, g->held[i] + b->at, b->n);
    backend_sum_start(g->s->be, x, b->n, g->share.active);
}

static void count_use(void *ctx, param *p)
{
    grads *g = ctx;
    g->bucket[g->of[p - g->s->p]].left++;
}

static void after_use(void *ctx, param *p)
{
    grads *g = ctx;
    g->bucket[g->of[p - g->s->p]].left--;
    while (g->next < g->buckets && g->bucket[g->next].left == 0)
        send_next(g);
}

/* Micro-batch number `i` is no longer the last: its gradients go onto the stack, and what makes a
 * whole branch is added up. */
static void hold(grads *g, int i)
{
    backend *be = g->s->be;
    if (i % 2 == 0) {
        if (g->helds == HELD_MAX)
            BUG("grads: more than 2^%d micro-batches", HELD_MAX);
        if (!g->held[g->helds])
            g->held[g->helds] = backend_alloc(be, (size_t)g->n * sizeof(float));
        backend_copy(be, g->held[g->helds++], g->s->g, (size_t)g->n * sizeof(float));
    } else {
        backend_fold(be, g->held[g->helds - 1], g->s->g, g->n);
        for (i /= 2; i % 2; i /= 2) {
            g->helds--;
            backend_fold(be, g->held[g->helds - 1], g->held[g->helds], g->n);
        }
    }
    param_zero_grad(g->s);
}

void grads_walk(grads *g, run *r, tensor *loss)
{
    bool last = g->part + 1 == g->share.count;
    if (last) {
        for (int i = 0; i < g->buckets; i++)
            g->bucket[i].left = 0;
        run_each_use(r, count_use, g);
        run_watch_uses(r, after_use, g);
    }
    run_backward(r, loss);
    run_watch_uses(r, NULL, NULL);
}

void grads_keep(grads *g)
{
    if (g->part + 1 < g->share.count)
        hold(g, g->part);
    g->part++;
}

void grads_end(grads *g)
{
    while (g->next < g->buckets)
        send_next(g);
    backend_sum_wait(g->s->be);
}
