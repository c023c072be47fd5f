/* The rules by which a file fits a network. */
#include "train/weights_fit.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/mem.h"
#include "train/augreg.h"

#define SIDE_MAX  4096
#define BLOCKS    "blocks."
#define BIAS_TAIL ".relative_position_bias_table"

typedef struct fitter {
    const weights_file *f;
    param_set *params;
    const weights_opts *opts;
    int rows, cols; /* of the network's patches */
} fitter;

/* ---- the file under our names ---------------------------------------------------------------- */

static bool rename_all(weights_file *f, bool rename, err *e)
{
    names k;
    const char **theirs = MEM_ARRAY(const char *, f->n);
    for (int i = 0; i < f->n; i++)
        theirs[i] = source_at(f->file, i)->name;
    names_of_file(&k, theirs, f->n);
    for (int i = 0; i < f->n; i++) {
        if (rename)
            names_to_ours(&k, theirs[i], f->name[i]);
        else
            snprintf(f->name[i], NAMES_MAX, "%s", theirs[i]);
        f->array[i] = *source_at(f->file, i);
        f->array[i].name = f->name[i];
        f->array[i].at = (uint64_t)i;
    }
    mem_free(theirs);
    f->by_name = array_by_name(f->array, f->n);
    for (int i = 1; i < f->n; i++) {
        const array_info *a = &f->array[f->by_name[i - 1]], *b = &f->array[f->by_name[i]];
        char one[ARRAY_SHOWN], two[ARRAY_SHOWN];
        array_shown(source_at(f->file, (int)a->at)->name, one);
        array_shown(source_at(f->file, (int)b->at)->name, two);
        if (strcmp(a->name, b->name) == 0)
            return err_set(e, ERR_INPUT, "'%s' and '%s' are names of one parameter", one, two);
    }
    return true;
}

bool weights_file_open(weights_file *f, const char *path, bool rename, err *e)
{
    *f = (weights_file){.file = source_open(path, e)};
    if (!f->file)
        return false;
    if (rename && augreg_is(f->file))
        f->file = augreg_open(f->file, e);
    bool ok = f->file != NULL;
    if (ok) {
        f->n = source_count(f->file);
        f->array = MEM_ARRAY(array_info, f->n);
        f->name = mem_calloc((size_t)f->n, sizeof *f->name);
        ok = rename_all(f, rename, e);
    }
    if (ok)
        return true;
    weights_file_close(f);
    return err_wrap(e, "weights file '%s'", path);
}

void weights_file_close(weights_file *f)
{
    source_close(f->file);
    mem_free(f->array);
    mem_free(f->name);
    mem_free(f->by_name);
    *f = (weights_file){0};
}

const array_info *weights_file_get(const weights_file *f, const char *name)
{
    return array_find(f->array, f->n, f->by_name, name);
}

/* ---- shapes ---------------------------------------------------------------------------------- */

void weights_shape_text(int ndim, const int64_t *shape, text *out)
{
    text_add(out, "[");
    for (int i = 0; i < ndim; i++)
        text_addf(out, "%s%lld", i ? ", " : "", (long long)shape[i]);
    text_add(out, "]");
}

void weights_param_shape(const param *p, int64_t shape[4])
{
    for (int i = 0; i < p->ndim; i++)
        shape[i] = p->shape[i];
}

static bool shape_error(const param *p, const array_info *a, err *e)
{
    text have, want;
    int64_t shape[4];
    text_init(&have);
    text_init(&want);
    weights_shape_text(a->ndim, a->shape, &have);
    weights_param_shape(p, shape);
    weights_shape_text(p->ndim, shape, &want);
    err_set(e, ERR_INPUT, "'%s' has shape %s, the network wants %s", p->name, have.s, want.s);
    text_release(&have);
    text_release(&want);
    return false;
}

static bool same_shape(const param *p, const array_info *a)
{
    return array_same_shape(a, p->ndim, p->shape);
}

static bool begins(const char *s, const char *with)
{
    return strncmp(s, with, strlen(with)) == 0;
}

