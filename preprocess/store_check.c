/* The check of a store (store_check.h): for each preparation the shards that the books name, then
 * every file below prep/ and parts/ that they do not. Messages hold shard names and pseudonyms. */
#include "preprocess/store_check.h"

#include <dirent.h>
#include <stdio.h>
#include <sys/stat.h>

#include "core/fs.h"
#include "core/json.h"
#include "core/kill.h"
#include "core/mem.h"
#include "core/text.h"
#include "preprocess/shard.h"

#define ROWS_SHOWN 20 /* wrong rows named per shard */

typedef struct check {
    store_check *out;
    catalog *cat;
    const char *store;
    char id[17];
    int n_sizes, h[PREPARE_SIZES], w[PREPARE_SIZES];
    int *number, n_numbers;
    catalog_shard *rec;
    int n_rec;
    catalog_place *place; /* of one number */
    int n_places;
    void *buf;
    size_t cap;
} check;

const char *store_check_fault_name(store_check_fault f)
{
    static const char *const names[] = {
        [STORE_CHECK_CONFIG] = "config",   [STORE_CHECK_MISSING] = "missing",
        [STORE_CHECK_SWAPPED] = "swapped", [STORE_CHECK_TRUNCATED] = "truncated",
        [STORE_CHECK_DAMAGED] = "damaged", [STORE_CHECK_ROWS] = "rows",
        [STORE_CHECK_ORPHAN] = "orphan",   [STORE_CHECK_LEFTOVER] = "leftover"};
    return names[f];
}

static PRINTF_LIKE(4, 5) store_check_finding *add(check *k, store_check_fault fault,
                                                  const char *name, const char *fmt, ...)
{
    store_check *o = k->out;
    char why[512];
    va_list ap;
    o->finding = mem_realloc(o->finding, (size_t)o->n * sizeof *o->finding,
                             ((size_t)o->n + 1) * sizeof *o->finding);
    store_check_finding *f = &o->finding[o->n++];
    memset(f, 0, sizeof *f);
    f->fault = fault;
    f->number = f->h = f->w = -1;
    text_copy(f->id, sizeof f->id, k->id);
    f->name = mem_strdup(name);
    va_start(ap, fmt);
    vsnprintf(why, sizeof why, fmt, ap);
    va_end(ap);
    f->why = mem_strdup(why);
    return f;
}

/* ---- one shard ------------------------------------------------------------------------------- */

typedef struct one { /* the shard that is looked at */
    int number, h, w;
    char name[64]; /* relative to the store */
    char *path;
    char sha[65];
    int64_t bytes;
    const catalog_shard *rec; /* NULL = not recorded */
} one;

static void fault(check *k, const one *s, store_check_fault f, bool sound, const char *why)
{
    store_check_finding *x = add(k, f, s->name, "%s", why);
    x->number = s->number;
    x->h = s->h;
    x->w = s->w;
    x->sound = sound;
}

static const catalog_shard *recorded(const check *k, int number, int h, int w)
{
    for (int lo = 0, hi = k->n_rec; lo < hi;) { /* ordered by number, height, width */
        int m = lo + (hi - lo) / 2;
        const catalog_shard *r = &k->rec[m];
        int d = r->number != number ? r->number - number : r->h != h ? r->h - h : r->w - w;
        if (d == 0)
            return r;
        *(d < 0 ? &lo : &hi) = d < 0 ? m + 1 : m;
    }
    return NULL;
}

/* The bytes are not those recorded: say what they are. */
static void judge_bytes(check *k, const one *s)
{
    char why[160];
    for (int i = 0; i < k->n_rec; i++)
        if (strcmp(k->rec[i].sha256, s->sha) == 0) {
            snprintf(why, sizeof why, "swapped: it holds the bytes of %dx%d/%05d.h5", k->rec[i].h,
                     k->rec[i].w, k->rec[i].number);
            fault(k, s, STORE_CHECK_SWAPPED, false, why);
            return;
        }
    err e = {0};
    shard *f = shard_open(s->path, &e);
    char *json = f ? shard_provenance(f, &e) : NULL;
    json_t *j = NULL;
    const char *id = "";
    bool foreign = json && json_parse(json, strlen(json), "provenance", &j, &e) &&
                   json_get_text(j, "prepare_id", &id, &e) && strcmp(id, k->id) != 0;
    store_check_fault what = STORE_CHECK_DAMAGED;
    if (foreign) {
        snprintf(why, sizeof why, "damaged: it is a shard of prepare id %.16s", id);
    } else if (s->bytes < s->rec->bytes) {
        what = STORE_CHECK_TRUNCATED;
        snprintf(why, sizeof why, "truncated: %lld of %lld bytes", (long long)s->bytes,
                 (long long)s->rec->bytes);
    } else {
        snprintf(why, sizeof why, "damaged: its bytes are not those that were written (SHA-256)");
    }
    fault(k, s, what, false, why);
    json_decref(j);
    mem_free(json);
    shard_close(f);
}

