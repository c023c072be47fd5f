/* Breast phantoms. The signal of the demo is local: small patches of a fine grating lie in the
 * gland of every image, some with stripes along the chest wall (texture A), the others across it
 * (texture B), at equal power and contrast. Only the share of A differs between women who will and
 * who will not get cancer; patches of coarser gratings with random shares hide it from everything
 * that sums over the image. The period is just above twice the pixel of the demo's canvas, so that
 * half its resolution cannot show it. */
#include "dicom/synth_phantom.h"

#include "core/rng.h"
#include "core/text.h"

#include <math.h>
#include <string.h>

#define TWO_PI           6.283185307179586
#define FIELD_COARSE     4    /* slow fields are computed on every fourth pixel */
#define TEXTURE_MM       1.92 /* period of textures A and B: 2.4 pixels of 0.8 mm */
#define TEXTURE_CONTRAST 0.10 /* of the display range, at the centre of a patch */
#define TEXTURE_PATCHES  40
#define HIDING_CONTRAST  0.15
#define HIDING_PATCHES   60
#define QUANTUM_NOISE    0.03

static const double hiding_mm[] = {2.28, 2.64, 3.2};

/* Purposes within RNG_SYNTH, as the step of the counter. */
enum { DRAW_WOMAN = 1, DRAW_SHAPE, DRAW_FIELD, DRAW_VESSEL, DRAW_TEXTURE, DRAW_NOISE, DRAW_LABEL };

static double between(rng *r, double lo, double hi)
{
    return lo + (hi - lo) * rng_f64(r);
}

void synth_phantom_breast(uint64_t seed, uint64_t woman, synth_breast *out)
{
    rng r;
    rng_init(&r, seed, RNG_SYNTH, woman, DRAW_WOMAN);
    out->half_height = between(&r, 33, 44);
    out->depth = between(&r, 38, 58);
    out->density = 0.8 * rng_normal(&r);
    out->gain = between(&r, 0.8, 1.2);
}

/* The picture while it is drawn: chest wall at the left, head up. */
typedef struct canvas {
    const synth_scene *s;
    int rows, cols;
    double cy, ry, rx; /* ellipse, mm */
    double pec_x, pec_y;
    float *q;
} canvas;

static double inside(const canvas *c, double x, double y)
{
    double v = (y - c->cy) / c->ry, u = x / c->rx;
    return 1 - v * v - u * u;
}

static bool in_pectoral(const canvas *c, double x, double y)
{
    return c->s->oblique && x / c->pec_x + y / c->pec_y < 1;
}

/* ---- slow fields ----------------------------------------------------------------------------- */

typedef struct lattice {
    float *v;
    int w, h;
    double step; /* mm */
} lattice;

static lattice lattice_new(const canvas *c, arena *a, rng *r, double step)
{
    lattice l = {.step = step};
    l.w = (int)(c->cols * c->s->mm / step) + 3;
    l.h = (int)(c->rows * c->s->mm / step) + 3;
    l.v = arena_alloc(a, (size_t)l.w * (size_t)l.h * sizeof(float));
    for (int i = 0; i < l.w * l.h; i++)
        l.v[i] = (float)rng_normal(r);
    return l;
}

/* Smooth interpolation between the lattice points. */
static double lattice_at(const lattice *l, double x, double y)
{
    double u = x / l->step, v = y / l->step;
    int i = (int)u, k = (int)v;
    u -= i;
    v -= k;
    u = u * u * (3 - 2 * u);
    v = v * v * (3 - 2 * v);
    const float *p = l->v + (size_t)k * (size_t)l->w + i;
    double top = (double)p[0] * (1 - u) + (double)p[1] * u;
    double low = (double)p[l->w] * (1 - u) + (double)p[l->w + 1] * u;
    return top * (1 - v) + low * v;
}

