/* Which device a test of ops runs on: DEVICE=cuda runs it on a card, or on the CPU through
 * tests/cuda_on_cpu, where the test is linked with it. */
#ifndef TESTS_DEVICE_H
#define TESTS_DEVICE_H

#include <stdlib.h>

static inline const char *test_device(void)
{
    const char *name = getenv("DEVICE");
    return name && *name ? name : "cpu";
}
#endif
