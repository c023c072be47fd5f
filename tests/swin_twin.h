/* Swin in double, written from the description alone (patchdropout.md 2 and 3): maps of tokens, row
 * by row, rolled and cut into windows with loops. Slow and plain. Nothing of model/ is used but
 * parameters by name. */
#ifndef TESTS_SWIN_TWIN_H
#define TESTS_SWIN_TWIN_H

#include <math.h>
#include <stdio.h>

#include "tests/swin_small.h"

/* One map of tokens of one image. */
typedef struct twin_map {
    int rows, cols, c;
    double *x;         /* [rows][cols][c] */
    double *row, *col; /* [rows][cols] mean place of the token's patches, in patches */
} twin_map;

typedef struct twin {
    const small *n;
    int side, window;           /* kept, full */
    bool tile;                  /* as the published program */
    const int32_t (*set)[2][8]; /* tile: rows and columns of the sets */
    int image, images;
} twin;

static double *twin_param(const small *n, const char *prefix, const char *name)
{
    char full[128];
    snprintf(full, sizeof full, "%s%s", prefix, name);
    param *p = param_find(n->set, full);
    if (!p)
        fail_msg("no parameter %s", full);
    double *x = MEM_ARRAY(double, p->n);
    for (int64_t i = 0; i < p->n; i++)
        x[i] = p->x[i];
    return x;
}

static void twin_norm(const small *n, const char *prefix, const char *name, double *x, int64_t rows,
                      int c)
{
    char w[80], b[80];
    snprintf(w, sizeof w, "%s.weight", name);
    snprintf(b, sizeof b, "%s.bias", name);
    double *weight = twin_param(n, prefix, w), *bias = twin_param(n, prefix, b);
    for (int64_t r = 0; r < rows; r++, x += c) {
        double mean = 0, var = 0;
        for (int i = 0; i < c; i++)
            mean += x[i] / c;
        for (int i = 0; i < c; i++)
            var += (x[i] - mean) * (x[i] - mean) / c;
        for (int i = 0; i < c; i++)
            x[i] = (x[i] - mean) / sqrt(var + 1e-5) * weight[i] + bias[i];
    }
    mem_free(weight);
    mem_free(bias);
}

/* -> [rows][out], to be freed. */
static double *twin_linear(const small *n, const char *prefix, const char *name, const double *x,
                           int64_t rows, int in, int out, bool has_bias)
{
    char w[80], b[80];
    snprintf(w, sizeof w, "%s.weight", name);
    snprintf(b, sizeof b, "%s.bias", name);
    double *weight = twin_param(n, prefix, w);
    double *bias = has_bias ? twin_param(n, prefix, b) : NULL;
    double *y = MEM_ARRAY(double, rows *out);
    for (int64_t r = 0; r < rows; r++) {
        for (int o = 0; o < out; o++) {
            double sum = bias ? bias[o] : 0;
            for (int i = 0; i < in; i++)
                sum += x[r * in + i] * weight[o * in + i];
            y[r * out + o] = sum;
        }
    }
    mem_free(weight);
    mem_free(bias);
    return y;
}

/* Region of a place along one axis of a rolled map: before the last window, in it, wrapped. */
static int twin_region(int place, int length, int window, int shift)
{
    return place < length - window ? 0 : place < length - shift ? 1 : 2;
}

/* One token of window (wr, wc) of the rolled map: on which token of the map it lies, its place for
 * the bias in cells, its region for the mask. */
typedef struct twin_token {
    int at, region;
    double row, col;
} twin_token;

static void twin_window(const twin *t, const twin_map *m, int stage, int wr, int wc, int shift,
                        twin_token *out)
{
    int s = t->side, f = t->window, down = m->rows / s, across = m->cols / s;
    const int32_t(*set)[8] =
        t->tile ? t->set[(t->image * down * across + wr * across + wc) % t->images] : NULL;
    for (int i = 0; i < s * s; i++, out++) {
        int r = wr * s + i / s, c = wc * s + i % s; /* on the rolled map */
        out->at = (r + shift) % m->rows * m->cols + (c + shift) % m->cols;
        if (t->tile) {
            int fr = wr * f + set[0][i / s], fc = wc * f + set[1][i % s]; /* on the full map */
            out->row = set[0][i / s];
            out->col = set[1][i % s];
            out->region =
                3 * twin_region(fr, down * f, f, shift) + twin_region(fc, across * f, f, shift);
        } else {
            out->row = m->row[out->at] / (1 << stage);
            out->col = m->col[out->at] / (1 << stage);
            out->region = 3 * twin_region(r, m->rows, s, shift) + twin_region(c, m->cols, s, shift);
        }
        if (!shift)
            out->region = 0;
    }
}

