/* Opening NVIDIA's libraries at run time. */
#include "model/cuda/library.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void *library_open(const char *name, err *e)
{
    const char *own = getenv("MAMMOVIT_CUDA_LIBS"), *folders[] = {own, "", LIBRARY_FOLDER};
    char path[PATH_MAX], why[256] = "";
    for (size_t i = 0; i < COUNT_OF(folders); i++) {
        if (!folders[i])
            continue;
        int n = snprintf(path, sizeof path, "%s%s%s", folders[i], folders[i][0] ? "/" : "", name);
        if (n < 0 || (size_t)n >= sizeof path)
            continue;
        void *h = dlopen(path, RTLD_NOW | RTLD_LOCAL);
        if (h)
            return h;
        const char *text = dlerror();
        snprintf(why, sizeof why, "%s", text ? text : "");
    }
    err_set(e, ERR_CONFIG,
            "device cuda: %s was not found (%s); install it, or name its folder in "
            "MAMMOVIT_CUDA_LIBS",
            name, why);
    return NULL;
}

bool library_symbol(void *library, const char *name, void *fn, err *e)
{
    void *at = dlsym(library, name);
    if (!at)
        return err_set(e, ERR_CONFIG, "device cuda: the library has no %s: it is too old", name);
    memcpy(fn, &at, sizeof at); /* a data pointer as a function pointer, as POSIX has it */
    return true;
}
