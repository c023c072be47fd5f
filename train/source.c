/* One interface to all containers of weights. */
#include "train/source.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/mem.h"
#include "train/npz.h"
#include "train/safetensors.h"
#include "train/torch_file.h"

struct source {
    const source_kind *kind;
    void *self;
    const array_info *array;
    int n;
    int *by_name;
};

source *source_new(const source_kind *kind, void *self, const array_info *array, int n, err *e)
{
    source *s = MEM_NEW(source);
    *s = (source){kind, self, array, n, array_by_name(array, n)};
    for (int i = 1; i < n; i++) {
        const char *name = array[s->by_name[i]].name;
        char safe[ARRAY_SHOWN];
        if (strcmp(name, array[s->by_name[i - 1]].name) == 0) {
            array_shown(name, safe);
            err_set(e, ERR_INPUT, "array '%s' is there twice", safe);
            source_close(s);
            return NULL;
        }
    }
    return s;
}

void source_close(source *s)
{
    if (!s)
        return;
    s->kind->close(s->self);
    mem_free(s->by_name);
    mem_free(s);
}

int source_count(const source *s)
{
    return s->n;
}

const array_info *source_at(const source *s, int i)
{
    return &s->array[i];
}

const array_info *source_get(const source *s, const char *name)
{
    return array_find(s->array, s->n, s->by_name, name);
}

const char *source_meta(const source *s, const char *key)
{
    return s->kind->meta ? s->kind->meta(s->self, key) : NULL;
}

float *source_values(const source *s, const array_info *a, err *e)
{
    char safe[ARRAY_SHOWN];
    float *x = NULL;
    if (a->n > SOURCE_ELEMENTS_MAX)
        err_set(e, ERR_INPUT, "has %lld elements; at most %lld are read", (long long)a->n,
                (long long)SOURCE_ELEMENTS_MAX);
    else
        x = mem_alloc((size_t)a->n * sizeof *x);
    if (x && s->kind->read(s->self, a, x, e))
        return x;
    mem_free(x);
    array_shown(a->name, safe);
    err_wrap(e, "array '%s'", safe);
    return NULL;
}

/* ---- safetensors ----------------------------------------------------------------------------- */

static bool read_safetensors(void *self, const array_info *a, float *out, err *e)
{
    return safetensors_read(self, a, out, e);
}

static const char *meta_safetensors(void *self, const char *key)
{
    return safetensors_meta(self, key);
}

static void close_safetensors(void *self)
{
    safetensors_close(self);
}

static source *open_safetensors(const char *path, err *e)
{
    static const source_kind kind = {read_safetensors, meta_safetensors, close_safetensors};
    safetensors *s = safetensors_open(path, e);
    if (!s)
        return NULL;
    int n = safetensors_count(s);
    return source_new(&kind, s, n ? safetensors_at(s, 0) : NULL, n, e);
}

/* ---- which container ------------------------------------------------------------------------- */

#define HEAD 16

/* Files of torch.save before 1.6: a pickle of this number comes first. */
static const uint8_t legacy_magic[] = {0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19};

static source *open_zip(const char *path, err *e)
{
    unzip *z = unzip_open(path, e);
    source *s = !z ? NULL : npz_is(z) ? npz_open(z, e) : torch_file_open(z, e);
    if (!s)
        err_wrap(e, "weights file '%s'", path);
    return s;
}

/* The first bytes of a regular file; 0 where there are none. */
static size_t read_head(const char *path, uint8_t head[HEAD])
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    ssize_t n = fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) ? read(fd, head, HEAD) : 0;
    if (fd >= 0)
        close(fd);
    return n > 0 ? (size_t)n : 0;
}

source *source_open(const char *path, err *e)
{
    uint8_t head[HEAD] = {0};
    size_t n = read_head(path, head);
    if (n == HEAD && memcmp(head, "PK\3\4", 4) == 0)
        return open_zip(path, e);
    if (n == HEAD && head[0] == 0x80 && head[2] == 0x8a && head[3] == sizeof legacy_magic &&
        memcmp(head + 4, legacy_magic, sizeof legacy_magic) == 0) {
        err_set(e, ERR_INPUT,
                "weights file '%s': PyTorch's format of before version 1.6; convert it once: "
                "python3 -c \"import torch; torch.save(torch.load('OLD.pth', 'cpu'), 'NEW.pth')\"",
                path);
        return NULL;
    }
    if (n == HEAD && head[8] != '{') {
        err_set(e, ERR_INPUT,
                "weights file '%s': neither safetensors nor a zip archive of PyTorch or NumPy",
                path);
        return NULL;
    }
    return open_safetensors(path, e); /* says what is wrong with anything else */
}
