/* One verb = one cmd_<verb>.c: options -> config -> one stage function. main.c owns the table of
 * verbs, args.c turns words into cmd_args. Exit statuses: design.md 6 (err_exit). */
#ifndef CLI_CMD_H
#define CLI_CMD_H

#include "cli/patchdropout.h"
#include "core/cfg.h"
#include "core/err.h"
#include "core/json.h"
#include "core/ranks.h"
#include "eval/report.h"

#define CMD_WORDS  256
#define CMD_VALUES 64

typedef struct cmd_opt {
    const char *name; /* "--labels" */
    const char *arg;  /* "CSV", or NULL for a flag */
    const char *help;
} cmd_opt;

/* The command line after parsing: shared options, the verb's own options, and plain words. */
typedef struct cmd_args {
    cfg *config;           /* defaults, -c files and --set applied; owned by main */
    bool has_config;       /* -c was given */
    const char *set_model; /* the last --set of a key model.*, NULL = none */
    const char *word[CMD_WORDS];
    int n_words;
    int threads;          /* -j; 0 = all cores */
    const char *device;   /* --device, "auto" */
    const char *out;      /* -o, NULL = not given */
    const char *compat;   /* --compat, NULL = not given */
    patchdropout foreign; /* that program's own files among -c */
    bool json, force, dry_run, strict, help;
    ranks *ranks;         /* processes that a launcher started together, NULL = alone */
    int status;           /* exit status of a successful call: 0, or 1 with --strict */
    int shard_k, shard_n; /* --shard k/n; 0, 1 = everything */
    struct {
        const cmd_opt *opt;
        const char *value; /* "" for a flag */
    } value[CMD_VALUES];
    int n_values;
} cmd_args;

typedef struct cmd {
    const char *verb;
    const char *usage;   /* "scan ARCHIVE... -o STORE [--shard k/n] [--merge]" */
    const char *summary; /* one line */
    const char *help;    /* a paragraph: what goes in, what comes out, what to do next */
    bool (*fn)(cmd_args *a, err *e);
    const cmd_opt *opts; /* ends with a NULL name; NULL = none of its own */
    bool foreign_bytes;  /* needs the isolated workers */
    bool together;       /* processes of a launcher work as one */
    int min_words, max_words;
} cmd;

/* Last value given for one of the verb's own options; NULL = absent, "" for a flag. */
const char *cmd_value(const cmd_args *a, const char *name);
/* ERR_USAGE when -o is missing. */
MUST_CHECK bool cmd_need_out(const cmd_args *a, const char *what, err *e);

/* What a path given by the user is. */
typedef enum cmd_kind {
    CMD_NOTHING, /* missing, or a folder that is neither store nor run */
    CMD_STORE,
    CMD_RUN,    /* or one checkpoint */
    CMD_PRED,   /* predictions.csv or predictions.json */
    CMD_REPORT, /* eval.json */
    CMD_FILE
} cmd_kind;
cmd_kind cmd_kind_of(const char *path);
bool cmd_not_ours(const char *path, err *e); /* ERR_INPUT: missing, or no folder of ours */

/* Print a result: `o` as one line of JSON with --json, else the sentence. Takes over o. */
void cmd_result(const cmd_args *a, json_t *o, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* Does the config ask for exams of exactly four images? Training does not obey that key. */
bool cmd_whole_exams(const cmd_args *a);
/* The line that ends report and run. */
void cmd_print_headline(const cmd_args *a, const report_headline *h);

/* Options "run.*": where the corridor keeps its files. */
typedef struct run_cfg {
    cfg_texts archive;
    const char *labels, *dir, *cohort;
    int64_t seed;
} run_cfg;
extern const cfg_group run_options;

/* Fills and checks args from argv[1..] (after the verb). The config is created with the whole
 * schema. */
MUST_CHECK bool args_parse(cmd_args *a, const cmd *c, int argc, char **argv, err *e);
cfg *args_schema(void);

extern const cmd cmd_scan, cmd_prepare, cmd_split, cmd_train, cmd_predict, cmd_report, cmd_run,
    cmd_show, cmd_flops, cmd_weights, cmd_bench, cmd_verify, cmd_repair, cmd_export, cmd_deid_check,
    cmd_demo_archive;
#endif
