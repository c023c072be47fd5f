/* Augmentation: numbers only. Every value is a function of (seed, sample, epoch); the pixels are
 * touched once, inside op_patch (model_view). Table of augmentations: augment_options. */
#ifndef TRAIN_AUGMENT_H
#define TRAIN_AUGMENT_H

#include "core/cfg.h"
#include "model/model.h"

typedef struct augment_cfg {
    double flip_horizontal, flip_vertical; /* probabilities */
    double rotate;                         /* degrees, uniform in +- */
    double scale_min, scale_max;           /* area of the crop as a fraction of the image */
    double aspect_max;                     /* aspect ratio log-uniform in [1/a, a] */
    double translate;                      /* fraction of the side, uniform in +- */
    double brightness;                     /* factor U[1-b, 1+b] */
    double contrast;                       /* factor U[1-c, 1+c] */
    bool enabled;
} augment_cfg;
extern const cfg_group augment_options; /* "augment.*" */

/* The view of one training sample of an h x w image. The identity when nothing is enabled. */
void augment_view(const augment_cfg *c, int h, int w, uint64_t seed, uint64_t sample,
                  uint64_t epoch, model_view *out);
#endif