static int twin_entry(const twin *t, const twin_token *q, const twin_token *k)
{
    int reach = t->window - 1;
    int dr = (int)round(q->row - k->row), dc = (int)round(q->col - k->col);
    dr = dr < -reach ? -reach : dr > reach ? reach : dr;
    dc = dc < -reach ? -reach : dc > reach ? reach : dc;
    return (dr + reach) * (2 * reach + 1) + dc + reach;
}

/* y += attention of one head in one window. */
static void twin_head(const twin *t, const twin_map *m, const twin_token *w, const double *qkv,
                      const double *bias, int head, int heads, double *y)
{
    int s2 = t->side * t->side, d = m->c / heads;
    double p[64];
    for (int q = 0; q < s2; q++) {
        double sum = 0;
        for (int k = 0; k < s2; k++) {
            const double *a = qkv + (int64_t)w[q].at * 3 * m->c + head * d;
            const double *b = qkv + (int64_t)w[k].at * 3 * m->c + m->c + head * d;
            double z = bias[twin_entry(t, &w[q], &w[k]) * heads + head];
            for (int i = 0; i < d; i++)
                z += a[i] * b[i] / sqrt((double)d);
            sum += p[k] = exp(z - (w[q].region != w[k].region ? 100 : 0));
        }
        for (int k = 0; k < s2; k++) {
            const double *v = qkv + (int64_t)w[k].at * 3 * m->c + 2 * m->c + head * d;
            for (int i = 0; i < d; i++)
                y[(int64_t)w[q].at * m->c + head * d + i] += p[k] / sum * v[i];
        }
    }
}

static void twin_block(const twin *t, twin_map *m, int stage, int index)
{
    char prefix[40];
    int64_t n = (int64_t)m->rows * m->cols, heads = 2 << stage;
    int down = m->rows / t->side, across = m->cols / t->side;
    int shift = index % 2 && down > 1 && across > 1 ? (t->tile ? t->window : t->side) / 2 : 0;
    snprintf(prefix, sizeof prefix, "layers.%d.blocks.%d.", stage, index);
    double *h = MEM_ARRAY(double, n * m->c), *y = MEM_ARRAY(double, n * m->c);
    memcpy(h, m->x, (size_t)(n * m->c) * sizeof *h);
    twin_norm(t->n, prefix, "norm1", h, n, m->c);
    double *qkv = twin_linear(t->n, prefix, "attn.qkv", h, n, m->c, 3 * m->c, true);
    double *bias = twin_param(t->n, prefix, "attn.relative_position_bias_table");
    for (int w = 0; w < down * across; w++) {
        twin_token token[64];
        twin_window(t, m, stage, w / across, w % across, shift, token);
        for (int k = 0; k < heads; k++)
            twin_head(t, m, token, qkv, bias, k, (int)heads, y);
    }
    double *o = twin_linear(t->n, prefix, "attn.proj", y, n, m->c, m->c, true);
    for (int64_t i = 0; i < n * m->c; i++)
        h[i] = m->x[i] += o[i];
    twin_norm(t->n, prefix, "norm2", h, n, m->c);
    double *u = twin_linear(t->n, prefix, "mlp.fc1", h, n, m->c, 4 * m->c, true);
    for (int64_t i = 0; i < n * 4 * m->c; i++)
        u[i] *= 0.5 * (1 + erf(u[i] / sqrt(2.0)));
    double *f = twin_linear(t->n, prefix, "mlp.fc2", u, n, 4 * m->c, m->c, true);
    for (int64_t i = 0; i < n * m->c; i++)
        m->x[i] += f[i];
    mem_free(f);
    mem_free(u);
    mem_free(o);
    mem_free(bias);
    mem_free(qkv);
    mem_free(y);
    mem_free(h);
}

