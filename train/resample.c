/* Separable resampling in double precision: columns first, then rows. */
#include "train/resample.h"

#include <math.h>
#include <string.h>

#include "core/mem.h"

static const char *const words[] = {"bilinear", "bicubic", "bicubic_aa"};

const char *resample_name(resample_how how)
{
    return words[how];
}

resample_how resample_of(const char *word)
{
    for (int i = 0; i < (int)COUNT_OF(words); i++) {
        if (strcmp(words[i], word) == 0)
            return (resample_how)i;
    }
    BUG("resampling '%s'", word);
}

static double cubic(double x, double a)
{
    x = fabs(x);
    if (x < 1)
        return ((a + 2) * x - (a + 3)) * x * x + 1;
    return x < 2 ? ((a * x - 5 * a) * x + 8 * a) * x - 4 * a : 0;
}

static int clamp(int v, int low, int high)
{
    return v < low ? low : v > high ? high : v;
}

/* Weights of the source samples for output i of n_out over n_in, align_corners = false. */
static void make_taps(int i, int n_in, int n_out, resample_how how, int *index, double *w, int *n)
{
    double scale = (double)n_in / n_out, at = (i + 0.5) * scale - 0.5, sum = 0;
    *n = 0;
    if (how == RESAMPLE_BILINEAR) {
        at = at > 0 ? at : 0;
        int a = clamp((int)at, 0, n_in - 1);
        index[0] = a;
        index[1] = clamp(a + 1, 0, n_in - 1);
        w[1] = at - a;
        w[0] = 1 - w[1];
        *n = 2;
        return;
    }
    if (how == RESAMPLE_BICUBIC) {
        int a = (int)floor(at);
        for (int k = -1; k <= 2; k++, (*n)++) {
            index[*n] = clamp(a + k, 0, n_in - 1);
            w[*n] = cubic(at - a - k, -0.75);
        }
        return;
    }
    double widen = scale > 1 ? scale : 1, centre = (i + 0.5) * scale, reach = 2 * widen;
    int from = clamp((int)(centre - reach + 0.5), 0, n_in);
    int to = clamp((int)(centre + reach + 0.5), 0, n_in);
    for (int k = from; k < to; k++, (*n)++) {
        index[*n] = k;
        w[*n] = cubic((k - centre + 0.5) / widen, -0.5);
        sum += w[*n];
    }
    for (int k = 0; k < *n; k++)
        w[k] /= sum;
}

/* One axis: src [outer][n_in][inner] -> dst [outer][n_out][inner]. */
static void resample_axis(const double *src, double *dst, int64_t outer, int n_in, int n_out,
                          int64_t inner, resample_how how)
{
    int *index = MEM_ARRAY(int, n_in + 8);
    double *w = MEM_ARRAY(double, n_in + 8);
    for (int i = 0; i < n_out; i++) {
        int n;
        make_taps(i, n_in, n_out, how, index, w, &n);
        for (int64_t o = 0; o < outer; o++) {
            double *to = dst + (o * n_out + i) * inner;
            memset(to, 0, (size_t)inner * sizeof *to);
            for (int k = 0; k < n; k++) {
                const double *from = src + (o * n_in + index[k]) * inner;
                for (int64_t c = 0; c < inner; c++)
                    to[c] += w[k] * from[c];
            }
        }
    }
    mem_free(index);
    mem_free(w);
}

void resample_values(const resample_grid *g, resample_how how, const float *src, float *dst)
{
    int64_t n_in = g->outer * g->from_rows * g->from_cols * g->inner;
    int64_t n_mid = g->outer * g->from_rows * g->to_cols * g->inner;
    int64_t n_out = g->outer * g->to_rows * g->to_cols * g->inner;
    double *in = MEM_ARRAY(double, n_in), *mid = MEM_ARRAY(double, n_mid);
    double *out = MEM_ARRAY(double, n_out);
    for (int64_t i = 0; i < n_in; i++)
        in[i] = (double)src[i];
    resample_axis(in, mid, g->outer * g->from_rows, g->from_cols, g->to_cols, g->inner, how);
    resample_axis(mid, out, g->outer, g->from_rows, g->to_rows, g->to_cols * g->inner, how);
    for (int64_t i = 0; i < n_out; i++)
        dst[i] = (float)out[i];
    mem_free(in);
    mem_free(mid);
    mem_free(out);
}
