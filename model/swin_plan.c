/* Swin's index arithmetic: sets of rows and columns, orders of windows, relative positions. */
#include "model/swin_plan.h"

#include <string.h>

#include "core/mem.h"
#include "core/rng.h"

struct swin_plan {
    const net_cfg *c;
    const model_batch *batch;
    bool shape;
    int window, side;
    int images; /* that differ in their kept patches: b, or 1 where nothing is dropped */
    swin_grid grid[SWIN_STAGES];
    int32_t *at; /* [images, tokens] patches in the order of the first stage's windows */
    /* [images, tokens of the stage], row by row on its map: rows and columns of a token's patches,
     * summed over the 4^stage of them. */
    int32_t *row[SWIN_STAGES], *col[SWIN_STAGES];
    int32_t *set; /* SWIN_TILE: [b][rows | columns][side] within a window; else NULL */
};

/* ---- PatchDropout: draw ---------------------------------------------------------------------- */

int swin_plan_side(const net_cfg *c, double rate)
{
    return (int)(rate * (double)c->m.window);
}

static int windows_of(const net_cfg *c)
{
    int m = (int)c->m.window;
    return c->rows / m * (c->cols / m);
}

int swin_plan_kept(const net_cfg *c, double rate)
{
    int side = swin_plan_side(c, rate);
    return side * side * windows_of(c);
}

/* `sets` sets of an image: rows, then columns of each, ascending. */
static void draw_sets(const net_cfg *c, const model_draw *d, int image, int sets, int32_t *out)
{
    int side = swin_plan_side(c, d->rate), window = (int)c->m.window;
    rng r;
    rng_init(&r, d->seed, RNG_PATCHDROP, d->sample[image], d->epoch);
    for (int i = 0; i < 2 * sets; i++, out += side)
        rng_subset(&r, window, side, out);
}

/* Patches of one image, ascending; pick[w] = the set of window w. */
static int32_t *emit(const net_cfg *c, int side, const int32_t *set, const int32_t *pick,
                     int32_t *out)
{
    int m = (int)c->m.window, across = c->cols / m;
    for (int r = 0; r < c->rows; r++) {
        for (int w = r / m * across; w < (r / m + 1) * across; w++) {
            const int32_t *rows = set + (int64_t)pick[w] * 2 * side, *cols = rows + side;
            bool kept = false;
            for (int i = 0; i < side; i++)
                kept = kept || rows[i] == r % m;
            for (int i = 0; kept && i < side; i++)
                *out++ = r * c->cols + w % across * m + cols[i];
        }
    }
    return out;
}

void swin_plan_select(const net_cfg *c, const model_draw *d, int32_t *keep)
{
    int side = swin_plan_side(c, d->rate), windows = windows_of(c);
    bool each = c->m.swin_sets == SWIN_WINDOW, tile = c->m.swin_sets == SWIN_TILE;
    int sets = each ? windows : 1;
    int32_t *set = MEM_ARRAY(int32_t, (int64_t)(tile ? d->b : sets) * 2 * side);
    int32_t *pick = MEM_ARRAY(int32_t, windows);
    for (int s = 0; tile && s < d->b; s++)
        draw_sets(c, d, s, 1, set + (int64_t)s * 2 * side);
    for (int s = 0; s < d->b; s++) {
        for (int w = 0; w < windows; w++)
            pick[w] = tile ? (int32_t)(((int64_t)s * windows + w) % d->b) : each ? w : 0;
        if (!tile)
            draw_sets(c, d, s, sets, set);
        keep = emit(c, side, set, pick, keep);
    }
    mem_free(pick);
    mem_free(set);
}

/* ---- one batch ------------------------------------------------------------------------------- */

/* 0 = no whole number of rows and columns for every window. */
static int side_of(const net_cfg *c, const model_batch *b)
{
    int windows = windows_of(c), side = 1;
    if (!b->keep)
        return (int)c->m.window;
    while (side < c->m.window && side * side * windows < b->n_keep)
        side++;
    return side * side * windows == b->n_keep ? side : 0;
}

static int map_rows(const swin_grid *g)
{
    return g->side * g->down;
}

static int map_cols(const swin_grid *g)
{
    return g->side * g->across;
}

static int tokens_of(const swin_grid *g)
{
    return map_rows(g) * map_cols(g);
}

