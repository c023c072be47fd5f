/* The pixel chain (chain.h): stored samples -> display values -> oriented breast -> canvases. Pure
 * steps in the fixed order of dicom.md 2 and 5; facts.c measures on the way. All sums are integers
 * or run in a fixed order. */
#include "preprocess/image.h"

#include <math.h>

#include "preprocess/facts.h"
#include "preprocess/mask.h"
#include "preprocess/opencv_shim.h"

#define THUMB_ROWS 4    /* source rows per thumbnail row that are looked at, if there are more */
#define ERASE_GROW 0.01 /* of the thumbnail's long side: room around the mask that is kept */
#define CROP_MIN   8    /* smallest crop side, pixels */

static void turn_row(const uint16_t *src, int n, bool flip, uint16_t *dst)
{
    if (!flip) {
        memcpy(dst, src, (size_t)n * sizeof *dst);
        return;
    }
    for (int x = 0; x < n; x++)
        dst[x] = src[n - 1 - x];
}

void image_orient_copy(image_orient o, const uint16_t *src, int h, int w, uint16_t *dst, int stride)
{
    int dw = o.transpose ? h : w, dh = o.transpose ? w : h;
    for (int y = 0; y < dh; y++) {
        int v = o.flip_v ? dh - 1 - y : y;
        uint16_t *out = dst + (size_t)y * (size_t)stride;
        if (!o.transpose)
            turn_row(src + (size_t)v * (size_t)w, w, o.flip_h, out);
        for (int x = 0; o.transpose && x < dw; x++)
            out[x] = src[(size_t)(o.flip_h ? dw - 1 - x : x) * (size_t)w + (size_t)v];
    }
}

/* ---- the chain ------------------------------------------------------------------------------- */

static void chain_thumb(chain *s)
{
    const pixels *p = s->p;
    int side = p->rows > p->cols ? p->rows : p->cols;
    int h = p->rows, w = p->cols;
    if (side > IMAGE_THUMB) {
        h = (int)(((int64_t)p->rows * IMAGE_THUMB + side / 2) / side);
        w = (int)(((int64_t)p->cols * IMAGE_THUMB + side / 2) / side);
        h = h < 1 ? 1 : h;
        w = w < 1 ? 1 : w;
    }
    size_t n = (size_t)h * (size_t)w;
    uint16_t *v = arena_alloc(s->a, n * 2);
    int step = p->rows / (h * THUMB_ROWS) > 1 ? p->rows / (h * THUMB_ROWS) : 1;
    resize j = {p->stored, p->cols * step, 0, 0, p->cols, p->rows / step, s->lut->y, v, w, h,
                w,         false};
    resize_run(&j, s->a);
    segment_thumb *t = &s->thumb;
    t->h = s->orient.transpose ? w : h;
    t->w = s->orient.transpose ? h : w;
    t->v = arena_alloc(s->a, n * 2);
    t->pad = arena_calloc(s->a, n);
    image_orient_copy(s->orient, v, h, w, t->v, t->w);
    if (!(s->lut->flags & IMAGE_PADDING))
        return;
    uint16_t *padded = arena_alloc(s->a, WINDOW_WORDS * 2), *o = arena_alloc(s->a, n * 2);
    for (int i = 0; i < WINDOW_WORDS; i++)
        padded[i] = s->lut->pad[i] ? WINDOW_MAX : 0;
    j.lut = padded;
    resize_run(&j, s->a);
    image_orient_copy(s->orient, v, h, w, o, t->w);
    for (size_t i = 0; i < n; i++)
        t->pad[i] = o[i] > WINDOW_MAX / 2;
}

static void thumb_mirror(segment_thumb *t)
{
    for (int y = 0; y < t->h; y++)
        for (int a = 0, b = t->w - 1; a < b; a++, b--) {
            size_t i = (size_t)y * (size_t)t->w + (size_t)a;
            size_t k = (size_t)y * (size_t)t->w + (size_t)b;
            uint16_t v = t->v[i];
            uint8_t q = t->pad[i];
            t->v[i] = t->v[k];
            t->pad[i] = t->pad[k];
            t->v[k] = v;
            t->pad[k] = q;
        }
}

static void thumb_invert(segment_thumb *t)
{
    for (size_t i = 0; i < (size_t)t->h * (size_t)t->w; i++)
        t->v[i] = t->pad[i] ? 0 : (uint16_t)(WINDOW_MAX - t->v[i]);
}

