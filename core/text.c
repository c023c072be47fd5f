/* Growable string and strict parsing. Numbers are read and written in the C locale whatever
 * setlocale said, because a decimal comma in a data file would be a silent disaster. */
#include "core/text.h"
#include "core/mem.h"

#include <float.h>
#include <limits.h>
#include <locale.h>
#include <math.h>
#include <stdatomic.h>

#define DISTANCE_MAX 512       /* longer words are not misspellings */
#define DATE_MIN     (-719162) /* 0001-01-01 */
#define DATE_MAX     2932896   /* 9999-12-31 */

/* The C locale, made once; threads that race make it twice and keep one. */
static locale_t c_locale(void)
{
    static _Atomic(locale_t) kept;
    locale_t l = atomic_load(&kept);
    if (l)
        return l;
    l = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (!l)
        BUG("the C locale cannot be made");
    locale_t none = (locale_t)0;
    if (!atomic_compare_exchange_strong(&kept, &none, l)) {
        freelocale(l);
        l = none;
    }
    return l;
}

/* ---- growable string ------------------------------------------------------------------------- */

static char no_text[1]; /* what an empty text points to; never written but with NUL */

void text_init(text *t)
{
    t->s = no_text;
    t->len = 0;
    t->cap = 0;
}

void text_release(text *t)
{
    if (!t)
        return;
    if (t->cap)
        mem_free(t->s);
    text_init(t);
}

void text_clear(text *t)
{
    t->len = 0;
    if (t->cap)
        t->s[0] = 0;
}

/* Room for n more bytes and the NUL. */
static void reserve(text *t, size_t n)
{
    if (n > SIZE_MAX / 2 - t->len)
        BUG("a text of %zu + %zu bytes", t->len, n);
    size_t want = t->len + n + 1;
    if (want <= t->cap)
        return;
    size_t cap = t->cap ? t->cap : 64;
    while (cap < want)
        cap *= 2;
    t->s = mem_realloc(t->cap ? t->s : NULL, t->len, cap);
    t->cap = cap;
    t->s[t->len] = 0;
}

void text_addn(text *t, const char *s, size_t n)
{
    if (!n)
        return;
    reserve(t, n);
    memcpy(t->s + t->len, s, n);
    t->len += n;
    t->s[t->len] = 0;
}

void text_add(text *t, const char *s)
{
    text_addn(t, s, strlen(s));
}

void text_addf(text *t, const char *fmt, ...)
{
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    locale_t before = uselocale(c_locale());
    char small[256];
    int n = vsnprintf(small, sizeof small, fmt, ap);
    if (n < 0)
        BUG("the format '%s' failed", fmt);
    if ((size_t)n < sizeof small) {
        text_addn(t, small, (size_t)n);
    } else {
        reserve(t, (size_t)n);
        vsnprintf(t->s + t->len, (size_t)n + 1, fmt, again);
        t->len += (size_t)n;
    }
    uselocale(before);
    va_end(again);
    va_end(ap);
}

void text_base64(text *t, const void *data, size_t n)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *p = data;
    size_t len = 4 * ((n + 2) / 3), at = 0;
    char *s = mem_alloc(len + 1);
    for (size_t i = 0; i < n; i += 3) {
        uint32_t v = (uint32_t)p[i] << 16 | (i + 1 < n ? (uint32_t)p[i + 1] << 8 : 0u) |
                     (i + 2 < n ? p[i + 2] : 0u);
        s[at++] = digits[v >> 18];
        s[at++] = digits[v >> 12 & 63];
        s[at++] = i + 1 < n ? digits[v >> 6 & 63] : '=';
        s[at++] = i + 2 < n ? digits[v & 63] : '=';
    }
    text_addn(t, s, at);
    mem_free(s);
}

char *text_take(text *t)
{
    reserve(t, 0);
    char *s = t->s;
    text_init(t);
    return s;
}

/* ---- numbers --------------------------------------------------------------------------------- */

static bool digit(char c)
{
    return c >= '0' && c <= '9';
}

bool text_i64(const char *s, int64_t *out)
{
    bool minus = *s == '-';
    if (*s == '-' || *s == '+')
        s++;
    if (!*s)
        return false;
    uint64_t limit = (uint64_t)INT64_MAX + (minus ? 1 : 0), v = 0;
    for (; *s; s++) {
        if (!digit(*s))
            return false;
        uint64_t d = (uint64_t)(*s - '0');
        if (v > (limit - d) / 10)
            return false;
        v = v * 10 + d;
    }
    *out = minus ? (int64_t)(0 - v) : (int64_t)v;
    return true;
}

/* [+-] digits [. digits] [e [+-] digits], with a digit before or behind the dot. */
static bool is_decimal(const char *s)
{
    if (*s == '-' || *s == '+')
        s++;
    const char *whole = s;
    while (digit(*s))
        s++;
    bool digits = s > whole;
    if (*s == '.') {
        const char *part = ++s;
        while (digit(*s))
            s++;
        digits |= s > part;
    }
    if (!digits)
        return false;
    if (*s == 'e' || *s == 'E') {
        s++;
        if (*s == '-' || *s == '+')
            s++;
        if (!digit(*s))
            return false;
        while (digit(*s))
            s++;
    }
    return !*s;
}