void swin_plan_order(const swin_grid *g, bool shifted, int32_t *at)
{
    int by = shifted ? g->shift : 0, rows = map_rows(g), cols = map_cols(g);
    for (int w = 0; w < g->down * g->across; w++) {
        for (int i = 0; i < g->side; i++) {
            int r = (w / g->across * g->side + i + by) % rows;
            for (int j = 0; j < g->side; j++)
                *at++ = r * cols + (w % g->across * g->side + j + by) % cols;
        }
    }
}

/* Patches in ascending order fall into their windows in the right order: row by row. false: a
 * window gets more than its share. */
static bool fill_order(swin_plan *p)
{
    const net_cfg *c = p->c;
    int windows = windows_of(c), each = p->side * p->side, n = tokens_of(&p->grid[0]);
    int m = p->window;
    int *used = MEM_ARRAY(int, windows);
    bool ok = true;
    for (int s = 0; s < p->images && ok; s++) {
        memset(used, 0, (size_t)windows * sizeof *used);
        for (int k = 0; k < n && ok; k++) {
            int patch = p->batch->keep ? p->batch->keep[(int64_t)s * n + k] : k;
            if (patch < 0 || patch >= c->patches)
                BUG("swin: patch %d of %d", patch, c->patches);
            int w = patch / c->cols / m * (c->cols / m) + patch % c->cols / m;
            ok = used[w] < each;
            if (ok)
                p->at[((int64_t)s * windows + w) * each + used[w]++] = patch;
        }
    }
    mem_free(used);
    return ok;
}

/* Rows and columns that window `w` of all windows of the batch keeps, within it. false: others. */
static bool set_of(const swin_plan *p, int64_t w, int32_t *rows, int32_t *cols)
{
    const int32_t *at = p->at + w * p->side * p->side;
    for (int i = 0; i < p->side; i++) {
        rows[i] = at[i * p->side] / p->c->cols % p->window;
        cols[i] = at[i] % p->c->cols % p->window;
    }
    for (int i = 0; i < p->side * p->side; i++) {
        if (at[i] / p->c->cols % p->window != rows[i / p->side] ||
            at[i] % p->c->cols % p->window != cols[i % p->side])
            return false;
    }
    return true;
}

/* SWIN_TILE: set s is what window s of the batch holds; every other window must agree with its own.
 * -> what is wrong, or NULL. */
static const char *read_sets(swin_plan *p)
{
    const char *wrong = NULL;
    int64_t all = (int64_t)p->images * windows_of(p->c), len = 2 * (int64_t)p->side;
    int32_t *seen = MEM_ARRAY(int32_t, len);
    for (int64_t w = 0; w < all && !wrong; w++) {
        if (!set_of(p, w, seen, seen + p->side))
            wrong = "the patches of a window are not its rows x columns";
        if (!p->set || wrong)
            continue;
        int32_t *set = p->set + w % p->images * len;
        if (w < p->images)
            memcpy(set, seen, (size_t)len * sizeof *seen);
        else if (memcmp(set, seen, (size_t)len * sizeof *seen) != 0)
            wrong = "a window does not hold the set of its place in the batch";
    }
    mem_free(seen);
    return wrong;
}

/* Rows and columns of the patches under each token: from patches, then from stage to stage. */
static void sum_places(swin_plan *p)
{
    int n = tokens_of(&p->grid[0]);
    int32_t *order = MEM_ARRAY(int32_t, n);
    swin_plan_order(&p->grid[0], false, order);
    for (int64_t i = 0; i < (int64_t)p->images * n; i++) {
        int64_t to = i / n * n + order[i % n];
        p->row[0][to] = p->at[i] / p->c->cols;
        p->col[0][to] = p->at[i] % p->c->cols;
    }
    mem_free(order);
    for (int s = 1; s < SWIN_STAGES; s++) {
        int rows = map_rows(&p->grid[s]), cols = map_cols(&p->grid[s]);
        for (int64_t i = 0; i < (int64_t)p->images * rows * cols; i++) {
            int64_t from = i / cols * 2 * (2 * cols) + i % cols * 2;
            const int32_t *r = p->row[s - 1] + from, *c = p->col[s - 1] + from;
            p->row[s][i] = r[0] + r[1] + r[2 * cols] + r[2 * cols + 1];
            p->col[s][i] = c[0] + c[1] + c[2 * cols] + c[2 * cols + 1];
        }
    }
}

