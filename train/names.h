/* Names of parameters in versions of timm. Ours are those of timm 0.4.12, with PiT's pools as its
 * authors name them. Source: state dicts of timm 0.4.12 and 1.0; patchdropout.md 3,
 * token_reduction.md 4.2. */
#ifndef TRAIN_NAMES_H
#define TRAIN_NAMES_H

#include "core/err.h"

#define NAMES_MAX 256 /* bytes of a name, with its end */

typedef enum names_layout {
    NAMES_TIMM,  /* since 0.9; what a file is written in */
    NAMES_TIMM04 /* 0.4.12 */
} names_layout;

/* All names of one file or network, from which its layout is told. */
typedef struct names {
    const char *const *name; /* borrowed */
    int n;
    uint32_t apply; /* bit k: row k of the table of renames */
} names;

/* Names of a foreign file: which renames it needs. */
void names_of_file(names *out, const char *const *name, int n);
/* A file's name as ours; "module." of data-parallel training is dropped. */
void names_to_ours(const names *file, const char *name, char out[NAMES_MAX]);
/* Names of a network of ours that is written in `layout`. */
void names_of_network(names *out, const char *const *name, int n, names_layout layout);
void names_from_ours(const names *network, const char *name, char out[NAMES_MAX]);
/* Arrays that are computed from the window and are no weights. */
bool names_is_buffer(const char *name);
#endif
