/* Runs of a thumbnail's mask on a canvas (mask.h). Integer arithmetic: the same runs everywhere. */
#include "preprocess/mask.h"

#include <math.h>

#define ONE 256

void mask_axis_make(mask_axis *x, int n, int mask_n, double from, double step, arena *a)
{
    x->n = n;
    x->mask_n = mask_n;
    x->at = arena_alloc(a, (size_t)n * sizeof *x->at);
    x->share = arena_alloc(a, (size_t)n * sizeof *x->share);
    x->first = arena_alloc(a, ((size_t)mask_n + 1) * sizeof *x->first);
    x->line = arena_alloc(a, (size_t)mask_n * sizeof *x->line);
    for (int i = 0; i < n; i++) {
        double p = from + (i + 0.5) * step - 0.5;
        p = p < 0 ? 0 : p > mask_n - 1 ? mask_n - 1 : p;
        int at = (int)p, share = (int)floor((p - at) * ONE + 0.5);
        x->at[i] = at;
        x->share[i] = at + 1 < mask_n ? share : 0;
    }
    for (int m = 0, i = 0; m <= mask_n; m++) {
        while (i < n && (m == mask_n || x->at[i] < m))
            i++;
        x->first[m] = i;
    }
}

/* The mask between its rows `at` and `at + 1`, times ONE. */
WIDE_LOOPS static void blend(const uint8_t *mask, const mask_axis *ax, const mask_axis *ay, int y,
                             uint16_t *line)
{
    const uint8_t *r0 = mask + (size_t)ay->at[y] * (size_t)ax->mask_n;
    const uint8_t *r1 = ay->share[y] ? r0 + ax->mask_n : r0;
    int down = ay->share[y];
    for (int m = 0; m < ax->mask_n; m++)
        line[m] = (uint16_t)(r0[m] * (ONE - down) + r1[m] * down);
}

typedef struct runs { /* being collected */
    mask_run *out;
    int n;
    bool inside;
} runs;

static void go_on(runs *r, int x, int value)
{
    bool in = value >= ONE * ONE / 2;
    if (in && !r->inside)
        r->out[r->n].x0 = x;
    else if (!in && r->inside)
        r->out[r->n++].x1 = x;
    r->inside = in;
}

/* The last of the equal values that begin at m. */
static int last_same(const uint16_t *line, int m, int n)
{
    const uint64_t all = line[m] * UINT64_C(0x0001000100010001);
    uint64_t four;
    for (m++; m + 4 <= n; m += 4) {
        memcpy(&four, line + m, sizeof four);
        if (four != all)
            break;
    }
    while (m < n && line[m] == (uint16_t)all)
        m++;
    return m - 1;
}

int mask_row(const uint8_t *mask, const mask_axis *ax, const mask_axis *ay, int y, mask_run *out)
{
    runs r = {.out = out};
    const uint16_t *line = ax->line;
    blend(mask, ax, ay, y, ax->line);
    for (int x = 0; x < ax->n;) {
        int m = ax->at[x], same = last_same(line, m, ax->mask_n);
        go_on(&r, x, line[m] * (ONE - ax->share[x]) + line[m + (ax->share[x] > 0)] * ax->share[x]);
        if (same > m) /* nothing changes between equal mask pixels */
            x = ax->first[same] > x ? ax->first[same] : x + 1;
        else
            x++;
    }
    if (r.inside)
        out[r.n++].x1 = ax->n;
    return r.n;
}
