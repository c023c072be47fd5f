/* Prefetching batch loader over the shards of a cohort. The background thread reads chunks (HDF5 is
 * locked inside shard.c), inflates them, and draws the numbers of augmentation and PatchDropout,
 * which are keyed by the sample and the epoch. Masks are read only where kept patches ask for them,
 * and never cached: they are small. */
#include "train/loader.h"

#include "core/fs.h"
#include "core/mem.h"
#include "core/pool.h"
#include "train/breast.h"

#include <string.h>

#define PREFETCH 3
#define RING     (PREFETCH + 2) /* two more: the batch before is still read by a device */

typedef struct slot { /* buffers of one batch */
    uint16_t *pixels; /* for images that are not cached; for all where these are locked */
    bool locked;      /* memory that the device fetches from */
    const uint16_t **image;
    model_view *view;
    uint64_t *sample;
    uint8_t *breast; /* of every patch */
    int32_t *keep, *label;
    int b, n_keep; /* n_keep: 0 = all */
    int64_t index;
    bool failed;
    err e;
} slot;

struct loader {
    const cohort *c;
    backend *be; /* that batches are for, or NULL */
    int size, h, w;
    shard **shard;     /* open handles, by index in the cohort */
    uint16_t **cached; /* by cohort row; NULL = not kept */
    size_t cache, cache_left, image_bytes;
    void *chunk; /* scratch of the background thread */
    size_t chunk_cap;
    uint8_t *mask; /* the same, of one image */
    loader_plan plan;
    slot ring[RING];
    int ring_batch;              /* capacity of the slots in samples */
    int ring_keep, ring_patches; /* of one sample */
    pool_feed *feed;
};

loader *loader_new(const cohort *c, int size, size_t cache, err *e)
{
    if (size < 0 || size >= c->n_sizes) {
        err_set(e, ERR_CONFIG, "the cohort has %d sizes, size %d was asked for", c->n_sizes, size);
        return NULL;
    }
    loader *l = MEM_NEW(loader);
    l->c = c;
    l->size = size;
    l->h = c->h[size];
    l->w = c->w[size];
    l->image_bytes = (size_t)l->h * (size_t)l->w * sizeof(uint16_t);
    l->cache = l->cache_left = cache;
    l->shard = MEM_ARRAY(shard *, c->n_shards ? c->n_shards : 1);
    l->cached = MEM_ARRAY(uint16_t *, c->n ? c->n : 1);
    return l;
}

static void free_slots(loader *l)
{
    for (int i = 0; i < RING; i++) {
        slot *s = &l->ring[i];
        if (s->locked)
            backend_lock_free(l->be, s->pixels);
        else
            mem_free(s->pixels);
        mem_free(s->image);
        mem_free(s->view);
        mem_free(s->sample);
        mem_free(s->breast);
        mem_free(s->keep);
        mem_free(s->label);
        memset(s, 0, sizeof *s);
    }
    l->ring_batch = 0;
}

void loader_free(loader *l)
{
    if (!l)
        return;
    loader_stop(l);
    free_slots(l);
    for (int i = 0; i < l->c->n_shards; i++)
        shard_close(l->shard[i]);
    for (int64_t i = 0; i < l->c->n; i++)
        mem_free(l->cached[i]);
    mem_free(l->shard);
    mem_free(l->cached);
    mem_free(l->chunk);
    mem_free(l->mask);
    mem_free(l);
}

void loader_use(loader *l, backend *be)
{
    loader_stop(l);
    free_slots(l);
    l->be = be;
}

void loader_size(const loader *l, int *h, int *w)
{
    *h = l->h;
    *w = l->w;
}

size_t loader_ahead(const loader *l, int batch)
{
    return (size_t)batch * RING * l->image_bytes;
}

size_t loader_bytes(const loader *l, int batch, int64_t rows)
{
    size_t kept = l->image_bytes ? l->cache / l->image_bytes : 0;
    kept = kept < (size_t)rows ? kept : (size_t)rows;
    return loader_ahead(l, batch) + kept * l->image_bytes;
}

static bool open_shard(loader *l, int k, err *e)
{
    int h, w;
    if (l->shard[k])
        return true;
    char *path = fs_join(l->c->dir, l->c->shard[k].file);
    l->shard[k] = shard_open(path, e);
    mem_free(path);
    if (!l->shard[k])
        return err_wrap(e, "loader");
    shard_size(l->shard[k], &h, &w);
    if (h == l->h && w == l->w && shard_n(l->shard[k]) == l->c->shard[k].n)
        return true;
    shard_close(l->shard[k]);
    l->shard[k] = NULL;
    return err_set(e, ERR_MISMATCH,
                   "loader: shard '%s' is not the one of the cohort; run "
                   "'mammovit verify'",
                   l->c->shard[k].file);
}

