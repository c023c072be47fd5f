/* The CUDA runtime for programs that ask cuBLASLt and run nothing: memory of the host, and a stream
 * that is always captured, so that no product is timed. Any other call is an error. */
#include <cuda_runtime_api.h>
#include <stdlib.h>

enum { ALIGNED = 256 };

cudaError_t cudaMalloc(void **p, size_t n)
{
    *p = aligned_alloc(ALIGNED, (n + ALIGNED - 1) / ALIGNED * ALIGNED);
    return *p ? cudaSuccess : cudaErrorMemoryAllocation;
}

cudaError_t cudaFree(void *p)
{
    free(p);
    return cudaSuccess;
}

cudaError_t cudaStreamIsCapturing(cudaStream_t stream, enum cudaStreamCaptureStatus *status)
{
    (void)stream;
    *status = cudaStreamCaptureStatusActive;
    return cudaSuccess;
}

cudaError_t cudaGetLastError(void)
{
    return cudaErrorNotSupported;
}

const char *cudaGetErrorString(cudaError_t e)
{
    (void)e;
    return "nothing runs here";
}

cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t n, enum cudaMemcpyKind kind,
                            cudaStream_t stream)
{
    (void)to, (void)from, (void)n, (void)kind, (void)stream;
    return cudaErrorNotSupported;
}

cudaError_t cudaMemsetAsync(void *p, int v, size_t n, cudaStream_t stream)
{
    (void)p, (void)v, (void)n, (void)stream;
    return cudaErrorNotSupported;
}

cudaError_t cudaEventCreate(cudaEvent_t *e)
{
    (void)e;
    return cudaErrorNotSupported;
}

cudaError_t cudaEventDestroy(cudaEvent_t e)
{
    (void)e;
    return cudaErrorNotSupported;
}

cudaError_t cudaEventRecord(cudaEvent_t e, cudaStream_t stream)
{
    (void)e, (void)stream;
    return cudaErrorNotSupported;
}

cudaError_t cudaEventSynchronize(cudaEvent_t e)
{
    (void)e;
    return cudaErrorNotSupported;
}

cudaError_t cudaEventElapsedTime(float *ms, cudaEvent_t a, cudaEvent_t b)
{
    (void)ms, (void)a, (void)b;
    return cudaErrorNotSupported;
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream)
{
    (void)stream;
    return cudaErrorNotSupported;
}
