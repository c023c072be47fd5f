/* The identifiers become a set of 128-bit hashes. A window of four bytes runs over every file;
 * where some identifier begins like it, each length that occurs is hashed and looked up. */
#include "preprocess/deid.h"

#include "core/fs.h"
#include "core/mem.h"
#include "core/text.h"
#include "dicom/catalog.h"
#include "dicom/pseudo.h"
#include "preprocess/shard_h5.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LONGEST     128
#define PREFIX      4                 /* bytes: the shortest identifier */
#define PREFIX_BITS 20                /* of the table of beginnings */
#define HASH_DIGITS 32                /* of a pseudonym */
#define LOOSE       10                /* from this length on, other characters may adjoin */
#define VALUES_MAX  ((size_t)1 << 30) /* bytes of one HDF5 value that is not pixels */

typedef enum kind {
    KIND_NONE,
    KIND_SOP,
    KIND_STUDY,
    KIND_SERIES,
    KIND_PATIENT,
    KIND_ACCESSION,
    KIND_ISSUER,
    KIND_DATE,
    KIND_FILE,
    KIND_OTHER,
    KIND_SERIAL,
    KIND_KEY,
    KINDS
} kind;
static const char *const kind_names[KINDS] = {"",
                                              "sop_uid",
                                              "study_uid",
                                              "series_uid",
                                              "patient_id",
                                              "accession",
                                              "issuer",
                                              "exam date",
                                              "name of an image file",
                                              "other patient id",
                                              "serial number",
                                              "key of the pseudonyms"};

typedef struct entry {
    uint64_t hash[2];
    uint8_t kind;
} entry;

typedef struct search {
    entry *set; /* open addressing, power of two */
    size_t cap, n;
    bool length[LONGEST + 1]; /* some identifier is as long */
    uint8_t *begins;          /* bit set: some identifier begins like this */
    int64_t too_short;
    bool pdf;    /* the file being searched */
    pseudo *key; /* NULL: it is kept elsewhere */
    int64_t count[KINDS], first[KINDS];
    deid_found *found;
    void *ctx;
    deid_result *out;
} search;

static bool is_word(uint8_t c)
{
    return isalnum(c) || c >= 0x80;
}

static uint8_t upper(uint8_t c)
{
    return (uint8_t)(c >= 'a' && c <= 'z' ? c - 32 : c);
}

static void fold(const uint8_t *s, size_t n, uint64_t hash[2])
{
    uint8_t word[LONGEST];
    for (size_t i = 0; i < n; i++)
        word[i] = upper(s[i]);
    fs_xxh128_raw(word, n, hash);
}

static uint32_t place(uint32_t prefix)
{
    return prefix * 2654435761u >> (32 - PREFIX_BITS);
}

static uint32_t prefix_of(const uint8_t *s)
{
    uint32_t v = 0;
    for (int i = 0; i < PREFIX; i++)
        v = v << 8 | upper(s[i]);
    return v;
}

static entry *slot(const search *s, const uint64_t hash[2])
{
    size_t i = hash[0] & (s->cap - 1);
    while (s->set[i].kind && (s->set[i].hash[0] != hash[0] || s->set[i].hash[1] != hash[1]))
        i = (i + 1) & (s->cap - 1);
    return &s->set[i];
}

static void grow(search *s)
{
    entry *old = s->set;
    size_t n = s->cap;
    s->cap = n ? 2 * n : 1024;
    s->set = MEM_ARRAY(entry, s->cap);
    for (size_t i = 0; i < n; i++)
        if (old[i].kind)
            *slot(s, old[i].hash) = old[i];
    mem_free(old);
}

static void learn(search *s, kind k, const char *value)
{
    size_t n = strlen(value);
    bool digits = strspn(value, "0123456789") == n;
    uint64_t hash[2];
    while (n && !is_word((uint8_t)value[n - 1])) /* a run of words ends in a word */
        n--;
    while (n && !is_word((uint8_t)*value)) {
        value++;
        n--;
    }
    if (!n)
        return;
    bool one_character = strspn(value, (const char[]){*value, 0}) >= n;
    if (n < (digits ? 6 : PREFIX) || n > LONGEST || one_character) {
        s->too_short++;
        return;
    }
    if (2 * (s->n + 1) > s->cap)
        grow(s);
    fold((const uint8_t *)value, n, hash);
    entry *e = slot(s, hash);
    if (e->kind)
        return;
    *e = (entry){{hash[0], hash[1]}, (uint8_t)k};
    s->n++;
    s->length[n] = true;
    uint32_t at = place(prefix_of((const uint8_t *)value));
    s->begins[at / 8] |= (uint8_t)(1u << at % 8);
}

