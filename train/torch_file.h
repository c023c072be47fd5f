/* Checkpoints of PyTorch 1.6 and later: a zip archive of one pickle and one entry for every
 * storage. Nothing of the pickle is executed. */
#ifndef TRAIN_TORCH_FILE_H
#define TRAIN_TORCH_FILE_H

#include "train/source.h"
#include "train/unzip.h"

/* The tensors of the state dict: the dict under the first of the keys model, state_dict, model_ema,
 * state_dict_ema that holds one (also nested), else the outermost dict. Takes over z, also on
 * failure. */
source *torch_file_open(unzip *z, err *e);
#endif
