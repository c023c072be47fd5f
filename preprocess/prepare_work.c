/* The stage's side of an isolated worker (prepare_work.h): ask, believe nothing, compress. */
#include "preprocess/prepare_work.h"

#include "core/fs.h"
#include "core/mem.h"
#include "dicom/scan.h"

void prepare_done_reset(prepare_done *d)
{
    prepare_done empty;
    memset(&empty, 0, sizeof empty);
    for (int i = 0; i < PREPARE_SIZES; i++) {
        empty.image[i] = d->image[i];
        empty.mask[i] = d->mask[i];
        empty.image[i].len = empty.mask[i].len = 0;
    }
    *d = empty;
}

void prepare_done_release(prepare_done *d)
{
    for (int i = 0; i < PREPARE_SIZES; i++) {
        shard_chunk_release(&d->image[i]);
        shard_chunk_release(&d->mask[i]);
    }
}

bool prepare_done_append(const prepare_done *d, int i, shard_writer *w, err *e)
{
    const shard_chunk *c = &d->image[i], *mask = &d->mask[i];
    return shard_append(w, c->data, c->len, &d->meta[i], e) &&
           (!mask->len || shard_append_mask(w, mask->data, mask->len, e));
}

bool prepare_crew_start(prepare_crew *c, const cfg *config, int n, err *e)
{
    memset(c, 0, sizeof *c);
    if (!prepare_bind(config, &c->cfg, e))
        return false;
    worker_limits limits = {c->cfg.seconds, (size_t)c->cfg.memory_mib << 20,
                            prepare_reply_cap(config)};
    c->config = config;
    c->worker = MEM_ARRAY(worker *, n);
    c->memory = MEM_ARRAY(arena *, n);
    c->n = n;
    for (int i = 0; i < n; i++) {
        c->memory[i] = arena_new((size_t)1 << 20);
        c->worker[i] = worker_new(&limits);
        if (!c->worker[i])
            return err_set(e, ERR_IO, "prepare: cannot start an isolated worker");
    }
    return true;
}

void prepare_crew_stop(prepare_crew *c)
{
    for (int i = 0; i < c->n; i++) {
        worker_free(c->worker[i]);
        arena_free(c->memory[i]);
    }
    mem_free(c->worker);
    mem_free(c->memory);
    memset(c, 0, sizeof *c);
}

static bool is_hex(const char *s, size_t cap, bool empty_ok)
{
    size_t n = strnlen(s, cap);
    if (n == cap || (n == 0 && !empty_ok))
        return false;
    return strspn(s, "0123456789abcdef") == n;
}

/* The reply comes from a process that read foreign bytes: believe nothing. */
static bool reply_ok(const prepare_cfg *c, const prepared *p, size_t len)
{
    if ((unsigned)p->primary >= REASON_COUNT || !is_hex(p->file_hash, 33, false) ||
        !is_hex(p->pixel_hash, 33, true))
        return false;
    if (p->primary != REASON_NONE)
        return p->n_sizes == 0;
    if (p->n_sizes != c->n_sizes || !p->pixel_hash[0])
        return false;
    for (int i = 0; i < p->n_sizes; i++) {
        size_t bytes = (size_t)c->h[i] * (size_t)c->w[i] * 2;
        if (p->h[i] != c->h[i] || p->w[i] != c->w[i] || p->image_at[i] % 2 ||
            p->image_at[i] < sizeof *p || p->image_at[i] > len || len - p->image_at[i] < bytes)
            return false;
        if (c->mask &&
            (p->mask_at[i] < sizeof *p || p->mask_at[i] > len || len - p->mask_at[i] < bytes / 2))
            return false;
    }
    return true;
}

static void set_reason(prepare_done *d, reason why)
{
    d->primary = why;
    reason_add(&d->reasons, why);
}

static void set_meta(const todo *t, const prepared *p, int i, shard_meta *m)
{
    memset(m, 0, sizeof *m);
    memcpy(m->image, t->image, sizeof m->image);
    memcpy(m->exam, t->exam, sizeof m->exam);
    memcpy(m->patient, t->patient, sizeof m->patient);
    memcpy(m->pixel_hash, p->pixel_hash, sizeof m->pixel_hash);
    memcpy(m->affine, p->affine[i], sizeof m->affine);
    memcpy(m->reasons, p->reasons.bits, sizeof m->reasons);
    m->side = p->rec.side;
    m->view = p->rec.view == VIEW_CC ? 'C' : p->rec.view == VIEW_MLO ? 'M' : 0;
    m->mm_per_px = (float)p->mm_per_px[i];
    m->proc_flags = p->proc_flags;
    m->breast_pixels = p->breast_pixels[i];
    m->noise = p->noise;
    m->sum_all = p->sum_all[i];
    m->sumsq_all = p->sumsq_all[i];
    m->sum_breast = p->sum_breast[i];
    m->sumsq_breast = p->sumsq_breast[i];
}

static worker_result ask(const prepare_crew *c, int thread, const todo *t, const void **reply,
                         size_t *len)
{
    size_t arg_len;
    void *arg = prepare_request(c->config, &t->rec, &arg_len);
    char *path = fs_is_dir(t->root) ? fs_join(t->root, t->path) : mem_strdup(t->root);
    worker_result got =
        worker_call(c->worker[thread], PREPARE_TASK, path, NULL, 0, arg, arg_len, reply, len);
    mem_free(path);
    mem_free(arg);
    return got;
}

void prepare_crew_work(const prepare_crew *c, int thread, const todo *t, prepare_done *d)
{
    const void *reply = NULL;
    size_t len = 0;
    arena *a = c->memory[thread];
    prepare_done_reset(d);
    if (t->scan_reason != REASON_NONE) {
        set_reason(d, t->scan_reason);
        return;
    }
    switch (ask(c, thread, t, &reply, &len)) {
    case WORKER_CRASH:
        set_reason(d, REASON_DECODER_CRASH);
        return;
    case WORKER_LIMIT:
        set_reason(d, REASON_DECODER_LIMIT);
        return;
    case WORKER_IO:
        set_reason(d, REASON_IO_UNREADABLE);
        return;
    case WORKER_OK:
        break;
    }
    prepared p;
    if (len >= sizeof p)
        memcpy(&p, reply, sizeof p);
    if (len < sizeof p || !reply_ok(&c->cfg, &p, len)) {
        set_reason(d, REASON_DECODER_CRASH);
        return;
    }
    d->primary = p.primary;
    d->reasons = p.reasons;
    memcpy(d->file_hash, p.file_hash, sizeof d->file_hash);
    memcpy(d->pixel_hash, p.pixel_hash, sizeof d->pixel_hash);
    d->n_sizes = p.n_sizes;
    for (int i = 0; i < p.n_sizes; i++) {
        set_meta(t, &p, i, &d->meta[i]);
        arena_reset(a);
        shard_pack((const uint16_t *)((const char *)reply + p.image_at[i]), p.h[i], p.w[i], a,
                   &d->image[i]);
        if (c->cfg.mask)
            shard_pack_mask((const uint8_t *)reply + p.mask_at[i], p.h[i], p.w[i], a, &d->mask[i]);
    }
}
