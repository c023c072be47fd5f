/* Connected components (component.h): runs of each row are joined with those that they touch in the
 * row before, as a forest whose roots are the first runs. */
#include "preprocess/component.h"

typedef struct run { /* x0 to x1 - 1 */
    int x0, x1;
    int up; /* an earlier run of the same component, or itself */
    int32_t label;
} run;

/* First x from here where the row is not what it was: `same` repeats the byte looked for. */
static int skip(const uint8_t *row, int x, int w, uint64_t same)
{
    uint64_t eight;
    for (; x + 8 <= w; x += 8) {
        memcpy(&eight, row + x, sizeof eight);
        if (eight != same)
            return x + __builtin_ctzll(eight ^ same) / 8;
    }
    while (x < w && row[x] == (uint8_t)same)
        x++;
    return x;
}

static int root_of(run *r, int i)
{
    while (r[i].up != i)
        i = r[i].up = r[r[i].up].up;
    return i;
}

/* The later root hangs below the earlier one. */
static void join(run *r, int a, int b)
{
    a = root_of(r, a);
    b = root_of(r, b);
    r[a > b ? a : b].up = a > b ? b : a;
}

/* Runs of one row behind the n that are known; those of the row before start at `before`. */
static int add_row(const uint8_t *row, int w, run *r, int before, int n)
{
    int old = before, first = n;
    for (int x = skip(row, 0, w, 0); x < w;) {
        int end = skip(row, x, w, UINT64_C(0x0101010101010101));
        r[n] = (run){x, end, n, 0};
        while (old < first && r[old].x1 < x)
            old++;
        for (int k = old; k < first && r[k].x0 <= end; k++)
            join(r, k, n);
        n++;
        x = skip(row, end, w, 0);
    }
    return n;
}

WIDE_LOOPS static size_t count_runs(const uint8_t *mask, int h, int w)
{
    size_t all = 0;
    for (int y = 0; y < h; y++) {
        const uint8_t *row = mask + (size_t)y * (size_t)w;
        uint32_t n = row[0];
        for (int x = 1; x < w; x++)
            n += row[x] & (row[x - 1] ^ 1u);
        all += n;
    }
    return all;
}

static void describe(component *c, const run *r, int y)
{
    int x1 = c->x + c->w > r->x1 ? c->x + c->w : r->x1;
    c->x = c->x < r->x0 ? c->x : r->x0;
    c->w = x1 - c->x;
    c->h = y + 1 - c->y;
    c->area += r->x1 - r->x0;
}

int component_find(const uint8_t *mask, int h, int w, int32_t *labels, component *out, int cap,
                   arena *a)
{
    run *r = arena_alloc(a, count_runs(mask, h, w) * sizeof *r);
    int *row_end = arena_alloc(a, (size_t)h * sizeof *row_end), before = 0, n = 0, parts = 0;
    for (int y = 0; y < h; y++) {
        row_end[y] = add_row(mask + (size_t)y * (size_t)w, w, r, before, n);
        before = n;
        n = row_end[y];
    }
    for (int y = 0, i = 0; y < h; y++) {
        int32_t *to = labels + (size_t)y * (size_t)w;
        memset(to, 0, (size_t)w * sizeof *to);
        for (; i < row_end[y]; i++) {
            int root = root_of(r, i), k = root == i ? parts++ : r[root].label - 1;
            r[i].label = k + 1;
            for (int x = r[i].x0; x < r[i].x1; x++)
                to[x] = k + 1;
            if (k >= cap)
                continue;
            if (root == i)
                out[k] = (component){r[i].x0, y, 0, 0, 0};
            describe(&out[k], &r[i], y);
        }
    }
    return parts;
}