/* -> what is wrong with the batch's kept patches, or NULL; p is released in any case by _free. */
static const char *fill(swin_plan *p)
{
    const net_cfg *c = p->c;
    const model_batch *batch = p->batch;
    p->side = side_of(c, batch);
    if (!p->side)
        return "their number is no rows x columns of every window";
    p->images = batch->keep ? batch->b : 1;
    bool tile = batch->keep && c->m.swin_sets == SWIN_TILE;
    for (int s = 0; s < SWIN_STAGES; s++) {
        swin_grid *g = &p->grid[s];
        *g = (swin_grid){p->side, (c->rows / p->window) >> s, (c->cols / p->window) >> s, 0};
        if (g->down > 1 && g->across > 1)
            g->shift = (tile ? p->window : p->side) / 2;
    }
    if (p->shape)
        return NULL;
    int64_t n = (int64_t)p->images * tokens_of(&p->grid[0]);
    p->at = MEM_ARRAY(int32_t, n);
    for (int s = 0; s < SWIN_STAGES; s++, n /= 4) {
        p->row[s] = MEM_ARRAY(int32_t, n);
        p->col[s] = MEM_ARRAY(int32_t, n);
    }
    p->set = tile ? MEM_ARRAY(int32_t, (int64_t)p->images * 2 * p->side) : NULL;
    return fill_order(p) ? read_sets(p) : "a window keeps more patches than others";
}

const char *swin_plan_fault(const net_cfg *c, const model_batch *batch)
{
    swin_plan *p = MEM_NEW(swin_plan);
    *p = (swin_plan){.c = c, .batch = batch, .window = (int)c->m.window};
    const char *wrong = fill(p);
    swin_plan_free(p);
    return wrong;
}

swin_plan *swin_plan_new(const net_cfg *c, const model_batch *batch, bool shape)
{
    swin_plan *p = MEM_NEW(swin_plan);
    *p = (swin_plan){.c = c, .batch = batch, .shape = shape, .window = (int)c->m.window};
    const char *wrong = fill(p);
    if (wrong)
        BUG("swin: kept patches: %s", wrong);
    if (!shape)
        sum_places(p);
    return p;
}

void swin_plan_free(swin_plan *p)
{
    if (!p)
        return;
    for (int s = 0; s < SWIN_STAGES; s++) {
        mem_free(p->row[s]);
        mem_free(p->col[s]);
    }
    mem_free(p->at);
    mem_free(p->set);
    mem_free(p);
}

const swin_grid *swin_plan_grid(const swin_plan *p, int stage)
{
    return &p->grid[stage];
}

/* ---- maps ------------------------------------------------------------------------------------ */

const int32_t *swin_plan_stem(const swin_plan *p, run *r)
{
    size_t n = (size_t)tokens_of(&p->grid[0]);
    int32_t *at = run_host(r, (size_t)p->batch->b * n * sizeof *at);
    for (size_t s = 0; s < (size_t)p->batch->b && !p->shape; s++)
        memcpy(at + s * n, p->at + (p->images == 1 ? 0 : s) * n, n * sizeof *at);
    return at;
}

/* A shape-only run counts the memory of what it does not make. */
static void count_ints(const swin_plan *p, run *r, int64_t per_sample)
{
    run_memory(r, (size_t)(p->batch->b * per_sample) * sizeof(int32_t));
}

/* The same map for every sample. dst [n_in] is freed. */
static void upload_same(const swin_plan *p, run *r, op_map_spec *m, int32_t *dst)
{
    int64_t n = m->n_in, b = p->batch->b;
    int32_t *all = mem_alloc((size_t)(b * n) * sizeof *all);
    for (int64_t s = 0; s < b; s++)
        memcpy(all + s * n, dst, (size_t)n * sizeof *dst);
    m->dst = run_upload_ints(r, all, b * n);
    mem_free(all);
    mem_free(dst);
}

op_map_spec swin_plan_drop(const swin_plan *p, run *r)
{
    int n_out = tokens_of(&p->grid[0]), n_in = p->c->patches;
    op_map_spec m = {.n_in = n_in, .n_out = n_out};
    if (p->shape) {
        count_ints(p, r, n_in);
        return m;
    }
    int64_t n = (int64_t)p->batch->b * n_in;
    int32_t *dst = mem_alloc((size_t)n * sizeof *dst);
    for (int64_t i = 0; i < n; i++)
        dst[i] = -1;
    for (int64_t i = 0; i < (int64_t)p->batch->b * n_out; i++)
        dst[i / n_out * n_in + p->at[p->images == 1 ? i % n_out : i]] = (int32_t)(i % n_out);
    m.dst = run_upload_ints(r, dst, n);
    mem_free(dst);
    return m;
}

