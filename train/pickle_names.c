/* The allow list. Source: torch/_utils.py, torch/serialization.py (names and argument orders). */
#include "train/pickle_names.h"

#include <string.h>

static const pickle_name names[] = {
    {"collections", "OrderedDict", PICKLE_ROLE_DICT, 0},
    {"collections", "defaultdict", PICKLE_ROLE_DICT, 0},
    {"torch", "FloatStorage", PICKLE_ROLE_STORAGE, ARRAY_F32},
    {"torch", "HalfStorage", PICKLE_ROLE_STORAGE, ARRAY_F16},
    {"torch", "BFloat16Storage", PICKLE_ROLE_STORAGE, ARRAY_BF16},
    {"torch", "DoubleStorage", PICKLE_ROLE_STORAGE, ARRAY_F64},
    {"torch", "LongStorage", PICKLE_ROLE_STORAGE, ARRAY_I64},
    {"torch", "IntStorage", PICKLE_ROLE_STORAGE, ARRAY_I32},
    {"torch", "ShortStorage", PICKLE_ROLE_STORAGE, ARRAY_I16},
    {"torch", "CharStorage", PICKLE_ROLE_STORAGE, ARRAY_I8},
    {"torch", "ByteStorage", PICKLE_ROLE_STORAGE, ARRAY_U8},
    {"torch", "BoolStorage", PICKLE_ROLE_STORAGE, ARRAY_BOOL},
    {"torch._utils", "_rebuild_tensor", PICKLE_ROLE_TENSOR, 0},
    {"torch._utils", "_rebuild_tensor_v2", PICKLE_ROLE_TENSOR, 0},
    {"torch._utils", "_rebuild_parameter", PICKLE_ROLE_PARAMETER, 0},
    {"torch._utils", "_rebuild_parameter_with_state", PICKLE_ROLE_PARAMETER, 0},
    {"torch", "Size", PICKLE_ROLE_INERT, 0},
    {"torch", "device", PICKLE_ROLE_INERT, 0},
    {"torch", "float32", PICKLE_ROLE_INERT, 0},
    {"torch", "float16", PICKLE_ROLE_INERT, 0},
    {"torch", "bfloat16", PICKLE_ROLE_INERT, 0},
    {"argparse", "Namespace", PICKLE_ROLE_INERT, 0},
    {"pathlib", "PosixPath", PICKLE_ROLE_INERT, 0},
    {"__builtin__", "set", PICKLE_ROLE_INERT, 0},
    {"builtins", "set", PICKLE_ROLE_INERT, 0},
    {"__builtin__", "int", PICKLE_ROLE_INERT, 0},
    {"builtins", "int", PICKLE_ROLE_INERT, 0},
    {"__builtin__", "list", PICKLE_ROLE_INERT, 0},
    {"builtins", "list", PICKLE_ROLE_INERT, 0},
    {"__builtin__", "dict", PICKLE_ROLE_INERT, 0},
    {"builtins", "dict", PICKLE_ROLE_INERT, 0},
    {"_codecs", "encode", PICKLE_ROLE_INERT, 0},
    {"numpy", "dtype", PICKLE_ROLE_INERT, 0},
    {"numpy.core.multiarray", "scalar", PICKLE_ROLE_INERT, 0},
    {"numpy._core.multiarray", "scalar", PICKLE_ROLE_INERT, 0},
};

const pickle_name *pickle_name_find(const char *module, const char *name)
{
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        if (strcmp(module, names[i].module) == 0 && strcmp(name, names[i].name) == 0)
            return &names[i];
    }
    return NULL;
}
