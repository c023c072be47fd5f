/* A libcudnn.so.9 that has nothing but a version: the one in STAND_IN_CUDNN. */
#include <stdlib.h>

size_t cudnnGetVersion(void)
{
    return strtoul(getenv("STAND_IN_CUDNN"), NULL, 10);
}

int cudnnCreate(void **handle)
{
    *handle = NULL;
    return 0;
}

#define FINE(name)                                                                                 \
    int name(void)                                                                                 \
    {                                                                                              \
        return 0;                                                                                  \
    }

FINE(cudnnDestroy)
FINE(cudnnSetStream)
FINE(cudnnGetErrorString)
FINE(cudnnBackendCreateDescriptor)
FINE(cudnnBackendDestroyDescriptor)
FINE(cudnnBackendSetAttribute)
FINE(cudnnBackendGetAttribute)
FINE(cudnnBackendFinalize)
FINE(cudnnBackendExecute)