static bool learn_row(void *ctx, const catalog_row *row, err *e)
{
    (void)e;
    search *s = ctx;
    const record *r = &row->rec;
    learn(s, KIND_SOP, r->sop_uid);
    learn(s, KIND_STUDY, r->study_uid);
    learn(s, KIND_SERIES, r->series_uid);
    learn(s, KIND_PATIENT, r->patient_id);
    learn(s, KIND_ACCESSION, r->accession);
    learn(s, KIND_ISSUER, r->issuer);
    learn(s, KIND_STUDY, r->study_id);
    learn(s, KIND_SERIAL, r->serial);
    learn(s, KIND_SERIAL, r->detector_id);
    for (const char *p = r->other_ids; *p; p += *p == '\\') {
        char id[RECORD_OTHER_IDS];
        size_t n = strcspn(p, "\\"), by = strcspn(p, "|");
        snprintf(id, sizeof id, "%.*s", by < n ? (int)(n - by - 1) : 0, p + by + 1);
        learn(s, KIND_OTHER, id);
        p += n;
    }
    if (r->exam_day != RECORD_UNKNOWN) {
        char day[16];
        struct tm t;
        time_t at = (time_t)r->exam_day * 86400;
        gmtime_r(&at, &t);
        strftime(day, sizeof day, "%Y-%m-%d", &t);
        learn(s, KIND_DATE, day);
        strftime(day, sizeof day, "%Y%m%d", &t);
        learn(s, KIND_DATE, day);
    }
    const char *base = fs_base(row->path);
    if (strlen(base) >= 8 && strpbrk(base, "0123456789"))
        learn(s, KIND_FILE, base);
    return true;
}

/* A short identifier must stand alone, a long number must not be part of a longer one; a long text
 * counts anywhere, because some formats pack their texts without anything between. */
static bool stands(const uint8_t *p, size_t n, size_t i, size_t len)
{
    uint8_t before = i ? p[i - 1] : ' ', after = i + len < n ? p[i + len] : ' ';
    if (len < LOOSE)
        return !is_word(before) && !is_word(after);
    for (size_t k = 0; k < len; k++)
        if (!isdigit(p[i + k]))
            return true;
    return !isdigit(before) && !isdigit(after);
}

/* An entry of a PDF's cross-reference table: ten digits of offset, five of generation, n or f. */
static bool is_pdf_offset(const uint8_t *p, size_t n, size_t i, size_t len)
{
    const uint8_t *q = p + i + len;
    if (len != 10 || n - i - len < 8 || q[0] != ' ' || q[6] != ' ' || (q[7] != 'n' && q[7] != 'f'))
        return false;
    for (int k = 1; k < 6; k++)
        if (!isdigit(q[k]))
            return false;
    return true;
}

static bool is_hex(uint8_t c)
{
    return isdigit(c) || (c >= 'a' && c <= 'f');
}

/* What is spelt with hex digits, inside a pseudonym or a hash: among millions of these every value
 * of ten digits turns up somewhere. At least HASH_DIGITS of them in a row, in lower case, letters
 * and numerals. */
static bool is_in_hash(const uint8_t *p, size_t n, size_t i, size_t len)
{
    size_t from = i, to = i, letters = 0;
    while (from > 0 && is_hex(p[from - 1]) && i - from < HASH_DIGITS)
        from--;
    while (to < n && is_hex(p[to]) && to - i < len + HASH_DIGITS)
        to++;
    for (size_t k = from; k < to; k++)
        letters += !isdigit(p[k]);
    return to >= i + len && to - from >= HASH_DIGITS && letters && letters < to - from;
}

