/* A reader for the pickles of PyTorch checkpoints that executes nothing: plain values, and the few
 * names a state dict of tensors needs, each of which stands for a fixed piece of code here. Any
 * other name, opcode or shape is an error that says which. Source: Python's pickletools,
 * torch/_utils.py (names and argument orders). */
#ifndef TRAIN_PICKLE_H
#define TRAIN_PICKLE_H

#include "train/pickle_names.h"

#define PICKLE_BYTES_MAX  ((size_t)16 << 20)
#define PICKLE_VALUES_MAX (1 << 20)

typedef enum pickle_kind {
    PICKLE_NONE,
    PICKLE_BOOL,
    PICKLE_INT,
    PICKLE_REAL,
    PICKLE_TEXT,
    PICKLE_BYTES,
    PICKLE_TUPLE,
    PICKLE_LIST,
    PICKLE_DICT, /* items: key, value, key, value */
    PICKLE_NAME, /* a class or function of the allow list */
    PICKLE_STORAGE,
    PICKLE_TENSOR,
    PICKLE_INERT /* something whose content does not matter: command-line arguments, a dtype */
} pickle_kind;

typedef struct pickle_storage {
    const char *key; /* name of its entry */
    array_type type;
    int64_t n; /* elements */
} pickle_storage;

typedef struct pickle_tensor {
    array_info shape; /* name and at are not used */
    const pickle_storage *storage;
    int64_t offset;                 /* elements; every element lies inside the storage */
    int64_t stride[ARRAY_NDIM_MAX]; /* elements, >= 0 */
} pickle_tensor;

typedef struct pickle_value {
    pickle_kind kind;
    int n, cap;                 /* TUPLE, LIST, DICT: items; TEXT, BYTES: length */
    struct pickle_value **item; /* borrowed */
    union {
        int64_t i; /* BOOL, INT */
        double d;
        const char *text; /* NUL-terminated, without NUL inside where kind is TEXT */
        const pickle_name *name;
        pickle_storage *storage;
        pickle_tensor *tensor;
    };
} pickle_value;

typedef struct pickle pickle;
/* NULL and ERR_INPUT for anything that is not one whole, known pickle. Bytes are not needed
 * afterwards. Values may contain themselves: follow them to a fixed depth only. */
pickle *pickle_new(const void *bytes, size_t n, err *e);
void pickle_free(pickle *p);
const pickle_value *pickle_root(const pickle *p);
/* The value under a text key of a DICT, the last if it is there twice; else NULL. */
const pickle_value *pickle_get(const pickle_value *dict, const char *key);
#endif