static void chain_flip(chain *s)
{
    s->orient.flip_h = !s->orient.flip_h;
    thumb_mirror(&s->thumb);
}

static void chain_invert(chain *s)
{
    s->invert = !s->invert;
    s->facts->polarity_fixed = !s->facts->polarity_fixed;
    if (s->c->processing == PREPARE_PROCESSING_REFUSE) {
        thumb_invert(&s->thumb);
        return;
    }
    /* the recipe for processing turns round before it squares: no mirror image of the other */
    window_build(s->c, &s->out->rec, s->p, s->hist, NULL, s->invert, s->a, s->lut);
    chain_thumb(s);
}

/* Polarity, then the side of the chest wall, then the mask; each with one retry where the pixels
 * may contradict the metadata. */
static void chain_find(chain *s)
{
    bool side_known = s->hung_by != SEGMENT_BY_NOTHING;
    s->contrast = segment_polarity_test(&s->thumb, side_known, s->a);
    bool fix = s->c->polarity == PREPARE_POLARITY_FIX;
    s->facts->polarity_uncertain = s->contrast == SEGMENT_UNCERTAIN;
    if (s->contrast == SEGMENT_BRIGHT_BACKGROUND && fix)
        chain_invert(s);
    else if (s->contrast == SEGMENT_BRIGHT_BACKGROUND)
        s->facts->polarity_conflict = true;
    s->chest = segment_chest(&s->thumb, s->a);
    if (s->chest < 0)
        chain_flip(s);
    bool wrong = s->chest < 0, ok = segment_find(&s->thumb, s->a, &s->found);
    if (!ok && s->contrast == SEGMENT_UNCERTAIN && fix) {
        chain_invert(s);
        ok = segment_find(&s->thumb, s->a, &s->found);
        if (!ok)
            chain_invert(s);
    }
    if (!ok && s->chest == 0) {
        chain_flip(s);
        wrong = ok = segment_find(&s->thumb, s->a, &s->found);
        if (!ok)
            chain_flip(s);
    }
    s->facts->orient_conflict = wrong && side_known;
    s->facts->side_conflict = wrong && s->hung_by == SEGMENT_BY_SIDE;
    s->facts->breast_found = ok;
}

size_t chain_thumb_at(const chain *s, int x, int y)
{
    int u = s->orient.transpose ? y : x, v = s->orient.transpose ? x : y;
    u = s->orient.flip_h ? s->ow - 1 - u : u;
    v = s->orient.flip_v ? s->oh - 1 - v : v;
    int tx = (int)((int64_t)u * s->thumb.w / s->ow);
    int ty = (int)((int64_t)v * s->thumb.h / s->oh);
    return (size_t)ty * (size_t)s->thumb.w + (size_t)tx;
}

/* Raw words under the mask, for the percentile window. */
static const uint32_t *chain_breast_words(chain *s)
{
    uint32_t *hist = arena_calloc(s->a, WINDOW_WORDS * sizeof *hist);
    const pixels *p = s->p;
    for (int y = 0; y < p->rows; y++)
        for (int x = 0; x < p->cols; x++)
            if (s->found.mask[chain_thumb_at(s, x, y)])
                hist[p->stored[(size_t)y * (size_t)p->cols + (size_t)x]]++;
    return hist;
}

static void chain_crop(chain *s)
{
    s->cx = s->cy = 0;
    s->cw = s->ow;
    s->ch = s->oh;
    if (!s->c->crop || !s->facts->breast_found)
        return;
    const segment_found *f = &s->found;
    double fx = (double)s->ow / s->thumb.w, fy = (double)s->oh / s->thumb.h;
    int x0 = (int)floor(f->x0 * fx), x1 = (int)ceil(f->x1 * fx);
    int y0 = (int)floor(f->y0 * fy), y1 = (int)ceil(f->y1 * fy);
    const record *r = &s->out->rec;
    double mm = r->row_mm > 0 ? r->row_mm : 0;
    int longer = x1 - x0 > y1 - y0 ? x1 - x0 : y1 - y0;
    int margin = (int)floor((mm > 0 ? s->c->margin_mm / mm : s->c->margin * longer) + 0.5);
    x1 = x1 + margin < s->ow ? x1 + margin : s->ow;
    y0 = y0 - margin > 0 ? y0 - margin : 0;
    y1 = y1 + margin < s->oh ? y1 + margin : s->oh;
    if (x1 - x0 < CROP_MIN || y1 - y0 < CROP_MIN)
        return;
    s->cx = x0;
    s->cy = y0;
    s->cw = x1 - x0;
    s->ch = y1 - y0;
    s->out->proc_flags |= IMAGE_CROPPED;
}