/* Every row of the catalogue that names this shard. deep: the images must inflate, too. */
static bool check_rows(check *k, const one *s, shard *f, bool deep)
{
    uint16_t *image = deep ? MEM_ARRAY(uint16_t, (size_t)s->h * (size_t)s->w) : NULL;
    int bad = 0;
    for (int i = 0; i < k->n_places && bad <= ROWS_SHOWN; i++) {
        const catalog_place *p = &k->place[i];
        shard_meta m;
        size_t len;
        err e = {0};
        const char *what = NULL;
        if (!shard_read_meta(f, p->row, &m, &e))
            what = "is not there";
        else if (strcmp(m.image, p->image) != 0)
            what = "holds another image";
        else if (strcmp(m.pixel_hash, p->pixel_hash) != 0)
            what = "has another pixel hash";
        else if (deep && (!shard_read_chunk(f, p->row, &k->buf, &k->cap, &len, &e) ||
                          !shard_inflate(k->buf, len, s->h, s->w, image, &e) ||
                          !shard_check_mask(f, p->row, &e)))
            what = "cannot be inflated, or its mask is wrong";
        if (!what)
            continue;
        char why[160];
        if (bad++ == ROWS_SHOWN)
            snprintf(why, sizeof why, "more rows like that");
        else
            snprintf(why, sizeof why, "row %d %s; the catalogue (row %lld) wants image %s", p->row,
                     what, (long long)p->id, p->image);
        fault(k, s, STORE_CHECK_ROWS, s->rec != NULL, why);
    }
    mem_free(image);
    return bad == 0;
}

static void note_unrecorded(check *k, const one *s, int n)
{
    store_check *o = k->out;
    o->unrecorded = mem_realloc(o->unrecorded, (size_t)o->n_unrecorded * sizeof *o->unrecorded,
                                ((size_t)o->n_unrecorded + 1) * sizeof *o->unrecorded);
    text_copy(o->unrecorded[o->n_unrecorded].id, 17, k->id);
    catalog_shard *r = &o->unrecorded[o->n_unrecorded++].shard;
    *r = (catalog_shard){.number = s->number, .h = s->h, .w = s->w, .bytes = s->bytes, .n = n};
    text_copy(r->sha256, sizeof r->sha256, s->sha);
}

static void check_shard(check *k, int number, int size, store_check_size *seen)
{
    one s = {.number = number, .h = k->h[size], .w = k->w[size]};
    struct stat st;
    err e = {0};
    char why[256];
    snprintf(s.name, sizeof s.name, "prep/%s/%dx%d/%05d.h5", k->id, s.h, s.w, number);
    s.path = fs_join(k->store, s.name);
    s.rec = recorded(k, number, s.h, s.w);
    seen->shards++;
    if (stat(s.path, &st) != 0) {
        fault(k, &s, STORE_CHECK_MISSING, false, "missing");
    } else if (!fs_sha256_file(s.path, s.sha, &e)) {
        fault(k, &s, STORE_CHECK_DAMAGED, false, "damaged: it cannot be read");
    } else if (s.bytes = (int64_t)st.st_size, s.rec && strcmp(s.sha, s.rec->sha256) != 0) {
        judge_bytes(k, &s);
    } else {
        shard *f = shard_open(s.path, &e);
        int h = 0, w = 0;
        if (f)
            shard_size(f, &h, &w);
        if (!f || h != s.h || w != s.w) {
            snprintf(why, sizeof why, "damaged: %.180s", f ? "another canvas" : e.msg);
            fault(k, &s, STORE_CHECK_DAMAGED, false, why);
        } else if (check_rows(k, &s, f, !s.rec)) {
            seen->images += k->n_places;
            if (!s.rec)
                note_unrecorded(k, &s, shard_n(f));
        }
        shard_close(f);
    }
    mem_free(s.path);
}