/* Length of the longest identifier that begins at i, 0 = none. */
static size_t match(const search *s, const uint8_t *p, size_t n, size_t i, kind *k)
{
    uint64_t hash[2];
    for (size_t len = n - i < LONGEST ? n - i : LONGEST; len >= PREFIX; len--) {
        if (!s->length[len] || !stands(p, n, i, len) || (s->pdf && is_pdf_offset(p, n, i, len)))
            continue;
        fold(p + i, len, hash);
        *k = (kind)slot(s, hash)->kind;
        if (*k && !is_in_hash(p, n, i, len))
            return len;
    }
    return 0;
}

static void look_for_key(search *s, const uint8_t *p, size_t n, int64_t offset)
{
    int64_t at = s->key ? pseudo_key_at(s->key, p, n) : -1;
    if (at >= 0 && !s->count[KIND_KEY]++)
        s->first[KIND_KEY] = offset < 0 ? -1 : offset + at;
}

/* `offset` of p in its file; -1 for a value inside a container. */
static void look(search *s, const uint8_t *p, size_t n, int64_t offset)
{
    look_for_key(s, p, n, offset);
    uint32_t window = n >= PREFIX ? prefix_of(p) >> 8 : 0;
    size_t taken = 0;
    for (size_t i = 0; i + PREFIX <= n; i++) {
        window = window << 8 | upper(p[i + PREFIX - 1]);
        uint32_t at = place(window);
        kind k;
        if (i < taken || !(s->begins[at / 8] >> at % 8 & 1))
            continue;
        size_t len = match(s, p, n, i, &k);
        if (!len)
            continue;
        if (!s->count[k]++)
            s->first[k] = offset < 0 ? -1 : offset + (int64_t)i;
        taken = i + len;
    }
}

/* ---- values inside HDF5 files ------------------------------------------------------------------
 */

static bool look_values(search *s, hid_t type, hid_t space, hid_t object, bool attribute, err *e)
{
    hssize_t n = H5Sget_simple_extent_npoints(space);
    size_t size = H5Tget_size(type);
    bool strings = H5Tis_variable_str(type) > 0, ok = true;
    bool bytes = H5Tget_class(type) == H5T_INTEGER && size == 1;    /* may be a text in disguise */
    if (n <= 0 || (H5Tget_class(type) == H5T_INTEGER && size == 2)) /* none, or pixels */
        return true;
    if ((!strings && H5Tdetect_class(type, H5T_VLEN) > 0) || (size_t)n > VALUES_MAX / size)
        return err_set(e, ERR_INPUT, "a value in an HDF5 file cannot be looked into");
    uint8_t *data = mem_calloc((size_t)n, size);
    ok = (attribute ? H5Aread(object, type, data)
                    : H5Dread(object, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, data)) >= 0;
    if (!ok)
        err_set(e, ERR_IO, "a value in an HDF5 file cannot be read");
    for (hssize_t i = 0; ok && strings && i < n; i++) {
        const char *value = ((char *const *)(void *)data)[i];
        if (value)
            look(s, (const uint8_t *)value, strlen(value), -1);
    }
    if (ok && bytes)
        look(s, data, (size_t)n, -1);
    for (hssize_t i = 0; ok && !strings && !bytes && i < n; i++) /* words end with a value */
        look(s, data + (size_t)i * size, size, -1);
    if (ok && strings)
        H5Dvlen_reclaim(type, space, H5P_DEFAULT, data);
    mem_free(data);
    return ok;
}

typedef struct visit {
    search *s;
    err *e;
} visit;

static herr_t look_attribute(hid_t object, const char *name, const H5A_info_t *info, void *ctx)
{
    (void)info;
    visit *v = ctx;
    hid_t a = H5Aopen(object, name, H5P_DEFAULT), type = a < 0 ? -1 : H5Aget_type(a),
          space = a < 0 ? -1 : H5Aget_space(a);
    bool ok = type >= 0 && space >= 0 && look_values(v->s, type, space, a, true, v->e);
    if (type >= 0)
        H5Tclose(type);
    if (space >= 0)
        H5Sclose(space);
    if (a >= 0)
        H5Aclose(a);
    return ok ? 0 : -1;
}