/* place[raster] = place in the order of windows. */
static int32_t *inverse_order(const swin_grid *g, bool shifted)
{
    int n = tokens_of(g);
    int32_t *at = MEM_ARRAY(int32_t, n), *place = MEM_ARRAY(int32_t, n);
    swin_plan_order(g, shifted, at);
    for (int i = 0; i < n; i++)
        place[at[i]] = i;
    mem_free(at);
    return place;
}

op_map_spec swin_plan_move(const swin_plan *p, run *r, int stage, bool to_shifted)
{
    const swin_grid *g = &p->grid[stage];
    int n = tokens_of(g);
    op_map_spec m = {.n_in = n, .n_out = n};
    if (p->shape) {
        count_ints(p, r, n);
        return m;
    }
    int32_t *dst = MEM_ARRAY(int32_t, n), *place = inverse_order(g, to_shifted);
    swin_plan_order(g, !to_shifted, dst);
    for (int i = 0; i < n; i++)
        dst[i] = place[dst[i]];
    mem_free(place);
    upload_same(p, r, &m, dst);
    return m;
}

op_map_spec swin_plan_merge(const swin_plan *p, run *r, int stage, bool from_shifted)
{
    const swin_grid *g = &p->grid[stage], *next = g + 1;
    int n = tokens_of(g), cols = map_cols(g);
    op_map_spec m = {.n_in = n, .n_out = n, .merge = 4};
    if (p->shape) {
        count_ints(p, r, n);
        return m;
    }
    int32_t *dst = MEM_ARRAY(int32_t, n), *place = inverse_order(next, false);
    swin_plan_order(g, from_shifted, dst);
    for (int i = 0; i < n; i++) {
        int row = dst[i] / cols, col = dst[i] % cols;
        dst[i] = 4 * place[row / 2 * (cols / 2) + col / 2] + row % 2 + 2 * (col % 2);
    }
    mem_free(place);
    upload_same(p, r, &m, dst);
    return m;
}

/* ---- what windows look up -------------------------------------------------------------------- */

/* Where a token of a window stands, from the window's first token, in 1/unit cells; wrap: bits of
 * the axes on which the shift took it round the map. */
typedef struct token {
    int32_t row, col, wrap;
} token;

typedef struct tables {
    const swin_plan *p;
    int tokens, unit;
    token *seen; /* [n][tokens] windows that differ */
    int32_t *index;
    int n, cap;
    int *slot; /* open addressing: 1 + table */
    int slots;
} tables;

/* As the published program has it: of the set of its place alone. */
static void describe_set(const swin_plan *p, const swin_grid *g, bool shifted, int64_t w,
                         token *out)
{
    int in_image = (int)(w % (g->down * g->across));
    const int32_t *rows = p->set + w % p->images * 2 * p->side, *cols = rows + p->side;
    int by = shifted ? g->shift : 0; /* window/2: cut in windows of full size */
    bool down = in_image / g->across + 1 == g->down, across = in_image % g->across + 1 == g->across;
    for (int i = 0; i < p->side * p->side; i++) {
        int r = rows[i / p->side], c = cols[i % p->side];
        out[i] =
            (token){r, c, (down && r >= p->window - by) | (across && c >= p->window - by) << 1};
    }
}

static void describe_place(const swin_plan *p, int stage, bool shifted, int64_t w, token *out)
{
    const swin_grid *g = &p->grid[stage];
    int windows = g->down * g->across, rows = map_rows(g), cols = map_cols(g);
    int top = (int)(w % windows) / g->across * g->side, by = shifted ? g->shift : 0;
    int left = (int)(w % windows) % g->across * g->side, full = 1 << 2 * stage;
    const int32_t *row = p->row[stage] + w / windows * rows * cols;
    const int32_t *col = p->col[stage] + w / windows * rows * cols;
    for (int i = 0; i < g->side * g->side; i++) {
        int r = top + i / g->side + by, c = left + i % g->side + by;
        bool down = r >= rows, across = c >= cols;
        int at = (down ? r - rows : r) * cols + (across ? c - cols : c);
        out[i].row = row[at] + (down ? full * p->c->rows : 0);
        out[i].col = col[at] + (across ? full * p->c->cols : 0);
        out[i].wrap = down | across << 1;
    }
}

/* d/unit, rounded half away from zero, within the table's reach. */
static int32_t offset(int32_t d, int unit, int reach)
{
    int32_t size = (2 * (d < 0 ? -d : d) + unit) / (2 * unit);
    size = size > reach ? reach : size;
    return d < 0 ? -size : size;
}

