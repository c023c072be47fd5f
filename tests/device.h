/* Which device a test of ops runs on: DEVICE=cuda runs it on a card, or on the CPU through
 * tests/cuda_on_cpu, where the test is linked with it. */
#ifndef TESTS_DEVICE_H
#define TESTS_DEVICE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* of the emulator (tests/cuda_on_cpu); absent elsewhere */
void cuda_on_cpu_order(int order, uint64_t seed) __attribute__((weak));

static inline const char *test_device(void)
{
    const char *name = getenv("DEVICE");
    return name && *name ? name : "cpu";
}

static inline bool test_device_is_emulated(void)
{
    return cuda_on_cpu_order && !strncmp(test_device(), "cuda", 4);
}
#endif
