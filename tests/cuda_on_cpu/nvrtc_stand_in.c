/* libnvrtc.so.13 in front of the toolkit's own (NVRTC, its path): counts what is compiled and hands
 * every call on, with more words of arguments than any of its functions takes: some have arguments
 * behind those that are documented. */
#include <dlfcn.h>
#include <stddef.h>

typedef long word;
#define PARAMETERS                                                                                 \
    word a, word b, word c, word d, word e, word f, word g, word h, word i, word j, word k, word l
#define ARGUMENTS a, b, c, d, e, f, g, h, i, j, k, l
typedef word call(PARAMETERS);

static int compiled;

int nvrtc_stand_in_compiled(void)
{
    return compiled;
}

static call *real(const char *name)
{
    static void *library;
    if (!library)
        library = dlopen(NVRTC, RTLD_NOW | RTLD_LOCAL);
    return library ? (call *)dlsym(library, name) : NULL;
}

enum { NO_SUCH_CALL = 11 };

#define PASS(name, count)                                                                          \
    word name(PARAMETERS)                                                                          \
    {                                                                                              \
        call *to = real(#name);                                                                    \
        compiled += count;                                                                         \
        return to ? to(ARGUMENTS) : NO_SUCH_CALL;                                                  \
    }

PASS(nvrtcCompileProgram, 1)
PASS(__nvrtcCPEx, 0)
PASS(nvrtcAddNameExpression, 0)
PASS(nvrtcCreateProgram, 0)
PASS(nvrtcDestroyProgram, 0)
PASS(nvrtcGetCUBIN, 0)
PASS(nvrtcGetCUBINSize, 0)
PASS(nvrtcGetErrorString, 0)
PASS(nvrtcGetLTOIR, 0)
PASS(nvrtcGetLTOIRSize, 0)
PASS(nvrtcGetLoweredName, 0)
PASS(nvrtcGetNumSupportedArchs, 0)
PASS(nvrtcGetOptiXIR, 0)
PASS(nvrtcGetOptiXIRSize, 0)
PASS(nvrtcGetPCHCreateStatus, 0)
PASS(nvrtcGetPCHHeapSize, 0)
PASS(nvrtcGetPCHHeapSizeRequired, 0)
PASS(nvrtcGetPTX, 0)
PASS(nvrtcGetPTXSize, 0)
PASS(nvrtcGetProgramLog, 0)
PASS(nvrtcGetProgramLogSize, 0)
PASS(nvrtcGetSupportedArchs, 0)
PASS(nvrtcSetFlowCallback, 0)
PASS(nvrtcSetPCHHeapSize, 0)
PASS(nvrtcVersion, 0)