/* Brightness of the tissue per unit of thickness, on the coarse grid [h, w]. */
static float *tissue(const canvas *c, arena *a, int *w, int *h)
{
    static const double steps[5] = {38, 19, 9.6, 4.8, 2.4};
    lattice l[5];
    rng r;
    rng_init(&r, c->s->seed, RNG_SYNTH, c->s->id, DRAW_FIELD);
    for (int i = 0; i < 5; i++)
        l[i] = lattice_new(c, a, &r, steps[i]);
    *w = c->cols / FIELD_COARSE + 2;
    *h = c->rows / FIELD_COARSE + 2;
    float *f = arena_alloc(a, (size_t)*w * (size_t)*h * sizeof(float));
    double d = c->s->mm * FIELD_COARSE, far_x = (l[4].w - 2) * steps[4],
           far_y = (l[4].h - 2) * steps[4];
    for (int k = 0; k < *h; k++)
        for (int i = 0; i < *w; i++) {
            double x = fmin(i * d, far_x), y = fmin(k * d, far_y), n[5];
            for (int m = 0; m < 5; m++)
                n[m] = lattice_at(&l[m], x, y);
            double g = 2.2 * (0.9 * n[0] + 0.6 * n[1] + 0.5 * n[2] + c->s->breast.density);
            double v = 0.34 + 0.30 / (1 + exp(-g)) + 0.05 * n[2] + 0.04 * n[3] + 0.02 * n[4];
            f[(size_t)k * (size_t)*w + i] = (float)(v * c->s->breast.gain);
        }
    return f;
}

static void draw_tissue(canvas *c, arena *a)
{
    int w, h;
    const float *f = tissue(c, a, &w, &h);
    const float part = 1.0f / FIELD_COARSE, muscle = (float)(0.75 * c->s->breast.gain);
    for (int y = 0; y < c->rows; y++) {
        const float *p = f + (size_t)(y / FIELD_COARSE) * (size_t)w;
        float v = (float)(y % FIELD_COARSE) * part, *q = c->q + (size_t)y * (size_t)c->cols;
        double my = (y + 0.5) * c->s->mm;
        for (int x = 0; x < c->cols; x++) {
            double mx = (x + 0.5) * c->s->mm, t = inside(c, mx, my);
            if (t <= 0)
                break; /* the outline is convex and begins at the chest wall */
            int i = x / FIELD_COARSE;
            float u = (float)(x % FIELD_COARSE) * part;
            float top = p[i] * (1 - u) + p[i + 1] * u, low = p[w + i] * (1 - u) + p[w + i + 1] * u;
            float thick = sqrtf(sqrtf((float)t));
            q[x] = in_pectoral(c, mx, my) ? muscle : thick * (top * (1 - v) + low * v);
        }
    }
}

/* ---- vessels and texture --------------------------------------------------------------------- */

static void draw_vessels(canvas *c)
{
    rng r;
    rng_init(&r, c->s->seed, RNG_SYNTH, c->s->id, DRAW_VESSEL);
    double mm = c->s->mm;
    for (int k = 0; k < 6; k++) {
        double y0 = c->cy + between(&r, -0.8, 0.8) * c->ry, bend = between(&r, -6, 6),
               wave = between(&r, 12, 30), phase = between(&r, 0, TWO_PI),
               sd = between(&r, 0.25, 0.6), height = between(&r, 0.03, 0.08);
        for (int x = 0; x < c->cols; x++) {
            double mx = (x + 0.5) * mm, share = mx / c->rx;
            if (share >= 1)
                break;
            /* ducts and vessels converge on the nipple */
            double my =
                c->cy + (y0 - c->cy) * (1 - 0.7 * share) + bend * sin(mx / wave * 3 + phase);
            int from = (int)((my - 3 * sd) / mm), to = (int)((my + 3 * sd) / mm) + 1;
            for (int y = from < 0 ? 0 : from; y <= to && y < c->rows; y++) {
                double d = ((y + 0.5) * mm - my) / sd;
                if (inside(c, mx, (y + 0.5) * mm) > 0.05)
                    c->q[(size_t)y * (size_t)c->cols + x] += (float)(height * exp(-0.5 * d * d));
            }
        }
    }
}

#define PATCH_MAX 512
/* Add height * gauss * cos along direction `angle` at (x, y); built from products of
 * one-dimensional factors: cos(a + b) = cos a cos b - sin a sin b. */
