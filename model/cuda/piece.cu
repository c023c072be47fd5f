/* Pieces of work: the calls between begin and end are collected with their arguments, then issued
 * as one graph where the same list has come before (graph.cu). What changes from step to step is no
 * argument: small host data lie in staging memory at the same place of the card each time, filled
 * by one copy at the head of the piece; images are found through a word among these. The host may
 * be PLAN_AHEAD pieces in front; what it writes for a piece it has once for each of these. */
#include "model/cuda/piece.cuh"

#define SLOTS  (PLAN_AHEAD + 1)
#define CHUNKS 24 /* of staging memory, each twice as large as all before */
#define IMAGES 2

/* Staging memory never moves: addresses in it are on lists. */
struct chunk {
    char *device, *host[SLOTS];
    size_t size, used, sent; /* used and sent: of the running piece */
};

struct answer {
    void *dst;
    const void *src;
    size_t bytes;
};

struct piece_slot {
    int64_t piece; /* that is under way with it, or 0 */
    cudaEvent_t done;
    char *host; /* page-locked, PLAN_ANSWERS of PLAN_ANSWER */
    answer later[PLAN_ANSWERS];
    int n;
};

struct image_buffer {
    char *data;
    size_t size;
    cudaEvent_t copied, used;
    bool pending; /* the running piece reads it */
};

struct cuda_pieces {
    cuda_list list;
    bool broken; /* a part was issued already: no graph */
    bool direct; /* no graphs are wanted */
    chunk stage[CHUNKS];
    int chunks;
    piece_slot slot[SLOTS];
    int64_t pieces; /* begun so far: the number of the running one */
    cudaStream_t copies;
    image_buffer image[IMAGES];
    unsigned images;
    const uint16_t **word; /* device: where the images lie, outside of a piece */
    cuda_graph_cache *graphs;
};

/* ---- the list ---------------------------------------------------------------------------------
 */

struct call_head {
    cuda_call_fn *run;
    size_t bytes; /* of arguments, a multiple of 16 */
};

char *cuda_call_add(cuda *c, cuda_call_fn *run, size_t bytes)
{
    cuda_list *l = &c->pieces->list;
    call_head h = {run, (bytes + 15) / 16 * 16};
    if (l->size + sizeof h + h.bytes > l->cap) {
        size_t cap = 2 * (l->cap + sizeof h + h.bytes);
        l->data = (char *)mem_realloc(l->data, l->cap, cap);
        l->cap = cap;
    }
    char *at = l->data + l->size;
    memcpy(at, &h, sizeof h);
    memset(at + sizeof h, 0, h.bytes);
    l->size += sizeof h + h.bytes;
    l->calls++;
    return at + sizeof h;
}

void cuda_list_run(cuda *c, const cuda_list *l)
{
    call_head h;
    for (size_t at = 0; at < l->size; at += sizeof h + h.bytes) {
        memcpy(&h, l->data + at, sizeof h);
        h.run(c, l->data + at + sizeof h);
    }
}

/* ---- staging ----------------------------------------------------------------------------------
 */

static piece_slot *slot_of(cuda_pieces *p)
{
    return &p->slot[p->pieces % SLOTS];
}

size_t cuda_pieces_staging(const cuda_pieces *p)
{
    size_t n = 0;
    for (int i = 0; i < p->chunks; i++)
        n += p->stage[i].size;
    return n;
}

static chunk *chunk_add(cuda *c, size_t bytes)
{
    cuda_pieces *p = c->pieces;
    size_t have = cuda_pieces_staging(p), size = have ? plan_staging_more(have) : PLAN_STAGING;
    if (p->chunks == CHUNKS)
        BUG("cuda: more than %d chunks of staging memory", CHUNKS);
    chunk *k = &p->stage[p->chunks++];
    k->size = size < bytes ? bytes : size;
    k->device = (char *)cuda_memory(c, k->size, "small data of the host");
    for (char *&host : k->host)
        host = (char *)cuda_locked(k->size);
    return k;
}

void *cuda_stage(cuda *c, const void *x, size_t bytes)
{
    cuda_pieces *p = c->pieces;
    chunk *k = NULL;
    size_t room = (bytes + PLAN_STAGE - 1) / PLAN_STAGE * PLAN_STAGE;
    if (!c->collecting)
        return NULL;
    for (int i = 0; i < p->chunks && !k; i++)
        k = p->stage[i].size - p->stage[i].used >= room ? &p->stage[i] : NULL;
    if (!k)
        k = chunk_add(c, room);
    size_t at = k->used;
    k->used += room;
    memcpy(k->host[p->pieces % SLOTS] + at, x, bytes);
    return k->device + at;
}

