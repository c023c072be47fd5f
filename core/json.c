/* JSON through jansson's parser, with our own sentences, and our own writer: sorted keys, shortest
 * reals, and '<' escaped so that a block can stand inside an HTML script element. */
#include "core/json.h"
#include "core/fs.h"
#include "core/mem.h"

#include <math.h>

#define JSON_FILE_MAX  ((size_t)1 << 30)
#define JSON_DEPTH_MAX 2048 /* jansson's own limit when it parses */

bool json_parse(const char *data, size_t len, const char *name, json_t **out, err *e)
{
    json_error_t je;
    json_t *j = json_loadb(data, len, JSON_REJECT_DUPLICATES, &je);
    if (!j) {
        /* jansson quotes the data behind " near ": that may be anybody's name */
        char *near = strstr(je.text, " near ");
        if (near)
            *near = 0;
        return err_set(e, ERR_INPUT, "%s: line %d, column %d: not valid JSON (%s)", name,
                       je.line > 0 ? je.line : 1, je.column > 0 ? je.column : 1,
                       json_error_code(&je) == json_error_duplicate_key ? "a key appears twice"
                                                                        : je.text);
    }
    *out = j;
    return true;
}

bool json_read(const char *path, json_t **out, err *e)
{
    char *data;
    size_t len;
    if (!fs_read(path, JSON_FILE_MAX, &data, &len, e))
        return false;
    bool ok = json_parse(data, len, fs_base(path), out, e);
    mem_free(data);
    return ok;
}

/* ---- writing --------------------------------------------------------------------------------- */

static void write_string(const char *s, size_t n, text *out)
{
    text_addn(out, "\"", 1);
    size_t from = 0;
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)s[i];
        size_t width = 1;
        char esc[8] = "";
        if (c == '"' || c == '\\') {
            esc[0] = '\\';
            esc[1] = (char)c;
            esc[2] = 0;
        } else if (c == '\n') {
            memcpy(esc, "\\n", 3);
        } else if (c == '\t') {
            memcpy(esc, "\\t", 3);
        } else if (c < 0x20 || c == 0x7F || c == '<') {
            snprintf(esc, sizeof esc, "\\u%04x", c);
        } else if (n - i >= 3 && (memcmp(s + i, "\xE2\x80\xA8", 3) == 0 ||
                                  memcmp(s + i, "\xE2\x80\xA9", 3) == 0)) {
            /* line and paragraph separators end a line in older JavaScript */
            snprintf(esc, sizeof esc, "\\u%04x", 0x2000 + ((unsigned char)s[i + 2] & 0x3F));
            width = 3;
        }
        if (!esc[0])
            continue;
        text_addn(out, s + from, i - from);
        text_add(out, esc);
        i += width - 1;
        from = i + 1;
    }
    text_addn(out, s + from, n - from);
    text_addn(out, "\"", 1);
}

static void write_real(double v, text *out)
{
    if (!isfinite(v))
        BUG("json: a number that is not finite; json_num writes null for it");
    char s[32];
    text_shortest(v, s);
    text_add(out, s);
    if (!strpbrk(s, ".e"))
        text_add(out, ".0"); /* stays a real when it is read back */
}

