/* Memory that a training will hold, told before it begins: from shapes, nothing is run. */
#ifndef TRAIN_FOOTPRINT_H
#define TRAIN_FOOTPRINT_H

#include "train/loader.h"
#include "train/optim.h"

/* Bytes. */
typedef struct footprint {
    int64_t params;
    int64_t grads; /* and copies of them on the way of a sum over micro-batches */
    int64_t optimizer;
    int64_t saved;       /* of the activations: between forward and backward */
    int64_t activations; /* of one micro-batch: values, and gradients on their way back */
    int64_t validation;  /* the same of a batch that is scored; both are held */
    int64_t workspace;   /* of the device: packed weights, scratch */
    int64_t images;      /* of the machine: batches ahead, and the cache */
    int64_t products;    /* of a card: the workspace of its library of matrix products */
    int64_t staging;     /* of a card: what small data of the machine go through */
    int64_t sums;        /* of a card: gradients as bf16, on their way to other cards */
    int64_t locked;      /* of the machine: page-locked, the batches ahead among it */
    int64_t held;        /* of the total: is there before the first step */
    int64_t total;       /* on the device, of all these; the program itself, 0.1 GiB, is not
                            counted */
} footprint;

typedef struct footprint_ask {
    model *net;
    const loader *load;
    optim_kind optimizer;
    int kept;         /* patches that an image keeps at most, 0 = all */
    double evit_keep; /* the highest of the run; 0 = model.evit_keep */
    int64_t rows;     /* images that may be read */
    int parts;        /* micro-batches of a step that this process takes */
    int64_t sums;     /* bytes, as in the footprint */
    bool validates;
    bool card; /* images lie elsewhere than the rest */
} footprint_ask;

void footprint_of(const footprint_ask *k, run_level level, int64_t batch, footprint *out);
/* The largest micro-batch whose training takes no more than `room` bytes; 0 = none does. */
int64_t footprint_largest(const footprint_ask *k, run_level level, int64_t room);
#endif
