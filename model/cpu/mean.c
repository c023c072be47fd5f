/* Mean over the rows of each sample, in order of the rows. */
#include "model/cpu/cpu.h"

void cpu_mean_forward(backend *be, op_args *a)
{
    const kernels *k = cpu_of(be)->k;
    int c = a->x->c, n = a->x->n;
    for (int64_t s = 0; s < a->x->b; s++) {
        float *y = a->y->x + s * c;
        memset(y, 0, (size_t)c * sizeof(float));
        for (int i = 0; i < n; i++)
            k->add(y, a->x->x + (s * n + i) * c, c);
        k->axpy(y, y, 1.0f / (float)n, false, c);
    }
}

void cpu_mean_backward(backend *be, op_args *a)
{
    const kernels *k = cpu_of(be)->k;
    int c = a->x->c, n = a->x->n;
    for (int64_t r = 0; !a->x->fixed && r < (int64_t)a->x->b * n; r++)
        k->axpy(a->x->g + r * c, a->y->g + r / n * c, 1.0f / (float)n, a->add_x, c);
}