/* What was staged since the last time. */
static void send_staged(cuda *c)
{
    cuda_pieces *p = c->pieces;
    for (int i = 0; i < p->chunks; i++) {
        chunk *k = &p->stage[i];
        if (k->used > k->sent)
            cuda_check(cudaMemcpyAsync(k->device + k->sent, k->host[p->pieces % SLOTS] + k->sent,
                                       k->used - k->sent, cudaMemcpyHostToDevice, c->stream),
                       "staging");
        k->sent = k->used;
    }
}

/* ---- images -----------------------------------------------------------------------------------
 */

static void grow_image(cuda *c, image_buffer *i, size_t bytes)
{
    if (bytes <= i->size)
        return;
    cuda_spill(c);
    cuda_check(cudaStreamSynchronize(c->stream), "waiting for images");
    cuda_check(cudaFree(i->data), "images");
    i->data = NULL;
    i->data = (char *)cuda_memory(c, bytes, "images");
    i->size = bytes;
}

static void copy_images(cuda *c, image_buffer *i, const model_batch *b, size_t bytes)
{
    cudaStream_t s = c->pieces->copies;
    bool row = true; /* one after the other: one copy */
    for (int k = 1; k < b->b; k++)
        row = row && (const char *)b->image[k] == (const char *)b->image[0] + (size_t)k * bytes;
    for (int k = 0; k < (row ? 1 : b->b); k++)
        cuda_check(cudaMemcpyAsync(i->data + (size_t)k * bytes, b->image[k],
                                   row ? (size_t)b->b * bytes : bytes, cudaMemcpyHostToDevice, s),
                   "images");
}

/* Device address of a word that says where images lie. */
static const uint16_t *const *tell_place(cuda *c, const void *data)
{
    void *staged = cuda_stage(c, &data, sizeof data);
    if (staged)
        return (const uint16_t *const *)staged;
    c->base.ops->to_device(&c->base, (void *)c->pieces->word, &data, sizeof data);
    return c->pieces->word;
}

/* The host waits for the copy of the batch before the last one, whose memory may be another's
 * soon; the copies wait for the kernel that reads what they overwrite; the kernels for the copies.
 */
const uint16_t *const *cuda_images(cuda *c, const model_batch *b, size_t bytes)
{
    cuda_pieces *p = c->pieces;
    if (b->resident)
        return tell_place(c, b->image[0]);
    image_buffer *i = &p->image[p->images++ % IMAGES];
    if (i->pending)
        cuda_spill(c);
    cuda_check(cudaEventSynchronize(i->copied), "images");
    grow_image(c, i, (size_t)b->b * bytes);
    cuda_check(cudaStreamWaitEvent(p->copies, i->used, 0), "images");
    copy_images(c, i, b, bytes);
    cuda_check(cudaEventRecord(i->copied, p->copies), "images");
    i->pending = true;
    if (!c->collecting)
        cuda_check(cudaStreamWaitEvent(c->stream, i->copied, 0), "images");
    return tell_place(c, i->data);
}

static void wait_for_images(cuda *c)
{
    for (image_buffer &i : c->pieces->image) {
        if (i.pending)
            cuda_check(cudaStreamWaitEvent(c->stream, i.copied, 0), "images");
    }
}

static void images_are_used(cuda *c)
{
    for (image_buffer &i : c->pieces->image) {
        if (i.pending)
            cuda_check(cudaEventRecord(i.used, c->stream), "images");
        i.pending = false;
    }
}

void cuda_images_used(cuda *c)
{
    if (!c->collecting)
        images_are_used(c);
}

/* ---- pieces -----------------------------------------------------------------------------------
 */

/* What the list needs before it runs, the list, and what it leaves behind. What a call of the list
 * asks for runs at once. */
static void issue(cuda *c, bool as_graph)
{
    cuda_pieces *p = c->pieces;
    c->collecting = false;
    send_staged(c);
    wait_for_images(c);
    if (as_graph && p->list.size)
        cuda_graph_run(c, p->graphs, &p->list);
    else
        cuda_list_run(c, &p->list);
    images_are_used(c);
    p->list.size = 0;
    p->list.calls = 0;
    c->collecting = true;
}

void cuda_spill(cuda *c)
{
    if (!c->collecting)
        return;
    c->pieces->broken = true;
    issue(c, false);
}

void cuda_cut(cuda *c)
{
    if (c->collecting)
        issue(c, !c->pieces->broken);
}

/* Waits for a slot's piece, and hands its answers out. */
static void settle(piece_slot *s)
{
    if (!s->piece)
        return;
    cuda_check(cudaEventSynchronize(s->done), "waiting for a piece of work");
    for (int i = 0; i < s->n; i++)
        memcpy(s->later[i].dst, s->host + (size_t)i * PLAN_ANSWER, s->later[i].bytes);
    s->piece = 0;
    s->n = 0;
}

