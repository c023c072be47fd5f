/* The dialect that our kernels are written in: under nvcc the spellings that no host compiler
 * can parse; elsewhere <cuda_runtime.h> is that of tests/cuda_on_cpu, which has the same names.
 *
 *   SHARED(type, name, dims)    static shared memory: SHARED(float, tile, [32][33]);
 *   SHARED_DYNAMIC(type, name)  the launch's dynamic shared memory, 16-byte aligned, as type *name
 *   launch(kernel<T>, grid, block, shared_bytes, stream, args...)  typed as the kernel's parameters
 *   load_wide<V>(p), store_wide(p, v)  a vector at once; p is aligned as V is, or a card stops, and
 *                               the emulator says where
 */
#ifndef MODEL_CUDA_KERNEL_CUH
#define MODEL_CUDA_KERNEL_CUH

#include <stdint.h>

#include <cuda_bf16.h>
#include <cuda_runtime.h>

#ifdef __CUDACC__

#define CUDA_EMULATED            false
#define SHARED(type, name, dims) __shared__ type name dims
#define SHARED_DYNAMIC(type, name)                                                                 \
    extern __shared__ __align__(16) unsigned char dynamic_shared_bytes[];                          \
    type *name = reinterpret_cast<type *>(dynamic_shared_bytes)

template <class V> __device__ static inline V load_wide(const void *p)
{
    return *static_cast<const V *>(p);
}

template <class V> __device__ static inline void store_wide(void *p, V v)
{
    *static_cast<V *>(p) = v;
}

template <class... P, class... A>
static inline cudaError_t launch(void (*kernel)(P...), dim3 grid, dim3 block, size_t shared_bytes,
                                 cudaStream_t stream, const A &...args)
{
    kernel<<<grid, block, shared_bytes, stream>>>(static_cast<P>(args)...);
    return cudaGetLastError();
}

#endif
#endif
