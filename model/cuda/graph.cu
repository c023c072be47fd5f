/* Graphs of pieces. A graph stands for a list of calls and is found by the list's bytes, so that it
 * can do nothing that issuing the calls would not do. The cache is bounded: the graph that was not
 * used for longest gives its place, by an update where the new one has the same nodes. */
#include "model/cuda/piece.cuh"

#define SEEN 256 /* lists that came once are remembered by their hash */

struct graph_entry {
    uint64_t hash, used;
    char *list;
    size_t size;
    cudaGraphExec_t exec;
};

struct cuda_graph_cache {
    graph_entry *entry;
    int n, most;
    uint64_t clock, seen[SEEN];
    unsigned next_seen;
    bool off; /* a capture failed */
    backend_graphed counts;
};

cuda_graph_cache *cuda_graph_cache_new(int most)
{
    cuda_graph_cache *g = MEM_NEW(cuda_graph_cache);
    g->entry = MEM_ARRAY(graph_entry, most);
    g->most = most;
    return g;
}

static void entry_free(graph_entry *e)
{
    cuda_check(cudaGraphExecDestroy(e->exec), "a graph");
    mem_free(e->list);
}

void cuda_graph_cache_free(cuda_graph_cache *g)
{
    for (int i = 0; i < g->n; i++)
        entry_free(&g->entry[i]);
    mem_free(g->entry);
    mem_free(g);
}

backend_graphed cuda_graph_counted(const cuda_graph_cache *g)
{
    return g->counts;
}

/* FNV-1a over words; lists are whole multiples of 16 bytes. */
static uint64_t hash_of(const cuda_list *l)
{
    uint64_t h = 0xcbf29ce484222325u, word;
    for (size_t i = 0; i < l->size; i += sizeof word) {
        memcpy(&word, l->data + i, sizeof word);
        h = (h ^ word) * 0x100000001b3u;
        h ^= h >> 29;
    }
    return h;
}

static graph_entry *find(cuda_graph_cache *g, const cuda_list *l, uint64_t hash)
{
    for (int i = 0; i < g->n; i++) {
        graph_entry *e = &g->entry[i];
        if (e->hash == hash && e->size == l->size && !memcmp(e->list, l->data, l->size))
            return e;
    }
    return NULL;
}

/* Did a list of this hash come before? A wrong yes costs one capture. */
static bool was_seen(cuda_graph_cache *g, uint64_t hash)
{
    for (int i = 0; i < SEEN; i++) {
        if (g->seen[i] == hash)
            return true;
    }
    g->seen[g->next_seen++ % SEEN] = hash;
    return false;
}

static cudaGraph_t capture(cuda *c, cuda_graph_cache *g, const cuda_list *l)
{
    cudaGraph_t made = NULL;
    cuda_check(cudaStreamBeginCapture(c->stream, cudaStreamCaptureModeThreadLocal), "a capture");
    cuda_list_run(c, l);
    cudaError_t status = cudaStreamEndCapture(c->stream, &made);
    if (status != cudaSuccess) {
        cudaGetLastError(); /* it is told here */
        log_warn("graphs_off", "why=\"%s\" train.cuda_graphs=false avoids the attempt",
                 cudaGetErrorString(status));
        g->off = true;
        return NULL;
    }
    return made;
}

/* Room for one more: free, or that of the entry which was not used for longest. */
static graph_entry *room(cuda_graph_cache *g, bool *taken)
{
    graph_entry *oldest = &g->entry[0];
    *taken = g->n == g->most;
    if (!*taken)
        return &g->entry[g->n++];
    for (int i = 1; i < g->n; i++)
        oldest = g->entry[i].used < oldest->used ? &g->entry[i] : oldest;
    return oldest;
}

static graph_entry *keep(cuda *c, cuda_graph_cache *g, const cuda_list *l, uint64_t hash,
                         cudaGraph_t made)
{
    bool taken;
    graph_entry *e = room(g, &taken);
    cudaGraphExecUpdateResultInfo info;
    bool same = taken && cudaGraphExecUpdate(e->exec, made, &info) == cudaSuccess;
    if (taken && !same) {
        cudaGetLastError();
        cuda_check(cudaStreamSynchronize(c->stream), "before a graph goes");
        cuda_check(cudaGraphExecDestroy(e->exec), "a graph");
    }
    if (!same)
        cuda_check(cudaGraphInstantiate(&e->exec, made, 0), "a graph");
    g->counts.updated += same;
    g->counts.instantiated += !same;
    g->counts.evicted += taken;
    mem_free(e->list);
    e->list = (char *)mem_alloc(l->size);
    memcpy(e->list, l->data, l->size);
    e->size = l->size;
    e->hash = hash;
    return e;
}

void cuda_graph_run(cuda *c, cuda_graph_cache *g, const cuda_list *l)
{
    uint64_t hash = hash_of(l);
    graph_entry *e = g->off ? NULL : find(g, l, hash);
    if (!e && !g->off && was_seen(g, hash)) {
        cudaGraph_t made = capture(c, g, l);
        if (made) {
            e = keep(c, g, l, hash, made);
            cuda_check(cudaGraphDestroy(made), "a graph");
        }
    }
    if (!e) {
        g->counts.issued++;
        cuda_list_run(c, l);
        return;
    }
    e->used = ++g->clock;
    g->counts.launched++;
    cuda_check(cudaGraphLaunch(e->exec, c->stream), "a graph");
}
