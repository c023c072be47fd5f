/* Softmax cross-entropy with label smoothing: mean over samples of
 * (1-eps) * (-log p_y) + eps/K * sum_c (-log p_c). In double: a handful of numbers per sample. */
#include "model/cpu/cpu.h"

#include <math.h>

static double weight_of(const op_args *a, int s)
{
    return a->loss.weight ? (double)a->loss.weight[s] : 1.0;
}

static double weight_sum(const op_args *a)
{
    double w = 0;
    for (int s = 0; s < a->x->b; s++)
        w += weight_of(a, s);
    return w;
}

void cpu_loss_forward(backend *be, op_args *a)
{
    int k = a->x->c;
    double eps = (double)a->loss.smoothing, total = 0;
    for (int s = 0; s < a->x->b; s++) {
        const float *z = a->x->x + (int64_t)s * k;
        double max = -INFINITY, sum = 0, all = 0;
        for (int i = 0; i < k; i++)
            max = z[i] > max ? (double)z[i] : max;
        for (int i = 0; i < k; i++) {
            sum += exp(z[i] - max);
            all += z[i];
        }
        double lse = max + log(sum), hit = lse - z[a->loss.label[s]];
        total += weight_of(a, s) * ((1 - eps) * hit + eps * (lse - all / k));
        for (int i = 0; a->save && i < k; i++)
            a->save[(int64_t)s * k + i] = (float)exp(z[i] - lse);
    }
    a->y->x[0] = (float)(total / weight_sum(a));
}

void cpu_loss_backward(backend *be, op_args *a)
{
    int k = a->x->c;
    double eps = (double)a->loss.smoothing, sum = weight_sum(a);
    for (int s = 0; !a->x->fixed && s < a->x->b; s++) {
        double f = (double)a->y->g[0] * weight_of(a, s) / sum;
        for (int i = 0; i < k; i++) {
            int64_t at = (int64_t)s * k + i;
            double target = eps / k + (i == a->loss.label[s] ? 1 - eps : 0);
            float g = (float)(f * ((double)a->save[at] - target));
            a->x->g[at] = a->add_x ? a->x->g[at] + g : g;
        }
    }
}
