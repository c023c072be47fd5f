/* Pictures of one image for people (preview.h): the worker's half renders, the program's half
 * checks the reply and draws. */
#include "preprocess/preview.h"

#include <cairo.h>

#include "core/fs.h"

#define PREVIEW_ALIGN  64
#define PREVIEW_PIXELS ((size_t)1 << 27) /* of a stage at full size; larger ones are shrunk */
#define GAP            8                 /* pixels between pictures */
#define LINE           16                /* height of a caption line */
#define FONT_SIZE      12

bool preview_stage_find(const char *word, preview_stage *out, err *e)
{
    static const char *const words[] = {
        [PREVIEW_STORED] = "stored",
        [PREVIEW_MODALITY] = "modality",
        [PREVIEW_DISPLAY] = "display",
        [PREVIEW_FINAL] = "final",
    };
    for (int i = PREVIEW_STORED; i <= PREVIEW_FINAL; i++)
        if (strcmp(words[i], word) == 0) {
            *out = (preview_stage)i;
            return true;
        }
    return err_set(e, ERR_USAGE, "--stage '%s': wanted stored, modality, display or final", word);
}

/* ---- in the worker --------------------------------------------------------------------------- */

static size_t align_up(size_t n)
{
    return (n + PREVIEW_ALIGN - 1) / PREVIEW_ALIGN * PREVIEW_ALIGN;
}

/* Pixels that the picture of a stage may have; the canvas needs none. */
static size_t picture_cap(preview_stage stage)
{
    return stage == PREVIEW_PANEL   ? (size_t)PREVIEW_SIDE * PREVIEW_SIDE
           : stage == PREVIEW_FINAL ? 0
                                    : PREVIEW_PIXELS;
}

/* Largest size with the same aspect, sides up to `side` and at most `most` pixels. */
static void picture_size(const pixels *p, int side, size_t most, int *h, int *w)
{
    int longer = p->rows > p->cols ? p->rows : p->cols;
    int s = longer < side ? longer : side;
    do {
        *h = (int)(((int64_t)p->rows * s + longer / 2) / longer);
        *w = (int)(((int64_t)p->cols * s + longer / 2) / longer);
        *h = *h < 1 ? 1 : *h;
        *w = *w < 1 ? 1 : *w;
    } while ((size_t)*h * (size_t)*w > most && (s = s * 7 / 8) > 1);
}

/* The table that a stage is shown through: the same builder as the chain's, with fewer steps. */
static const uint16_t *stage_table(const prepare_steps *s, preview_stage stage)
{
    const chain *c = &s->chain;
    if (stage == PREVIEW_PANEL || stage == PREVIEW_DISPLAY)
        return c->lut->y;
    window_lut *l = arena_alloc(s->a, sizeof *l);
    prepare_cfg plain = s->q->cfg;
    record r = s->out->rec;
    pixels p = s->px;
    plain.voi = PREPARE_VOI_RAW;
    r.has_padding = 0;
    if (stage == PREVIEW_STORED) {
        r.has_rescale = 0;
        p.modality.n = 0;
    }
    window_build(&plain, &r, &p, c->hist, NULL, false, s->a, l);
    return l->y;
}

static size_t render(const prepare_steps *s, preview_stage stage, preview *v, size_t at)
{
    char *reply = s->reply;
    const pixels *p = &s->px;
    int side = stage == PREVIEW_PANEL ? PREVIEW_SIDE : 65535;
    picture_size(p, side, picture_cap(stage), &v->ph, &v->pw);
    v->pic = at;
    uint16_t *pic = (uint16_t *)(reply + at);
    resize j = {p->stored, p->cols, 0,     0,     p->cols, p->rows, stage_table(s, stage),
                pic,       v->pw,   v->ph, v->pw, false};
    resize_run(&j, s->a);
    at = align_up(at + (size_t)v->ph * (size_t)v->pw * sizeof *pic);
    if (!s->facts.breast_found || stage != PREVIEW_PANEL)
        return at;
    v->mask = at;
    uint8_t *mask = (uint8_t *)reply + at;
    for (int y = 0; y < v->ph; y++)
        for (int x = 0; x < v->pw; x++)
            mask[(size_t)y * (size_t)v->pw + (size_t)x] = s->chain.found.mask[chain_thumb_at(
                &s->chain, (int)((x + 0.5) * p->cols / v->pw), (int)((y + 0.5) * p->rows / v->ph))];
    return align_up(at + (size_t)v->ph * (size_t)v->pw);
}

