/* A driver without a card: libcuda.so.1 for tests that build cuDNN's plans for a described card.
 * Code is "loaded" and kernels are "found"; whatever else is asked says that it is not supported.
 * The Makefile adds one such refusal for every other function that the toolkit's own stub names,
 * because cuDNN looks them all up. */
#include <stdint.h>
#include <string.h>

typedef int result;
enum { FINE = 0, REFUSED = 801, VERSION = 13000 };

static result refuse(void)
{
    return REFUSED;
}

static result handle(void **h)
{
    static char one[64];
    *h = one;
    return FINE;
}

result cuInit(unsigned flags)
{
    (void)flags;
    return FINE;
}

result cuDriverGetVersion(int *version)
{
    *version = VERSION;
    return FINE;
}

result cuDeviceGetCount(int *n)
{
    *n = 0;
    return FINE;
}

result cuLibraryLoadData(void **library)
{
    return handle(library);
}

result cuLibraryUnload(void *library)
{
    (void)library;
    return FINE;
}

result cuLibraryGetKernel(void **kernel)
{
    return handle(kernel);
}

result cuLibraryGetModule(void **module)
{
    return handle(module);
}

result cuKernelGetFunction(void **function)
{
    return handle(function);
}

result cuFuncSetAttribute(void *function)
{
    (void)function;
    return FINE;
}

result cuKernelSetAttribute(void)
{
    return FINE;
}

result cuFuncGetAttribute(int *value)
{
    *value = 0;
    return FINE;
}

result cuGetProcAddress_v2(const char *name, void **fn, int version, uint64_t flags, int *status)
{
    static const struct {
        const char *name;
        void *fn;
    } known[] = {
        {"cuInit", (void *)cuInit},
        {"cuDriverGetVersion", (void *)cuDriverGetVersion},
        {"cuDeviceGetCount", (void *)cuDeviceGetCount},
        {"cuLibraryLoadData", (void *)cuLibraryLoadData},
        {"cuLibraryUnload", (void *)cuLibraryUnload},
        {"cuLibraryGetKernel", (void *)cuLibraryGetKernel},
        {"cuLibraryGetModule", (void *)cuLibraryGetModule},
        {"cuKernelGetFunction", (void *)cuKernelGetFunction},
        {"cuFuncSetAttribute", (void *)cuFuncSetAttribute},
        {"cuFuncGetAttribute", (void *)cuFuncGetAttribute},
        {"cuGetProcAddress", (void *)cuGetProcAddress_v2},
    };
    (void)version;
    (void)flags;
    *fn = (void *)refuse;
    for (unsigned i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (!strcmp(name, known[i].name))
            *fn = known[i].fn;
    }
    if (status)
        *status = 0;
    return FINE;
}