void chain_stored_rect(const chain *s, int cw, int ch, int rect[4])
{
    int x = s->orient.flip_h ? s->ow - s->cx - cw : s->cx;
    int y = s->orient.flip_v ? s->oh - s->cy - ch : s->cy;
    rect[0] = s->orient.transpose ? y : x;
    rect[1] = s->orient.transpose ? x : y;
    rect[2] = s->orient.transpose ? ch : cw;
    rect[3] = s->orient.transpose ? cw : ch;
}

typedef struct place { /* the crop on one canvas */
    int H, W;          /* canvas */
    int tw, th;        /* oriented size on the canvas */
    int cw, ch;        /* oriented source size used, at most the crop */
} place;

static int round_size(double v, int most)
{
    int n = v < 1 ? 1 : v > 1e6 ? 1000000 : (int)floor(v + 0.5);
    return n > most ? most : n;
}

static void chain_place(chain *s, place *q)
{
    const record *r = &s->out->rec;
    double scale_x, scale_y;
    q->cw = s->cw;
    q->ch = s->ch;
    if (s->c->fit == PREPARE_FIT_SQUASH) {
        q->tw = q->W;
        q->th = q->H;
        return;
    }
    double fit_x = (double)q->W / s->cw, fit_y = (double)q->H / s->ch;
    scale_x = scale_y = fit_x < fit_y ? fit_x : fit_y;
    if (s->c->fit == PREPARE_FIT_LONG) {
        int longest = q->H > q->W ? q->H : q->W, crop = s->ch > s->cw ? s->ch : s->cw;
        scale_x = scale_y = (double)longest / crop;
    } else if (s->c->fit == PREPARE_FIT_MM && s->facts->mm_known) {
        scale_x = (s->orient.transpose ? r->row_mm : r->col_mm) / s->c->mm;
        scale_y = (s->orient.transpose ? r->col_mm : r->row_mm) / s->c->mm;
    }
    q->tw = round_size(s->cw * scale_x, 1 << 20);
    q->th = round_size(s->ch * scale_y, 1 << 20);
    if (q->tw > q->W) {
        q->cw = round_size(q->W / scale_x, s->cw);
        q->tw = q->W;
    }
    if (q->th > q->H) {
        q->ch = round_size(q->H / scale_y, s->ch);
        q->th = q->H;
    }
    if (q->cw < s->cw || q->ch < s->ch) {
        s->facts->canvas_cut = true;
        s->out->proc_flags |= IMAGE_CUT;
    }
}

/* Stored pixel centre -> canvas pixel centre, rows (a b tx), (c d ty). */
static void chain_affine(const chain *s, const place *q, const int rect[4], float m[6])
{
    double dw = s->orient.transpose ? q->th : q->tw, dh = s->orient.transpose ? q->tw : q->th;
    double ax = dw / rect[2], ay = dh / rect[3];
    double x[3] = {ax, 0, (0.5 - rect[0]) * ax - 0.5}, y[3] = {0, ay, (0.5 - rect[1]) * ay - 0.5};
    const double *u = s->orient.transpose ? y : x, *v = s->orient.transpose ? x : y;
    for (int i = 0; i < 3; i++) {
        double far_x = i == 2 ? q->tw - 1 : 0, far_y = i == 2 ? q->th - 1 : 0;
        m[i] = (float)(s->orient.flip_h ? far_x - u[i] : u[i]);
        m[3 + i] = (float)(s->orient.flip_v ? far_y - v[i] : v[i]);
    }
}

/* Sums of the values of a row and of their squares, exact: the halves of up to 65536 squares fit
 * into 32 bits each. */
WIDE_LOOPS static void add_sums(const uint16_t *v, int n, uint64_t *sum, uint64_t *sq)
{
    uint32_t one = 0, low = 0, high = 0;
    for (int i = 0; i < n; i++) {
        uint32_t square = (uint32_t)v[i] * v[i];
        one += v[i];
        low += square & 0xFFFF;
        high += square >> 16;
    }
    *sum += one;
    *sq += low + ((uint64_t)high << 16);
}

