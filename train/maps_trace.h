/* One image's maps on the patch grid: what token reduction did with each patch and what attention
 * gave it, from the record of one forward pass. Numbers only. docs/maps.md, token_reduction.md 8.4.
 */
#ifndef TRAIN_MAPS_TRACE_H
#define TRAIN_MAPS_TRACE_H

#include "model/model.h"

typedef enum maps_state {
    MAPS_GONE,        /* dropped or pruned */
    MAPS_ALONE,       /* a token of its own */
    MAPS_FUSED,       /* EViT: inside a token of patches that left */
    MAPS_MERGED,      /* PPT: averaged with others */
    MAPS_UNSEEN = 255 /* PatchDropout: never given to the network */
} maps_state;

/* `layers` reducing layers of a grid of `patches`; maps are [patches] or [layers, patches]. */
typedef struct maps_trace {
    int rows, cols, patches, layers;
    int reduction; /* model_reduction */
    int32_t block[WATCH_LAYERS];
    uint8_t *survival; /* layers after which the patch was still itself (EViT) or still there (PPT);
                          255 unseen */
    uint8_t *state;    /* after each layer: maps_state */
    int32_t *group;    /* after each layer: which token holds the patch, from 0; -1 = none */
    float *attention;  /* what the class token gave to the patch's token at this layer, times the
                          number of tokens: 1 = an equal share; NaN where the patch is gone or
                          fused, or nothing was reduced */
    float *log2_size;  /* of patches in the token; NaN = gone */
    float *last;       /* as attention, in the last block */
    float *rollout;    /* share of the class token that comes from the patch (model/rollout.h) */
    double spread[WATCH_LAYERS]; /* PPT: n^2 * variance of the importance; NaN = nothing done */
    int8_t branch[WATCH_LAYERS]; /* PPT: 1 merged, 0 pruned, -1 nothing done */
    double kept[WATCH_LAYERS]; /* share of the breast's area in patches that are themselves still */
    double there[WATCH_LAYERS]; /* and in those inside fused or merged tokens, too; NaN = no mask */
} maps_trace;

typedef struct maps_look {
    const model *net;
    backend *be;
    const model_watch *watch; /* of one image, with attention */
    const int32_t *keep;      /* as in the batch */
    int n_keep;
    const uint8_t *mask; /* u8 [image_h, image_w], 1 = breast; or NULL */
} maps_look;
void maps_trace_make(const maps_look *in, maps_trace *out);
void maps_trace_release(maps_trace *t);
#endif