static void keep_decisions(const prepare_steps *s, preview *v)
{
    bool conflict;
    v->facts = s->facts;
    v->window_item = s->chain.lut->item;
    v->inverse_by_header = window_inverse(&s->out->rec, &conflict);
    v->inverted = s->chain.invert;
    v->contrast = s->chain.contrast;
    v->hung_by = s->chain.hung_by;
    v->chest = s->chain.chest;
    v->orient = s->chain.orient;
    chain_stored_rect(&s->chain, s->chain.cw, s->chain.ch, v->crop);
}

size_t preview_task(const void *data, size_t len, const void *arg, size_t arg_len, void *reply,
                    size_t reply_cap)
{
    preview *v = reply;
    prepare_steps s = {.q = arg, .out = &v->p, .reply = reply, .look = true};
    memset(v, 0, sizeof *v);
    prepare_open(s.q, arg_len, data, len, s.out);
    preview_stage stage = (preview_stage)s.q->stage;
    size_t end = prepare_layout(&s.q->cfg, sizeof *v, &v->p);
    if (reply_cap < end + picture_cap(stage) * 3)
        BUG("preview_task: reply of %zu bytes is too small", reply_cap);
    s.a = arena_new((size_t)1 << 20);
    prepare_judge(&s, data, len);
    v->by_header = s.by_header;
    v->by_decoder = s.by_decoder;
    v->by_pixels = s.by_pixels;
    v->decoded = s.decoded;
    if (v->decoded) {
        keep_decisions(&s, v);
        if (stage != PREVIEW_FINAL)
            end = render(&s, stage, v, end);
    } else {
        v->p.n_sizes = 0;
        end = sizeof *v;
    }
    arena_free(s.a);
    return end;
}

/* ---- in the program -------------------------------------------------------------------------- */

size_t preview_reply_cap(const cfg *c, preview_stage stage)
{
    return align_up(prepare_reply_cap(c) + sizeof(preview) + 2 * PREVIEW_ALIGN) +
           picture_cap(stage) * 3 + 2 * PREVIEW_ALIGN;
}

void *preview_request(const cfg *c, const record *override_or_null, preview_stage stage,
                      size_t *len)
{
    prepare_arg *q = prepare_request(c, override_or_null, len);
    q->stage = stage;
    return q;
}

static bool inside(uint64_t at, size_t bytes, size_t len)
{
    return at % 2 == 0 && at >= sizeof(preview) && at <= len && len - at >= bytes;
}

bool preview_ok(const cfg *c, const void *reply, size_t len)
{
    const preview *v = reply;
    int n, h[PREPARE_SIZES], w[PREPARE_SIZES];
    err e = {0};
    if (len < sizeof *v || (unsigned)v->p.primary >= REASON_COUNT)
        return false;
    if (!v->decoded)
        return v->p.primary != REASON_NONE && v->p.n_sizes == 0;
    if (!prepare_sizes(c, &n, h, w, &e) || v->p.n_sizes != n)
        return false;
    for (int i = 0; i < n; i++)
        if (v->p.h[i] != h[i] || v->p.w[i] != w[i] ||
            !inside(v->p.image_at[i], (size_t)h[i] * (size_t)w[i] * 2, len))
            return false;
    if (v->ph < 0 || v->pw < 0 || v->ph > 65535 || v->pw > 65535)
        return false;
    size_t px = (size_t)v->ph * (size_t)v->pw;
    return (!px || inside(v->pic, px * 2, len)) && (!v->mask || inside(v->mask, px, len));
}

void preview_failed(preview *v, reason why)
{
    memset(v, 0, sizeof *v);
    v->p.primary = why;
    reason_add(&v->p.reasons, why);
    reason_add(&v->by_decoder, why);
}

static cairo_status_t collect(void *to, const unsigned char *data, unsigned len)
{
    text_addn(to, (const char *)data, len);
    return CAIRO_STATUS_SUCCESS;
}

