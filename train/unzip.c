/* Entries of a zip archive, by libzip. */
#include "train/unzip.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <zip.h>

#include "core/mem.h"
#include "core/text.h"

#define SHOWN      80
#define STEP       65536
#define RATIO_MAX  1040 /* deflate: a byte stands for at most 1032 */
#define RATIO_SLOP 65536

typedef struct entry {
    const char *name; /* owned by the archive */
    uint64_t size;
    bool stored;
    bool verified; /* all of its bytes have been read once and agree with the CRC */
} entry;

struct unzip {
    zip_t *zip;
    entry *entry;
    int n;
    int *by_name;
};

struct unzip_stream {
    zip_file_t *file;
    const entry *entry;
    uint64_t left; /* bytes that the caller may still ask for */
    entry *to_end; /* the entry, where it is being read to its end; else NULL */
};

static bool zip_failed(err *e, zip_error_t *why, const char *what)
{
    return err_set(e, ERR_INPUT, "%s: %s", what, zip_error_strerror(why));
}

static bool check_entry(unzip *z, int i, uint64_t file_bytes, err *e)
{
    zip_stat_t st;
    char safe[SHOWN];
    if (zip_stat_index(z->zip, (zip_uint64_t)i, 0, &st))
        return zip_failed(e, zip_get_error(z->zip), "the zip directory cannot be read");
    const zip_uint64_t want =
        ZIP_STAT_NAME | ZIP_STAT_SIZE | ZIP_STAT_COMP_SIZE | ZIP_STAT_COMP_METHOD;
    if ((st.valid & want) != want)
        return err_set(e, ERR_INPUT, "entry %d of the zip directory is not complete", i);
    text_copy(safe, sizeof safe, st.name);
    if (st.comp_method != ZIP_CM_STORE && st.comp_method != ZIP_CM_DEFLATE)
        return err_set(e, ERR_INPUT,
                       "entry '%s' is packed with method %d; stored or deflated wanted", safe,
                       st.comp_method);
    if ((st.valid & ZIP_STAT_ENCRYPTION_METHOD) && st.encryption_method != ZIP_EM_NONE)
        return err_set(e, ERR_INPUT, "entry '%s' is encrypted", safe);
    bool stored = st.comp_method == ZIP_CM_STORE;
    if (st.comp_size > file_bytes || (stored && st.size != st.comp_size) ||
        st.size > st.comp_size * RATIO_MAX + RATIO_SLOP)
        return err_set(e, ERR_INPUT,
                       "entry '%s' claims %llu bytes, packed in %llu, in a file of %llu", safe,
                       (unsigned long long)st.size, (unsigned long long)st.comp_size,
                       (unsigned long long)file_bytes);
    z->entry[i] = (entry){st.name, st.size, stored, false};
    return true;
}

static int compare_names(const void *a, const void *b, void *entries)
{
    const entry *s = entries;
    return strcmp(s[*(const int *)a].name, s[*(const int *)b].name);
}

static bool check_directory(unzip *z, uint64_t file_bytes, err *e)
{
    zip_int64_t n = zip_get_num_entries(z->zip, 0);
    if (n < 1 || n > UNZIP_ENTRIES_MAX)
        return err_set(e, ERR_INPUT, "%lld entries in the zip directory; 1 to %d wanted",
                       (long long)n, UNZIP_ENTRIES_MAX);
    z->entry = MEM_ARRAY(entry, n);
    z->by_name = MEM_ARRAY(int, n);
    for (int i = 0; i < (int)n; i++) {
        if (!check_entry(z, i, file_bytes, e))
            return false;
        z->by_name[i] = i;
    }
    z->n = (int)n;
    qsort_r(z->by_name, (size_t)n, sizeof(int), compare_names, z->entry);
    for (int i = 1; i < z->n; i++) {
        const char *name = z->entry[z->by_name[i]].name;
        char safe[SHOWN];
        text_copy(safe, sizeof safe, name);
        if (strcmp(name, z->entry[z->by_name[i - 1]].name) == 0)
            return err_set(e, ERR_INPUT, "entry '%s' is there twice", safe);
    }
    return true;
}

unzip *unzip_open(const char *path, err *e)
{
    struct stat st;
    int code = 0;
    if (stat(path, &st)) {
        err_errno(e, "cannot be examined");
        return NULL;
    }
    unzip *z = MEM_NEW(unzip);
    z->zip = zip_open(path, ZIP_RDONLY, &code);
    bool ok = z->zip != NULL;
    if (!ok) {
        zip_error_t why;
        zip_error_init_with_code(&why, code);
        zip_failed(e, &why, "not a whole zip archive");
        zip_error_fini(&why);
    }
    if (ok && check_directory(z, (uint64_t)st.st_size, e))
        return z;
    unzip_close(z);
    return NULL;
}

void unzip_close(unzip *z)
{
    if (!z)
        return;
    if (z->zip)
        zip_discard(z->zip);
    mem_free(z->entry);
    mem_free(z->by_name);
    mem_free(z);
}

int unzip_count(const unzip *z)
{
    return z->n;
}

const char *unzip_name(const unzip *z, int i)
{
    return z->entry[i].name;
}

uint64_t unzip_size(const unzip *z, int i)
{
    return z->entry[i].size;
}