static void add_patch(canvas *c, double x, double y, double sd, double angle, double period,
                      double phase, double height)
{
    double mm = c->s->mm, fx = TWO_PI / period * cos(angle), fy = TWO_PI / period * sin(angle);
    int x0 = (int)fmax(0, (x - 2.5 * sd) / mm), x1 = (int)fmin(c->cols, (x + 2.5 * sd) / mm),
        y0 = (int)fmax(0, (y - 2.5 * sd) / mm), y1 = (int)fmin(c->rows, (y + 2.5 * sd) / mm);
    float cx[PATCH_MAX], sx[PATCH_MAX];
    if (x1 - x0 > PATCH_MAX)
        x1 = x0 + PATCH_MAX;
    for (int i = x0; i < x1; i++) {
        double d = (i + 0.5) * mm - x, g = exp(-0.5 * d * d / (sd * sd));
        cx[i - x0] = (float)(g * cos(fx * d + phase));
        sx[i - x0] = (float)(g * sin(fx * d + phase));
    }
    for (int k = y0; k < y1; k++) {
        double d = (k + 0.5) * mm - y, g = height * exp(-0.5 * d * d / (sd * sd));
        float cy = (float)(g * cos(fy * d)), sy = (float)(g * sin(fy * d));
        float *q = c->q + (size_t)k * (size_t)c->cols;
        for (int i = x0; i < x1; i++)
            q[i] += cx[i - x0] * cy - sx[i - x0] * sy;
    }
}

static void draw_texture(canvas *c)
{
    rng r;
    rng_init(&r, c->s->seed, RNG_SYNTH, c->s->id, DRAW_TEXTURE);
    double along[3], oblique[3];
    for (int i = 0; i < 3; i++) {
        along[i] = rng_f64(&r);
        oblique[i] = 0.5 * rng_f64(&r);
    }
    for (int k = 0; k < TEXTURE_PATCHES + HIDING_PATCHES; k++) {
        double x, y, sd = between(&r, 3.2, 6.4), phase = between(&r, 0, TWO_PI), period, angle;
        int tries = 0;
        do {
            x = between(&r, 0, c->rx);
            y = c->cy + between(&r, -1, 1) * c->ry;
        } while ((inside(c, x, y) < 0.15 || in_pectoral(c, x - 4, y - 6)) && ++tries < 200);
        bool signal = k < TEXTURE_PATCHES;
        if (signal) {
            angle = rng_f64(&r) < c->s->a_share ? TWO_PI / 4 : 0;
            period = TEXTURE_MM * (1 + 0.02 * rng_normal(&r));
        } else {
            uint32_t i = rng_below(&r, 3);
            angle = rng_f64(&r) < along[i] ? TWO_PI / 4 : 0;
            if (rng_f64(&r) < oblique[i])
                angle += TWO_PI / 8;
            period = hiding_mm[i] * (1 + 0.03 * rng_normal(&r));
        }
        angle += 0.05 * rng_normal(&r);
        add_patch(c, x, y, sd, angle, period, phase, signal ? TEXTURE_CONTRAST : HIDING_CONTRAST);
    }
}

/* ---- the rest -------------------------------------------------------------------------------- */

/* Nearly normal: the sum of four bytes. */
static float noise(rng *r)
{
    uint32_t v = rng_u32(r);
    int sum = (int)((v & 255) + (v >> 8 & 255) + (v >> 16 & 255) + (v >> 24));
    return (float)(sum - 510) * (1 / 147.8f);
}

/* Quantum noise in the breast, the level and noise of the air elsewhere. */
static void draw_noise(canvas *c)
{
    const synth_scene *s = c->s;
    rng r;
    rng_init(&r, s->seed, RNG_SYNTH, s->id, DRAW_NOISE);
    for (int y = 0; y < c->rows; y++) {
        float *q = c->q + (size_t)y * (size_t)c->cols;
        double my = (y + 0.5) * s->mm;
        for (int x = 0; x < c->cols; x++) {
            bool tissue_here = s->content == SYNTH_BREAST && inside(c, (x + 0.5) * s->mm, my) > 0;
            if (s->content == SYNTH_BLOCK)
                tissue_here = q[x] > 0;
            float v = tissue_here ? q[x] + (float)QUANTUM_NOISE * noise(&r)
                                  : (float)s->air + (float)s->air_noise * fabsf(noise(&r));
            q[x] = v < 0 ? 0 : v > 1 ? 1 : v;
        }
    }
}

static void flip(const synth_scene *s, float *q)
{
    size_t w = (size_t)s->cols;
    for (int y = 0; s->chest_right && y < s->rows; y++)
        for (size_t i = 0, k = w - 1; i < k; i++, k--) {
            float *row = q + (size_t)y * w, t = row[i];
            row[i] = row[k];
            row[k] = t;
        }
    for (int y = 0; s->upside_down && y < s->rows / 2; y++)
        for (size_t x = 0; x < w; x++) {
            float *up = q + (size_t)y * w + x, *down = q + (size_t)(s->rows - 1 - y) * w + x,
                  t = *up;
            *up = *down;
            *down = t;
        }
}

