/* Draws the numbers of the mammography recipe (patchdropout.md 4) and folds them into one affine
 * map and one brightness and contrast per sample. The published CSAW class keeps the whole image
 * and jitters brightness U[.9,1.1] and contrast U[.5,1.5]; rotation is +-10 degrees. */
#include "train/augment.h"

#include "core/rng.h"

#include <math.h>

#define AT(f) offsetof(augment_cfg, f)
static const cfg_option table[] = {
    {"augment.enabled", CFG_BOOL, AT(enabled), "true", 0, 0, NULL, "",
     "false shows every image as it was prepared"},
    {"augment.flip_horizontal", CFG_REAL, AT(flip_horizontal), "0", 0, 1, NULL, "probability",
     "mirror left to right; 0 because preparation puts every chest wall on the left"},
    {"augment.flip_vertical", CFG_REAL, AT(flip_vertical), "0.5", 0, 1, NULL, "probability",
     "mirror top to bottom"},
    {"augment.rotate", CFG_REAL, AT(rotate), "10", 0, 180, NULL, "degrees",
     "rotation about the centre, uniform in plus or minus this"},
    {"augment.scale_min", CFG_REAL, AT(scale_min), "1", 0.01, 4, NULL, "",
     "smallest area of the random crop, as a fraction of the image"},
    {"augment.scale_max", CFG_REAL, AT(scale_max), "1", 0.01, 4, NULL, "",
     "largest area of the random crop"},
    {"augment.aspect_max", CFG_REAL, AT(aspect_max), "1", 1, 4, NULL, "",
     "aspect ratio of the crop, log-uniform between its inverse and this"},
    {"augment.translate", CFG_REAL, AT(translate), "0", 0, 0.5, NULL, "fraction of the side",
     "shift, uniform in plus or minus this"},
    {"augment.brightness", CFG_REAL, AT(brightness), "0.1", 0, 1, NULL, "",
     "brightness factor, uniform in 1 plus or minus this"},
    {"augment.contrast", CFG_REAL, AT(contrast), "0.5", 0, 1, NULL, "",
     "contrast factor about mid-grey, uniform in 1 plus or minus this"},
};
const cfg_group augment_options = {"Augmentation", table, COUNT_OF(table)};

static double spread(rng *r, double half)
{
    return half * (2 * rng_f64(r) - 1);
}

void augment_view(const augment_cfg *c, int h, int w, uint64_t seed, uint64_t sample,
                  uint64_t epoch, model_view *out)
{
    rng r;
    *out = model_view_identity;
    if (!c->enabled)
        return;
    rng_init(&r, seed, RNG_AUGMENT, sample, epoch);
    /* every number is drawn whether used or not: switching one off leaves the others as they were
     */
    double flip_h = rng_f64(&r) < c->flip_horizontal ? -1 : 1;
    double flip_v = rng_f64(&r) < c->flip_vertical ? -1 : 1;
    double angle = spread(&r, c->rotate) * M_PI / 180;
    double area = c->scale_min + (c->scale_max - c->scale_min) * rng_f64(&r);
    double aspect = exp(spread(&r, log(c->aspect_max)));
    double dx = spread(&r, c->translate) * w, dy = spread(&r, c->translate) * h;
    double bright = 1 + spread(&r, c->brightness), contrast = 1 + spread(&r, c->contrast);
    double sx = sqrt(area * aspect) * flip_h, sy = sqrt(area / aspect) * flip_v;
    /* output pixel centre -> source: scale and flip, then rotate, all about the image centre */
    double a = cos(angle) * sx, b = -sin(angle) * sy, d = sin(angle) * sx, e = cos(angle) * sy;
    double cx = 0.5 * w, cy = 0.5 * h;
    if (angle != 0 || sx != 1 || sy != 1 || dx != 0 || dy != 0) {
        out->affine[0] = (float)a;
        out->affine[1] = (float)b;
        out->affine[2] = (float)(cx + dx - a * cx - b * cy);
        out->affine[3] = (float)d;
        out->affine[4] = (float)e;
        out->affine[5] = (float)(cy + dy - d * cx - e * cy);
    }
    /* brightness * (contrast * (v - 0.5) + 0.5), written as the view's contrast and offset */
    out->contrast = (float)(contrast * bright);
    out->brightness = (float)(0.5 * bright - 0.5);
}
