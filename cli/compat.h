/* What published programs do that this one does otherwise unless it is asked: one row per quirk,
 * one config key per row, or the reason why it is not reproduced. patchdropout.md 9,
 * token_reduction.md 7. */
#ifndef CLI_COMPAT_H
#define CLI_COMPAT_H

#include "core/cfg.h"

typedef struct compat_row {
    const char *program; /* "patchdropout", "evit", "ppt" */
    const char *quirk;   /* what the published program does */
    const char *key;     /* NULL: not reproduced */
    const char *value;   /* as published */
    const char *nets;    /* with a key: only networks whose name begins so; NULL: all */
    const char *why;     /* without a key: why not; with one: what differs still, or NULL */
} compat_row;
const compat_row *compat_at(int i); /* NULL behind the last */

/* ERR_USAGE unless it is one of the programs. */
MUST_CHECK bool compat_check(const char *program, err *e);
/* Set the keys of a program and log each. first: before files and --set; else, after them, the keys
 * that are about model.name, unless a file or --set gave them. */
MUST_CHECK bool compat_apply(cfg *c, const char *program, bool first, err *e);
#endif
