/* Laps: a mark in the device's work wherever the class of work changes. */
#include "model/laps.h"

#include "core/mem.h"
#include "model/ops_table.h"

typedef struct lap {
    void *mark; /* its beginning */
    laps_class kind;
} lap;

struct laps {
    backend *be;
    lap *lap; /* marks are kept in those behind n, too */
    int n, cap;
};

const char *laps_name(laps_class k)
{
    static const char *const names[LAPS_CLASSES] = {
        [LAPS_OTHER] = "other",
        [LAPS_PATCH] = "patch",
        [LAPS_LINEAR] = "linear",
        [LAPS_ATTENTION] = "attention",
        [LAPS_LAYERNORM] = "layernorm",
        [LAPS_GELU] = "gelu",
        [LAPS_MAP] = "map",
        [LAPS_LOSS] = "loss",
        [LAPS_OPTIMISER] = "optimiser",
        [LAPS_COPIES] = "copies",
    };
    if ((int)k < 0 || k >= LAPS_CLASSES)
        BUG("laps: class %d", (int)k);
    return names[k];
}

static void begin(laps *l, laps_class k)
{
    if (l->n == l->cap) {
        int cap = l->cap ? 2 * l->cap : 1024;
        l->lap = mem_realloc(l->lap, (size_t)l->cap * sizeof *l->lap, (size_t)cap * sizeof *l->lap);
        memset(l->lap + l->cap, 0, (size_t)(cap - l->cap) * sizeof *l->lap);
        l->cap = cap;
    }
    lap *at = &l->lap[l->n++];
    at->mark = backend_mark(l->be, at->mark);
    at->kind = k;
}

laps *laps_start(backend *be)
{
    if (be->laps)
        BUG("laps: started twice");
    laps *l = MEM_NEW(laps);
    l->be = be;
    begin(l, LAPS_OTHER);
    be->laps = l;
    return l;
}

laps_class laps_enter(backend *be, laps_class k)
{
    laps *l = be->laps;
    if (!l)
        return LAPS_OTHER;
    laps_class was = l->lap[l->n - 1].kind;
    if (was != k)
        begin(l, k);
    return was;
}

void laps_stop(laps *l, double seconds[LAPS_CLASSES])
{
    begin(l, LAPS_OTHER);
    l->be->laps = NULL;
    for (int k = 0; k < LAPS_CLASSES; k++)
        seconds[k] = 0;
    for (int i = 0; i + 1 < l->n; i++)
        seconds[l->lap[i].kind] += backend_between(l->be, l->lap[i].mark, l->lap[i + 1].mark);
    for (int i = 0; i < l->n; i++)
        backend_unmark(l->be, l->lap[i].mark);
    mem_free(l->lap);
    mem_free(l);
}
