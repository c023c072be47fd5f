/* Configuration: tables of options -> parse, check, bind, dump, help, hash.
 * Each module exports one cfg_group (its option table beside its config struct); the program
 * composes them into one schema. A file is YAML (libyaml): nested mappings become dotted keys,
 * sequences become lists. Order: default < files in order < --set. Unknown or repeated keys, wrong
 * types and values out of range are errors (ERR_CONFIG) that name the key, the value, the place
 * (file:line) and, for unknown keys, the nearest known key. Anchors and aliases are refused. */
#ifndef CORE_CFG_H
#define CORE_CFG_H

#include "core/err.h"
#include "core/text.h"

typedef enum cfg_type {
    CFG_BOOL,  /* bool */
    CFG_INT,   /* int64_t */
    CFG_REAL,  /* double; "3/7" is allowed */
    CFG_TEXT,  /* const char *, borrowed from the cfg; never NULL */
    CFG_ENUM,  /* int: index into the '|'-separated choices */
    CFG_REALS, /* cfg_reals */
    CFG_TEXTS  /* cfg_texts */
} cfg_type;

#define CFG_LIST_MAX 64
typedef struct cfg_reals {
    int n;
    double v[CFG_LIST_MAX];
} cfg_reals;
typedef struct cfg_texts {
    int n;
    const char *v[CFG_LIST_MAX]; /* borrowed from the cfg */
} cfg_texts;

typedef struct cfg_option {
    const char *key; /* "train.lr" */
    cfg_type type;
    size_t offset;       /* of the field in the module's struct: offsetof(...) */
    const char *def;     /* default as text; lists as "a, b, c"; "" is an empty list or text */
    double min, max;     /* numbers only; min == max == 0 means unbounded */
    const char *choices; /* CFG_ENUM: "adamw|sgd"; else NULL */
    const char *unit;    /* "mm", "days", "" */
    const char *help;    /* one line */
} cfg_option;

typedef struct cfg_group {
    const char *title; /* "Preparation of images" */
    const cfg_option *options;
    size_t n;
} cfg_group;

typedef struct cfg cfg;

/* Schema of all groups (borrowed, static). Every value has its default. */
cfg *cfg_new(const cfg_group *const *groups, size_t n_groups);
void cfg_free(cfg *c);
MUST_CHECK bool cfg_load(cfg *c, const char *path, err *e);
/* YAML text, `name` for messages (checkpoints carry their prepare config as text). */
MUST_CHECK bool cfg_load_text(cfg *c, const char *yaml, size_t len, const char *name, err *e);
MUST_CHECK bool cfg_set(cfg *c, const char *key_value, err *e); /* "train.lr=1e-3" */
/* Fill the module's struct. The group must be part of the schema, else BUG. */
void cfg_bind(const cfg *c, const cfg_group *g, void *out);
/* True if a file or --set gave the key. */
bool cfg_given(const cfg *c, const char *key);
/* The value as text, as cfg_dump writes it. Unknown key: BUG. */
const char *cfg_text(const cfg *c, const char *key);
/* Resolved config as YAML, keys in table order; groups NULL-terminated or NULL for all.
 * with_help writes each key's help, unit, range and default as comments (configs/default.yaml). */
void cfg_dump(const cfg *c, const cfg_group *const *groups, bool with_help, text *out);
/* Lower-case hex SHA-256 of cfg_dump(c, groups, false). */
void cfg_hash(const cfg *c, const cfg_group *const *groups, char out[65]);
/* The text of `--help config`. */
void cfg_help(const cfg *c, text *out);
#endif