extern "C" void cuda_begin(backend *be)
{
    cuda *c = cuda_of(be);
    cuda_pieces *p = c->pieces;
    if (c->collecting)
        BUG("cuda: a piece in a piece");
    p->pieces++;
    settle(slot_of(p));
    for (int i = 0; i < p->chunks; i++)
        p->stage[i].used = p->stage[i].sent = 0;
    p->broken = p->direct;
    c->collecting = true;
}

extern "C" void cuda_later(backend *be, void *dst, const void *src, size_t bytes)
{
    cuda *c = cuda_of(be);
    piece_slot *s = slot_of(c->pieces);
    if (!c->collecting || s->n == PLAN_ANSWERS || bytes > PLAN_ANSWER)
        BUG("cuda: an answer of %zu bytes, %d in the piece", bytes, s->n);
    s->later[s->n++] = {dst, src, bytes};
}

extern "C" int64_t cuda_end(backend *be)
{
    cuda *c = cuda_of(be);
    cuda_pieces *p = c->pieces;
    piece_slot *s = slot_of(p);
    if (!c->collecting)
        BUG("cuda: the end of no piece");
    issue(c, !p->broken);
    for (int i = 0; i < s->n; i++)
        cuda_check(cudaMemcpyAsync(s->host + (size_t)i * PLAN_ANSWER, s->later[i].src,
                                   s->later[i].bytes, cudaMemcpyDeviceToHost, c->stream),
                   "an answer");
    cuda_check(cudaEventRecord(s->done, c->stream), "a piece of work");
    s->piece = p->pieces;
    c->collecting = false;
    return p->pieces;
}

extern "C" void cuda_wait(backend *be, int64_t piece)
{
    cuda_pieces *p = cuda_of(be)->pieces;
    for (int64_t k = p->pieces - PLAN_AHEAD; k <= piece; k++) {
        piece_slot *s = &p->slot[(k + SLOTS) % SLOTS];
        if (s->piece && s->piece <= piece)
            settle(s);
    }
}

extern "C" void cuda_graphs(backend *be, bool on)
{
    cuda_of(be)->pieces->direct = !on;
}

/* ---- opening ----------------------------------------------------------------------------------
 */

static void event_new(cudaEvent_t *e)
{
    cuda_check(cudaEventCreateWithFlags(e, cudaEventDisableTiming), "an event");
}

void cuda_pieces_open(cuda *c)
{
    cuda_pieces *p = c->pieces = MEM_NEW(cuda_pieces);
    cuda_check(cudaStreamCreateWithFlags(&p->copies, cudaStreamNonBlocking), "a stream");
    cuda_check(cudaMalloc((void **)&p->word, sizeof *p->word), "a word");
    for (image_buffer &i : p->image) {
        event_new(&i.copied);
        event_new(&i.used);
    }
    for (piece_slot &s : p->slot) {
        event_new(&s.done);
        s.host = (char *)cuda_locked(PLAN_ANSWERS * PLAN_ANSWER);
    }
    chunk_add(c, PLAN_STAGING);
    p->graphs = cuda_graph_cache_new(CUDA_GRAPHS);
}

void cuda_pieces_free(cuda *c)
{
    cuda_pieces *p = c->pieces;
    if (!p)
        return;
    backend_graphed n = cuda_graph_counted(p->graphs);
    log_debug("cuda_graphs", "launched=%lld issued=%lld made=%lld updated=%lld evicted=%lld",
              (long long)n.launched, (long long)n.issued, (long long)n.instantiated,
              (long long)n.updated, (long long)n.evicted);
    cudaStreamSynchronize(p->copies);
    cuda_graph_cache_free(p->graphs);
    for (int i = 0; i < p->chunks; i++) {
        cudaFree(p->stage[i].device);
        for (char *host : p->stage[i].host)
            cudaFreeHost(host);
    }
    for (piece_slot &s : p->slot) {
        cudaFreeHost(s.host);
        cudaEventDestroy(s.done);
    }
    for (image_buffer &i : p->image) {
        cudaFree(i.data);
        cudaEventDestroy(i.copied);
        cudaEventDestroy(i.used);
    }
    cudaFree((void *)p->word);
    cudaStreamDestroy(p->copies);
    mem_free(p->list.data);
    mem_free(p);
}

size_t cuda_pieces_images(const cuda_pieces *p)
{
    size_t n = 0;
    for (const image_buffer &i : p->image)
        n += i.size;
    return n;
}

void cuda_graph_limit(backend *be, int most)
{
    cuda_pieces *p = cuda_of(be)->pieces;
    cuda_graph_cache_free(p->graphs);
    p->graphs = cuda_graph_cache_new(most);
}

extern "C" void cuda_graphs_done(const backend *be, backend_graphed *out)
{
    *out = cuda_graph_counted(((const cuda *)be)->pieces->graphs);
}