/* ---- one preparation ------------------------------------------------------------------------- */

static void add_size(check *k, int h, int w)
{
    for (int i = 0; i < k->n_sizes; i++)
        if (k->h[i] == h && k->w[i] == w)
            return;
    if (k->n_sizes == PREPARE_SIZES)
        return;
    k->h[k->n_sizes] = h;
    k->w[k->n_sizes++] = w;
}

/* Canvases by the folder's own config; by the records where that is lost. */
static void find_sizes(check *k)
{
    static const cfg_group *const groups[] = {&prepare_options, &exclude_options};
    char name[48], id[17] = "", *yaml = NULL, *path;
    size_t len;
    int n, h[PREPARE_SIZES], w[PREPARE_SIZES];
    err e = {0};
    snprintf(name, sizeof name, "prep/%s/prepare.yaml", k->id);
    path = fs_join(k->store, name);
    cfg *own = cfg_new(groups, COUNT_OF(groups));
    bool there = fs_exists(path);
    bool ok = there && fs_read(path, 1 << 20, &yaml, &len, &e) &&
              cfg_load_text(own, yaml, len, "prepare.yaml", &e) && prepare_sizes(own, &n, h, w, &e);
    if (ok)
        prepare_id(own, id);
    ok = ok && strcmp(id, k->id) == 0;
    k->n_sizes = 0;
    for (int i = 0; ok && i < n; i++)
        add_size(k, h[i], w[i]);
    for (int i = 0; i < k->n_rec; i++)
        add_size(k, k->rec[i].h, k->rec[i].w);
    if (!ok)
        add(k, STORE_CHECK_CONFIG, name, "%s",
            there ? "not the config of its folder" : "the config of the preparation is missing");
    mem_free(yaml);
    mem_free(path);
    cfg_free(own);
}

static bool is_number(const check *k, int number)
{
    for (int lo = 0, hi = k->n_numbers; lo < hi;) {
        int m = lo + (hi - lo) / 2;
        if (k->number[m] == number)
            return true;
        *(k->number[m] < number ? &lo : &hi) = k->number[m] < number ? m + 1 : m;
    }
    return false;
}

/* A file below prep/<id>: is it one that the books name? */
static bool check_file(void *ctx, const fs_entry *f, err *e)
{
    check *k = ctx;
    int h, w, number, end = 0;
    char name[512], want[64] = "";
    (void)e;
    snprintf(name, sizeof name, "prep/%s/%s", k->id, f->relative);
    if (text_ends(f->relative, ".partial")) {
        add(k, STORE_CHECK_LEFTOVER, name, "leftover of a run that was stopped");
        return true;
    }
    if (!text_ends(f->relative, ".h5"))
        return true;
    bool ours = false;
    if (sscanf(f->relative, "%dx%d/%d.h5%n", &h, &w, &number, &end) == 3 && end &&
        is_number(k, number)) {
        snprintf(want, sizeof want, "%dx%d/%05d.h5", h, w, number);
        for (int i = 0; i < k->n_sizes; i++)
            ours = ours || (k->h[i] == h && k->w[i] == w);
    }
    if (!ours || strcmp(want, f->relative) != 0)
        add(k, STORE_CHECK_ORPHAN, name, "%s",
            k->n_numbers ? "orphan: no row of the catalogue names it"
                         : "orphan: the catalogue knows no shard of this preparation");
    return true;
}