/* Side of a square number, or 0. */
static int side_of(int64_t n)
{
    int64_t side = (int64_t)llround(sqrt((double)n));
    return side > 0 && side <= SIDE_MAX && side * side == n ? (int)side : 0;
}

/* ---- positions ------------------------------------------------------------------------------- */

static bool fit_grids(const fitter *t, weights_fit *k, const char *what, resample_how how)
{
    const resample_grid *g = &k->grid;
    bool same = g->from_rows == g->to_rows && g->from_cols == g->to_cols;
    k->how = how;
    k->fate = same && k->skip_from == k->skip_to ? WEIGHTS_LOAD : WEIGHTS_RESAMPLE;
    if (k->fate == WEIGHTS_LOAD)
        return true;
    int n = snprintf(k->why, sizeof k->why, "%s %dx%d to %dx%d", what, g->from_rows, g->from_cols,
                     g->to_rows, g->to_cols);
    if (!same)
        n += snprintf(k->why + n, sizeof k->why - (size_t)n, ", %s", resample_name(how));
    if (k->skip_from != k->skip_to)
        snprintf(k->why + n, sizeof k->why - (size_t)n, ", %lld rows of tokens to %lld",
                 (long long)(k->skip_from / g->inner), (long long)(k->skip_to / g->inner));
    return true;
}

/* Tokens that stand before the patches in the file. */
static int file_tokens(const fitter *t, bool registers)
{
    const array_info *cls = weights_file_get(t->f, "cls_token");
    const array_info *reg = weights_file_get(t->f, "reg_token");
    int64_t n = cls && cls->ndim == 3 ? cls->shape[1] : 0;
    n += weights_file_get(t->f, "dist_token") ? 1 : 0;
    n += registers && reg && reg->ndim == 3 ? reg->shape[1] : 0;
    return n >= 0 && n < SIDE_MAX ? (int)n : 0;
}

/* Grid of n patches: the file's own word for it, else a square. */
static bool file_grid(const fitter *t, int64_t n, resample_grid *g)
{
    const char *meta = source_meta(t->f->file, WEIGHTS_GRID_KEY);
    int h = 0, w = 0, used = 0;
    if (meta && sscanf(meta, "%5dx%5d%n", &h, &w, &used) == 2 && !meta[used] && h > 0 && w > 0 &&
        (int64_t)h * w == n) {
        g->from_rows = h;
        g->from_cols = w;
        return true;
    }
    g->from_rows = g->from_cols = side_of(n);
    return g->from_rows > 0;
}

/* pos_embed [1, tokens + patches, width] */
static bool fit_rows(const fitter *t, const param *p, weights_fit *k, err *e)
{
    const array_info *a = k->from;
    int tokens[] = {file_tokens(t, true), file_tokens(t, false)};
    int own = p->shape[1] - t->rows * t->cols;
    if (a->ndim != 3 || a->shape[0] != 1 || a->shape[2] != p->shape[2] || a->shape[1] < 2)
        return shape_error(p, a, e);
    k->grid = (resample_grid){.outer = 1, .inner = p->shape[2]};
    k->grid.to_rows = t->rows;
    k->grid.to_cols = t->cols;
    k->skip_to = (int64_t)own * p->shape[2];
    for (size_t i = 0; i < COUNT_OF(tokens); i++) {
        if (!file_grid(t, a->shape[1] - tokens[i], &k->grid))
            continue;
        k->skip_from = (int64_t)tokens[i] * p->shape[2];
        return fit_grids(t, k, "positions", t->opts->resample);
    }
    if (same_shape(p, a)) { /* no square: it can only be this network's grid */
        k->fate = WEIGHTS_LOAD;
        return true;
    }
    return err_set(e, ERR_INPUT, "'pos_embed' has %lld patch positions, which is no square grid",
                   (long long)(a->shape[1] - tokens[0]));
}

