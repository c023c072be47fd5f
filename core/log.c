/* Event lines and the progress line on stderr. One lock keeps lines whole; a progress line that
 * stands on the terminal is wiped before an event is printed and drawn again at its next step. */
#include "core/log.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define LINE_MAX_BYTES   4096
#define TERMINAL_EVERY_S 1.0
#define PLAIN_EVERY_S    60.0
#define RATE_AFTER_S     0.2 /* below it a rate is noise */

static _Atomic int current_level = LOG_INFO;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static bool line_open; /* a progress line stands on the terminal; under the lock */

static const char *const level_name[] = {"error", "warn", "info", "debug"};
static const char *const level_colour[] = {"\033[31m", "\033[33m", "\033[32m", "\033[2m"};

void log_set_level(log_level level)
{
    atomic_store(&current_level, (int)level);
}

log_level log_get_level(void)
{
    return (log_level)atomic_load(&current_level);
}

static bool is_terminal(void)
{
    const char *term = getenv("TERM");
    return isatty(STDERR_FILENO) && term && *term && strcmp(term, "dumb") != 0;
}

static bool wants_colour(void)
{
    const char *no = getenv("NO_COLOR");
    return is_terminal() && !(no && *no);
}

/* Best effort: a closed stderr must not stop the work. */
static void put(const char *s, size_t n)
{
    while (n > 0) {
        ssize_t k = write(STDERR_FILENO, s, n);
        if (k <= 0)
            return;
        s += k;
        n -= (size_t)k;
    }
}

/* Control characters of s become '?': one event is one line, and no data reaches the terminal as
 * an escape sequence. */
static void one_line(char *s)
{
    for (; *s; s++)
        if ((unsigned char)*s < 0x20 || *s == 0x7F)
            *s = '?';
}

static void put_event(log_level level, const char *event, const char *detail)
{
    char line[LINE_MAX_BYTES + 128];
    bool colour = wants_colour();
    int n = snprintf(line, sizeof line, "%s%s%s%s %s%s%s\n", line_open ? "\r\033[K" : "",
                     colour ? level_colour[level] : "", level_name[level], colour ? "\033[0m" : "",
                     event, *detail ? " " : "", detail);
    if (n < 0)
        return;
    if ((size_t)n >= sizeof line) {
        n = (int)sizeof line - 1;
        line[n - 1] = '\n';
    }
    line_open = false;
    put(line, (size_t)n);
}

void log_event(log_level level, const char *event, const char *fmt, ...)
{
    if ((int)level > atomic_load(&current_level))
        return;
    char detail[LINE_MAX_BYTES];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(detail, sizeof detail, fmt, ap);
    va_end(ap);
    if (n < 0)
        detail[0] = 0;
    if (n >= (int)sizeof detail)
        memcpy(detail + sizeof detail - 4, "...", 4);
    one_line(detail);
    pthread_mutex_lock(&lock);
    put_event(level, event, detail);
    pthread_mutex_unlock(&lock);
}

/* ---- progress -------------------------------------------------------------------------------- */

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

void log_progress_init(log_progress *p, const char *what, const char *unit, uint64_t total)
{
    memset(p, 0, sizeof *p);
    p->what = what;
    p->unit = unit;
    p->total = total;
    p->terminal = is_terminal();
    p->t_start = now();
    /* the first step draws at once on a terminal, after a minute elsewhere */
    p->t_last = p->terminal ? p->t_start - TERMINAL_EVERY_S : p->t_start;
}

static void clock_text(double seconds, char out[32])
{
    if (seconds > 999.0 * 3600)
        seconds = 999.0 * 3600;
    long s = (long)(seconds + 0.5);
    snprintf(out, 32, "%ld:%02ld:%02ld", s / 3600, s / 60 % 60, s % 60);
}

/* Columns of the terminal, minus one so that the cursor never wraps. */
static size_t terminal_width(void)
{
    struct winsize w;
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col > 1)
        return (size_t)w.ws_col - 1;
    return 79;
}

static void draw_terminal(const log_progress *p, double t, const char *note)
{
    char line[512], rate[64] = "", left[64] = "", share[96];
    double spent = t - p->t_start;
    if (p->total)
        snprintf(share, sizeof share, "%llu/%llu %s (%.1f %%)", (unsigned long long)p->done,
                 (unsigned long long)p->total, p->unit, 100.0 * (double)p->done / (double)p->total);
    else
        snprintf(share, sizeof share, "%llu %s", (unsigned long long)p->done, p->unit);
    if (spent > RATE_AFTER_S && p->done) {
        double per_s = (double)p->done / spent;
        snprintf(rate, sizeof rate, ", %.*f/s", per_s < 10 ? 2 : 0, per_s);
        if (p->total > p->done) {
            char eta[32];
            clock_text((double)(p->total - p->done) / per_s, eta);
            snprintf(left, sizeof left, ", %s left", eta);
        }
    }
    snprintf(line, sizeof line, "%s %s%s%s%s%s", p->what, share, rate, left, note ? "  " : "",
             note ? note : "");
    one_line(line);
    size_t n = strlen(line), width = terminal_width();
    if (n > width)
        n = width;
    char out[600];
    int m = snprintf(out, sizeof out, "\r\033[K%.*s", (int)n, line);
    if (m > 0)
        put(out, (size_t)m);
    line_open = true;
}

static void draw_plain(const log_progress *p, double t, const char *note)
{
    char detail[768], total[48] = "", speed[64] = "", left[48] = "";
    double spent = t - p->t_start;
    if (p->total)
        snprintf(total, sizeof total, " total=%llu", (unsigned long long)p->total);
    if (spent > RATE_AFTER_S && p->done) {
        double per_s = (double)p->done / spent;
        snprintf(speed, sizeof speed, " per_s=%.3g", per_s);
        if (p->total > p->done)
            snprintf(left, sizeof left, " left_s=%.0f", (double)(p->total - p->done) / per_s);
    }
    snprintf(detail, sizeof detail, "stage=%s done=%llu%s unit=%s%s%s spent_s=%.0f%s%s", p->what,
             (unsigned long long)p->done, total, p->unit, speed, left, spent, note ? " " : "",
             note ? note : "");
    one_line(detail);
    put_event(LOG_INFO, "progress", detail);
}

void log_progress_step(log_progress *p, uint64_t done, const char *note)
{
    double t = now();
    pthread_mutex_lock(&lock);
    p->done = done;
    double every = p->terminal ? TERMINAL_EVERY_S : PLAIN_EVERY_S;
    if (t - p->t_last >= every && atomic_load(&current_level) >= LOG_INFO) {
        p->t_last = t;
        if (p->terminal)
            draw_terminal(p, t, note);
        else
            draw_plain(p, t, note);
    }
    pthread_mutex_unlock(&lock);
}

void log_progress_end(log_progress *p)
{
    double t = now();
    pthread_mutex_lock(&lock);
    if (atomic_load(&current_level) >= LOG_INFO) {
        if (p->terminal) {
            draw_terminal(p, t, NULL);
            put("\n", 1);
            line_open = false;
        } else {
            draw_plain(p, t, NULL);
        }
    }
    p->t_last = t;
    pthread_mutex_unlock(&lock);
}