bool loader_masks(loader *l, const char **lacking, err *e)
{
    *lacking = NULL;
    for (int k = 0; k < l->c->n_shards && !*lacking; k++) {
        if (l->c->shard[k].size != l->size)
            continue;
        if (!open_shard(l, k, e))
            return false;
        if (!shard_has_mask(l->shard[k]))
            *lacking = l->c->shard[k].file;
    }
    return true;
}

bool loader_need_masks(loader *l, err *e)
{
    const char *lacking;
    if (!loader_masks(l, &lacking, e))
        return false;
    return !lacking || err_set(e, ERR_CONFIG,
                               "model.keep_mode: breast needs masks, and shard '%s' has none; "
                               "prepare the images with prepare.mask: true",
                               lacking);
}

static bool inflate(loader *l, int64_t row, uint16_t *out, err *e)
{
    const cohort_row *r = &l->c->row[row];
    int k = r->shard[l->size];
    size_t len;
    return open_shard(l, k, e) &&
           shard_read_chunk(l->shard[k], r->shard_row[l->size], &l->chunk, &l->chunk_cap, &len,
                            e) &&
           shard_inflate(l->chunk, len, l->h, l->w, out, e);
}

static bool inflate_mask(loader *l, int64_t row, uint8_t *out, err *e)
{
    const cohort_row *r = &l->c->row[row];
    int k = r->shard[l->size];
    size_t len;
    return open_shard(l, k, e) &&
           shard_read_mask(l->shard[k], r->shard_row[l->size], &l->chunk, &l->chunk_cap, &len, e) &&
           shard_inflate_mask(l->chunk, len, l->h, l->w, out, e);
}

/* Which patches of a row hold breast, as the network will see it. */
static bool find_breast(loader *l, int64_t row, const model_view *view, uint8_t *out, err *e)
{
    int rows, cols;
    if (!l->mask)
        l->mask = MEM_ARRAY(uint8_t, (size_t)l->h * (size_t)l->w);
    if (!inflate_mask(l, row, l->mask, e))
        return false;
    model_grid(l->plan.keep->net, &rows, &cols);
    breast_patches(l->mask, l->h, l->w, view, rows, cols, out);
    return true;
}

bool loader_image(loader *l, int64_t row, uint16_t *out, err *e)
{
    if (l->feed)
        BUG("loader_image while a plan is running");
    if (!l->cached[row])
        return inflate(l, row, out, e);
    memcpy(out, l->cached[row], l->image_bytes);
    return true;
}

bool loader_mask(loader *l, int64_t row, uint8_t *out, err *e)
{
    if (l->feed)
        BUG("loader_mask while a plan is running");
    return inflate_mask(l, row, out, e);
}

bool loader_meta(loader *l, int64_t row, shard_meta *out, err *e)
{
    const cohort_row *r = &l->c->row[row];
    int k = r->shard[l->size];
    if (l->feed)
        BUG("loader_meta while a plan is running");
    return open_shard(l, k, e) && shard_read_meta(l->shard[k], r->shard_row[l->size], out, e);
}

/* The pixels of a row: from the cache, into the cache, or into the slot. Cached images are the
 * host's: a device that fetches by itself gets them through the slot. */
static const uint16_t *fetch(loader *l, int64_t row, slot *s, int at)
{
    uint16_t *own = s->pixels + (size_t)at * (l->image_bytes / sizeof(uint16_t));
    bool room = l->cache_left >= l->image_bytes;
    uint16_t *to = l->cached[row] ? l->cached[row] : room ? mem_alloc(l->image_bytes) : own;
    if (!l->cached[row] && !inflate(l, row, to, &s->e)) {
        s->failed = true;
        if (to != own)
            mem_free(to);
        return NULL;
    }
    if (!l->cached[row] && to != own) {
        l->cache_left -= l->image_bytes;
        l->cached[row] = to;
    }
    return to != own && s->locked ? memcpy(own, to, l->image_bytes) : to;
}

/* Identity of a row for the draw of its patches. */
static uint64_t sample_of(const loader *l, int64_t row)
{
    uint64_t name[2];
    if (!l->plan.by_image)
        return (uint64_t)row;
    fs_xxh128_raw(l->c->row[row].image, strlen(l->c->row[row].image), name);
    return name[0];
}

