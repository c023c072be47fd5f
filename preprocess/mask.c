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
    x->end = arena_alloc(a, (size_t)n * sizeof *x->end);
    for (int i = 0; i < n; i++) {
        double p = from + (i + 0.5) * step - 0.5;
        p = p < 0 ? 0 : p > mask_n - 1 ? mask_n - 1 : p;
        int at = (int)p, share = (int)floor((p - at) * ONE + 0.5);
        x->at[i] = at;
        x->share[i] = at + 1 < mask_n ? share : 0;
    }
    for (int i = n - 1; i >= 0; i--)
        x->end[i] = i + 1 < n && x->at[i + 1] == x->at[i] ? x->end[i + 1] : i + 1;
}

int mask_row(const uint8_t *mask, const mask_axis *ax, const mask_axis *ay, int y, mask_run *out)
{
    const uint8_t *r0 = mask + (size_t)ay->at[y] * (size_t)ax->mask_n;
    const uint8_t *r1 = ay->share[y] ? r0 + ax->mask_n : r0;
    int down = ay->share[y], runs = 0;
    bool inside = false;
    for (int x = 0; x < ax->n;) {
        int at = ax->at[x], next = at + 1 < ax->mask_n ? at + 1 : at;
        int left = r0[at] * (ONE - down) + r1[at] * down;
        int right = r0[next] * (ONE - down) + r1[next] * down;
        for (int end = ax->end[x]; x < end; x++) {
            int v = left * (ONE - ax->share[x]) + right * ax->share[x];
            bool in = v >= ONE * ONE / 2;
            if (in != inside && in)
                out[runs].x0 = x;
            else if (in != inside)
                out[runs++].x1 = x;
            inside = in;
            if (left == right)
                x = end - 1; /* nothing changes between two equal mask pixels */
        }
    }
    if (inside)
        out[runs++].x1 = ax->n;
    return runs;
}
