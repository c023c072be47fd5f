/* Which patches of a sample hold breast: the shard's mask seen through the sample's view. */
#ifndef TRAIN_BREAST_H
#define TRAIN_BREAST_H

#include "model/model.h"

/* mask [h,w]: 1 where the raw image is breast. out[rows * cols]: 1 where at least one pixel of the
 * patch lies on breast after the affine map of `view` (nearest pixel; outside the image is none).
 */
void breast_patches(const uint8_t *mask, int h, int w, const model_view *view, int rows, int cols,
                    uint8_t *out);
#endif