static bool check_preparation(check *k, const char *id, err *e)
{
    store_check *o = k->out;
    text_copy(k->id, sizeof k->id, id);
    bool ok = catalog_shards(k->cat, id, &k->rec, &k->n_rec, e) &&
              catalog_shard_numbers(k->cat, id, &k->number, &k->n_numbers, e);
    if (ok)
        find_sizes(k);
    int first = o->n_sizes;
    if (ok) {
        o->size = mem_realloc(o->size, (size_t)o->n_sizes * sizeof *o->size,
                              (size_t)(o->n_sizes + k->n_sizes) * sizeof *o->size);
        for (int i = 0; i < k->n_sizes; i++) {
            store_check_size *z = &o->size[o->n_sizes++];
            *z = (store_check_size){.h = k->h[i], .w = k->w[i]};
            text_copy(z->id, sizeof z->id, id);
        }
    }
    for (int i = 0; ok && i < k->n_numbers; i++) {
        ok = catalog_shard_rows(k->cat, id, k->number[i], &k->place, &k->n_places, e);
        for (int z = 0; ok && z < k->n_sizes; z++)
            check_shard(k, k->number[i], z, &o->size[first + z]);
        mem_free(k->place);
        k->place = NULL;
    }
    char relative[32];
    snprintf(relative, sizeof relative, "prep/%s", id);
    char *folder = fs_join(k->store, relative);
    ok = ok && (!fs_exists(folder) || fs_walk(folder, check_file, k, e));
    mem_free(folder);
    mem_free(k->rec);
    mem_free(k->number);
    k->rec = NULL;
    k->number = NULL;
    return ok;
}

/* ---- the store ------------------------------------------------------------------------------- */

typedef struct names {
    char (*id)[17];
    int n;
} names;

static void add_name(names *l, const char *id)
{
    if (strlen(id) != 16 || strspn(id, "0123456789abcdef") != 16)
        return;
    for (int i = 0; i < l->n; i++)
        if (strcmp(l->id[i], id) == 0)
            return;
    l->id = mem_realloc(l->id, (size_t)l->n * sizeof *l->id, ((size_t)l->n + 1) * sizeof *l->id);
    text_copy(l->id[l->n++], 17, id);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(a, b);
}

/* Every preparation that the catalogue or a folder knows, in order. */
static bool find_names(check *k, names *l, err *e)
{
    char *prep = fs_join(k->store, "prep");
    DIR *d = opendir(prep);
    for (struct dirent *f; d && (f = readdir(d));)
        add_name(l, f->d_name);
    if (d)
        closedir(d);
    mem_free(prep);
    text id;
    text_init(&id);
    bool ok = catalog_next_config(k->cat, "", &id, e);
    while (ok && id.len) {
        add_name(l, id.s);
        char *last = mem_strdup(id.s);
        ok = catalog_next_config(k->cat, last, &id, e);
        mem_free(last);
    }
    text_release(&id);
    if (l->n)
        qsort(l->id, (size_t)l->n, sizeof *l->id, by_name);
    return ok;
}

/* Parts that a merge had finished with. */
static void find_leftover_parts(check *k)
{
    char *parts = fs_join(k->store, "parts"), name[512];
    DIR *d = opendir(parts);
    k->id[0] = 0;
    for (struct dirent *f; d && (f = readdir(d));)
        if (text_ends(f->d_name, ".partial")) {
            snprintf(name, sizeof name, "parts/%s", f->d_name);
            add(k, STORE_CHECK_LEFTOVER, name, "leftover of a merge that was stopped");
        }
    if (d)
        closedir(d);
    mem_free(parts);
}

bool store_check_run(store_check *out, catalog *c, const char *store, const char *only, err *e)
{
    check k = {.out = out, .cat = c, .store = store};
    names l = {NULL, 0};
    memset(out, 0, sizeof *out);
    bool ok = true;
    if (only)
        add_name(&l, only);
    else
        ok = find_names(&k, &l, e);
    for (int i = 0; ok && i < l.n; i++)
        ok = check_preparation(&k, l.id[i], e);
    if (ok)
        find_leftover_parts(&k);
    mem_free(l.id);
    mem_free(k.buf);
    return ok;
}

bool store_check_record(store_check *k, catalog *c, err *e)
{
    if (!k->n_unrecorded)
        return true;
    bool ok = catalog_begin(c, e);
    for (int i = 0; ok && i < k->n_unrecorded; i++) {
        ok = catalog_put_shard(c, k->unrecorded[i].id, &k->unrecorded[i].shard, e);
        kill_point("verify_in_db");
    }
    return ok && catalog_commit(c, e);
}

void store_check_release(store_check *k)
{
    for (int i = 0; i < k->n; i++) {
        mem_free(k->finding[i].name);
        mem_free(k->finding[i].why);
    }
    mem_free(k->finding);
    mem_free(k->size);
    mem_free(k->unrecorded);
    memset(k, 0, sizeof *k);
}
