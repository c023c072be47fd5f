/* The classes and functions that a pickle of a state dict may name, and what each stands for. No
 * name is ever looked up anywhere else. */
#ifndef TRAIN_PICKLE_NAMES_H
#define TRAIN_PICKLE_NAMES_H

#include "train/array.h"

typedef enum pickle_role {
    PICKLE_ROLE_DICT,
    PICKLE_ROLE_STORAGE,
    PICKLE_ROLE_TENSOR,    /* storage, offset, size, stride, ... */
    PICKLE_ROLE_PARAMETER, /* tensor, ... */
    PICKLE_ROLE_INERT      /* whatever is made of it does not matter */
} pickle_role;

typedef struct pickle_name {
    const char *module, *name;
    pickle_role role;
    array_type type; /* of a storage */
} pickle_name;

const pickle_name *pickle_name_find(const char *module, const char *name); /* NULL = not allowed */
#endif
