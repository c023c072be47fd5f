/* PRED/maps.h5: the maps of all images of a prediction, one dataset per kind of map.
 * docs/formats.md 5. One thread. */
#ifndef TRAIN_MAPS_H5_H
#define TRAIN_MAPS_H5_H

#include "core/err.h"
#include "train/maps_trace.h"

typedef struct maps_h5_spec {
    const char *path;
    int64_t n; /* images */
    const model_cfg *model;
    const char *checkpoint, *prepare_id; /* SHA-256 of the weights; id of the preparation */
    const char *no_mask;                 /* why areas of breast are not known; "" = they are */
} maps_h5_spec;

typedef struct maps_h5 maps_h5;
/* like: the maps of any image; all have its shape. PATH.partial until commit. */
maps_h5 *maps_h5_create(const maps_h5_spec *s, const maps_trace *like, err *e);
/* Image i; names of at most 32 bytes. */
typedef struct maps_h5_names {
    const char *image, *exam, *laterality, *view;
} maps_h5_names;
MUST_CHECK bool maps_h5_put(maps_h5 *f, int64_t i, const maps_h5_names *who, const maps_trace *t,
                            err *e);
MUST_CHECK bool maps_h5_commit(maps_h5 *f, err *e); /* frees f */
void maps_h5_discard(maps_h5 *f);

/* What a file of maps says of itself; texts that are longer are cut. */
typedef struct maps_h5_head {
    int64_t n;
    int rows, cols, layers;
    char model[64], reduction[16], checkpoint[65], prepare_id[33], note[128];
} maps_h5_head;
/* Is it an HDF5 file of this format? */
bool maps_h5_is(const char *path);
MUST_CHECK bool maps_h5_read_head(const char *path, maps_h5_head *out, err *e);
#endif