static bool surface_write(cairo_surface_t *s, const char *path, err *e)
{
    text t;
    text_init(&t);
    bool ok = cairo_surface_write_to_png_stream(s, collect, &t) == CAIRO_STATUS_SUCCESS
                  ? fs_write_private(path, t.s, t.len, e)
                  : err_set(e, ERR_MEMORY, "the picture could not be encoded");
    text_release(&t);
    return ok;
}

/* Grey u16 [h, w] as a surface, shrunk by box mean to sides of at most `side`. */
static cairo_surface_t *grey_surface(const uint16_t *v, int h, int w, int side, arena *a)
{
    pixels p = {.rows = h, .cols = w};
    int sh, sw;
    picture_size(&p, side, SIZE_MAX, &sh, &sw);
    uint16_t *small = arena_alloc(a, (size_t)sh * (size_t)sw * sizeof *small);
    resize j = {v, w, 0, 0, w, h, NULL, small, sw, sh, sw, false};
    resize_run(&j, a);
    cairo_surface_t *s = cairo_image_surface_create(CAIRO_FORMAT_RGB24, sw, sh);
    if (cairo_surface_status(s) != CAIRO_STATUS_SUCCESS)
        return s;
    unsigned char *at = cairo_image_surface_get_data(s);
    int stride = cairo_image_surface_get_stride(s);
    for (int y = 0; y < sh; y++)
        for (int x = 0; x < sw; x++) {
            uint32_t g =
                ((uint32_t)small[(size_t)y * (size_t)sw + (size_t)x] * 255 + 32767) / 65535;
            uint32_t one = g << 16 | g << 8 | g;
            memcpy(at + (size_t)y * (size_t)stride + (size_t)x * 4, &one, 4);
        }
    cairo_surface_mark_dirty(s);
    return s;
}

bool preview_stage_png(const preview *v, preview_stage stage, const char *path, err *e)
{
    const char *reply = (const char *)v;
    if (!v->decoded)
        return err_set(e, ERR_INPUT, "no picture: the image cannot be decoded (%s)",
                       reason_name(v->p.primary));
    bool last = stage == PREVIEW_FINAL;
    uint64_t at = last ? v->p.image_at[0] : v->pic;
    int h = last ? v->p.h[0] : v->ph, w = last ? v->p.w[0] : v->pw;
    arena *a = arena_new((size_t)1 << 20);
    cairo_surface_t *s = grey_surface((const uint16_t *)(reply + at), h, w, 32767, a);
    bool ok = surface_write(s, path, e);
    cairo_surface_destroy(s);
    arena_free(a);
    return ok;
}

/* ---- sheets ---------------------------------------------------------------------------------- */

struct preview_sheet {
    cairo_surface_t *surface;
    cairo_t *cr;
    int columns, side, lines, used, panels;
};

static int cell_width(const preview_sheet *s)
{
    return 2 * s->side + 3 * GAP;
}

static int cell_height(const preview_sheet *s)
{
    return s->side + 2 * GAP + s->lines * LINE;
}

preview_sheet *preview_sheet_new(int panels, int columns, int side, int lines)
{
    preview_sheet *s = MEM_NEW(preview_sheet);
    *s = (preview_sheet){.columns = panels < columns ? panels : columns,
                         .side = side,
                         .lines = lines,
                         .panels = panels};
    int rows = (panels + columns - 1) / columns;
    s->surface = cairo_image_surface_create(CAIRO_FORMAT_RGB24, s->columns * cell_width(s),
                                            rows * cell_height(s));
    s->cr = cairo_create(s->surface);
    cairo_set_source_rgb(s->cr, 0.16, 0.18, 0.2);
    cairo_paint(s->cr);
    cairo_select_font_face(s->cr, "DejaVu Sans", CAIRO_FONT_SLANT_NORMAL, CAIRO_FONT_WEIGHT_NORMAL);
    cairo_set_font_size(s->cr, FONT_SIZE);
    return s;
}

