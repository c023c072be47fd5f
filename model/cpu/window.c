/* Attention within windows, with a relative position bias. One task = one head over a chunk of one
 * sample's windows; chunks depend on the shape only. The bias of a window is laid out as a matrix
 * once and used as long as neighbouring windows share their table; its gradient is collected as
 * such a matrix and goes back to the entries when the table changes. */
#include "model/cpu/cpu.h"

#include <math.h>

#define CHUNK_TOKENS 1024   /* about so many tokens of a sample in one task */
#define NEVER        -1e30f /* logit of a padded column: its probability is nothing */

typedef struct window_job {
    cpu *c;
    const op_args *a;
    int heads, d, head, tokens, pad;
    int windows, chunk, chunks; /* of a sample; windows in a chunk */
    int entries;
    float scale;
    const float *entry; /* [heads][2 * entries]: bias, then bias + mask */
    float *parts;       /* gradient of the bias [sample, chunk][entries][heads] */
} window_job;

/* What a task holds for the windows of one table. Matrices over tokens have `pad` columns. */
typedef struct window_pass {
    const window_job *j;
    const float *entry;     /* of the head */
    int table;              /* whose bias is laid out, -1 = none */
    float *bias, *sum;      /* sum: gradient of the logits over the windows of this table */
    float *grad;            /* [2 * entries] of this head and chunk */
    float *turned, *p, *dp; /* [head][pad]; probabilities; their gradient */
} window_pass;

static window_job job_new(cpu *c, const op_args *a)
{
    window_job j = {.c = c, .a = a, .heads = a->window.heads, .d = a->y->c};
    j.head = j.d / j.heads;
    j.tokens = a->window.spec.tokens;
    j.pad = (j.tokens + c->k->lanes - 1) / c->k->lanes * c->k->lanes;
    j.windows = a->y->n / j.tokens;
    j.chunk = CHUNK_TOKENS / j.tokens;
    j.chunk = j.chunk < 1 ? 1 : j.chunk;
    j.chunks = (j.windows + j.chunk - 1) / j.chunk;
    j.entries = a->w->shape[0];
    j.scale = (float)(1.0 / sqrt((double)j.head));
    return j;
}

/* Head by head, the masked twin behind; `at` has room for heads * 2 * entries. */
static void entries_by_head(window_job *j, float *at)
{
    for (int h = 0; h < j->heads; h++) {
        float *row = at + (int64_t)h * 2 * j->entries;
        for (int e = 0; e < j->entries; e++) {
            row[e] = j->a->w->x[(int64_t)e * j->heads + h];
            row[j->entries + e] = row[e] + OP_WINDOW_MASK;
        }
    }
    j->entry = at;
}

static window_pass pass_new(const window_job *j, int head, int thread, bool back)
{
    size_t square = (size_t)j->tokens * (size_t)j->pad, turned = (size_t)j->head * (size_t)j->pad;
    size_t entries = 2 * (size_t)j->entries;
    size_t want = 2 * square + turned + (back ? 2 * square + entries : 0);
    float *at = cpu_scratch_get(&j->c->own[thread], want);
    window_pass s = {.j = j, .table = -1, .entry = j->entry + (int64_t)head * 2 * j->entries};
    s.bias = at;
    s.turned = s.bias + square;
    s.p = s.turned + turned;
    for (size_t i = 0; i < square; i++)
        s.bias[i] = NEVER;
    memset(s.turned, 0, turned * sizeof(float)); /* its padded columns stay so */
    if (back) {
        s.dp = s.p + square;
        s.sum = s.dp + square;
        s.grad = s.sum + square;
        memset(s.sum, 0, (square + entries) * sizeof(float));
    }
    return s;
}

static const int32_t *index_of(const window_job *j, int table)
{
    return j->a->window.spec.index + (int64_t)table * j->tokens * j->tokens;
}

