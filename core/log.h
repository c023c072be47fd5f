/* Levelled logging: one line per event on stderr, "level event key=value ...". stdout is data.
 * Never pass a name, a date of birth, a raw identifier or a path that may hold one: pseudonyms.
 * Also the progress line of long work: on a terminal a rewritten line at most once per second,
 * otherwise one plain line per minute. Thread-safe. */
#ifndef CORE_LOG_H
#define CORE_LOG_H

#include "core/err.h"

typedef enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG } log_level;

void log_set_level(log_level level);
log_level log_get_level(void);
/* `event` is one word such as "shard_written"; fmt gives "key=value key=value". */
void log_event(log_level level, const char *event, const char *fmt, ...) PRINTF_LIKE(3, 4);
#define log_error(...) log_event(LOG_ERROR, __VA_ARGS__)
#define log_warn(...)  log_event(LOG_WARN, __VA_ARGS__)
#define log_info(...)  log_event(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_event(LOG_DEBUG, __VA_ARGS__)
/* Progress goes to stderr only and is silent below LOG_INFO (that is, with -q). */
typedef struct log_progress {
    const char *what; /* borrowed, such as "prepare" */
    const char *unit; /* borrowed, such as "images" */
    uint64_t total;   /* 0 = unknown */
    uint64_t done;
    double t_start, t_last; /* seconds, monotonic; filled by log_progress_init */
    bool terminal;
} log_progress;
void log_progress_init(log_progress *p, const char *what, const char *unit, uint64_t total);
/* `note` may be NULL; shown at the end of the line ("loss=0.412 auc=0.71"). */
void log_progress_step(log_progress *p, uint64_t done, const char *note);
void log_progress_end(log_progress *p);
#endif