WIDE_LOOPS static void fill(uint16_t *v, int n, uint16_t value)
{
    for (int i = 0; i < n; i++)
        v[i] = value;
}

/* Erase outside the breast, mark what is breast and take the sums of one canvas, in one pass over
 * its rows. mask [H,W] may be NULL. What is marked is never erased: what is kept contains the mask.
 */
static void chain_sums(chain *s, const place *q, int i, uint16_t *canvas, uint8_t *mask)
{
    uint64_t sum = 0, sq = 0, bsum = 0, bsq = 0;
    uint32_t n = 0;
    bool found = s->facts->breast_found, erase = found && s->c->erase_outside;
    const segment_thumb *t = &s->thumb;
    mask_axis ax, ay;
    mask_run *run = arena_alloc(s->a, ((size_t)t->w / 2 + 2) * sizeof *run);
    double fx = (double)t->w / s->ow, fy = (double)t->h / s->oh;
    mask_axis_make(&ax, q->tw, t->w, s->cx * fx, (double)q->cw / q->tw * fx, s->a);
    mask_axis_make(&ay, q->th, t->h, s->cy * fy, (double)q->ch / q->th * fy, s->a);
    if (mask)
        memset(mask, 0, (size_t)q->H * (size_t)q->W);
    for (int y = 0; y < q->H; y++) {
        uint16_t *row = canvas + (size_t)y * (size_t)q->W;
        if (erase && y < q->th) {
            int end = 0, runs = mask_row(s->keep, &ax, &ay, y, run);
            for (int k = 0; k < runs; k++) {
                fill(row + end, run[k].x0 - end, s->found.air);
                end = run[k].x1;
            }
            fill(row + end, q->tw - end, s->found.air);
        }
        int runs = found && y < q->th ? mask_row(s->found.mask, &ax, &ay, y, run) : 0;
        for (int k = 0; k < runs; k++) {
            add_sums(row + run[k].x0, run[k].x1 - run[k].x0, &bsum, &bsq);
            n += (uint32_t)(run[k].x1 - run[k].x0);
            if (mask)
                memset(mask + (size_t)y * (size_t)q->W + run[k].x0, 1,
                       (size_t)(run[k].x1 - run[k].x0));
        }
        add_sums(row, q->W, &sum, &sq);
    }
    const double one = WINDOW_MAX, two = one * one;
    s->out->breast_pixels[i] = n;
    s->out->sum_all[i] = (double)sum / one;
    s->out->sumsq_all[i] = (double)sq / two;
    s->out->sum_breast[i] = (double)bsum / one;
    s->out->sumsq_breast[i] = (double)bsq / two;
    if (erase)
        s->out->proc_flags |= IMAGE_ERASED;
}

/* Where the crop stands on canvas i. */
static place chain_fit(chain *s, int i)
{
    place q = {.H = s->c->h[i], .W = s->c->w[i]};
    chain_place(s, &q);
    return q;
}

void chain_draw(chain *s, int i, uint16_t *canvas)
{
    place q = chain_fit(s, i);
    int rect[4];
    chain_stored_rect(s, q.cw, q.ch, rect);
    bool t = s->orient.transpose;
    int dw = t ? q.th : q.tw, dh = t ? q.tw : q.th;
    bool up = s->orient.flip_v && !t;
    resize j = {.src = s->p->stored,
                .stride = s->p->cols,
                .x0 = rect[0],
                .y0 = rect[1],
                .w = rect[2],
                .h = rect[3],
                .lut = s->lut->y,
                .dst = t ? arena_alloc(s->a, (size_t)dw * (size_t)dh * 2)
                         : canvas + (size_t)(up ? dh - 1 : 0) * (size_t)q.W,
                .dw = dw,
                .dh = dh,
                .dst_stride = t    ? dw
                              : up ? -q.W
                                   : q.W,
                .mirror = s->orient.flip_h && !t};
    resize_run(&j, s->a);
    if (t)
        image_orient_copy(s->orient, j.dst, dh, dw, canvas, q.W);
    uint16_t border = s->facts->breast_found && s->c->erase_outside ? s->found.air : 0;
    for (int y = 0; y < q.H; y++) { /* the border is air, not an edge */
        int from = y < q.th ? q.tw : 0;
        fill(canvas + (size_t)y * (size_t)q.W + from, q.W - from, border);
    }
}