/* The gradient collected under the present table goes to its entries. */
static void give_back(window_pass *s)
{
    const window_job *j = s->j;
    if (s->table < 0 || !s->sum)
        return;
    const int32_t *index = index_of(j, s->table);
    for (int q = 0; q < j->tokens; q++, index += j->tokens) {
        const float *row = s->sum + (int64_t)q * j->pad;
        for (int k = 0; k < j->tokens; k++)
            s->grad[index[k]] += row[k];
    }
    memset(s->sum, 0, (size_t)j->tokens * (size_t)j->pad * sizeof(float));
}

static void take_table(window_pass *s, int table)
{
    const window_job *j = s->j;
    if (table == s->table)
        return;
    give_back(s);
    const int32_t *index = index_of(j, table);
    for (int q = 0; q < j->tokens; q++, index += j->tokens) {
        float *row = s->bias + (int64_t)q * j->pad;
        for (int k = 0; k < j->tokens; k++)
            row[k] = s->entry[index[k]];
    }
    s->table = table;
}

static void turn(const window_job *j, const float *x, int ld, float *out)
{
    for (int c = 0; c < j->head; c++) {
        float *row = out + (int64_t)c * j->pad;
        for (int t = 0; t < j->tokens; t++)
            row[t] = x[(int64_t)t * ld + c];
    }
}

/* out [tokens][pad] = a b^T: rows of a and b are the tokens of one window. */
static void pairs(window_pass *s, const float *a, int lda, const float *b, int ldb, float *out)
{
    const window_job *j = s->j;
    turn(j, b, ldb, s->turned);
    kernels_product k = {.c = out, .a = a, .x = s->turned, .ldc = j->pad, .ldx = j->pad};
    k.a_row = lda;
    k.a_step = 1;
    k.m = j->tokens;
    k.n = j->pad;
    k.depth = j->head;
    j->c->k->product(&k);
}

/* out (+)= m x or m^T x, m [tokens][pad]; rows of x and out are tokens. */
static void apply(const window_pass *s, const float *m, bool turned, const float *x, int ldx,
                  float *out, int ldout, bool add)
{
    const window_job *j = s->j;
    kernels_product k = {.c = out, .a = m, .x = x, .ldc = ldout, .ldx = ldx, .add = add};
    k.a_row = turned ? 1 : j->pad;
    k.a_step = turned ? j->pad : 1;
    k.m = j->tokens;
    k.n = j->head;
    k.depth = j->tokens;
    j->c->k->product(&k);
}

/* Scaled logits with their bias, into s->p. */
static void logits(window_pass *s, const float *q, const float *k)
{
    const window_job *j = s->j;
    pairs(s, q, 3 * j->d, k, 3 * j->d, s->p);
    j->c->k->sum2(s->p, s->bias, s->p, j->scale, j->tokens * j->pad);
}

/* Of task i: the head, the sample and the windows first..last-1 in it. */
typedef struct window_task {
    int head, first, last;
    int64_t sample;
} window_task;

static window_task task_of(const window_job *j, int64_t i)
{
    window_task t = {.head = (int)(i % j->heads), .sample = i / j->heads / j->chunks};
    t.first = (int)(i / j->heads % j->chunks) * j->chunk;
    t.last = t.first + j->chunk < j->windows ? t.first + j->chunk : j->windows;
    return t;
}

static int64_t save_of(const window_job *j, const window_task *t, int w)
{
    return ((t->sample * j->heads + t->head) * j->windows + w) * j->tokens;
}

static void forward_task(void *ctx, int64_t i, int thread)
{
    const window_job *j = ctx;
    const kernels *k = j->c->k;
    window_task t = task_of(j, i);
    window_pass s = pass_new(j, t.head, thread, false);
    for (int w = t.first; w < t.last; w++) {
        int64_t row = t.sample * j->a->y->n + (int64_t)w * j->tokens;
        const float *q = j->a->x->x + row * 3 * j->d + t.head * j->head;
        float *y = j->a->y->x + row * j->d + t.head * j->head;
        take_table(&s, j->a->window.spec.table[t.sample * j->windows + w]);
        logits(&s, q, q + j->d);
        for (int r = 0; r < j->tokens; r++) {
            float *p = s.p + (int64_t)r * j->pad, log_sum;
            float total = k->softmax(p, j->pad, 1.0f, &log_sum);
            k->axpy(p, p, 1.0f / total, false, j->pad);
            if (j->a->save)
                j->a->save[save_of(j, &t, w) + r] = log_sum;
        }
        apply(&s, s.p, false, q + 2 * j->d, 3 * j->d, y, j->d, false);
    }
}

