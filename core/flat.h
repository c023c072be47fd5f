/* A YAML mapping as a flat sequence of dotted keys with their values, for configuration files of
 * ours and of others. One document; scalars, lists of scalars and nested mappings. Anchors, aliases
 * and tags are refused, since they hide what a file says. Values stay text; types are the caller's.
 */
#ifndef CORE_FLAT_H
#define CORE_FLAT_H

#include "core/err.h"

#define FLAT_LIST_MAX 64

typedef enum flat_kind {
    FLAT_SCALAR, /* n is 1 */
    FLAT_LIST,
    FLAT_SECTION /* a mapping begins; its keys follow */
} flat_kind;

/* Borrowed for the call. */
typedef struct flat_value {
    flat_kind kind;
    const char *key; /* "train.optim.lr" */
    int line;        /* 1-based, of the value */
    bool quoted;     /* FLAT_SCALAR: written in quotes or as a block */
    int n;
    const char *v[FLAT_LIST_MAX];
} flat_value;

/* Returns false, with e set, to stop. */
typedef bool flat_visit(void *ctx, const flat_value *v, err *e);
/* Fails ERR_CONFIG "name:line: reason". An empty text is fine. */
MUST_CHECK bool flat_read(const char *yaml, size_t len, const char *name, flat_visit *visit,
                          void *ctx, err *e);
#endif
