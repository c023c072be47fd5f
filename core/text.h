/* Growable string and strict parsing of numbers and dates. Parsing consumes the whole string or
 * fails; it never depends on the locale. */
#ifndef CORE_TEXT_H
#define CORE_TEXT_H

#include "core/err.h"

typedef struct text {
    char *s;    /* NUL-terminated, owned; "" when empty */
    size_t len; /* without the NUL */
    size_t cap;
} text;
void text_init(text *t);
void text_release(text *t);
void text_clear(text *t);
void text_add(text *t, const char *s);
void text_addn(text *t, const char *s, size_t n);
void text_addf(text *t, const char *fmt, ...) PRINTF_LIKE(2, 3);
void text_base64(text *t, const void *data, size_t n); /* appends */
char *text_take(text *t); /* the string, owned by the caller (mem_free); t is empty afterwards */

bool text_i64(const char *s, int64_t *out);  /* decimal, optional sign */
bool text_f64(const char *s, double *out);   /* C notation, dot; inf and nan are refused */
bool text_ratio(const char *s, double *out); /* "0.25" or "3/7" */
bool text_bool(const char *s, bool *out);    /* true false yes no on off 1 0 */
/* "20260131", "2026-01-31" -> days since 1970-01-01 (proleptic Gregorian); validity is checked. */
bool text_date(const char *s, int32_t *days);
void text_from_days(int32_t days, char out[11]); /* "2026-01-31"; "" outside years 1..9999 */
/* Shortest decimal that reads back as the same double; NaN and infinity give "". */
void text_shortest(double v, char out[32]);
bool text_ieq(const char *a, const char *b); /* ASCII, ignoring case */
bool text_ends(const char *s, const char *tail);
/* Copy src into dst[cap], cut at cap-1, NUL-terminated; control characters become '?'. */
void text_copy(char *dst, size_t cap, const char *src);
/* The words of s, letters and digits in ASCII upper case, with one space before, between and after
 * them, cut at cap-1 (cap at least 3). Bytes >= 0x80 are letters when `foreign` is set, else they
 * part words. */
void text_words(const char *s, bool foreign, char *out, size_t cap);
/* Do the words of `phrase` (single spaces, none at the ends) stand in `words` of text_words? */
bool text_has_words(const char *words, const char *phrase);
/* Levenshtein distance, for "did you mean". */
int text_distance(const char *a, const char *b);
void text_hex(const void *bytes, size_t n, char *out /* 2n+1 */);
/* Length of the longest prefix of s[n] that is valid UTF-8: n when all of it is. */
size_t text_utf8(const char *s, size_t n);
#endif