/* pos_embed [1, width, rows, cols] */
static bool fit_planes(const fitter *t, const param *p, weights_fit *k, err *e)
{
    const array_info *a = k->from;
    if (a->ndim != 4 || a->shape[0] != 1 || a->shape[1] != p->shape[1] || a->shape[2] < 1 ||
        a->shape[3] < 1 || a->shape[2] > SIDE_MAX || a->shape[3] > SIDE_MAX)
        return shape_error(p, a, e);
    k->grid = (resample_grid){.outer = p->shape[1],
                              .inner = 1,
                              .from_rows = (int)a->shape[2],
                              .from_cols = (int)a->shape[3],
                              .to_rows = p->shape[2],
                              .to_cols = p->shape[3]};
    return fit_grids(t, k, "positions", t->opts->resample);
}

/* [(2M - 1)^2, heads]: one value for every step between two tokens of a window of M x M. */
static bool fit_bias(const fitter *t, const param *p, weights_fit *k, err *e)
{
    const array_info *a = k->from;
    if (same_shape(p, a)) {
        k->fate = WEIGHTS_LOAD;
        return true;
    }
    int from = a->ndim == 2 ? side_of(a->shape[0]) : 0, to = side_of(p->shape[0]);
    if (!from || !to || a->shape[1] != p->shape[1])
        return shape_error(p, a, e);
    k->grid = (resample_grid){.outer = 1,
                              .inner = p->shape[1],
                              .from_rows = from,
                              .from_cols = from,
                              .to_rows = to,
                              .to_cols = to};
    return fit_grids(t, k, "steps of a window", RESAMPLE_BICUBIC);
}

/* ---- blocks, heads, tokens ------------------------------------------------------------------- */

/* Length of "blocks.3." or "layers.0.blocks.3." at the start of a name, 0 = not in a block. *stage:
 * length without "3."; *index: 3. */
static size_t block_prefix(const char *name, size_t *stage, int *index)
{
    const char *at = strstr(name, BLOCKS);
    int used = 0;
    if (!at || sscanf(at + strlen(BLOCKS), "%4d.%n", index, &used) != 1 || !used || *index < 0)
        return 0;
    *stage = (size_t)(at - name) + strlen(BLOCKS);
    return *stage + (size_t)used;
}

/* Number of blocks that the file has in the stage of `name`. */
static int file_depth(const weights_file *f, const char *name, size_t stage)
{
    int depth = 0, index;
    size_t s;
    for (int i = 0; i < f->n; i++) {
        if (strncmp(f->array[i].name, name, stage) == 0 &&
            block_prefix(f->array[i].name, &s, &index) && s == stage && index >= depth)
            depth = index + 1;
    }
    return depth;
}

static bool is_head(const char *name)
{
    return begins(name, "head.") || begins(name, "head_dist.");
}

/* Whether weight or bias of the parameter's head are absent or of other classes. */
static bool head_differs(const fitter *t, const char *name)
{
    static const char *const parts[] = {"weight", "bias"};
    int stem = (int)(strchr(name, '.') - name) + 1;
    for (size_t i = 0; i < COUNT_OF(parts); i++) {
        char full[64];
        snprintf(full, sizeof full, "%.*s%s", stem, name, parts[i]);
        const array_info *a = weights_file_get(t->f, full);
        const param *p = param_find(t->params, full);
        if (!a || !p || !same_shape(p, a))
            return true;
    }
    return false;
}

static bool keep(weights_fit *k, const char *why)
{
    k->fate = WEIGHTS_KEEP;
    snprintf(k->why, sizeof k->why, "%s", why);
    return true;
}

/* Tokens that a plain network of the same family has not. */
static bool is_extra_token(const char *name)
{
    return strcmp(name, "dist_token") == 0 || strcmp(name, "reg_token") == 0;
}