/* A picture at (x, y), a small one enlarged in whole steps; returns drawn / source pixels. */
static double draw_grey(preview_sheet *s, const uint16_t *v, int h, int w, double x, double y)
{
    arena *a = arena_new((size_t)1 << 20);
    cairo_surface_t *g = grey_surface(v, h, w, s->side, a);
    int times = s->side / (h > w ? h : w);
    times = times < 1 ? 1 : times;
    double scale = (double)cairo_image_surface_get_width(g) / w * times;
    cairo_save(s->cr);
    cairo_translate(s->cr, x, y);
    cairo_scale(s->cr, times, times);
    cairo_set_source_surface(s->cr, g, 0, 0);
    cairo_pattern_set_filter(cairo_get_source(s->cr), CAIRO_FILTER_NEAREST);
    cairo_paint(s->cr);
    cairo_restore(s->cr);
    cairo_surface_destroy(g);
    arena_free(a);
    return scale;
}

/* Pixels of the mask with a neighbour outside it. */
static void draw_outline(preview_sheet *s, const preview *v, double x0, double y0, double scale)
{
    const uint8_t *m = (const uint8_t *)v + v->mask;
    size_t w = (size_t)v->pw;
    double dot = scale > 1 ? scale : 1;
    cairo_set_source_rgb(s->cr, 1, 0.75, 0.1);
    for (int y = 1; y + 1 < v->ph; y++)
        for (int x = 1; x + 1 < v->pw; x++) {
            size_t i = (size_t)y * w + (size_t)x;
            if (m[i] && !(m[i - 1] && m[i + 1] && m[i - w] && m[i + w]))
                cairo_rectangle(s->cr, x0 + x * scale, y0 + y * scale, dot, dot);
        }
    cairo_fill(s->cr);
}

static void draw_crop(preview_sheet *s, const preview *v, double x0, double y0, double scale)
{
    double sx = scale * v->pw / v->p.rec.cols, sy = scale * v->ph / v->p.rec.rows;
    cairo_set_source_rgb(s->cr, 0.2, 0.8, 1);
    cairo_set_line_width(s->cr, 1.5);
    cairo_rectangle(s->cr, x0 + v->crop[0] * sx, y0 + v->crop[1] * sy, v->crop[2] * sx,
                    v->crop[3] * sy);
    cairo_stroke(s->cr);
}

void preview_sheet_add(preview_sheet *s, const preview *v, const char *const *caption, int n)
{
    if (s->used == s->panels)
        BUG("preview_sheet_add: the sheet has room for %d panels", s->panels);
    double x = s->used % s->columns * cell_width(s) + GAP;
    double y = s->used / s->columns * cell_height(s) + GAP;
    const char *reply = (const char *)v;
    s->used++;
    cairo_save(s->cr);
    cairo_rectangle(s->cr, x, y, cell_width(s) - 2 * GAP, cell_height(s) - GAP);
    cairo_clip(s->cr);
    if (v->decoded) {
        double scale = draw_grey(s, (const uint16_t *)(reply + v->pic), v->ph, v->pw, x, y);
        if (v->mask)
            draw_outline(s, v, x, y, scale);
        draw_crop(s, v, x, y, scale);
        draw_grey(s, (const uint16_t *)(reply + v->p.image_at[0]), v->p.h[0], v->p.w[0],
                  x + s->side + GAP, y);
    }
    cairo_set_source_rgb(s->cr, 0.92, 0.94, 0.95);
    for (int i = 0; i < n && i < s->lines; i++) {
        cairo_move_to(s->cr, x, y + s->side + LINE * (i + 1) - 4);
        cairo_show_text(s->cr, caption[i]);
    }
    cairo_restore(s->cr);
}

bool preview_sheet_write(preview_sheet *s, const char *path, err *e)
{
    if (cairo_status(s->cr) != CAIRO_STATUS_SUCCESS)
        return err_set(e, ERR_MEMORY, "the sheet of %d panels could not be drawn: %s", s->panels,
                       cairo_status_to_string(cairo_status(s->cr)));
    return surface_write(s->surface, path, e);
}

void preview_sheet_free(preview_sheet *s)
{
    if (!s)
        return;
    cairo_destroy(s->cr);
    cairo_surface_destroy(s->surface);
    mem_free(s);
}
