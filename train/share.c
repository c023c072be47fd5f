/* Talk of the processes of a training (share.h), over core/ranks. */
#include "train/share.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/fs.h"
#include "core/mem.h"

int64_t share_order(int64_t first, int64_t micro, int64_t accum, int rank, int size, int64_t *out)
{
    int64_t n = 0;
    for (int64_t at = first; at < micro; at += accum) {
        int parts = (int)(micro - at < accum ? micro - at : accum);
        grads_share own = grads_deal(parts, rank, size);
        for (int k = 0; k < own.count; k++)
            out[n++] = at + own.first + k;
    }
    return n;
}

/* ---- kept patches ---------------------------------------------------------------------------- */

/* A log as 32-bit words: of every micro-batch images, patches that each keeps, rows, indices. */
static int32_t *pack_log(const keep_log *l, int64_t *n)
{
    *n = 2 * (int64_t)l->n + l->n_rows + l->n_index;
    int32_t *out = MEM_ARRAY(int32_t, *n ? *n : 1), *p = out;
    const int32_t *row = l->row;
    for (int i = 0; i < l->n; i++) {
        int64_t index = l->kept[i] == l->patches ? 0 : (int64_t)l->images[i] * l->kept[i];
        *p++ = l->images[i];
        *p++ = l->kept[i];
        memcpy(p, row, (size_t)l->images[i] * sizeof *p);
        p += l->images[i];
        row += l->images[i];
        memcpy(p, l->index + l->at[i], (size_t)index * sizeof *p);
        p += index;
    }
    return out;
}

static void unpack_log(keep_log *l, const int32_t *p, int64_t n)
{
    for (const int32_t *end = p + n; p < end;) {
        int b = p[0], kept = p[1];
        bool all = kept == l->patches;
        int64_t *row = MEM_ARRAY(int64_t, b);
        p += 2;
        for (int i = 0; i < b; i++)
            row[i] = p[i];
        p += b;
        keep_log_add(l, b, row, all ? NULL : p, kept);
        p += all ? 0 : (int64_t)b * kept;
        mem_free(row);
    }
}

/* Shares are dealt by number of process: one after the other they are the step in order. */
static void join_logs(ranks *r, const share_step *s)
{
    int size = ranks_size(r);
    int64_t n, most = 0, *each = MEM_ARRAY(int64_t, size);
    int32_t *own = pack_log(s->kept, &n);
    ranks_gather(r, &n, sizeof n, each);
    for (int i = 0; i < size; i++)
        most = each[i] > most ? each[i] : most;
    int32_t *mine = MEM_ARRAY(int32_t, most + 1), *all = MEM_ARRAY(int32_t, (most + 1) * size);
    memcpy(mine, own, (size_t)n * sizeof *mine);
    ranks_gather(r, mine, (size_t)most * sizeof *mine, all);
    for (int i = 0; i < size && ranks_rank(r) == 0; i++)
        unpack_log(s->whole, all + i * most, each[i]);
    mem_free(mine);
    mem_free(all);
    mem_free(own);
    mem_free(each);
}

/* ---- a step ---------------------------------------------------------------------------------- */

/* A block of doubles goes round: failed, stop, then the losses of a share. */
bool share_step_end(ranks *r, share_step *s, bool ok, err *e)
{
    int size = ranks_size(r), rank = ranks_rank(r);
    int most = grads_deal(s->parts, 0, size).count; /* nobody has more */
    size_t words = 2 + (size_t)most;
    double *mine = MEM_ARRAY(double, words), *all = MEM_ARRAY(double, words *(size_t)size);
    grads_share own = grads_deal(s->parts, rank, size);
    bool good = true;
    mine[0] = !ok;
    mine[1] = s->stop;
    memcpy(mine + 2, s->loss + own.first, (size_t)own.count * sizeof *mine);
    ranks_gather(r, mine, words * sizeof *mine, all);
    for (int i = 0; i < size; i++) {
        grads_share k = grads_deal(s->parts, i, size);
        const double *from = all + (size_t)i * words;
        good = good && from[0] == 0;
        s->stop = s->stop || from[1] != 0;
        memcpy(s->loss + k.first, from + 2, (size_t)k.count * sizeof *from);
    }
    mem_free(mine);
    mem_free(all);
    if (!good)
        return ranks_agree(r, ok, e);
    if (s->kept)
        join_logs(r, s);
    return true;
}

/* ---- the same everywhere --------------------------------------------------------------------- */

bool share_same_params(ranks *r, const char *when, param_set *s, err *e)
{
    char what[160], value[48];
    uint64_t sum = 0, h[2];
    if (ranks_size(r) == 1)
        return true;
    for (int i = 0; i < s->n; i++) {
        float *x = mem_alloc((size_t)s->p[i].n * sizeof *x);
        param_read(s, &s->p[i], x);
        fs_xxh128_raw(x, (size_t)s->p[i].n * sizeof *x, h);
        sum = sum * 0x9e3779b97f4a7c15u + (h[0] ^ h[1]);
        mem_free(x);
    }
    snprintf(what, sizeof what, "the sum over the weights %s", when);
    snprintf(value, sizeof value, "%016" PRIx64, sum);
    return ranks_same(r, what, value, e);
}

void share_scores(ranks *r, double *x, int64_t n, int batch)
{
    int size = ranks_size(r), rank = ranks_rank(r);
    int64_t batches = (n + batch - 1) / batch, each = (batches + size - 1) / size * batch;
    if (size == 1 || n == 0)
        return;
    double *mine = MEM_ARRAY(double, each), *all = MEM_ARRAY(double, each *size);
    for (int64_t i = rank, k = 0; i < batches; i += size, k++)
        for (int64_t j = 0; j < batch && i * batch + j < n; j++)
            mine[k * batch + j] = x[i * batch + j];
    ranks_gather(r, mine, (size_t)each * sizeof *mine, all);
    for (int64_t i = 0; i < n; i++) {
        int64_t b = i / batch;
        x[i] = all[b % size * each + b / size * batch + i % batch];
    }
    mem_free(mine);
    mem_free(all);
}
