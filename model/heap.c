/* First fit over a sorted list of holes (heap.h). */
#include "model/heap.h"

#include <string.h>

#include "core/mem.h"

void heap_release(heap *h)
{
    mem_free(h->hole);
    *h = (heap){0};
}

static void insert(heap *h, int i, heap_hole hole)
{
    if (h->holes == h->cap) {
        int cap = h->cap ? 2 * h->cap : 64;
        h->hole =
            mem_realloc(h->hole, (size_t)h->cap * sizeof *h->hole, (size_t)cap * sizeof *h->hole);
        h->cap = cap;
    }
    memmove(h->hole + i + 1, h->hole + i, (size_t)(h->holes - i) * sizeof *h->hole);
    h->hole[i] = hole;
    h->holes++;
}

static void erase(heap *h, int i)
{
    h->holes--;
    memmove(h->hole + i, h->hole + i + 1, (size_t)(h->holes - i) * sizeof *h->hole);
}

void heap_add(heap *h, size_t bytes)
{
    if (h->blocks == HEAP_BLOCKS)
        BUG("heap: more than %d blocks", HEAP_BLOCKS);
    insert(h, h->holes, (heap_hole){{h->blocks, 0}, bytes});
    h->size[h->blocks++] = bytes;
}

void heap_clear(heap *h)
{
    h->holes = 0;
    h->used = h->top = 0;
    for (int i = 0; i < h->blocks; i++)
        insert(h, i, (heap_hole){{i, 0}, h->size[i]});
}

static void note_top(heap *h, heap_place p, size_t bytes)
{
    size_t end = p.at + bytes;
    for (int i = 0; i < p.block; i++)
        end += h->size[i];
    h->top = end > h->top ? end : h->top;
}

bool heap_take(heap *h, size_t bytes, heap_place *out)
{
    for (int i = 0; i < h->holes; i++) {
        heap_hole *hole = &h->hole[i];
        if (hole->bytes < bytes)
            continue;
        *out = hole->from;
        hole->from.at += bytes;
        hole->bytes -= bytes;
        if (!hole->bytes)
            erase(h, i);
        h->used += bytes;
        note_top(h, *out, bytes);
        return true;
    }
    return false;
}

static bool is_before(heap_place a, heap_place b)
{
    return a.block < b.block || (a.block == b.block && a.at < b.at);
}

/* Does `b` begin where `a` with its bytes ends? */
static bool touches(heap_place a, size_t bytes, heap_place b)
{
    return a.block == b.block && a.at + bytes == b.at;
}

void heap_give(heap *h, heap_place p, size_t bytes)
{
    int low = 0, high = h->holes;
    while (low < high) {
        int mid = (low + high) / 2;
        if (is_before(h->hole[mid].from, p))
            low = mid + 1;
        else
            high = mid;
    }
    heap_hole *before = low ? &h->hole[low - 1] : NULL, *after = NULL;
    if (low < h->holes)
        after = &h->hole[low];
    heap_place end = {p.block, p.at + bytes};
    if (p.block >= h->blocks || end.at > h->size[p.block] ||
        (after && is_before(after->from, end)) ||
        (before && before->from.block == p.block && before->from.at + before->bytes > p.at))
        BUG("heap: %zu bytes at %d:%zu are not taken", bytes, p.block, p.at);
    h->used -= bytes;
    bool joins = after && touches(p, bytes, after->from);
    if (before && touches(before->from, before->bytes, p)) {
        before->bytes += bytes + (joins ? after->bytes : 0);
        if (joins)
            erase(h, low);
    } else if (joins) {
        after->from = p;
        after->bytes += bytes;
    } else {
        insert(h, low, (heap_hole){p, bytes});
    }
}
