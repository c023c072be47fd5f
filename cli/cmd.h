/* One verb = one cmd_<verb>.c: options -> config -> one stage function. main.c owns the table. */
#ifndef CLI_CMD_H
#define CLI_CMD_H

#include "core/cfg.h"
#include "core/err.h"

/* The shared options of design.md 6 and the verb's own words, parsed by main. */
typedef struct cmd_args {
    cfg *config;             /* defaults, -c files and --set applied */
    const char *const *word; /* positional words after the verb */
    int n_words;
    int threads;             /* -j; 0 = all cores */
    const char *device;      /* --device, "auto" */
    const char *out;         /* -o, NULL = not given */
    bool json, force, dry_run, strict;
    const char *shard;       /* --shard k/n or NULL */
    /* verb-specific options that the verb's table declares ("--labels FILE", "--maps") */
    const char *(*opt)(const struct cmd_args *a, const char *name); /* value, "" for flags, NULL absent */
    void *opt_data;
} cmd_args;

typedef struct cmd_opt {
    const char *name; /* "--labels" */
    const char *arg;  /* "CSV", or NULL for a flag */
    const char *help;
} cmd_opt;

typedef struct cmd {
    const char *verb;
    const char *usage;   /* "scan ARCHIVE... -o STORE [--shard k/n] [--merge]" */
    const char *summary; /* one line */
    int (*fn)(cmd_args *a, err *e); /* exit status; on a failure with e set: err_exit(e->code) */
    const cmd_opt *opts; /* NULL-name terminated */
    const char *example; /* shown by --help */
} cmd;
#endif
