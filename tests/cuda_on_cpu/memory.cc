// memory.cc - device memory of the CUDA-on-CPU shim. Every allocation is filled with 0xff (NaN in f32
// and bf16, -1 in int) and lies between two zones that nobody may write; shim_launch looks at them
// after every kernel. Compile it without sanitizers, as shim.cc: under ASan the zones are poisoned.
#include "include/cuda_runtime.h"

#include <cstdio>
#include <map>

extern "C" {
#define WEAK __attribute__((weak))
void __asan_poison_memory_region(const volatile void *, size_t) WEAK;
void __asan_unpoison_memory_region(const volatile void *, size_t) WEAK;
}

enum { ZONE = 256, POISON = 0xff };
// Two bytes in turn: a signalling NaN for a float and for a bf16, so that even adding 0 to it changes
// its bits; a wild index for an int; and no value that a kernel writes of its own accord.
enum { ZONE_EVEN = 0xbf, ZONE_ODD = 0x7f };

static std::map<char *, size_t> live;
static size_t held, card = (size_t)64 << 30;

extern "C" void cuda_on_cpu_card(size_t bytes)
{
    card = bytes ? bytes : (size_t)64 << 30;
}

// SHIM_MEMORY_KIB in the environment: memory of the card.
static size_t card_bytes()
{
    const char *set = getenv("SHIM_MEMORY_KIB");
    return set ? (size_t)atoll(set) << 10 : card;
}

// SHIM_CONTEXT_KIB: what the driver has taken of it for us.
static size_t card_free()
{
    const char *set = getenv("SHIM_CONTEXT_KIB");
    size_t taken = held + (set ? (size_t)atoll(set) << 10 : 0), all = card_bytes();
    return taken < all ? all - taken : 0;
}

cudaError_t cudaMemGetInfo(size_t *room, size_t *all)
{
    *all = card_bytes();
    *room = card_free() < shim_memory_free ? card_free() : shim_memory_free;
    return cudaSuccess;
}

static unsigned char zone_byte(size_t offset)
{
    return offset % 2 ? ZONE_ODD : ZONE_EVEN;
}

static void fill_zone(char *p)
{
    for (size_t i = 0; i < ZONE; i++)
        p[i] = (char)zone_byte(i);
}

static bool is_whole(const char *p)
{
    for (size_t i = 0; i < ZONE; i++)
        if ((unsigned char)p[i] != zone_byte(i))
            return false;
    return true;
}

cudaError_t cudaMalloc(void **p, size_t bytes)
{
    cudaError_t refused = shim_unsafe();
    if (refused != cudaSuccess)
        return shim_failed(refused, nullptr);
    *p = nullptr;
    if (bytes > card_free())
        return shim_failed(cudaErrorMemoryAllocation, nullptr);
    size_t all = (2 * ZONE + bytes + 255) / 256 * 256;
    char *base = (char *)aligned_alloc(256, all);
    *p = base ? base + ZONE : nullptr;
    if (!base)
        return shim_failed(cudaErrorMemoryAllocation, nullptr);
    memset(base + ZONE, POISON, bytes);
    fill_zone(base);
    fill_zone(base + ZONE + bytes);
    live[base + ZONE] = bytes;
    held += bytes;
    shim_memory_made(*p, bytes, false);
    if (__asan_poison_memory_region) {
        __asan_poison_memory_region(base, ZONE);
        __asan_poison_memory_region(base + ZONE + bytes, all - ZONE - bytes);
    }
    return cudaSuccess;
}

cudaError_t cudaFree(void *p)
{
    cudaError_t status = p ? shim_memory_gone(p, false) : cudaSuccess;
    if (!p || status != cudaSuccess)
        return status == cudaSuccess ? status : shim_failed(status, nullptr);
    auto it = live.find((char *)p);
    if (__asan_unpoison_memory_region)
        __asan_unpoison_memory_region(it->first - ZONE, it->second + 2 * ZONE);
    held -= it->second;
    free(it->first - ZONE);
    live.erase(it);
    return cudaSuccess;
}

const char *shim_memory_damage()
{
    static char text[128];
    for (const auto &block : live) {
        bool before = !is_whole(block.first - ZONE);
        if (!before && is_whole(block.first + block.second))
            continue;
        snprintf(text, sizeof text, "global memory written %s an allocation of %zu bytes",
                 before ? "before" : "behind", block.second);
        return text;
    }
    return nullptr;
}