static void chain_canvas(chain *s, int i, uint16_t *canvas, uint8_t *mask)
{
    place q = chain_fit(s, i);
    int rect[4];
    chain_draw(s, i, canvas);
    chain_stored_rect(s, q.cw, q.ch, rect);
    bool t = s->orient.transpose;
    int dw = t ? q.th : q.tw, dh = t ? q.tw : q.th;
    if (dw > rect[2] || dh > rect[3])
        s->out->proc_flags |= IMAGE_UPSCALED;
    chain_affine(s, &q, rect, s->out->affine[i]);
    const record *r = &s->out->rec;
    s->out->mm_per_px[i] = r->row_mm > 0 && r->col_mm > 0
                               ? sqrt(r->row_mm * rect[3] / dh * r->col_mm * rect[2] / dw)
                               : 0;
    chain_sums(s, &q, i, canvas, mask);
}

static void chain_keep(chain *s)
{
    const segment_thumb *t = &s->thumb;
    size_t n = (size_t)t->h * (size_t)t->w;
    int side = t->h > t->w ? t->h : t->w, grow = (int)(side * ERASE_GROW + 0.5);
    s->keep = arena_alloc(s->a, n);
    memcpy(s->keep, s->found.mask, n);
    opencv_dilate(s->keep, t->h, t->w, grow < 1 ? 1 : grow);
}

void chain_run(chain *s, void *reply)
{
    const prepare_cfg *c = s->c;
    const pixels *p = s->p;
    const record *r = &s->out->rec;
    pixel_facts *facts = s->facts;
    memset(facts, 0, sizeof *facts);
    facts->notes = p->notes;
    facts->mm_wanted = c->fit == PREPARE_FIT_MM;
    facts->mm_known = r->row_mm > 0 && r->col_mm > 0;
    s->hist = arena_alloc(s->a, WINDOW_WORDS * sizeof *s->hist);
    s->lut = arena_alloc(s->a, sizeof *s->lut);
    /* these windows follow from the values; for the others the counts only judge the image */
    bool recipe = c->processing != PREPARE_PROCESSING_REFUSE;
    bool exact = recipe || c->voi == PREPARE_VOI_MINMAX || c->voi == PREPARE_VOI_PERCENTILE;
    int step = exact || p->rows < IMAGE_THUMB ? 1 : p->rows / IMAGE_THUMB;
    window_histogram(p, step, s->hist);
    s->invert = window_inverse(r, &facts->polarity_conflict);
    window_build(c, r, p, s->hist, NULL, s->invert, s->a, s->lut);
    facts_range(s);
    s->orient = segment_orient(r, &s->hung_by);
    s->ow = s->orient.transpose ? p->rows : p->cols;
    s->oh = s->orient.transpose ? p->cols : p->rows;
    chain_thumb(s);
    chain_find(s);
    bool again = !recipe && c->voi == PREPARE_VOI_PERCENTILE && facts->breast_found;
    const uint32_t *words = again ? chain_breast_words(s) : NULL;
    if (again || facts->polarity_fixed)
        window_build(c, r, p, s->hist, words, s->invert, s->a, s->lut);
    if (again) { /* same mask, new display values */
        chain_thumb(s);
        s->found.air = 0;
    }
    s->out->proc_flags = s->lut->flags | (facts->polarity_fixed ? IMAGE_POLARITY_FIXED : 0) |
                         (s->orient.transpose ? IMAGE_TRANSPOSED : 0) |
                         (s->orient.flip_h ? IMAGE_FLIP_H : 0) |
                         (s->orient.flip_v ? IMAGE_FLIP_V : 0);
    s->out->flip_h = s->orient.flip_h;
    s->out->flip_v = s->orient.flip_v;
    chain_crop(s);
    if (facts->breast_found) {
        chain_keep(s);
        facts_breast(s);
        facts_letters(s);
    } else {
        facts_object(s);
    }
    facts_noise(s);
    for (int i = 0; i < s->out->n_sizes; i++)
        chain_canvas(s, i, (uint16_t *)((char *)reply + s->out->image_at[i]),
                     c->mask ? (uint8_t *)reply + s->out->mask_at[i] : NULL);
}
