/* Draws of missing patches (mask.h). */
#include "train/mask.h"

#include "core/fs.h"
#include "core/mem.h"
#include "core/rng.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const char *const name[MASK_KINDS] = {"random",     "block",  "breast",
                                             "background", "border", "view"};

const char *mask_name(mask_kind k)
{
    return name[k];
}

int mask_find(const char *s)
{
    for (int k = 0; k < MASK_KINDS; k++)
        if (!strcmp(s, name[k]))
            return k;
    return -1;
}

/* A stream of its own for each (seed, exam, image, kind, keep rate, repeat). */
static void start(rng *r, mask_kind kind, const mask_draw *d)
{
    char id[160];
    uint64_t hash[2];
    int n = snprintf(id, sizeof id, "%s/%s/%s/%.9g/%d", d->exam, d->image, name[kind], d->keep,
                     d->repeat);
    if (n < 0 || (size_t)n >= sizeof id)
        BUG("mask: names of %d bytes", n);
    fs_xxh128_raw(id, (size_t)n, hash);
    rng_init(r, d->seed, RNG_MASK, hash[0], hash[1]);
}

/* trunc in IEEE double, as model_kept counts; never none. */
static int count_of(int n, double keep)
{
    int k = (int)(n * keep);
    return k < 1 ? 1 : k;
}

static int all_but(const uint8_t *gone, int n, int32_t *out)
{
    int k = 0;
    for (int p = 0; p < n; p++)
        if (!gone[p])
            out[k++] = p;
    return k;
}

/* The first `drop` patches, row by row, of a block that just holds them. */
static void drop_block(rng *r, const mask_draw *d, int drop, uint8_t *gone)
{
    int h = (int)ceil(sqrt((double)drop * d->rows / d->cols));
    h = h < 1 ? 1 : h > d->rows ? d->rows : h;
    int w = (drop + h - 1) / h;
    if (w > d->cols) {
        w = d->cols;
        h = (drop + w - 1) / w;
    }
    int y = (int)rng_below(r, (uint32_t)(d->rows - h + 1)),
        x = (int)rng_below(r, (uint32_t)(d->cols - w + 1));
    for (int i = 0; i < drop; i++)
        gone[(y + i / w) * d->cols + x + i % w] = 1;
}

/* Patches by their distance from the upper, lower and far edge; the same distance in drawn order.
 */
static void drop_border(rng *r, const mask_draw *d, int drop, uint8_t *gone)
{
    int n = d->rows * d->cols;
    int64_t *order = MEM_ARRAY(int64_t, n);
    for (int p = 0; p < n; p++)
        order[p] = p;
    rng_shuffle(r, n, order);
    for (int ring = 0; drop > 0; ring++)
        for (int i = 0; i < n && drop > 0; i++) {
            int y = (int)order[i] / d->cols, x = (int)order[i] % d->cols;
            int edge = y < d->rows - 1 - y ? y : d->rows - 1 - y;
            edge = edge < d->cols - 1 - x ? edge : d->cols - 1 - x;
            if (edge == ring) {
                gone[order[i]] = 1;
                drop--;
            }
        }
    mem_free(order);
}

/* Of the patches whose breast is `inside` a share stays, and all others. */
static void drop_region(rng *r, const mask_draw *d, bool inside, uint8_t *gone)
{
    int all = d->rows * d->cols, n = 0;
    int32_t *region = MEM_ARRAY(int32_t, all), *stay = MEM_ARRAY(int32_t, all);
    for (int p = 0; p < all; p++)
        if ((d->breast[p] != 0) == inside)
            region[n++] = p;
    int k = n == all ? count_of(n, d->keep) : (int)(n * d->keep);
    for (int i = 0; i < n; i++)
        gone[region[i]] = 1;
    if (k > 0)
        rng_subset(r, n, k, stay);
    for (int i = 0; i < k; i++)
        gone[region[stay[i]]] = 0;
    mem_free(region);
    mem_free(stay);
}

int mask_patches(mask_kind kind, const mask_draw *d, int32_t *out)
{
    int n = d->rows * d->cols, k = count_of(n, d->keep);
    uint8_t *gone = MEM_ARRAY(uint8_t, n);
    rng r;
    start(&r, kind, d);
    switch (kind) {
    case MASK_RANDOM:
        rng_subset(&r, n, k, out);
        mem_free(gone);
        return k;
    case MASK_BLOCK:
        drop_block(&r, d, n - k, gone);
        break;
    case MASK_BORDER:
        drop_border(&r, d, n - k, gone);
        break;
    case MASK_BREAST:
    case MASK_BACKGROUND:
        drop_region(&r, d, kind == MASK_BREAST, gone);
        break;
    default:
        BUG("mask: kind %d draws no patches", (int)kind);
    }
    k = all_but(gone, n, out);
    mem_free(gone);
    return k;
}
