// launched.cc - which kernels ran, and how. With CUDA_ON_CPU_KERNELS=FILE in the environment each
// program appends a line for each of them when it ends: program, symbol, launches; at most, threads
// of a block, bytes of dynamic shared memory, bytes of it that were allowed beyond the usual 48 KiB
// (test_cuda_kernels.sh and test_cuda_code.sh read them). Symbols are found by dladdr: link with
// -rdynamic.
#include "include/cuda_runtime.h"

#include <algorithm>
#include <cstdio>
#include <dlfcn.h>
#include <errno.h>
#include <map>

struct kernel_use {
    unsigned long launches;
    size_t threads, shared, allowed;
};

struct ledger {
    std::map<const void *, kernel_use> of;
    ~ledger();
};

ledger::~ledger()
{
    const char *path = getenv("CUDA_ON_CPU_KERNELS");
    FILE *f = path && *path ? fopen(path, "a") : nullptr;
    for (auto it = of.begin(); f && it != of.end(); ++it) {
        const kernel_use &u = it->second;
        Dl_info at;
        bool known = dladdr(it->first, &at) && at.dli_saddr == it->first;
        fprintf(f, "%s %s %lu %zu %zu %zu\n", program_invocation_short_name,
                known ? at.dli_sname : "?", u.launches, u.threads, u.shared, u.allowed);
    }
    if (f)
        fclose(f);
}

static ledger launched;

void shim_launched(const void *kernel, size_t threads, size_t shared, size_t allowed)
{
    kernel_use &u = launched.of[kernel];
    u.launches++;
    u.threads = std::max(u.threads, threads);
    u.shared = std::max(u.shared, shared);
    u.allowed = std::max(u.allowed, allowed);
}
