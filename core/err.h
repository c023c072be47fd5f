/* Errors as values, and the few compiler extensions the project uses.
 * An `err` is a plain struct on the caller's stack: a code (what kind), a message (what exactly).
 * Functions return true on success and leave it alone; on failure they fill it and return false.
 * Impossible states are BUG(); bad data never is. */
#ifndef CORE_ERR_H
#define CORE_ERR_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MUST_CHECK        __attribute__((warn_unused_result))
#define PRINTF_LIKE(f, a) __attribute__((format(printf, f, a)))
#define NORETURN          __attribute__((noreturn))
#define UNUSED            __attribute__((unused))
#define WEAK              __attribute__((weak)) /* a function that may be absent: NULL then */
#define ALWAYS_INLINE     inline __attribute__((always_inline)) /* constant arguments disappear */
#define FAST_LOOPS        __attribute__((optimize("O3")))       /* loops over whole images */
/* The same with wide registers, too; the loader takes what the processor has. Not under sanitizers,
 * which are not ready yet when it chooses. */
#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define WIDE_LOOPS FAST_LOOPS __attribute__((target_clones("avx2", "default")))
#else
#define WIDE_LOOPS FAST_LOOPS
#endif
#define LANES(type, n) __attribute__((vector_size((n) * sizeof(type)), may_alias)) /* a vector */
#define COUNT_OF(a)    (sizeof(a) / sizeof((a)[0]))

/* The kind of failure; each maps to one exit status of the program (err_exit). */
typedef enum err_code {
    ERR_NONE = 0,
    ERR_USAGE,    /* wrong command line: exit 2 */
    ERR_CONFIG,   /* wrong config key or value: exit 3 */
    ERR_INPUT,    /* wrong input data, not resumable by waiting: exit 3 */
    ERR_RANGE,    /* a value outside its allowed range: exit 3 */
    ERR_IO,       /* file system, disk full: exit 4, resumable */
    ERR_MEMORY,   /* out of memory, out of device memory: exit 5, resumable */
    ERR_MISMATCH, /* verification found a difference: exit 6 */
    ERR_STOPPED   /* stopped on request: exit 75, resumable */
} err_code;

typedef struct err {
    err_code code;
    char msg[1024]; /* NUL-terminated; cut at the end when too long */
} err;

/* Fill `e` and return false. `e` may be NULL (the caller does not want to know). */
bool err_set(err *e, err_code code, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* Prefix "text: " to the message of a set `e`; returns false. */
bool err_wrap(err *e, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* As err_set with ": <strerror(errno)>" appended; ENOSPC and EDQUOT become a disk-full sentence. */
bool err_errno(err *e, const char *fmt, ...) PRINTF_LIKE(2, 3);
void err_clear(err *e);
/* Exit status for a code, design.md 6. ERR_NONE is 0. */
int err_exit(err_code code);
const char *err_code_name(err_code code);

/* Print file, line and message, then abort. For states that cannot happen; in every build. */
NORETURN void err_bug(const char *file, int line, const char *fmt, ...) PRINTF_LIKE(3, 4);
#define BUG(...) err_bug(__FILE__, __LINE__, __VA_ARGS__)

#ifdef __cplusplus
}
#endif
#endif