/* Letters of 5 x 7 dots, a row per byte. */
static const struct {
    char letter;
    uint8_t row[7];
} font[] = {
    {'L', {16, 16, 16, 16, 16, 16, 31}}, {'R', {30, 17, 17, 30, 20, 18, 17}},
    {'C', {14, 17, 16, 16, 16, 17, 14}}, {'M', {17, 27, 21, 21, 17, 17, 17}},
    {'O', {14, 17, 17, 17, 17, 17, 14}},
};

static void draw_letter(const synth_scene *s, float *q, char letter, int at_x, int at_y)
{
    int dot = (int)(0.6 / s->mm + 0.5);
    for (size_t f = 0; f < COUNT_OF(font); f++)
        for (int y = 0; y < 7 * dot && font[f].letter == letter; y++)
            for (int x = 0; x < 5 * dot; x++) {
                int px = at_x + x, py = at_y + y;
                if ((font[f].row[y / dot] >> (4 - x / dot) & 1) && px >= 0 && px < s->cols &&
                    py >= 0 && py < s->rows)
                    q[(size_t)py * (size_t)s->cols + (size_t)px] = 0.97f;
            }
}

/* Side and view in lead letters in the upper corner away from the chest wall, readable as stored,
 * and a strip of small writing at the lower border. */
static void draw_marks(const synth_scene *s, float *q)
{
    int letters = (int)strlen(s->marker), pitch = (int)(3.8 / s->mm);
    int x = s->chest_right ? (int)(2 / s->mm) : s->cols - letters * pitch - (int)(2 / s->mm);
    for (int i = 0; i < letters; i++)
        draw_letter(s, q, s->marker[i], x + i * pitch, (int)(2 / s->mm));
    if (!s->label)
        return;
    rng r;
    rng_init(&r, s->seed, RNG_SYNTH, s->id, DRAW_LABEL);
    int dot = (int)(0.4 / s->mm + 0.5), n = (int)(9 / s->mm) / dot,
        x0 = s->chest_right ? dot * 3 : s->cols - dot * (n + 3);
    for (int line = 0; line < 2; line++)
        for (int i = 0; i < n; i++) {
            if (rng_u32(&r) & 1)
                continue;
            for (int k = 0; k < dot * dot * 2; k++) {
                int px = x0 + i * dot + k % dot, py = s->rows - dot * (3 + 4 * line) + k / dot;
                q[(size_t)py * (size_t)s->cols + (size_t)px] = 0.9f;
            }
        }
}

/* A plate with round inserts, as the accreditation phantom looks. */
static void draw_block(canvas *c)
{
    double mm = c->s->mm, h = c->rows * mm, w = c->cols * mm;
    for (int y = 0; y < c->rows; y++)
        for (int x = 0; x < c->cols; x++) {
            double mx = x * mm, my = y * mm, gx = fmod(mx, 16) - 8, gy = fmod(my, 16) - 8;
            if (mx > 0.75 * w || my < 0.15 * h || my > 0.85 * h)
                continue;
            c->q[(size_t)y * (size_t)c->cols + (size_t)x] = gx * gx + gy * gy < 9 ? 0.62f : 0.5f;
        }
}

void synth_phantom_draw(const synth_scene *s, arena *a, float *q)
{
    canvas c = {.s = s, .rows = s->rows, .cols = s->cols, .q = q};
    rng r;
    memset(q, 0, (size_t)s->rows * (size_t)s->cols * sizeof(float));
    rng_init(&r, s->seed, RNG_SYNTH, s->id, DRAW_SHAPE);
    double height = s->rows * s->mm, depth = s->cols * s->mm;
    c.ry = fmin(s->breast.half_height * between(&r, 0.95, 1.05), 0.46 * height);
    c.rx = fmin(s->breast.depth * between(&r, 0.93, 1.07), 0.8 * depth);
    c.cy = height / 2 + between(&r, -1, 1) * (0.48 * height - c.ry);
    c.pec_x = between(&r, 30, 40);
    c.pec_y = c.cy - c.ry + between(&r, 36, 50);
    if (s->content == SYNTH_BREAST) {
        draw_tissue(&c, a);
        draw_vessels(&c);
        draw_texture(&c);
    } else if (s->content == SYNTH_BLOCK) {
        draw_block(&c);
    }
    draw_noise(&c);
    flip(s, q);
    draw_marks(s, q);
}