bool text_f64(const char *s, double *out)
{
    if (!is_decimal(s))
        return false;
    double v = strtod_l(s, NULL, c_locale());
    if (!isfinite(v))
        return false;
    *out = v;
    return true;
}

bool text_ratio(const char *s, double *out)
{
    const char *slash = strchr(s, '/');
    if (!slash)
        return text_f64(s, out);
    char over[64];
    size_t n = (size_t)(slash - s);
    if (n >= sizeof over)
        return false;
    memcpy(over, s, n);
    over[n] = 0;
    double a, b;
    if (!text_f64(over, &a) || !text_f64(slash + 1, &b) || b == 0 || !isfinite(a / b))
        return false;
    *out = a / b;
    return true;
}

bool text_bool(const char *s, bool *out)
{
    static const char *const yes[] = {"true", "yes", "on", "1"};
    static const char *const no[] = {"false", "no", "off", "0"};
    for (size_t i = 0; i < COUNT_OF(yes); i++) {
        if (text_ieq(s, yes[i]) || text_ieq(s, no[i])) {
            *out = text_ieq(s, yes[i]);
            return true;
        }
    }
    return false;
}

/* Numbers of people and devices, such as 0.07 or -12.5, without the tries of text_shortest. n /
 * 10^k is the double nearest to that decimal, for both are exact; a decimal of so few digits that
 * gives v is the one that 15 digits give. */
static bool few_decimals(double v, char out[32])
{
    char digits[24], *at = digits + sizeof digits;
    double size = fabs(v), scale = 1;
    if (!(size >= 1e-4 && size < 1e8)) /* smaller ones have an exponent */
        return false;
    for (int k = 1; k <= 6; k++) {
        scale *= 10;
        double n = nearbyint(size * scale);
        if (n / scale != size)
            continue;
        uint64_t left = (uint64_t)n;
        *--at = 0;
        for (int i = 0; i < k || left; i++, left /= 10) {
            if (i == k)
                *--at = '.';
            *--at = (char)('0' + left % 10);
        }
        if (n < scale) {
            *--at = '.';
            *--at = '0';
        }
        if (v < 0)
            *--at = '-';
        memcpy(out, at, (size_t)(digits + sizeof digits - at));
        return true;
    }
    return false;
}

void text_shortest(double v, char out[32])
{
    out[0] = 0;
    if (!isfinite(v))
        return;
    /* whole numbers, the most common ones, without the tries below */
    if (fabs(v) < 1e9 && v == floor(v) && !(v == 0 && signbit(v))) {
        char digits[16], *at = digits + sizeof digits;
        *--at = 0;
        for (int left = (int)fabs(v), first = 1; left || first; left /= 10, first = 0)
            *--at = (char)('0' + left % 10);
        if (v < 0)
            *--at = '-';
        memcpy(out, at, (size_t)(digits + sizeof digits - at));
        return;
    }
    if (few_decimals(v, out))
        return;
    /* 15 digits always survive, except in the denormal range, where fewer may already be unique */
    char buf[48];
    int first = fabs(v) < DBL_MIN ? 1 : 15;
    locale_t before = uselocale(c_locale());
    for (int precision = first; precision <= 17; precision++) {
        snprintf(buf, sizeof buf, "%.*g", precision, v);
        if (strtod(buf, NULL) == v)
            break;
    }
    uselocale(before);
    memcpy(out, buf, strlen(buf) + 1); /* at most 24 characters: -1.7976931348623157e+308 */
}

/* ---- dates: days_from_civil and its inverse, Hinnant, chrono-compatible low-level algorithms --
 */

static int32_t days_from_civil(int y, int m, int d)
{
    y -= m <= 2;
    int era = (y >= 0 ? y : y - 399) / 400;
    int yoe = y - era * 400;
    int doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
    int doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
    return era * 146097 + doe - 719468;
}