/* The patches that the images of a slot keep; s->n_keep 0 where these are all. */
static void draw_kept(loader *l, slot *s)
{
    const loader_plan *p = &l->plan;
    const keep_plan *keep = p->keep;
    s->n_keep = 0;
    if (!keep || keep_count(keep, s->index) == model_patches(keep->net))
        return;
    int patches = model_patches(keep->net);
    bool breast = model_wants_breast(keep->net) && !keep->replay;
    for (int k = 0; k < s->b && !s->failed; k++) {
        int64_t row = p->row[s->index * p->batch + k];
        s->sample[k] = sample_of(l, row);
        if (breast)
            s->failed =
                !find_breast(l, row, &s->view[k], s->breast + (size_t)k * (size_t)patches, &s->e);
    }
    if (!s->failed)
        s->n_keep = keep_draw(keep, s->index, s->b, s->sample, breast ? s->breast : NULL, s->keep);
}

static void make(void *ctx, int64_t i, void *item)
{
    loader *l = ctx;
    const loader_plan *p = &l->plan;
    int64_t index = p->only ? p->only[i] : p->first + i, first = index * p->batch;
    slot *s = &l->ring[i % RING];
    s->b = (int)(p->n - first < p->batch ? p->n - first : p->batch);
    s->index = index;
    s->failed = false;
    for (int k = 0; k < s->b && !s->failed; k++) {
        int64_t row = p->row[first + k];
        s->image[k] = fetch(l, row, s, k);
        s->label[k] = l->c->row[row].y[p->horizon];
        s->view[k] = model_view_identity;
        if (p->aug)
            augment_view(p->aug, l->h, l->w, p->seed, (uint64_t)row, p->epoch, &s->view[k]);
    }
    if (!s->failed)
        draw_kept(l, s);
    *(slot **)item = s;
}

static void size_slots(loader *l, const loader_plan *p)
{
    int keep = p->keep ? keep_most(p->keep) : 0;
    int patches = p->keep ? model_patches(p->keep->net) : 0;
    if (l->ring_batch >= p->batch && l->ring_keep >= keep && l->ring_patches >= patches)
        return;
    free_slots(l);
    l->ring_batch = p->batch;
    l->ring_keep = keep;
    l->ring_patches = patches;
    for (int i = 0; i < RING; i++) {
        slot *s = &l->ring[i];
        s->pixels = l->be ? backend_lock_alloc(l->be, (size_t)p->batch * l->image_bytes) : NULL;
        s->locked = s->pixels != NULL;
        if (!s->pixels)
            s->pixels = mem_alloc((size_t)p->batch * l->image_bytes);
        s->image = MEM_ARRAY(const uint16_t *, p->batch);
        s->view = MEM_ARRAY(model_view, p->batch);
        s->label = MEM_ARRAY(int32_t, p->batch);
        s->sample = MEM_ARRAY(uint64_t, p->batch);
        s->breast = MEM_ARRAY(uint8_t, (size_t)p->batch * (size_t)(patches ? patches : 1));
        s->keep = MEM_ARRAY(int32_t, (size_t)p->batch * (size_t)(keep ? keep : 1));
    }
}

void loader_start(loader *l, const loader_plan *p)
{
    loader_stop(l);
    l->plan = *p;
    size_slots(l, p);
    int64_t batches = p->only ? p->n_only : (p->n + p->batch - 1) / p->batch - p->first;
    l->feed = pool_feed_new(batches > 0 ? batches : 0, PREFETCH, sizeof(slot *), make, l);
}

int loader_next(loader *l, loader_batch *out, err *e)
{
    slot **item = pool_feed_next(l->feed);
    if (!item)
        return 0;
    slot *s = *item;
    const loader_plan *p = &l->plan;
    if (s->failed) {
        *e = s->e;
        return -1;
    }
    memset(out, 0, sizeof *out);
    out->first_row = s->index * p->batch;
    out->row = p->row + out->first_row;
    out->label = s->label;
    out->in = (model_batch){.b = s->b,
                            .h = l->h,
                            .w = l->w,
                            .image = s->image,
                            .grey = true,
                            .view = p->aug ? s->view : NULL,
                            .keep = s->n_keep ? s->keep : NULL,
                            .n_keep = s->n_keep};
    return 1;
}

void loader_stop(loader *l)
{
    pool_feed_free(l->feed);
    l->feed = NULL;
}
