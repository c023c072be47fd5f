/* A card that is not here: its memory is planned, nothing runs on it. */
#ifndef MODEL_CUDA_DESCRIBED_H
#define MODEL_CUDA_DESCRIBED_H

#include "model/ops_table.h"

/* Parameters lie in the host's memory; an op that runs is a BUG. */
backend *described_open(pool *p);

#endif