bool text_date(const char *s, int32_t *days)
{
    static const int length[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    char d[9];
    size_t n = strlen(s);
    if (n == 10 && s[4] == '-' && s[7] == '-') {
        memcpy(d, s, 4);
        memcpy(d + 4, s + 5, 2);
        memcpy(d + 6, s + 8, 2);
    } else if (n == 8) {
        memcpy(d, s, 8);
    } else {
        return false;
    }
    for (int i = 0; i < 8; i++)
        if (!digit(d[i]))
            return false;
    int year = (d[0] - '0') * 1000 + (d[1] - '0') * 100 + (d[2] - '0') * 10 + (d[3] - '0');
    int month = (d[4] - '0') * 10 + (d[5] - '0');
    int day = (d[6] - '0') * 10 + (d[7] - '0');
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    if (year < 1 || month < 1 || month > 12 || day < 1 || day > length[month - 1])
        return false;
    if (month == 2 && day == 29 && !leap)
        return false;
    *days = days_from_civil(year, month, day);
    return true;
}

void text_from_days(int32_t days, char out[11])
{
    out[0] = 0;
    if (days < DATE_MIN || days > DATE_MAX)
        return;
    int z = days + 719468;
    int era = z / 146097; /* z is positive in the years 1 to 9999 */
    int doe = z - era * 146097;
    int yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    int mp = (5 * doy + 2) / 153;
    int d = doy - (153 * mp + 2) / 5 + 1;
    int m = mp < 10 ? mp + 3 : mp - 9;
    int y = yoe + era * 400 + (m <= 2);
    char buf[40];
    snprintf(buf, sizeof buf, "%04d-%02d-%02d", y, m, d);
    memcpy(out, buf, 11);
}

/* ---- small things ---------------------------------------------------------------------------- */

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

bool text_ieq(const char *a, const char *b)
{
    while (*a && lower(*a) == lower(*b)) {
        a++;
        b++;
    }
    return lower(*a) == lower(*b);
}

bool text_ends(const char *s, const char *tail)
{
    size_t n = strlen(s), k = strlen(tail);
    return n >= k && memcmp(s + n - k, tail, k) == 0;
}

void text_words(const char *s, bool foreign, char *out, size_t cap)
{
    size_t n = 0;
    out[n++] = ' ';
    for (; *s && n + 2 < cap; s++) {
        char c = lower(*s);
        if (c >= 'a' && c <= 'z')
            out[n++] = (char)(c - 'a' + 'A');
        else if ((c >= '0' && c <= '9') || (foreign && (unsigned char)c >= 0x80))
            out[n++] = c;
        else if (out[n - 1] != ' ')
            out[n++] = ' ';
    }
    if (out[n - 1] != ' ')
        out[n++] = ' ';
    out[n] = 0;
}

bool text_has_words(const char *words, const char *phrase)
{
    size_t n = strlen(phrase);
    for (const char *p = words + 1; (p = strstr(p, phrase)); p++)
        if (p[-1] == ' ' && p[n] == ' ')
            return true;
    return false;
}

void text_copy(char *dst, size_t cap, const char *src)
{
    if (!cap)
        return;
    size_t n = strnlen(src, cap);
    if (n == cap) {
        n = cap - 1;
        size_t k = n; /* step back over a UTF-8 sequence that would be cut in two */
        while (k > 0 && n - k < 3 && ((unsigned char)src[k] & 0xC0) == 0x80)
            k--;
        if ((unsigned char)src[k] >= 0xC0)
            n = k;
    }
    for (size_t i = 0; i < n; i++)
        dst[i] = (unsigned char)src[i] < 0x20 || src[i] == 0x7F ? '?' : src[i];
    dst[n] = 0;
}

int text_distance(const char *a, const char *b)
{
    size_t n = strlen(a), m = strlen(b);
    if (n > DISTANCE_MAX || m > DISTANCE_MAX) {
        size_t most = n > m ? n : m;
        return most > INT_MAX ? INT_MAX : (int)most;
    }
    int row[DISTANCE_MAX + 1];
    for (size_t j = 0; j <= m; j++)
        row[j] = (int)j;
    for (size_t i = 1; i <= n; i++) {
        int diagonal = row[0];
        row[0] = (int)i;
        for (size_t j = 1; j <= m; j++) {
            int best = diagonal + (a[i - 1] != b[j - 1]);
            if (row[j] + 1 < best)
                best = row[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            diagonal = row[j];
            row[j] = best;
        }
    }
    return row[m];
}

void text_hex(const void *bytes, size_t n, char *out)
{
    static const char digits[] = "0123456789abcdef";
    const uint8_t *b = bytes;
    for (size_t i = 0; i < n; i++) {
        out[2 * i] = digits[b[i] >> 4];
        out[2 * i + 1] = digits[b[i] & 15];
    }
    out[2 * n] = 0;
}

size_t text_utf8(const char *s, size_t n)
{
    const uint8_t *p = (const uint8_t *)s;
    size_t i = 0;
    while (i < n) {
        uint8_t c = p[i];
        if (c < 0x80) {
            i++;
            continue;
        }
        size_t more = c >= 0xC2 && c <= 0xDF   ? 1
                      : c >= 0xE0 && c <= 0xEF ? 2
                      : c >= 0xF0 && c <= 0xF4 ? 3
                                               : 0;
        if (!more || n - i <= more)
            return i;
        for (size_t k = 1; k <= more; k++)
            if ((p[i + k] & 0xC0) != 0x80)
                return i;
        /* overlong forms, surrogates, and code points above U+10FFFF */
        uint8_t d = p[i + 1];
        if ((c == 0xE0 && d < 0xA0) || (c == 0xED && d > 0x9F) || (c == 0xF0 && d < 0x90) ||
            (c == 0xF4 && d > 0x8F))
            return i;
        i += more + 1;
    }
    return n;
}
