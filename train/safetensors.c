/* The safetensors container. Reading: every length, offset and shape of the header is checked
 * against the file before a byte of data is used; data is read with pread, so that a file cut short
 * while it is open is an error and not a fault. */
#include "train/safetensors.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/fs.h"
#include "core/mem.h"
#include "core/text.h"

#define META   "__metadata__"
#define LENGTH 8 /* bytes in front of the header: its length, little-endian */

struct safetensors {
    int fd;
    json_t *header;
    uint64_t data_at;  /* offset of the data part in the file */
    array_info *array; /* by offset */
    int n;
    int *by_name;
};

/* ---- reading --------------------------------------------------------------------------------- */

static bool read_at(int fd, uint64_t at, void *out, size_t n, err *e)
{
    char *p = out;
    while (n) {
        ssize_t got = pread(fd, p, n, (off_t)at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return err_errno(e, "cannot read");
        if (got == 0)
            return err_set(e, ERR_INPUT, "the file ends too early");
        p += got;
        at += (uint64_t)got;
        n -= (size_t)got;
    }
    return true;
}

static bool parse_shape(const json_t *list, array_info *a, err *e)
{
    int64_t shape[ARRAY_NDIM_MAX];
    if (!json_is_array(list) || json_array_size(list) > ARRAY_NDIM_MAX)
        return err_set(e, ERR_INPUT, "'shape' is not a list of at most %d sizes", ARRAY_NDIM_MAX);
    int ndim = (int)json_array_size(list);
    for (int i = 0; i < ndim; i++) {
        const json_t *v = json_array_get(list, (size_t)i);
        if (!json_is_integer(v) || json_integer_value(v) < 0)
            return err_set(e, ERR_INPUT, "size %d of 'shape' is not a whole number >= 0", i);
        shape[i] = (int64_t)json_integer_value(v);
    }
    return array_set_shape(a, ndim, shape, e);
}

static uint64_t byte_size(const array_info *a)
{
    return (uint64_t)a->n * (uint64_t)array_width(a->type);
}

static bool parse_offsets(const json_t *list, array_info *a, err *e)
{
    const json_t *b = json_array_get(list, 0), *c = json_array_get(list, 1);
    if (!json_is_array(list) || json_array_size(list) != 2 || !json_is_integer(b) ||
        !json_is_integer(c) || json_integer_value(b) < 0 ||
        json_integer_value(c) < json_integer_value(b))
        return err_set(e, ERR_INPUT, "'data_offsets' is not a pair 0 <= begin <= end");
    a->at = (uint64_t)json_integer_value(b);
    uint64_t bytes = (uint64_t)json_integer_value(c) - a->at;
    if (byte_size(a) != bytes)
        return err_set(e, ERR_INPUT, "%lld elements of %s do not fill %llu bytes", (long long)a->n,
                       array_type_name(a->type), (unsigned long long)bytes);
    return true;
}

static bool parse_array(const json_t *j, array_info *a, err *e)
{
    const json_t *dtype = json_object_get(j, "dtype");
    if (!json_is_object(j) || json_object_size(j) != 3 || !json_is_string(dtype))
        return err_set(e, ERR_INPUT, "not an object of exactly dtype, shape and data_offsets");
    if (!array_type_find(json_string_value(dtype), json_string_length(dtype), &a->type))
        return err_set(e, ERR_INPUT, "element type is not known");
    return parse_shape(json_object_get(j, "shape"), a, e) &&
           parse_offsets(json_object_get(j, "data_offsets"), a, e);
}

static bool check_meta(const json_t *meta, err *e)
{
    const char *key;
    json_t *v;
    if (!json_is_object(meta))
        return err_set(e, ERR_INPUT, META " is not an object");
    json_object_foreach((json_t *)(uintptr_t)meta, key, v)
    {
        if (!json_is_string(v))
            return err_set(e, ERR_INPUT, META " holds something that is not a string");
    }
    return true;
}

static int by_offset(const void *a, const void *b)
{
    const array_info *x = a, *y = b;
    if (x->at != y->at)
        return x->at < y->at ? -1 : 1;
    if (byte_size(x) != byte_size(y))
        return byte_size(x) < byte_size(y) ? -1 : 1;
    return strcmp(x->name, y->name);
}

static bool collect(safetensors *s, uint64_t data_bytes, err *e)
{
    const char *name;
    json_t *j;
    char safe[ARRAY_SHOWN];
    s->array = MEM_ARRAY(array_info, json_object_size(s->header) + 1);
    json_object_foreach(s->header, name, j)
    {
        if (strcmp(name, META) == 0) {
            if (!check_meta(j, e))
                return false;
            continue;
        }
        array_shown(name, safe);
        s->array[s->n].name = name;
        if (!parse_array(j, &s->array[s->n], e))
            return err_wrap(e, "array '%s'", safe);
        s->n++;
    }
    qsort(s->array, (size_t)s->n, sizeof *s->array, by_offset);
    uint64_t at = 0;
    for (int i = 0; i < s->n; i++) {
        array_shown(s->array[i].name, safe);
        if (s->array[i].at != at)
            return err_set(e, ERR_INPUT, "array '%s' begins at byte %llu, %llu was expected", safe,
                           (unsigned long long)s->array[i].at, (unsigned long long)at);
        at += byte_size(&s->array[i]);
    }
    if (at != data_bytes)
        return err_set(e, ERR_INPUT, "the arrays take %llu bytes, the file holds %llu",
                       (unsigned long long)at, (unsigned long long)data_bytes);
    s->by_name = array_by_name(s->array, s->n);
    return true;
}

static bool load_header(safetensors *s, err *e)
{
    struct stat st;
    uint8_t len[LENGTH];
    if (fstat(s->fd, &st))
        return err_errno(e, "cannot be examined");
    if (!S_ISREG(st.st_mode))
        return err_set(e, ERR_INPUT, "not a regular file");
    if (st.st_size < LENGTH + 2)
        return err_set(e, ERR_INPUT, "%lld bytes are too few for a safetensors file",
                       (long long)st.st_size);
    if (!read_at(s->fd, 0, len, LENGTH, e))
        return false;
    uint64_t n = 0;
    for (int i = LENGTH - 1; i >= 0; i--)
        n = n << 8 | len[i];
    uint64_t rest = (uint64_t)st.st_size - LENGTH;
    if (n > SAFETENSORS_HEADER_MAX || n > rest || n < 2)
        return err_set(e, ERR_INPUT, "a header of %llu bytes in a file of %lld (at most %d)",
                       (unsigned long long)n, (long long)st.st_size, SAFETENSORS_HEADER_MAX);
    char *json = mem_alloc((size_t)n);
    bool ok = read_at(s->fd, LENGTH, json, (size_t)n, e);
    if (ok && json[0] != '{')
        ok = err_set(e, ERR_INPUT, "the header does not begin with '{'");
    ok = ok && json_parse(json, (size_t)n, "header", &s->header, e);
    mem_free(json);
    if (ok && !json_is_object(s->header))
        ok = err_set(e, ERR_INPUT, "the header is not a JSON object");
    s->data_at = LENGTH + n;
    return ok && collect(s, rest - n, e);
}

safetensors *safetensors_open(const char *path, err *e)
{
    safetensors *s = MEM_NEW(safetensors);
    s->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    bool ok = s->fd >= 0 ? load_header(s, e) : err_errno(e, "cannot be opened");
    if (!ok) {
        err_wrap(e, "weights file '%s'", path);
        safetensors_close(s);
        return NULL;
    }
    return s;
}

void safetensors_close(safetensors *s)
{
    if (!s)
        return;
    if (s->fd >= 0)
        close(s->fd);
    json_decref(s->header);
    mem_free(s->array);
    mem_free(s->by_name);
    mem_free(s);
}

int safetensors_count(const safetensors *s)
{
    return s->n;
}

const array_info *safetensors_at(const safetensors *s, int i)
{
    return &s->array[i];
}

const array_info *safetensors_get(const safetensors *s, const char *name)
{
    return array_find(s->array, s->n, s->by_name, name);
}

const char *safetensors_meta(const safetensors *s, const char *key)
{
    return json_string_value(json_object_get(json_object_get(s->header, META), key));
}

typedef struct cursor {
    const safetensors *s;
    uint64_t at;
} cursor;

static bool next_bytes(void *ctx, void *to, size_t n, err *e)
{
    cursor *c = ctx;
    if (!read_at(c->s->fd, c->at, to, n, e))
        return false;
    c->at += n;
    return true;
}

bool safetensors_read(const safetensors *s, const array_info *a, float *out, err *e)
{
    cursor c = {s, s->data_at + a->at};
    return array_read(a->type, a->n, next_bytes, &c, out, e);
}

/* ---- writing --------------------------------------------------------------------------------- */

typedef struct entry {
    const float *x;
    size_t n;
} entry;

struct safetensors_writer {
    char *path;
    json_t *header;
    entry *entry;
    int n, cap;
    uint64_t at;
};

safetensors_writer *safetensors_writer_new(const char *path, const json_t *metadata)
{
    safetensors_writer *w = MEM_NEW(safetensors_writer);
    w->path = mem_strdup(path);
    w->header = json_object();
    if (metadata) {
        err e = {0};
        if (!check_meta(metadata, &e))
            BUG("safetensors: %s", e.msg);
        json_object_set_new(w->header, META, json_deep_copy(metadata));
    }
    return w;
}

void safetensors_writer_add(safetensors_writer *w, const char *name, int ndim, const int64_t *shape,
                            const float *x)
{
    if (!*name || strcmp(name, META) == 0 || json_object_get(w->header, name) || ndim < 0 ||
        ndim > ARRAY_NDIM_MAX)
        BUG("safetensors: cannot add an array '%s' of %d dimensions", name, ndim);
    int64_t n = 1;
    json_t *dims = json_array();
    for (int i = 0; i < ndim; i++) {
        n *= shape[i];
        json_array_append_new(dims, json_integer(shape[i]));
    }
    uint64_t bytes = (uint64_t)n * sizeof(float);
    json_t *j = json_object(), *offsets = json_array();
    json_array_append_new(offsets, json_integer((json_int_t)w->at));
    json_array_append_new(offsets, json_integer((json_int_t)(w->at + bytes)));
    json_object_set_new(j, "dtype", json_string("F32"));
    json_object_set_new(j, "shape", dims);
    json_object_set_new(j, "data_offsets", offsets);
    if (json_object_set_new(w->header, name, j))
        BUG("safetensors: the name of an array is not valid UTF-8");
    w->at += bytes;
    if (w->n == w->cap) {
        int cap = w->cap ? 2 * w->cap : 64;
        w->entry = mem_realloc(w->entry, (size_t)w->cap * sizeof *w->entry,
                               (size_t)cap * sizeof *w->entry);
        w->cap = cap;
    }
    w->entry[w->n++] = (entry){x, (size_t)n};
}

static bool write_all(int fd, const safetensors_writer *w)
{
    text head;
    text_init(&head);
    json_write_text(w->header, false, &head);
    while (head.len && head.s[head.len - 1] == '\n')
        head.len--;
    while (head.len % LENGTH)
        text_addn(&head, " ", 1); /* the format pads with spaces so that data is aligned */
    uint8_t len[LENGTH];
    for (int i = 0; i < LENGTH; i++)
        len[i] = (uint8_t)((uint64_t)head.len >> 8 * i);
    bool ok = fs_write_all(fd, len, LENGTH) && fs_write_all(fd, head.s, head.len);
    text_release(&head);
    for (int i = 0; ok && i < w->n; i++) /* f32 little-endian: this program's hosts */
        ok = fs_write_all(fd, w->entry[i].x, w->entry[i].n * sizeof(float));
    return ok;
}

static void free_writer(safetensors_writer *w)
{
    if (!w)
        return;
    json_decref(w->header);
    mem_free(w->entry);
    mem_free(w->path);
    mem_free(w);
}

bool safetensors_writer_finish(safetensors_writer *w, err *e)
{
    char *tmp = NULL;
    int fd = fs_create_partial(w->path, 0666, &tmp, e);
    bool ok = fd >= 0;
    if (ok) {
        ok = write_all(fd, w) || err_errno(e, "cannot write");
        if (close(fd) && ok)
            ok = err_errno(e, "cannot close");
        if (!ok)
            unlink(tmp);
    }
    ok = ok && fs_commit(tmp, w->path, e);
    if (!ok)
        err_wrap(e, "weights file '%s'", w->path);
    mem_free(tmp);
    free_writer(w);
    return ok;
}
