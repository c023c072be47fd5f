/* What the pixels say about the usability of an image: numbers for the pixel criteria of
 * exclude.c. Nothing here decides. Called by the chain in this order; each fills its part of
 * s->facts. Where a header gives no pixel size, FACTS_NOMINAL_MM stands in for judging the size of
 * small parts (metal, letters); areas of the breast in mm2 are then left unknown. */
#ifndef PREPROCESS_FACTS_H
#define PREPROCESS_FACTS_H

#include "preprocess/chain.h"

#define FACTS_NOMINAL_MM                                                                           \
    0.085 /* per stored pixel: between the 0.05 and 0.1 of common detectors                        \
           */

/* Spread and dominance of the display values of the whole image. */
void facts_range(chain *s);
/* Of the breast, when one was found: area, levels, borders, metal, implant-like blob. */
void facts_breast(chain *s);
/* Of the largest bright thing, when no breast was found. */
void facts_object(chain *s);
/* Fine-grained noise: of the breast, of the air around it, of the whole image. */
void facts_noise(chain *s);
/* Letters beside the breast. */
void facts_letters(chain *s);
#endif
