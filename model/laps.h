/* Where the time of a step goes: between laps_start and laps_stop the work of a backend is cut into
 * laps, each of one class, timed by the device's own clock (events on a card). Off it costs one
 * comparison for each op. */
#ifndef MODEL_LAPS_H
#define MODEL_LAPS_H

#include "model/backend.h"

typedef enum laps_class {
    LAPS_OTHER, /* residual sums, means, pooling, what lies between ops */
    LAPS_PATCH, /* cutting patches and augmenting them, positions, prefix tokens */
    LAPS_LINEAR,
    LAPS_ATTENTION, /* windows too */
    LAPS_LAYERNORM, /* with the residual sum before it */
    LAPS_GELU,      /* where a device has it apart from the product */
    LAPS_MAP,       /* token maps and the selectors that fill them */
    LAPS_LOSS,
    LAPS_OPTIMISER, /* steps, norms and zeroing of gradients */
    LAPS_COPIES,    /* between host and device */
    LAPS_CLASSES
} laps_class;
const char *laps_name(laps_class k); /* "linear" */

typedef struct laps laps;
laps *laps_start(backend *be);
/* Seconds of each class since the start; frees the laps. */
void laps_stop(laps *l, double seconds[LAPS_CLASSES]);
/* The device's next work is of this class. -> the class before, for the end of the work. */
laps_class laps_enter(backend *be, laps_class k);
#endif
