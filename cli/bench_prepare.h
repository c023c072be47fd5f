/* The part of bench that compares prepare with its parts and with a peer. */
#ifndef CLI_BENCH_PREPARE_H
#define CLI_BENCH_PREPARE_H

#include "cli/cmd.h"

MUST_CHECK bool bench_prepare(cmd_args *a, err *e);
#endif