bool unzip_is_stored(const unzip *z, int i)
{
    return z->entry[i].stored;
}

int unzip_find(const unzip *z, const char *name)
{
    int low = 0, high = z->n;
    while (low < high) {
        int mid = (low + high) / 2, c = strcmp(name, z->entry[z->by_name[mid]].name);
        if (c == 0)
            return z->by_name[mid];
        if (c < 0)
            high = mid;
        else
            low = mid + 1;
    }
    return -1;
}

static bool entry_failed(err *e, const entry *k, const char *what)
{
    char safe[SHOWN];
    text_copy(safe, sizeof safe, k->name);
    return err_set(e, ERR_INPUT, "entry '%s': %s", safe, what);
}

static bool read_file(zip_file_t *f, const entry *k, void *to, uint64_t n, err *e)
{
    for (char *p = to; n;) {
        zip_int64_t got = zip_fread(f, p, n);
        if (got < 0)
            return entry_failed(e, k, zip_error_strerror(zip_file_get_error(f)));
        if (got == 0)
            return entry_failed(e, k, "ends too early");
        p += got;
        n -= (uint64_t)got;
    }
    return true;
}

/* libzip compares the CRC when a read meets the end. */
static bool at_end(zip_file_t *f, entry *k, err *e)
{
    char more;
    zip_int64_t got = zip_fread(f, &more, 1);
    if (got < 0)
        return entry_failed(e, k, zip_error_strerror(zip_file_get_error(f)));
    if (got > 0)
        return entry_failed(e, k, "is longer than the zip directory says");
    k->verified = true;
    return true;
}

static zip_file_t *open_entry(unzip *z, int i, err *e)
{
    zip_file_t *f = zip_fopen_index(z->zip, (zip_uint64_t)i, 0);
    if (!f)
        entry_failed(e, &z->entry[i], zip_error_strerror(zip_get_error(z->zip)));
    return f;
}

static bool skip(zip_file_t *f, const entry *k, uint64_t n, err *e)
{
    char buf[STEP];
    bool ok = true;
    for (uint64_t at = 0; ok && at < n; at += STEP)
        ok = read_file(f, k, buf, n - at < STEP ? n - at : STEP, e);
    return ok;
}

static bool verify(unzip *z, int i, err *e)
{
    entry *k = &z->entry[i];
    zip_file_t *f = k->verified ? NULL : open_entry(z, i, e);
    if (!f)
        return k->verified;
    bool ok = skip(f, k, k->size, e) && at_end(f, k, e);
    zip_fclose(f);
    return ok;
}

bool unzip_read(unzip *z, int i, size_t max, char **data, size_t *n, err *e)
{
    entry *k = &z->entry[i];
    if (k->size > max)
        return entry_failed(e, k, "is too large for what it should be");
    zip_file_t *f = open_entry(z, i, e);
    if (!f)
        return false;
    *data = mem_alloc((size_t)k->size + 1);
    *n = (size_t)k->size;
    (*data)[*n] = 0;
    bool ok = read_file(f, k, *data, k->size, e) && at_end(f, k, e);
    zip_fclose(f);
    if (!ok) {
        mem_free(*data);
        *data = NULL;
    }
    return ok;
}

bool unzip_head(unzip *z, int i, void *to, size_t cap, size_t *n, err *e)
{
    zip_file_t *f = open_entry(z, i, e);
    if (!f)
        return false;
    *n = z->entry[i].size < cap ? (size_t)z->entry[i].size : cap;
    bool ok = read_file(f, &z->entry[i], to, *n, e);
    zip_fclose(f);
    return ok;
}

/* The CRC needs all bytes in order: a short way to the first wanted byte is read, a long one is
 * jumped over in an entry that was verified before. */
unzip_stream *unzip_stream_open(unzip *z, int i, uint64_t from, uint64_t n, err *e)
{
    entry *k = &z->entry[i];
    if (from > k->size || n > k->size - from)
        BUG("unzip: bytes %llu + %llu of %llu", (unsigned long long)from, (unsigned long long)n,
            (unsigned long long)k->size);
    bool to_end = from <= STEP && from + n == k->size;
    if (!to_end && !verify(z, i, e))
        return NULL;
    zip_file_t *f = open_entry(z, i, e);
    if (!f)
        return NULL;
    bool jumped = !to_end && k->stored && zip_fseek(f, (zip_int64_t)from, SEEK_SET) == 0;
    if (!jumped && !skip(f, k, from, e)) {
        zip_fclose(f);
        return NULL;
    }
    unzip_stream *s = MEM_NEW(unzip_stream);
    *s = (unzip_stream){f, k, n, to_end ? k : NULL};
    return s;
}

bool unzip_stream_next(void *stream, void *to, size_t n, err *e)
{
    unzip_stream *s = stream;
    if (n > s->left)
        BUG("unzip: %zu bytes of the %llu that were announced", n, (unsigned long long)s->left);
    if (!read_file(s->file, s->entry, to, n, e))
        return false;
    s->left -= n;
    return s->left || !s->to_end || at_end(s->file, s->to_end, e);
}

void unzip_stream_close(unzip_stream *s)
{
    if (!s)
        return;
    zip_fclose(s->file);
    mem_free(s);
}