static void fill_index(const tables *t, const token *w, int32_t *index)
{
    int m = t->p->window, wide = 2 * m - 1;
    for (int q = 0; q < t->tokens; q++) {
        for (int k = 0; k < t->tokens; k++) {
            int dr = offset(w[q].row - w[k].row, t->unit, m - 1);
            int dc = offset(w[q].col - w[k].col, t->unit, m - 1);
            *index++ =
                (dr + m - 1) * wide + dc + m - 1 + (w[q].wrap != w[k].wrap ? wide * wide : 0);
        }
    }
}

static uint64_t hash_of(const token *w, int n)
{
    uint64_t h = 0xcbf29ce484222325u;
    for (int i = 0; i < n; i++) {
        uint64_t v = (uint64_t)(uint32_t)w[i].row << 32 | (uint32_t)w[i].col;
        h = (h ^ v ^ (uint64_t)w[i].wrap << 20) * 0x9E3779B97F4A7C15u;
        h ^= h >> 29;
    }
    return h;
}

static void make_room(tables *t)
{
    if (t->n < t->cap)
        return;
    size_t old = (size_t)t->cap, cap = old ? 2 * old : 16, each = (size_t)t->tokens;
    t->seen = mem_realloc(t->seen, old * each * sizeof *t->seen, cap * each * sizeof *t->seen);
    t->index = mem_realloc(t->index, old * each * each * sizeof *t->index,
                           cap * each * each * sizeof *t->index);
    t->cap = (int)cap;
}

/* The table of a window, made where none before is the same. `w` is moved to its first token. */
static int32_t table_of(tables *t, token *w)
{
    token first = w[0];
    size_t bytes = (size_t)t->tokens * sizeof *w;
    for (int i = 0; i < t->tokens; i++) {
        w[i].row -= first.row;
        w[i].col -= first.col;
    }
    int at = (int)(hash_of(w, t->tokens) % (uint64_t)t->slots);
    for (; t->slot[at]; at = (at + 1) % t->slots) {
        if (memcmp(t->seen + (int64_t)(t->slot[at] - 1) * t->tokens, w, bytes) == 0)
            return t->slot[at] - 1;
    }
    make_room(t);
    memcpy(t->seen + (int64_t)t->n * t->tokens, w, bytes);
    fill_index(t, w, t->index + (int64_t)t->n * t->tokens * t->tokens);
    t->slot[at] = ++t->n;
    return t->n - 1;
}

/* Tables at most: every window its own where patches are dropped; else the shift makes up to four
 * kinds of windows. */
static int tables_most(const swin_plan *p, const swin_grid *g, bool shifted)
{
    int kinds = shifted ? 4 : 1, windows = g->down * g->across;
    if (p->batch->keep)
        return p->images * windows;
    return kinds < windows ? kinds : windows;
}

op_window_spec swin_plan_windows(const swin_plan *p, run *r, int stage, bool shifted)
{
    const swin_grid *g = &p->grid[stage];
    op_window_spec spec = {.tokens = g->side * g->side};
    int windows = g->down * g->across, all = p->images * windows;
    if (p->shape) {
        spec.tables = tables_most(p, g, shifted);
        run_memory(r, (size_t)spec.tables * (size_t)(spec.tokens * spec.tokens) * sizeof(int32_t));
        count_ints(p, r, windows);
        return spec;
    }
    tables t = {.p = p, .tokens = spec.tokens, .unit = p->set ? 1 : 1 << 3 * stage};
    t.slots = 2 * all + 1;
    t.slot = MEM_ARRAY(int, t.slots);
    token *w = MEM_ARRAY(token, spec.tokens);
    int32_t *table = MEM_ARRAY(int32_t, (int64_t)p->batch->b * windows);
    for (int i = 0; i < p->batch->b * windows; i++) {
        if (i >= all) {
            table[i] = table[i % all];
            continue;
        }
        if (p->set)
            describe_set(p, g, shifted, i, w);
        else
            describe_place(p, stage, shifted, i, w);
        table[i] = table_of(&t, w);
    }
    spec.tables = t.n;
    spec.index = run_upload_ints(r, t.index, (int64_t)t.n * spec.tokens * spec.tokens);
    spec.table = run_upload_ints(r, table, (int64_t)p->batch->b * windows);
    mem_free(t.seen);
    mem_free(t.index);
    mem_free(t.slot);
    mem_free(w);
    mem_free(table);
    return spec;
}
