/* The published program's own YAML files (patchdropout.md 7), accepted by -c: every key becomes a
 * key of ours or is listed as ignored with the reason. What its program did beside the file
 * (--compat patchdropout) is switched on too. */
#ifndef CLI_PATCHDROPOUT_H
#define CLI_PATCHDROPOUT_H

#include "core/cfg.h"

#define PATCHDROPOUT_SETS 16
/* What has been read so far: the two files know each other by the name of the data set. */
typedef struct patchdropout {
    bool training;    /* a training file was read */
    char dataset[64]; /* of it; "" = not read yet */
    int n;
    struct {
        char name[64];
        int64_t classes;
    } set[PATCHDROPOUT_SETS]; /* of the file of data sets */
} patchdropout;

/* Is it one of these files, by its first key? A file that cannot be read is none. */
bool patchdropout_is(const char *path);
/* Translate the file into c and say on stderr what became of each key (silent with -q). ERR_CONFIG
 * names file, line and key; an unknown key also the nearest known one. */
MUST_CHECK bool patchdropout_load(patchdropout *p, cfg *c, const char *path, err *e);
#endif
