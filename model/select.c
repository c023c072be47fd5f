/* Token selectors: PatchDropout's kept patches, and the maps made of them. */
#include "model/select.h"

#include <math.h>

#include "core/mem.h"
#include "core/rng.h"

static int side(int n, double keep)
{
    return (int)(n * sqrt(keep));
}

static int stride_of(double keep)
{
    int s = (int)lround(1 / sqrt(keep));
    return s < 1 ? 1 : s;
}

int select_count(select_mode mode, int rows, int cols, double keep)
{
    if (!(keep > 0 && keep <= 1))
        BUG("select: keep rate %g", keep);
    int s = stride_of(keep);
    switch (mode) {
    case SELECT_RANDOM:
    case SELECT_BREAST:
        return (int)((double)rows * cols * keep);
    case SELECT_STRUCTURED:
    case SELECT_CROPPING:
        return side(rows, keep) * side(cols, keep);
    case SELECT_GRID:
        return (rows + s - 1) / s * ((cols + s - 1) / s);
    }
    BUG("select: mode %d", (int)mode);
}

static void cross(const int32_t *row, int n_rows, const int32_t *col, int n_cols, int cols,
                  int32_t *out)
{
    for (int i = 0; i < n_rows; i++) {
        for (int j = 0; j < n_cols; j++)
            *out++ = row[i] * cols + col[j];
    }
}

void select_patches(select_mode mode, int rows, int cols, double keep, uint64_t seed,
                    uint64_t sample, uint64_t epoch, int32_t *out)
{
    int k = select_count(mode, rows, cols, keep);
    if (keep == 1) {
        for (int i = 0; i < k; i++)
            out[i] = i;
        return;
    }
    rng r;
    rng_init(&r, seed, RNG_PATCHDROP, sample, epoch);
    if (mode == SELECT_RANDOM) {
        rng_subset(&r, rows * cols, k, out);
        return;
    }
    int32_t *row = MEM_ARRAY(int32_t, rows + cols), *col = row + rows;
    int n_rows = side(rows, keep), n_cols = side(cols, keep), s = stride_of(keep);
    if (mode == SELECT_STRUCTURED) {
        rng_subset(&r, rows, n_rows, row);
        rng_subset(&r, cols, n_cols, col);
    } else if (mode == SELECT_CROPPING) {
        int32_t top = (int32_t)rng_below(&r, (uint32_t)(rows - n_rows + 1));
        int32_t left = (int32_t)rng_below(&r, (uint32_t)(cols - n_cols + 1));
        for (int i = 0; i < n_rows; i++)
            row[i] = top + i;
        for (int i = 0; i < n_cols; i++)
            col[i] = left + i;
    } else {
        n_rows = (rows + s - 1) / s;
        n_cols = (cols + s - 1) / s;
        for (int i = 0; i < n_rows; i++)
            row[i] = i * s;
        for (int i = 0; i < n_cols; i++)
            col[i] = i * s;
    }
    cross(row, n_rows, col, n_cols, cols, out);
    mem_free(row);
}

void select_breast(const uint8_t *breast, int n, int k, uint64_t seed, uint64_t sample,
                   uint64_t epoch, int32_t *out)
{
    int32_t *group = MEM_ARRAY(int32_t, 2 * n), *drawn = group + n;
    uint8_t *kept = MEM_ARRAY(uint8_t, n);
    int left = k;
    rng r;
    rng_init(&r, seed, RNG_PATCHDROP, sample, epoch);
    for (int want = 1; want >= 0; want--) { /* breast, then background */
        int size = 0;
        for (int i = 0; i < n; i++)
            if (!breast[i] == !want)
                group[size++] = i;
        int take = left < size ? left : size;
        rng_subset(&r, size, take, drawn);
        for (int i = 0; i < take; i++)
            kept[group[drawn[i]]] = 1;
        left -= take;
    }
    for (int i = 0; i < n; i++)
        if (kept[i])
            *out++ = i;
    mem_free(group);
    mem_free(kept);
}

void select_kept(run *r, const model_batch *batch, int patches, int prefix, op_map_spec *out)
{
    int n_in = prefix + patches;
    *out = (op_map_spec){.n_in = n_in, .n_out = prefix + batch->n_keep};
    int32_t *dst = run_host(r, (size_t)batch->b * (size_t)n_in * sizeof *dst);
    for (int64_t i = 0; i < (int64_t)batch->b * n_in; i++)
        dst[i] = i % n_in < prefix ? (int32_t)(i % n_in) : -1;
    for (int64_t s = 0; s < batch->b && !run_is_shape(r); s++) {
        for (int k = 0; k < batch->n_keep; k++)
            dst[s * n_in + prefix + batch->keep[s * batch->n_keep + k]] = prefix + k;
    }
    out->dst = run_upload_ints(r, dst, (int64_t)batch->b * n_in);
}

tensor *select_rows(run *r, tensor *x, int from, int n)
{
    op_map_spec map = {.n_in = x->n, .n_out = n};
    if (from < 0 || n < 0 || from + n > x->n)
        BUG("select: rows %d+%d of %d", from, n, x->n);
    if (n == x->n)
        return x;
    int32_t *dst = run_host(r, (size_t)x->b * (size_t)x->n * sizeof *dst);
    for (int64_t i = 0; i < (int64_t)x->b * x->n && !run_is_shape(r); i++) {
        int to = (int)(i % x->n) - from;
        dst[i] = to >= 0 && to < n ? to : -1;
    }
    map.dst = run_upload_ints(r, dst, (int64_t)x->b * x->n);
    return op_map(r, x, &map, NULL);
}