static bool fit_absent(const fitter *t, const param *p, weights_fit *k, err *e)
{
    size_t stage;
    int index;
    if (block_prefix(p->name, &stage, &index)) {
        int depth = file_depth(t->f, p->name, stage);
        if (depth > 0 && index >= depth)
            return keep(k, "a block more than the file has");
    }
    if (is_extra_token(p->name))
        return keep(k, "a token that the file's network has not");
    if (begins(p->name, "norm.") && weights_file_get(t->f, "fc_norm.weight"))
        return err_set(e, ERR_INPUT,
                       "'%s' is missing and 'fc_norm.weight' is there: a network that averages its "
                       "patches before the norm, this one reads its class token",
                       p->name);
    return err_set(e, ERR_INPUT, "'%s' is missing", p->name);
}

static bool is_fold(const param *p, const array_info *a)
{
    return begins(p->name, "patch_embed.") && p->ndim == 4 && a->ndim == 4 && a->shape[1] == 3 &&
           p->shape[1] == 1 && a->shape[0] == p->shape[0] && a->shape[2] == p->shape[2] &&
           a->shape[3] == p->shape[3];
}

static bool fit_one(const fitter *t, const param *p, weights_fit *k, err *e)
{
    k->from = weights_file_get(t->f, p->name);
    if (!t->opts->exact) {
        if (is_head(p->name) && head_differs(t, p->name))
            return keep(k, k->from ? "a head of other classes" : "a head that the file has not");
        if (!k->from)
            return fit_absent(t, p, k, e);
        if (strcmp(p->name, "pos_embed") == 0)
            return p->ndim == 4 ? fit_planes(t, p, k, e) : fit_rows(t, p, k, e);
        if (text_ends(p->name, BIAS_TAIL))
            return fit_bias(t, p, k, e);
        if (is_fold(p, k->from)) {
            k->fate = WEIGHTS_FOLD;
            snprintf(k->why, sizeof k->why, "sum over 3 channels");
            return true;
        }
    }
    if (!k->from)
        return err_set(e, ERR_INPUT, "'%s' is missing", p->name);
    k->fate = WEIGHTS_LOAD;
    return same_shape(p, k->from) ? true : shape_error(p, k->from, e);
}

/* ---- the whole file -------------------------------------------------------------------------- */

/* An array inside a block that the network has, but does not compute with: another architecture. */
static bool is_foreign(const fitter *t, const char *name)
{
    size_t stage, n;
    int index;
    n = block_prefix(name, &stage, &index);
    for (int i = 0; n && i < t->params->n; i++) {
        if (strncmp(t->params->p[i].name, name, n) == 0)
            return true;
    }
    return begins(name, "norm_pre.");
}

static bool check_unused(const fitter *t, err *e)
{
    for (int i = 0; i < t->f->n; i++) {
        const char *name = t->f->array[i].name;
        char safe[ARRAY_SHOWN];
        if (param_find(t->params, name))
            continue;
        array_shown(name, safe);
        if (t->opts->exact)
            return err_set(e, ERR_INPUT, "'%s' is nothing this network knows", safe);
        if (!names_is_buffer(name) && is_foreign(t, name))
            return err_set(e, ERR_INPUT,
                           "'%s' is nothing this network computes with: a file of another "
                           "architecture",
                           safe);
    }
    return true;
}

static bool has_blocks(const fitter *t)
{
    size_t stage;
    int index;
    for (int i = 0; i < t->f->n; i++) {
        const char *name = t->f->array[i].name;
        if (block_prefix(name, &stage, &index) && param_find(t->params, name))
            return true;
    }
    return false;
}

bool weights_fit_all(const weights_file *f, model *m, const weights_opts *opts, weights_fit *fit,
                     err *e)
{
    fitter t = {.f = f, .params = model_params(m), .opts = opts};
    model_grid(m, &t.rows, &t.cols);
    if (!has_blocks(&t))
        return err_set(e, ERR_INPUT,
                       "no array is a weight of one of the network's blocks ('blocks.N...'): not a "
                       "file for '%s' with timm's names",
                       model_config(m)->name);
    for (int i = 0; i < t.params->n; i++) {
        if (!fit_one(&t, &t.params->p[i], &fit[i], e))
            return false;
    }
    return check_unused(&t, e);
}
