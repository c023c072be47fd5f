/* What becomes of every parameter of a network when a file of weights is read: private to
 * weights.c. Nothing is read or changed here. */
#ifndef TRAIN_WEIGHTS_FIT_H
#define TRAIN_WEIGHTS_FIT_H

#include "train/source.h"
#include "train/weights.h"

#define WEIGHTS_GRID_KEY "pos_grid" /* metadata: "14x14", the grid that pos_embed belongs to */

typedef enum weights_fate {
    WEIGHTS_LOAD,
    WEIGHTS_FOLD,
    WEIGHTS_RESAMPLE,
    WEIGHTS_KEEP
} weights_fate;

typedef struct weights_fit {
    weights_fate fate;
    const array_info *from; /* in the file; NULL = absent */
    char why[96];           /* for a person; "" where nothing is to be said */
    resample_grid grid;     /* WEIGHTS_RESAMPLE: both grids, */
    resample_how how;       /* by which rule, */
    int64_t skip_from;      /* and elements before them in the file, */
    int64_t skip_to;        /* in the parameter; the first min(from, to) are copied */
} weights_fit;

typedef struct weights_file {
    source *file;
    array_info *array; /* the file's, under our names; at: index in the file */
    char (*name)[NAMES_MAX];
    int *by_name;
    int n;
} weights_file;

MUST_CHECK bool weights_file_open(weights_file *f, const char *path, bool rename, err *e);
void weights_file_close(weights_file *f);
const array_info *weights_file_get(const weights_file *f, const char *name); /* NULL = absent */

/* One fit for every parameter of the model. */
MUST_CHECK bool weights_fit_all(const weights_file *f, model *m, const weights_opts *opts,
                                weights_fit *fit, err *e);
/* "[192, 3, 16, 16]" */
void weights_shape_text(int ndim, const int64_t *shape, text *out);
void weights_param_shape(const param *p, int64_t shape[4]);
#endif
