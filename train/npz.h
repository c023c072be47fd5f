/* NumPy's .npz: a zip archive of .npy files. Source: numpy/lib/format.py, versions 1.0 to 3.0. */
#ifndef TRAIN_NPZ_H
#define TRAIN_NPZ_H

#include "train/source.h"
#include "train/unzip.h"

bool npz_is(const unzip *z); /* every entry is named *.npy */
/* Names come without ".npy". Takes over z, also on failure. */
source *npz_open(unzip *z, err *e);
#endif