static herr_t look_object(hid_t root, const char *name, const H5O_info_t *info, void *ctx)
{
    visit *v = ctx;
    hid_t o = H5Oopen(root, name, H5P_DEFAULT);
    bool ok = o >= 0 && H5Aiterate2(o, H5_INDEX_NAME, H5_ITER_INC, NULL, look_attribute, v) >= 0;
    look(v->s, (const uint8_t *)name, strlen(name), -1);
    if (ok && info->type == H5O_TYPE_DATASET) {
        hid_t type = H5Dget_type(o), space = H5Dget_space(o);
        ok = type >= 0 && space >= 0 && look_values(v->s, type, space, o, false, v->e);
        H5Tclose(type);
        H5Sclose(space);
    }
    if (o >= 0)
        H5Oclose(o);
    return ok ? 0 : -1;
}

static bool look_hdf5(search *s, const char *path, err *e)
{
    visit v = {s, e};
    pthread_mutex_lock(&shard_lock);
    shard_h5_quiet();
    hid_t access = shard_h5_access(), f = H5Fopen(path, H5F_ACC_RDONLY, access);
    bool ok = f >= 0 && H5Ovisit(f, H5_INDEX_NAME, H5_ITER_INC, look_object, &v) >= 0;
    if (f >= 0)
        H5Fclose(f);
    H5Pclose(access);
    pthread_mutex_unlock(&shard_lock);
    if (!ok && !e->code)
        err_set(e, ERR_INPUT, "the HDF5 file '%s' is damaged", fs_base(path));
    return ok;
}

/* ---- files -------------------------------------------------------------------------------------
 */

static bool look_bytes(search *s, const char *path, bool *hdf5, err *e)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 || fstat(fd, &st) != 0) {
        if (fd >= 0)
            close(fd);
        return err_errno(e, "cannot read '%s'", fs_base(path));
    }
    size_t n = (size_t)st.st_size;
    uint8_t *p = n ? mmap(NULL, n, PROT_READ, MAP_PRIVATE, fd, 0) : NULL;
    close(fd);
    if (p == MAP_FAILED)
        return err_errno(e, "cannot read '%s'", fs_base(path));
    *hdf5 = n >= 8 && !memcmp(p, "\x89HDF\r\n\x1a\n", 8);
    s->pdf = n >= 5 && !memcmp(p, "%PDF-", 5);
    look(s, p, n, 0);
    s->pdf = false;
    if (n)
        munmap(p, n);
    s->out->bytes += (int64_t)n;
    return true;
}

static bool look_file(void *ctx, const fs_entry *f, err *e)
{
    search *s = ctx;
    bool hdf5 = false;
    if (f->bad)
        return err_set(e, ERR_IO, "cannot read '%s': %s", f->relative, f->bad);
    memset(s->count, 0, sizeof s->count);
    look(s, (const uint8_t *)f->relative, strlen(f->relative), -1);
    if (!look_bytes(s, f->path, &hdf5, e) || (hdf5 && !look_hdf5(s, f->path, e)))
        return false;
    s->out->files++;
    for (int k = 1; k < KINDS; k++) {
        if (!s->count[k])
            continue;
        s->out->hits += s->count[k];
        s->found(s->ctx, &(deid_hit){f->path, kind_names[k], s->count[k], s->first[k]});
    }
    return true;
}

bool deid_check(const char *store, const char *const *paths, int n, deid_found *found, void *ctx,
                deid_result *out, err *e)
{
    search s = {.found = found, .ctx = ctx, .out = out};
    memset(out, 0, sizeof *out);
    s.begins = mem_calloc((size_t)1 << PREFIX_BITS >> 3, 1);
    char *key = fs_join(store, "key");
    bool ok = !fs_exists(key) || (s.key = pseudo_open(store, false, e));
    catalog *c = ok ? catalog_open(store, false, e) : NULL;
    ok = c && catalog_each(c, NULL, learn_row, &s, e);
    catalog_close(c);
    mem_free(key);
    if (ok && !s.n)
        ok = err_set(e, ERR_INPUT, "the store knows no identifier to look for");
    for (int i = 0; i < n && ok; i++)
        ok = fs_exists(paths[i]) ? fs_walk(paths[i], look_file, &s, e)
                                 : err_set(e, ERR_INPUT, "'%s' does not exist", paths[i]);
    out->identifiers = (int64_t)s.n;
    out->too_short = s.too_short;
    out->key_known = s.key != NULL;
    pseudo_free(s.key);
    mem_free(s.begins);
    mem_free(s.set);
    return ok;
}
