/* Import and export of a network's parameters under timm's names (patchdropout.md 3): stem folded
 * to fewer channels, positions resampled to the grid, a head of other classes left at its initial
 * values. Import reads everything before it changes anything. */
#include "train/weights.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/mem.h"
#include "train/safetensors.h"

#define GRID_KEY "pos_grid" /* metadata: "14x14", the grid that pos_embed belongs to */
#define SHOWN    80

typedef enum fate { FATE_LOAD, FATE_FOLD, FATE_RESAMPLE, FATE_KEEP } fate;
static const char *const fates[] = {"loaded", "resized", "resized", "kept"};

typedef struct plan {
    fate fate;
    const safetensors_array *from;
    float *x; /* new values, owned; NULL = keep */
} plan;

typedef struct import {
    model *m;
    safetensors *file;
    const weights_opts *opts;
    plan *plan;         /* one per parameter */
    int grid_h, grid_w; /* of the file's pos_embed */
    int rows, cols;     /* of the model */
} import;

/* ---- resampling of positions -------------------------------------------------------------------
 */

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
static void make_taps(int i, int n_in, int n_out, weights_resample how, int *index, double *w,
                      int *n)
{
    double scale = (double)n_in / n_out, at = (i + 0.5) * scale - 0.5, sum = 0;
    *n = 0;
    if (how == WEIGHTS_BILINEAR) {
        at = at > 0 ? at : 0;
        int a = clamp((int)at, 0, n_in - 1);
        index[0] = a;
        index[1] = clamp(a + 1, 0, n_in - 1);
        w[1] = at - a;
        w[0] = 1 - w[1];
        *n = 2;
        return;
    }
    if (how == WEIGHTS_BICUBIC) {
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
static void resample_axis(const double *src, double *dst, int outer, int n_in, int n_out,
                          int64_t inner, weights_resample how)
{
    int *index = MEM_ARRAY(int, n_in + 8);
    double *w = MEM_ARRAY(double, n_in + 8);
    for (int i = 0; i < n_out; i++) {
        int n;
        make_taps(i, n_in, n_out, how, index, w, &n);
        for (int o = 0; o < outer; o++) {
            double *to = dst + ((int64_t)o * n_out + i) * inner;
            memset(to, 0, (size_t)inner * sizeof *to);
            for (int k = 0; k < n; k++) {
                const double *from = src + ((int64_t)o * n_in + index[k]) * inner;
                for (int64_t c = 0; c < inner; c++)
                    to[c] += w[k] * from[c];
            }
        }
    }
    mem_free(index);
    mem_free(w);
}

void weights_resample_pos(const float *src, int gh, int gw, float *dst, int th, int tw, int d,
                          weights_resample how)
{
    memcpy(dst, src, (size_t)d * sizeof *dst); /* CLS */
    int64_t n_in = (int64_t)gh * gw * d, n_mid = (int64_t)gh * tw * d, n_out = (int64_t)th * tw * d;
    double *a = MEM_ARRAY(double, n_in), *b = MEM_ARRAY(double, n_mid);
    double *c = MEM_ARRAY(double, n_out);
    for (int64_t i = 0; i < n_in; i++)
        a[i] = (double)src[d + i];
    resample_axis(a, b, gh, gw, tw, d, how);
    resample_axis(b, c, 1, gh, th, (int64_t)tw * d, how);
    for (int64_t i = 0; i < n_out; i++)
        dst[d + i] = (float)c[i];
    mem_free(a);
    mem_free(b);
    mem_free(c);
}

/* ---- import ------------------------------------------------------------------------------------
 */

static bool same_shape(const param *p, const safetensors_array *a)
{
    if (a->ndim != p->ndim)
        return false;
    for (int i = 0; i < p->ndim; i++) {
        if (a->shape[i] != p->shape[i])
            return false;
    }
    return true;
}

static void shape_text(const int64_t *shape, int ndim, text *out)
{
    text_add(out, "[");
    for (int i = 0; i < ndim; i++)
        text_addf(out, "%s%lld", i ? ", " : "", (long long)shape[i]);
    text_add(out, "]");
}

static void param_shape_text(const param *p, text *out)
{
    int64_t shape[4];
    for (int i = 0; i < p->ndim; i++)
        shape[i] = p->shape[i];
    shape_text(shape, p->ndim, out);
}

static bool shape_error(const param *p, const safetensors_array *a, err *e)
{
    text have, want;
    text_init(&have);
    text_init(&want);
    shape_text(a->shape, a->ndim, &have);
    param_shape_text(p, &want);
    err_set(e, ERR_INPUT, "'%s' has shape %s, the network wants %s", p->name, have.s, want.s);
    text_release(&have);
    text_release(&want);
    return false;
}

/* Grid of the file's positions: its own metadata, else a square. */
static bool find_grid(import *im, const param *p, const safetensors_array *a, err *e)
{
    if (a->ndim != 3 || a->shape[0] != 1 || a->shape[2] != p->shape[2] || a->shape[1] < 2)
        return shape_error(p, a, e);
    int64_t n = a->shape[1] - 1;
    const char *meta = safetensors_meta(im->file, GRID_KEY);
    int h = 0, w = 0, used = 0;
    if (meta && sscanf(meta, "%5dx%5d%n", &h, &w, &used) == 2 && !meta[used] && h > 0 && w > 0 &&
        (int64_t)h * w == n) {
        im->grid_h = h;
        im->grid_w = w;
        return true;
    }
    int64_t side = (int64_t)llround(sqrt((double)n));
    if (side * side != n || side > 4096) {
        if (n == (int64_t)im->rows * im->cols) { /* no square: it can only be this network's grid */
            im->grid_h = im->rows;
            im->grid_w = im->cols;
            return true;
        }
        return err_set(e, ERR_INPUT,
                       "'pos_embed' has %lld patch positions, which is no square grid",
                       (long long)n);
    }
    im->grid_h = im->grid_w = (int)side;
    return true;
}

static bool is_fold(const param *p, const safetensors_array *a)
{
    return strcmp(p->name, "patch_embed.proj.weight") == 0 && a->ndim == 4 && a->shape[1] == 3 &&
           p->shape[1] == 1 && a->shape[0] == p->shape[0] && a->shape[2] == p->shape[2] &&
           a->shape[3] == p->shape[3];
}

static bool is_head(const char *name)
{
    return strncmp(name, "head.", 5) == 0;
}

/* Index of the block a name belongs to, or -1. */
static int block_of(const char *name)
{
    int i = -1;
    return sscanf(name, "blocks.%4d.", &i) == 1 ? i : -1;
}

static int file_depth(const safetensors *s)
{
    int depth = 0;
    for (int i = 0; i < safetensors_count(s); i++) {
        int b = block_of(safetensors_at(s, i)->name);
        depth = b >= depth ? b + 1 : depth;
    }
    return depth;
}

static bool head_differs(import *im)
{
    const safetensors_array *w = safetensors_get(im->file, "head.weight");
    const safetensors_array *b = safetensors_get(im->file, "head.bias");
    param_set *s = model_params(im->m);
    const param *pw = param_find(s, "head.weight"), *pb = param_find(s, "head.bias");
    return !w || !b || !pw || !pb || !same_shape(pw, w) || !same_shape(pb, b);
}

static bool plan_one(import *im, const param *p, int depth, bool new_head, plan *k, err *e)
{
    const safetensors_array *a = safetensors_get(im->file, p->name);
    k->from = a;
    if (!im->opts->exact && is_head(p->name) && new_head) {
        k->fate = FATE_KEEP;
        return true;
    }
    if (!a) {
        if (!im->opts->exact && block_of(p->name) >= depth) {
            k->fate = FATE_KEEP; /* a deeper network than the file's */
            return true;
        }
        return err_set(e, ERR_INPUT, "'%s' is missing", p->name);
    }
    if (!im->opts->exact && strcmp(p->name, "pos_embed") == 0) {
        if (!find_grid(im, p, a, e))
            return false;
        bool same = im->grid_h == im->rows && im->grid_w == im->cols;
        k->fate = same ? FATE_LOAD : FATE_RESAMPLE;
        return true;
    }
    if (same_shape(p, a)) {
        k->fate = FATE_LOAD;
        return true;
    }
    if (!im->opts->exact && is_fold(p, a)) {
        k->fate = FATE_FOLD;
        return true;
    }
    return shape_error(p, a, e);
}

static void fold(const float *rgb, float *out, const param *p)
{
    int64_t area = (int64_t)p->shape[2] * p->shape[3];
    for (int64_t d = 0; d < p->shape[0]; d++) {
        const float *from = rgb + d * 3 * area;
        for (int64_t i = 0; i < area; i++)
            out[d * area + i] =
                (float)((double)from[i] + (double)from[area + i] + (double)from[2 * area + i]);
    }
}

static bool read_one(import *im, const param *p, plan *k, err *e)
{
    if (k->fate == FATE_KEEP)
        return true;
    size_t n = (size_t)k->from->n;
    float *raw = mem_alloc(n * sizeof(float));
    bool ok = safetensors_read(im->file, k->from, raw, e);
    for (size_t i = 0; ok && i < n; i++) {
        if (!isfinite(raw[i]))
            ok = err_set(e, ERR_INPUT, "'%s' holds a value that is not finite", p->name);
    }
    if (!ok || k->fate == FATE_LOAD) {
        k->x = ok ? raw : NULL;
        if (!ok)
            mem_free(raw);
        return ok;
    }
    k->x = mem_alloc((size_t)p->n * sizeof(float));
    if (k->fate == FATE_FOLD)
        fold(raw, k->x, p);
    else
        weights_resample_pos(raw, im->grid_h, im->grid_w, k->x, im->rows, im->cols, p->shape[2],
                             im->opts->resample);
    mem_free(raw);
    return true;
}

static bool check_unused(import *im, err *e)
{
    for (int i = 0; im->opts->exact && i < safetensors_count(im->file); i++) {
        const safetensors_array *a = safetensors_at(im->file, i);
        char safe[SHOWN];
        text_copy(safe, sizeof safe, a->name);
        if (!param_find(model_params(im->m), a->name))
            return err_set(e, ERR_INPUT, "'%s' is nothing this network knows", safe);
    }
    return true;
}

static void fill_report(const import *im, weights_report *r)
{
    param_set *s = model_params(im->m);
    r->loaded = r->resized = r->kept = r->unused = 0;
    for (int i = 0; i < s->n; i++) {
        const plan *k = &im->plan[i];
        text_addf(&r->table, "%-8s %s ", fates[k->fate], s->p[i].name);
        param_shape_text(&s->p[i], &r->table);
        if (k->fate == FATE_FOLD || k->fate == FATE_RESAMPLE || (k->fate == FATE_KEEP && k->from)) {
            text_add(&r->table, " file ");
            shape_text(k->from->shape, k->from->ndim, &r->table);
        }
        text_add(&r->table, "\n");
        *(k->fate == FATE_LOAD ? &r->loaded : k->fate == FATE_KEEP ? &r->kept : &r->resized) += 1;
    }
    for (int i = 0; i < safetensors_count(im->file); i++) {
        const safetensors_array *a = safetensors_at(im->file, i);
        char safe[SHOWN];
        if (param_find(s, a->name))
            continue;
        text_copy(safe, sizeof safe, a->name);
        text_addf(&r->table, "%-8s %s ", "unused", safe);
        shape_text(a->shape, a->ndim, &r->table);
        text_add(&r->table, "\n");
        r->unused++;
    }
}

static bool import_all(import *im, weights_report *report, err *e)
{
    param_set *s = model_params(im->m);
    int depth = file_depth(im->file);
    if (depth == 0)
        return err_set(e, ERR_INPUT,
                       "no array is named 'blocks.N...': not a vision transformer "
                       "with timm's names");
    bool new_head = head_differs(im);
    for (int i = 0; i < s->n; i++) {
        if (!plan_one(im, &s->p[i], depth, new_head, &im->plan[i], e))
            return false;
    }
    if (!check_unused(im, e))
        return false;
    for (int i = 0; i < s->n; i++) {
        if (!read_one(im, &s->p[i], &im->plan[i], e))
            return false;
    }
    for (int i = 0; i < s->n; i++) {
        if (im->plan[i].x)
            param_write(s, &s->p[i], im->plan[i].x);
    }
    if (report)
        fill_report(im, report);
    return true;
}

bool weights_load(model *m, const char *path, const weights_opts *opts, weights_report *report,
                  err *e)
{
import im = {.m = m, .opts = opts };
    param_set *s = model_params(m);
    model_grid(m, &im.rows, &im.cols);
    im.file = safetensors_open(path, e);
    if (!im.file)
        return false;
    im.plan = MEM_ARRAY(plan, s->n);
    bool ok = import_all(&im, report, e);
    if (!ok)
        err_wrap(e, "weights file '%s'", path);
    for (int i = 0; i < s->n; i++)
        mem_free(im.plan[i].x);
    mem_free(im.plan);
    safetensors_close(im.file);
    return ok;
}

/* ---- export ------------------------------------------------------------------------------------
 */

bool weights_save(model *m, const char *path, const json_t *metadata, err *e)
{
    param_set *s = model_params(m);
    json_t *meta = metadata ? json_deep_copy(metadata) : json_object();
    char grid[32];
    int rows, cols;
    model_grid(m, &rows, &cols);
    snprintf(grid, sizeof grid, "%dx%d", rows, cols);
    json_object_set_new(meta, GRID_KEY, json_string(grid));
    safetensors_writer *w = safetensors_writer_new(path, meta);
    json_decref(meta);
    float **x = MEM_ARRAY(float *, s->n);
    for (int i = 0; i < s->n; i++) {
        const param *p = &s->p[i];
        int64_t shape[4];
        for (int k = 0; k < p->ndim; k++)
            shape[k] = p->shape[k];
        x[i] = mem_alloc((size_t)p->n * sizeof(float));
        param_read(s, p, x[i]);
        safetensors_writer_add(w, p->name, p->ndim, shape, x[i]);
    }
    bool ok = safetensors_writer_finish(w, e);
    for (int i = 0; i < s->n; i++)
        mem_free(x[i]);
    mem_free(x);
    return ok ? true : err_wrap(e, "weights");
}
