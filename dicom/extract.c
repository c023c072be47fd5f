/* Copies the known elements of a data set while it is walked. */
#include "dicom/extract.h"

#include "core/mem.h"
#include "dicom/tags.h"

#include <string.h>

#define EXTRACT_MAX ((size_t)4 << 20) /* bytes; volumes in private elements are larger */
#define META_AT     132

typedef struct span {
    size_t at, end;
} span;

typedef struct spans {
    span *s;
    size_t n, cap, bytes;
} spans;

static bool is_known(uint32_t t)
{
    if (t >> 16 & 1) /* most elements are private, and of those one group is known */
        return t >> 16 == TAG_VOLUME_GROUP;
    switch (t) {
#define TAG_CASE(id, g, e, type, mg, me, why) case (uint32_t)(g) << 16 | (e):
        TAG_LIST(TAG_CASE)
#undef TAG_CASE
        return true;
    default:
        return false;
    }
}

static void keep_known(void *ctx, uint32_t t, size_t at, size_t end)
{
    spans *k = ctx;
    if (!is_known(t))
        return;
    k->bytes += end - at;
    if (k->n && k->s[k->n - 1].end == at) { /* neighbours are one span */
        k->s[k->n - 1].end = end;
        return;
    }
    if (k->n == k->cap) {
        size_t cap = k->cap ? 2 * k->cap : 64;
        k->s = mem_realloc(k->s, k->n * sizeof(*k->s), cap * sizeof(*k->s));
        k->cap = cap;
    }
    k->s[k->n++] = (span){at, end};
}

/* DCMTK believes the declared length of the meta header; where that is wrong, what follows must lie
 * where it lay. */
static bool meta_length_right(const uint8_t *d, const walk *w)
{
    const uint8_t *e = d + META_AT; /* (0002,0000) UL, 4 bytes */
    if (w->dataset_at < META_AT + 12 || memcmp(e, "\2\0\0\0UL\4\0", 8) != 0)
        return true; /* none is declared */
    uint32_t n =
        (uint32_t)e[8] | (uint32_t)e[9] << 8 | (uint32_t)e[10] << 16 | (uint32_t)e[11] << 24;
    return META_AT + 12 + (uint64_t)n == w->dataset_at;
}

void *extract_known(const void *data, size_t len, walk *w, size_t *out_len)
{
    spans k = {0};
    char *out = NULL;
    walk_elements(data, len, w, keep_known, &k);
    bool sound = w->status == WALK_OK || (w->status == WALK_CUT && w->pixel_cut);
    if (sound && w->transfer_syntax[0] && !w->big_endian && k.bytes <= EXTRACT_MAX &&
        meta_length_right(data, w)) {
        size_t n = w->dataset_at;
        out = mem_alloc(n + k.bytes);
        memcpy(out, data, n);
        for (size_t i = 0; i < k.n; i++) {
            memcpy(out + n, (const char *)data + k.s[i].at, k.s[i].end - k.s[i].at);
            n += k.s[i].end - k.s[i].at;
        }
        *out_len = n;
    }
    mem_free(k.s);
    return out;
}
