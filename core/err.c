/* Errors as values: formatting into the fixed buffer, exit statuses, and the BUG line.
 * Messages are one line: control characters that slip in from data become '?', and a message that
 * is too long is cut at the end, never inside a UTF-8 sequence. */
#include "core/err.h"

#include <errno.h>
#include <unistd.h>

/* Make s[len] printable in one line; `cut` says that vsnprintf had to drop its tail. */
static void tidy(char *s, bool cut)
{
    size_t n = strlen(s);
    if (cut) {
        size_t k = n;
        while (k > 0 && ((unsigned char)s[k - 1] & 0xC0) == 0x80)
            k--;
        /* k points behind the lead byte of the last sequence: drop it when bytes are missing */
        if (k > 0 && (unsigned char)s[k - 1] >= 0xC0) {
            unsigned char lead = (unsigned char)s[k - 1];
            size_t want = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
            if (n - (k - 1) < want)
                s[k - 1] = 0;
        }
    }
    for (char *p = s; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7F)
            *p = '?';
}

/* The arguments may point into the message that is replaced, so the text is built beside it. */
static void set_message(err *e, const char *fmt, va_list ap)
{
    char buf[sizeof e->msg];
    int n = vsnprintf(buf, sizeof buf, fmt, ap);
    if (n < 0)
        buf[0] = 0;
    tidy(buf, n >= (int)sizeof buf);
    memcpy(e->msg, buf, strlen(buf) + 1);
}

/* "head: tail" in e, where head is formatted. */
static void set_joined(err *e, const char *tail, const char *fmt, va_list ap)
{
    char old[sizeof e->msg], buf[sizeof e->msg];
    snprintf(old, sizeof old, "%s", tail);
    int n = vsnprintf(buf, sizeof buf, fmt, ap);
    if (n < 0)
        n = 0;
    if ((size_t)n >= sizeof buf)
        n = (int)sizeof buf - 1;
    buf[n] = 0;
    int m = snprintf(buf + n, sizeof buf - (size_t)n, ": %s", old);
    tidy(buf, (size_t)n + (size_t)m >= sizeof buf);
    memcpy(e->msg, buf, strlen(buf) + 1);
}

bool err_set(err *e, err_code code, const char *fmt, ...)
{
    if (!e)
        return false;
    va_list ap;
    va_start(ap, fmt);
    set_message(e, fmt, ap);
    va_end(ap);
    e->code = code;
    return false;
}

bool err_wrap(err *e, const char *fmt, ...)
{
    if (!e)
        return false;
    va_list ap;
    va_start(ap, fmt);
    set_joined(e, e->msg, fmt, ap);
    va_end(ap);
    return false;
}

bool err_errno(err *e, const char *fmt, ...)
{
    int saved = errno;
    if (!e)
        return false;
    char buf[256];
    const char *why;
    if (saved == ENOSPC)
        why = "the disk is full; free some space and start the same command again";
    else if (saved == EDQUOT)
        why = "the disk quota is used up; free some space and start the same command again";
    else
        why = strerror_r(saved, buf, sizeof buf);
    va_list ap;
    va_start(ap, fmt);
    set_joined(e, why, fmt, ap);
    va_end(ap);
    e->code = saved == ENOMEM ? ERR_MEMORY : ERR_IO;
    errno = saved;
    return false;
}

void err_clear(err *e)
{
    if (!e)
        return;
    e->code = ERR_NONE;
    e->msg[0] = 0;
}

int err_exit(err_code code)
{
    switch (code) {
    case ERR_NONE:
        return 0;
    case ERR_USAGE:
        return 2;
    case ERR_CONFIG:
    case ERR_INPUT:
    case ERR_RANGE:
        return 3;
    case ERR_IO:
        return 4;
    case ERR_MEMORY:
        return 5;
    case ERR_MISMATCH:
        return 6;
    case ERR_STOPPED:
        return 75;
    }
    BUG("error code %d is unknown", (int)code);
}

const char *err_code_name(err_code code)
{
    switch (code) {
    case ERR_NONE:
        return "none";
    case ERR_USAGE:
        return "usage";
    case ERR_CONFIG:
        return "config";
    case ERR_INPUT:
        return "input";
    case ERR_RANGE:
        return "range";
    case ERR_IO:
        return "io";
    case ERR_MEMORY:
        return "memory";
    case ERR_MISMATCH:
        return "mismatch";
    case ERR_STOPPED:
        return "stopped";
    }
    BUG("error code %d is unknown", (int)code);
}

void err_bug(const char *file, int line, const char *fmt, ...)
{
    char msg[1024], out[1400];
    va_list ap;
    va_start(ap, fmt);
    if (vsnprintf(msg, sizeof msg, fmt, ap) < 0)
        msg[0] = 0;
    va_end(ap);
    tidy(msg, true);
    int n = snprintf(out, sizeof out, "bug %s:%d: %s\n", file, line, msg);
    if (n >= (int)sizeof out)
        n = (int)sizeof out - 1;
    if (n > 0 && write(STDERR_FILENO, out, (size_t)n) < 0)
        abort();
    abort();
}
