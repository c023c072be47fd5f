/* predict --maps: for each image what token reduction and attention did, as numbers (PRED/maps.h5)
 * and as pictures (PRED/maps/). One network, one image at a time, one thread; the caller brings the
 * images. docs/maps.md. */
#ifndef TRAIN_MAPS_H
#define TRAIN_MAPS_H

#include "core/json.h"
#include "train/checkpoint.h"

typedef enum maps_choice { MAPS_NONE, MAPS_PAGES, MAPS_ALL } maps_choice;

/* ERR_CONFIG for a network that has none of these maps, in words why. */
MUST_CHECK bool maps_check(const model *net, err *e);

typedef struct maps_spec { /* all borrowed */
    const char *out;       /* PRED; maps of an earlier call are removed */
    model *net;
    backend *be;
    const checkpoint_info *info;
    int64_t n;           /* images that will come */
    const char *no_mask; /* why they come without masks; NULL = they have some */
    bool evit_mask;      /* also EViT's own picture: patches that left are black */
    bool evit_patch0;    /* in it, a fused token that is kept lights up patch 0, as published */
    json_t *layers;      /* object: survival or fate, and rollout, of the images with pictures are
                            added as data, image -> [{map, title, shows, plain, classes: [{label,
                            colour, hatched}], patches: a string for each row of the grid}], letter
                            for each patch: 0-9a-zA-D the class, '.' none; or NULL */
} maps_spec;

typedef struct maps_image {
    const char *image, *exam; /* pseudonyms: letters, digits, '-' and '_' */
    char side;                /* 'L' 'R' */
    const char *view;         /* "CC" "MLO" "" */
    const uint16_t *pixels;   /* [image_h, image_w] */
    const uint8_t *mask;      /* 1 = breast; or NULL */
    const int32_t *keep;      /* as in model_batch */
    int n_keep;
    bool pictures;
} maps_image;

typedef struct maps maps;
maps *maps_new(const maps_spec *s, err *e);
MUST_CHECK bool maps_add(maps *m, const maps_image *image, err *e);
MUST_CHECK bool maps_commit(maps *m, err *e); /* writes the index, names the file; frees m */
void maps_discard(maps *m);
/* Remove what an earlier call left in PRED. */
MUST_CHECK bool maps_clear(const char *pred, err *e);
#endif