static void new_line(int depth, bool pretty, text *out)
{
    if (!pretty)
        return;
    text_addn(out, "\n", 1);
    for (int i = 0; i < depth; i++)
        text_addn(out, "  ", 2);
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void write_value(const json_t *j, int depth, bool pretty, text *out);

static void write_object(const json_t *j, int depth, bool pretty, text *out)
{
    json_t *obj =
        (json_t *)(uintptr_t)j; /* jansson's iterators do not take const; it is not changed */
    size_t n = json_object_size(j), i = 0;
    if (!n) {
        text_add(out, "{}");
        return;
    }
    const char **keys = MEM_ARRAY(const char *, n);
    for (void *it = json_object_iter(obj); it; it = json_object_iter_next(obj, it))
        keys[i++] = json_object_iter_key(it);
    qsort(keys, n, sizeof *keys, by_bytes);
    for (i = 0; i < n; i++) {
        text_addn(out, i ? "," : "{", 1);
        new_line(depth + 1, pretty, out);
        write_string(keys[i], strlen(keys[i]), out);
        text_add(out, pretty ? ": " : ":");
        write_value(json_object_get(j, keys[i]), depth + 1, pretty, out);
    }
    mem_free(keys);
    new_line(depth, pretty, out);
    text_addn(out, "}", 1);
}

static void write_array(const json_t *j, int depth, bool pretty, text *out)
{
    size_t n = json_array_size(j);
    if (!n) {
        text_add(out, "[]");
        return;
    }
    /* a list of plain values stays on one line */
    bool nested = false;
    for (size_t i = 0; i < n; i++)
        nested |= json_is_object(json_array_get(j, i)) || json_is_array(json_array_get(j, i));
    for (size_t i = 0; i < n; i++) {
        text_addn(out, i ? "," : "[", 1);
        if (nested)
            new_line(depth + 1, pretty, out);
        else if (i && pretty)
            text_addn(out, " ", 1);
        write_value(json_array_get(j, i), depth + 1, pretty, out);
    }
    if (nested)
        new_line(depth, pretty, out);
    text_addn(out, "]", 1);
}

static void write_value(const json_t *j, int depth, bool pretty, text *out)
{
    if (!j)
        BUG("json: a missing value");
    if (depth > JSON_DEPTH_MAX)
        BUG("json: nested deeper than %d", JSON_DEPTH_MAX);
    switch (json_typeof(j)) {
    case JSON_OBJECT:
        write_object(j, depth, pretty, out);
        break;
    case JSON_ARRAY:
        write_array(j, depth, pretty, out);
        break;
    case JSON_STRING:
        write_string(json_string_value(j), json_string_length(j), out);
        break;
    case JSON_INTEGER:
        text_addf(out, "%lld", (long long)json_integer_value(j));
        break;
    case JSON_REAL:
        write_real(json_real_value(j), out);
        break;
    case JSON_TRUE:
        text_add(out, "true");
        break;
    case JSON_FALSE:
        text_add(out, "false");
        break;
    case JSON_NULL:
        text_add(out, "null");
        break;
    }
}

void json_write_text(const json_t *j, bool pretty, text *out)
{
    write_value(j, 0, pretty, out);
}

bool json_write(const char *path, const json_t *j, bool pretty, err *e)
{
    text t;
    text_init(&t);
    json_write_text(j, pretty, &t);
    text_addn(&t, "\n", 1);
    bool ok = fs_write(path, t.s, t.len, e);
    text_release(&t);
    return ok;
}

/* ---- members --------------------------------------------------------------------------------- */

static const char *type_name(const json_t *j)
{
    switch (json_typeof(j)) {
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "a list";
    case JSON_STRING:
        return "text";
    case JSON_INTEGER:
        return "a whole number";
    case JSON_REAL:
        return "a real number";
    case JSON_TRUE:
    case JSON_FALSE:
        return "a truth value";
    case JSON_NULL:
        return "null";
    }
    BUG("json type %d is unknown", (int)json_typeof(j));
}

/* The member, or NULL with e set. */
static json_t *member(const json_t *obj, const char *key, err *e)
{
    if (!json_is_object(obj)) {
        err_set(e, ERR_INPUT, "key '%s' is wanted, but its holder is %s, not an object", key,
                obj ? type_name(obj) : "missing");
        return NULL;
    }
    json_t *j = json_object_get(obj, key);
    if (!j)
        err_set(e, ERR_INPUT, "key '%s' is missing", key);
    return j;
}

bool json_get_i64(const json_t *obj, const char *key, int64_t *out, err *e)
{
    json_t *j = member(obj, key, e);
    if (!j)
        return false;
    if (!json_is_integer(j))
        return err_set(e, ERR_INPUT, "key '%s' is %s, a whole number is wanted", key, type_name(j));
    *out = json_integer_value(j);
    return true;
}

bool json_get_f64(const json_t *obj, const char *key, double *out, err *e)
{
    json_t *j = member(obj, key, e);
    if (!j)
        return false;
    if (!json_is_number(j))
        return err_set(e, ERR_INPUT, "key '%s' is %s, a number is wanted", key, type_name(j));
    *out = json_number_value(j);
    return true;
}

bool json_get_text(const json_t *obj, const char *key, const char **out, err *e)
{
    json_t *j = member(obj, key, e);
    if (!j)
        return false;
    if (!json_is_string(j))
        return err_set(e, ERR_INPUT, "key '%s' is %s, text is wanted", key, type_name(j));
    *out = json_string_value(j);
    return true;
}

json_t *json_num(double v)
{
    return isfinite(v) ? json_real(v) : json_null();
}

json_t *json_words(const char *s)
{
    if (!s)
        return json_null();
    size_t n = strlen(s), good = text_utf8(s, n);
    if (good == n)
        return json_stringn(s, n);
    text t;
    text_init(&t);
    while (n > 0) {
        good = text_utf8(s, n);
        text_addn(&t, s, good);
        if (good < n) {
            text_addn(&t, "?", 1);
            good++;
        }
        s += good;
        n -= good;
    }
    json_t *j = json_stringn(t.s, t.len);
    text_release(&t);
    return j;
}
