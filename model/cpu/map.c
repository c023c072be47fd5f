/* The token map: each input row adds its weight times itself to at most one output row. Rows that
 * are merged lie side by side in memory already: here every row has the input's width. */
#include "model/cpu/cpu.h"

typedef struct map_job {
    cpu *c;
    op_args *a;
} map_job;

static float weight_of(const op_args *a, int64_t row)
{
    if (a->x2)
        return a->map.dst[row] >= a->map.w_from ? a->x2->x[row] : 1.0f;
    return a->map.weight ? a->map.weight[row] : 1.0f;
}

/* One sample: its rows in order, so that fused rows sum in a fixed order. */
static void forward_task(void *ctx, int64_t s, int thread)
{
    const map_job *j = ctx;
    const op_args *a = j->a;
    int c = a->x->c, n_in = a->map.n_in, n_out = a->map.n_out;
    const float *x = a->x->x + s * n_in * c;
    float *y = a->y->x + s * n_out * c;
    memset(y, 0, (size_t)n_out * (size_t)c * sizeof(float));
    for (int i = 0; i < n_in; i++) {
        int32_t to = a->map.dst[s * n_in + i];
        if (to >= 0)
            j->c->k->axpy(y + (int64_t)to * c, x + (int64_t)i * c, weight_of(a, s * n_in + i), true,
                          c);
    }
}

void cpu_map_forward(backend *be, op_args *a)
{
    map_job j = {cpu_of(be), a};
    for (int64_t i = 0; i < (int64_t)a->x->b * a->map.n_in; i++) {
        if (a->map.dst[i] < -1 || a->map.dst[i] >= a->map.n_out)
            BUG("map: row %lld goes to %d of %d", (long long)i, a->map.dst[i], a->map.n_out);
    }
    pool_for(be->pool, a->y->b, forward_task, &j);
}

static void backward_task(void *ctx, int64_t s, int thread)
{
    const map_job *j = ctx;
    const op_args *a = j->a;
    const kernels *k = j->c->k;
    int c = a->x->c, n_in = a->map.n_in;
    const float *gy = a->y->g + s * a->map.n_out * c;
    for (int i = 0; i < n_in; i++) {
        int64_t row = s * n_in + i;
        int32_t to = a->map.dst[row];
        if (!a->x->fixed) {
            float *gx = a->x->g + row * c;
            if (to >= 0)
                k->axpy(gx, gy + (int64_t)to * c, weight_of(a, row), a->add_x, c);
            else if (!a->add_x)
                memset(gx, 0, (size_t)c * sizeof(float));
        }
        if (a->x2 && !a->x2->fixed) {
            float g = to >= 0 && to >= a->map.w_from
                          ? k->dot(gy + (int64_t)to * c, a->x->x + row * c, c)
                          : 0;
            a->x2->g[row] = a->add_x2 ? a->x2->g[row] + g : g;
        }
    }
}

void cpu_map_backward(backend *be, op_args *a)
{
    map_job j = {cpu_of(be), a};
    pool_for(be->pool, a->y->b, backward_task, &j);
}
