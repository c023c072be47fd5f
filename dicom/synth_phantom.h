/* Pixels of a breast phantom for the demo archive: outline, gland, vessels, pectoral muscle, fine
 * texture, noise, air and markers, as display values. All lengths in millimetres. */
#ifndef DICOM_SYNTH_PHANTOM_H
#define DICOM_SYNTH_PHANTOM_H

#include "core/mem.h"

/* What one woman's breasts have in common. */
typedef struct synth_breast {
    double half_height; /* along the chest wall */
    double depth;       /* from the chest wall to the nipple */
    double density;     /* logit of the gland's share */
    double gain;        /* brightness */
} synth_breast;

typedef enum synth_content { SYNTH_BREAST, SYNTH_BLOCK, SYNTH_EMPTY } synth_content;

typedef struct synth_scene {
    uint64_t seed, id; /* the picture is a function of these and of what follows */
    synth_breast breast;
    bool oblique;   /* MLO: with pectoral muscle */
    double a_share; /* share of texture A among the marked patches; the rest is texture B */
    double mm;      /* per pixel */
    int rows, cols;
    bool chest_right;      /* stored with the chest wall at the right border */
    bool upside_down;      /* stored with the rows reversed */
    double air, air_noise; /* display values */
    char marker[8];        /* "RMLO"; "" = none */
    bool label;            /* a strip with small writing */
    synth_content content;
} synth_scene;

void synth_phantom_breast(uint64_t seed, uint64_t woman, synth_breast *out);
/* q[rows, cols] in [0,1], 1 = bright tissue, as it is stored (after the flips). */
void synth_phantom_draw(const synth_scene *s, arena *a, float *q);
#endif