static void check_tables(const window_job *j)
{
    const op_window_spec *w = &j->a->window.spec;
    int64_t pairs_of_all = (int64_t)w->tables * j->tokens * j->tokens;
    for (int64_t i = 0; i < pairs_of_all; i++) {
        if (w->index[i] < 0 || w->index[i] >= 2 * j->entries)
            BUG("window: entry %d of %d", w->index[i], 2 * j->entries);
    }
    for (int64_t i = 0; i < (int64_t)j->a->y->b * j->windows; i++) {
        if (w->table[i] < 0 || w->table[i] >= w->tables)
            BUG("window: table %d of %d", w->table[i], w->tables);
    }
}

void cpu_window_forward(backend *be, op_args *a)
{
    window_job j = job_new(cpu_of(be), a);
    check_tables(&j);
    entries_by_head(&j, cpu_scratch_get(&j.c->shared, (size_t)j.heads * 2 * (size_t)j.entries));
    pool_for(be->pool, (int64_t)a->y->b * j.chunks * j.heads, forward_task, &j);
}

static void backward_task(void *ctx, int64_t i, int thread)
{
    const window_job *j = ctx;
    const kernels *k = j->c->k;
    window_task t = task_of(j, i);
    window_pass s = pass_new(j, t.head, thread, true);
    int ld = 3 * j->d, square = j->tokens * j->pad;
    bool add = j->a->add_x;
    for (int w = t.first; w < t.last; w++) {
        int64_t row = t.sample * j->a->y->n + (int64_t)w * j->tokens;
        int64_t at = row * ld + t.head * j->head, out = row * j->d + t.head * j->head;
        const float *q = j->a->x->x + at, *y = j->a->y->x + out, *gy = j->a->y->g + out;
        const float *lse = j->a->save + save_of(j, &t, w);
        take_table(&s, j->a->window.spec.table[t.sample * j->windows + w]);
        logits(&s, q, q + j->d);
        pairs(&s, gy, j->d, q + 2 * j->d, ld, s.dp);
        for (int r = 0; r < j->tokens; r++) {
            float delta = k->dot(y + (int64_t)r * j->d, gy + (int64_t)r * j->d, j->head);
            k->softmax_back(s.p + (int64_t)r * j->pad, s.dp + (int64_t)r * j->pad, j->pad, 1.0f,
                            lse[r], delta);
        }
        k->add(s.sum, s.dp, square);
        if (j->a->x->fixed)
            continue;
        float *g = j->a->x->g + at;
        k->axpy(s.dp, s.dp, j->scale, false, square);
        apply(&s, s.dp, false, q + j->d, ld, g, ld, add);
        apply(&s, s.dp, true, q, ld, g + j->d, ld, add);
        apply(&s, s.p, true, gy, j->d, g + 2 * j->d, ld, add);
    }
    give_back(&s);
    float *part = j->parts + i / j->heads * j->entries * j->heads;
    for (int e = 0; e < j->entries; e++)
        part[(int64_t)e * j->heads + t.head] = s.grad[e] + s.grad[j->entries + e];
}

void cpu_window_backward(backend *be, op_args *a)
{
    window_job j = job_new(cpu_of(be), a);
    int64_t count = (int64_t)a->y->b * j.chunks;
    size_t n = (size_t)j.entries * (size_t)j.heads;
    float *at = cpu_scratch_get(&j.c->shared, (2 + (size_t)count) * n);
    entries_by_head(&j, at);
    j.parts = at + 2 * n;
    pool_for(be->pool, count * j.heads, backward_task, &j);
    cpu_sum_parts(j.c, a->w->g, j.parts, count, (int)n);
}
