/* show and weights show, the part about a file of weights. */
#ifndef CLI_SHOW_WEIGHTS_H
#define CLI_SHOW_WEIGHTS_H

#include "cli/cmd.h"

/* One line per array of a safetensors, PyTorch or NumPy file: name, type, shape; smallest and
 * largest value and mean where it holds floating-point numbers. */
MUST_CHECK bool show_weights(const cmd_args *a, const char *path, err *e);
#endif