static twin_map twin_map_new(int rows, int cols, int c)
{
    twin_map m = {rows, cols, c, NULL, NULL, NULL};
    m.x = MEM_ARRAY(double, rows *cols *c);
    m.row = MEM_ARRAY(double, rows *cols);
    m.col = MEM_ARRAY(double, rows *cols);
    return m;
}

static void twin_map_free(twin_map *m)
{
    mem_free(m->x);
    mem_free(m->row);
    mem_free(m->col);
}

static void twin_merge(const twin *t, twin_map *m, int stage)
{
    char prefix[40];
    int c = m->c;
    twin_map y = twin_map_new(m->rows / 2, m->cols / 2, 2 * c);
    double *four = MEM_ARRAY(double, (int64_t)m->rows * m->cols * c);
    for (int i = 0; i < y.rows * y.cols; i++) {
        for (int k = 0; k < 4; k++) { /* (even, even), (odd, even), (even, odd), (odd, odd) */
            int from = (2 * (i / y.cols) + k % 2) * m->cols + 2 * (i % y.cols) + k / 2;
            memcpy(four + ((int64_t)i * 4 + k) * c, m->x + (int64_t)from * c,
                   (size_t)c * sizeof *four);
            y.row[i] += m->row[from] / 4;
            y.col[i] += m->col[from] / 4;
        }
    }
    snprintf(prefix, sizeof prefix, "layers.%d.downsample.", stage);
    twin_norm(t->n, prefix, "norm", four, y.rows * y.cols, 4 * c);
    mem_free(y.x);
    y.x = twin_linear(t->n, prefix, "reduction", four, y.rows * y.cols, 4 * c, 2 * c, false);
    mem_free(four);
    twin_map_free(m);
    *m = y;
}

/* The kept patches of one image as a map: patches [rows][cols] of the image's grid. */
static twin_map twin_stem(const twin *t, const int32_t *patch, int rows, int cols)
{
    const small *n = t->n;
    int across = n->cfg.cols, w = (int)n->cfg.m.image_w, h = (int)n->cfg.m.image_h;
    twin_map m = twin_map_new(rows, cols, SMALL_WIDTH);
    double *px = MEM_ARRAY(double, rows *cols * 4 * SMALL_CHANNELS), *at = px;
    for (int i = 0; i < rows * cols; i++) {
        m.row[i] = patch[i] / across;
        m.col[i] = patch[i] % across;
        for (int k = 0; k < 4 * SMALL_CHANNELS; k++) {
            int y = patch[i] / across * 2 + k / 2 % 2, x = patch[i] % across * 2 + k % 2;
            *at++ = (n->image[t->image][((int64_t)(k / 4) * h + y) * w + x] / 65535.0 - 0.5) / 0.25;
        }
    }
    mem_free(m.x);
    m.x = twin_linear(n, "", "patch_embed.proj", px, rows * cols, 4 * SMALL_CHANNELS, SMALL_WIDTH,
                      true);
    twin_norm(n, "", "patch_embed.norm", m.x, rows * cols, SMALL_WIDTH);
    mem_free(px);
    return m;
}

/* Logits of one image; consumes m. */
static void twin_forward(const twin *t, twin_map *m, double *logits)
{
    for (int s = 0; s < SWIN_STAGES; s++) {
        for (int i = 0; i < small_preset.depth[s]; i++)
            twin_block(t, m, s, i);
        if (s + 1 < SWIN_STAGES)
            twin_merge(t, m, s);
    }
    int64_t n = (int64_t)m->rows * m->cols;
    double *mean = MEM_ARRAY(double, m->c);
    twin_norm(t->n, "", "norm", m->x, n, m->c);
    for (int64_t i = 0; i < n * m->c; i++)
        mean[i % m->c] += m->x[i] / (double)n;
    double *z = twin_linear(t->n, "", "head", mean, 1, m->c, SMALL_CLASSES, true);
    memcpy(logits, z, SMALL_CLASSES * sizeof *z);
    mem_free(z);
    mem_free(mean);
    twin_map_free(m);
}
#endif
