/* Thin writer and reader over jansson. Objects are written with sorted keys, reals as the shortest
 * round-trip decimal, NaN refused (BUG): undefined numbers are null by the caller's choice.
 * json_t is visible so that callers build trees with jansson's own calls; they include this header,
 * not <jansson.h>. */
#ifndef CORE_JSON_H
#define CORE_JSON_H

#include "core/err.h"
#include "core/text.h"
#include <jansson.h>

/* Duplicate keys refused. The name is used in messages only. */
MUST_CHECK bool json_parse(const char *data, size_t len, const char *name, json_t **out, err *e);
MUST_CHECK bool json_read(const char *path, json_t **out, err *e);
void json_write_text(const json_t *j, bool pretty, text *out);
MUST_CHECK bool json_write(const char *path, const json_t *j, bool pretty, err *e); /* atomic */
/* Typed members; ERR_INPUT names the missing or mistyped key. */
MUST_CHECK bool json_get_i64(const json_t *obj, const char *key, int64_t *out, err *e);
MUST_CHECK bool json_get_f64(const json_t *obj, const char *key, double *out, err *e);
MUST_CHECK bool json_get_text(const json_t *obj, const char *key, const char **out, err *e);
/* real, or null when v is not finite (new reference). */
json_t *json_num(double v);
/* Text of foreign origin (new reference): jansson refuses bytes that are not UTF-8, here each such
 * byte becomes '?'. NULL gives null. */
json_t *json_words(const char *s);
#endif
