/* The published AugReg .npz files (Flax) as timm names and shapes them. patchdropout.md 3. */
#ifndef TRAIN_AUGREG_H
#define TRAIN_AUGREG_H

#include "train/source.h"

bool augreg_is(const source *s); /* has Flax's name of the patch embedding */
/* A view of s: kernels transposed, query, key and value stacked, "opt/target/" dropped; arrays that
 * timm has no name for keep theirs. Takes over s, also on failure. */
source *augreg_open(source *s, err *e);
#endif
