/* export: shards -> picture files and their table (export.h). Images are taken shard by shard, the
 * rows of one in parallel; the table is written last, in the order of the cohort or catalogue. */
#include "preprocess/export.h"

#include "core/csv.h"
#include "core/fs.h"
#include "core/json.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/pool.h"
#include "dicom/catalog.h"
#include "preprocess/cohort.h"
#include "preprocess/prepare.h"
#include "preprocess/shard.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct item {
    char image[33];
    int shard, row;
    bool repeated; /* the image came before, from another file */
    bool written;
    float mm;
} item;

typedef struct scratch { /* of one thread */
    void *chunk;
    size_t cap;
    uint16_t *pixels;
    bool failed;
    err e;
} scratch;

typedef struct job {
    const export_opts *o;
    export_result *res;
    catalog *cat; /* a store */
    cohort c;     /* a cohort */
    int size;     /* canvas index of the cohort */
    item *item;   /* in the order of the table */
    int64_t n, cap;
    item **order; /* by shard and row */
    shard *open;
    item **group; /* of the open shard */
    pool *threads;
    scratch *mine;
    csv_writer *table;
    int64_t at; /* item of the next row of the table */
} job;

/* ---- what is to be written ---------------------------------------------------------------------
 */

static void add(job *j, const char *image, const char *otherwise, int shard_no, int row)
{
    if (j->n == j->cap) {
        int64_t cap = j->cap ? 2 * j->cap : 1024;
        j->item =
            mem_realloc(j->item, (size_t)j->cap * sizeof *j->item, (size_t)cap * sizeof *j->item);
        j->cap = cap;
    }
    item *t = &j->item[j->n++];
    memset(t, 0, sizeof *t);
    /* without an identity of its own an image is named by its pixels */
    text_copy(t->image, sizeof t->image, image[0] ? image : otherwise);
    t->shard = shard_no;
    t->row = row;
}

static bool kept(const catalog_row *r)
{
    return r->prepared && r->primary == REASON_NONE;
}

static bool add_stored(void *ctx, const catalog_row *r, err *e)
{
    (void)e;
    if (kept(r))
        add(ctx, r->image, r->pixel_hash, r->shard, r->shard_row);
    return true;
}

static bool pick_size(const export_opts *o, int n, const int *h, const int *w, int *size, err *e)
{
    for (*size = 0; o->h && *size < n; ++*size)
        if (h[*size] == o->h && w[*size] == o->w)
            return true;
    return !o->h || err_set(e, ERR_INPUT, "no canvas of %dx%d was prepared; the first is %dx%d",
                            o->h, o->w, h[0], w[0]);
}

static bool list_store(job *j, err *e)
{
    int n, h[PREPARE_SIZES], w[PREPARE_SIZES], size;
    if (!prepare_check(j->o->config, e) || !prepare_sizes(j->o->config, &n, h, w, e) ||
        !pick_size(j->o, n, h, w, &size, e) || !(j->cat = catalog_open(j->o->from, false, e)))
        return false;
    prepare_id(j->o->config, j->res->prepare_id);
    j->res->h = h[size];
    j->res->w = w[size];
    if (!catalog_each(j->cat, j->res->prepare_id, add_stored, j, e))
        return false;
    return j->n || err_set(e, ERR_INPUT,
                           "the store has no image under prepare id %s; run prepare with this "
                           "config first",
                           j->res->prepare_id);
}

static bool chosen(const job *j, const cohort_row *r)
{
    return j->o->fold < 0 || r->fold == j->o->fold;
}

static bool list_cohort(job *j, err *e)
{
    if (!cohort_read(&j->c, j->o->from, e) || !cohort_check(&j->c, e) ||
        !pick_size(j->o, j->c.n_sizes, j->c.h, j->c.w, &j->size, e))
        return false;
    text_copy(j->res->prepare_id, sizeof j->res->prepare_id, j->c.prepare_id);
    j->res->h = j->c.h[j->size];
    j->res->w = j->c.w[j->size];
    for (int64_t i = 0; i < j->c.n; i++) {
        const cohort_row *r = &j->c.row[i];
        if (chosen(j, r))
            add(j, r->image, "", r->shard[j->size], r->shard_row[j->size]);
    }
    return j->n || err_set(e, ERR_INPUT, "the cohort has no image in this split");
}

static int by_image(const void *a, const void *b)
{
    const item *x = *(item *const *)a, *y = *(item *const *)b;
    int c = strcmp(x->image, y->image);
    return c ? c : (x > y) - (x < y);
}

static int by_place(const void *a, const void *b)
{
    const item *x = *(item *const *)a, *y = *(item *const *)b;
    return x->shard != y->shard ? (x->shard > y->shard) - (x->shard < y->shard)
                                : (x->row > y->row) - (x->row < y->row);
}

static void put_in_order(job *j)
{
    j->order = MEM_ARRAY(item *, j->n);
    for (int64_t i = 0; i < j->n; i++)
        j->order[i] = &j->item[i];
    qsort(j->order, (size_t)j->n, sizeof *j->order, by_image);
    for (int64_t i = 1; i < j->n; i++)
        j->order[i]->repeated = strcmp(j->order[i]->image, j->order[i - 1]->image) == 0;
    qsort(j->order, (size_t)j->n, sizeof *j->order, by_place);
}

/* ---- pictures ----------------------------------------------------------------------------------
 */

static void file_name(const job *j, const item *t, char out[48])
{
    snprintf(out, 48, "%s.%s", t->image, raster_out_suffix(j->o->format));
}

/* What the picture says of itself: nothing that names a person. */
static char *describe(const job *j, const item *t, const shard_meta *m)
{
    char side[2] = {m->side, 0};
    const char *view = m->view == 'C' ? "CC" : m->view == 'M' ? "MLO" : "";
    json_t *affine = json_array();
    text s;
    text_init(&s);
    for (int i = 0; i < 6; i++)
        json_array_append_new(affine, json_num((double)m->affine[i]));
    json_t *o = json_pack("{s:s, s:s, s:s, s:o, s:s, s:o}", "image_id", t->image, "laterality",
                          side, "view", view, "mm_per_px",
                          m->mm_per_px > 0 ? json_num((double)m->mm_per_px) : json_null(),
                          "prepare_id", j->res->prepare_id, "affine", affine);
    if (!o)
        BUG("export: description");
    json_write_text(o, false, &s);
    json_decref(o);
    return text_take(&s);
}

static bool write_picture(job *j, item *t, const shard_meta *m, const char *path, scratch *s)
{
    int h = j->res->h, w = j->res->w;
    size_t len;
    if (!s->pixels)
        s->pixels = MEM_ARRAY(uint16_t, (size_t)h * (size_t)w);
    if (!shard_read_chunk(j->open, t->row, &s->chunk, &s->cap, &len, &s->e) ||
        !shard_inflate(s->chunk, len, h, w, s->pixels, &s->e))
        return false;
    char *words = describe(j, t, m);
    raster_out o = {s->pixels, h, w, (double)m->mm_per_px, words};
    t->written = raster_out_write(path, j->o->format, &o, &s->e);
    mem_free(words);
    return t->written;
}

static void do_one(void *ctx, int64_t i, int thread)
{
    job *j = ctx;
    item *t = j->group[i];
    scratch *s = &j->mine[thread];
    shard_meta m;
    char name[48];
    if (s->failed || t->repeated || pool_stop_asked())
        return;
    file_name(j, t, name);
    char *path = fs_join(j->o->out, name);
    if (!shard_read_meta(j->open, t->row, &m, &s->e))
        s->failed = true;
    else if (strcmp(m.image[0] ? m.image : m.pixel_hash, t->image) != 0)
        s->failed = !err_set(&s->e, ERR_MISMATCH,
                             "a shard holds another image in row %d; verify "
                             "tells more",
                             t->row);
    t->mm = s->failed ? 0 : m.mm_per_px;
    if (!s->failed && (j->o->force || !fs_exists(path)))
        s->failed = !write_picture(j, t, &m, path, s);
    mem_free(path);
}

static bool open_shard(job *j, int number, err *e)
{
    int h, w;
    char *path = j->o->is_store ? prepare_shard_path(j->o->from, j->res->prepare_id, j->res->h,
                                                     j->res->w, number)
                                : fs_join(j->c.dir, j->c.shard[number].file);
    shard_close(j->open);
    j->open = shard_open(path, e);
    mem_free(path);
    if (!j->open)
        return false;
    shard_size(j->open, &h, &w);
    return (h == j->res->h && w == j->res->w) ||
           err_set(e, ERR_MISMATCH, "a shard holds images of %dx%d, wanted %dx%d", h, w, j->res->h,
                   j->res->w);
}

static bool write_pictures(job *j, err *e)
{
    log_progress p;
    bool ok = true;
    log_progress_init(&p, "export", "images", (uint64_t)j->n);
    for (int64_t a = 0, b; a < j->n && ok; a = b) {
        for (b = a; b < j->n && j->order[b]->shard == j->order[a]->shard;)
            b++;
        j->group = j->order + a;
        ok = open_shard(j, j->order[a]->shard, e);
        if (ok)
            pool_for(j->threads, b - a, do_one, j);
        for (int t = 0; ok && t < pool_threads(j->threads); t++)
            if (j->mine[t].failed) {
                *e = j->mine[t].e;
                ok = err_wrap(e, "export");
            }
        if (ok && pool_stop_asked())
            ok = err_set(e, ERR_STOPPED, "export: stopped on request; the same command continues");
        log_progress_step(&p, (uint64_t)b, NULL);
    }
    log_progress_end(&p);
    return ok;
}

/* ---- the table ---------------------------------------------------------------------------------
 */

static void end_row(job *j, const item *t)
{
    char name[48];
    file_name(j, t, name);
    csv_put(j->table, name);
    if (t->mm > 0)
        csv_put_f64(j->table, (double)t->mm);
    else
        csv_put(j->table, "");
    csv_end_row(j->table);
    j->res->images++;
    j->res->written += t->written;
}

/* The columns of split.csv that a store knows of. */
static bool put_stored(void *ctx, const catalog_row *r, err *e)
{
    job *j = ctx;
    char side[2] = {r->rec.side, 0};
    (void)e;
    if (!kept(r))
        return true;
    const item *t = &j->item[j->at++];
    if (t->repeated) {
        j->res->repeated++;
        return true;
    }
    csv_put(j->table, t->image);
    csv_put(j->table, r->exam);
    csv_put(j->table, r->patient);
    csv_put(j->table, side);
    csv_put(j->table, record_view_name(r->rec.view));
    csv_put(j->table, r->rec.vendor);
    csv_put(j->table, record_model_public(&r->rec));
    end_row(j, t);
    return true;
}

static void put_head(job *j)
{
    static const char *const stored[] = {"image_id", "exam_id", "patient_id",  "laterality",
                                         "view",     "vendor",  "device_model"};
    for (size_t i = 0; i < COUNT_OF(stored) && j->o->is_store; i++)
        csv_put(j->table, stored[i]);
    if (!j->o->is_store)
        cohort_csv_head(&j->c, j->table);
    csv_put(j->table, "file");
    csv_put(j->table, "mm_per_px");
    csv_end_row(j->table);
}

static bool write_table(job *j, err *e)
{
    char *path = fs_join(j->o->out, "images.csv");
    j->table = csv_create(path, e);
    mem_free(path);
    if (!j->table)
        return false;
    put_head(j);
    if (j->o->is_store && !catalog_each(j->cat, j->res->prepare_id, put_stored, j, e)) {
        csv_discard(j->table);
        return false;
    }
    for (int64_t i = 0; !j->o->is_store && i < j->c.n; i++)
        if (chosen(j, &j->c.row[i])) {
            cohort_csv_row(&j->c, &j->c.row[i], j->table);
            end_row(j, &j->item[j->at++]);
        }
    return csv_commit(j->table, e);
}

/* ---- the folder --------------------------------------------------------------------------------
 */

/* A folder holds one export: what it is stands in export.json before the first picture. */
static bool claim_folder(const job *j, err *e)
{
    const export_opts *o = j->o;
    text want;
    char *path = fs_join(o->out, "export.json"), *have = NULL;
    size_t len;
    text_init(&want);
    json_t *m =
        json_pack("{s:s, s:s, s:i, s:i, s:s}", "format", raster_out_suffix(o->format), "prepare_id",
                  j->res->prepare_id, "height", j->res->h, "width", j->res->w, "split",
                  o->is_store   ? "store"
                  : o->fold < 0 ? "all"
                                : cohort_fold_name((cohort_fold)o->fold));
    if (!m)
        BUG("export: export.json");
    json_write_text(m, true, &want);
    json_decref(m);
    bool ok = fs_mkdirs(o->out, e);
    if (ok && fs_exists(path) && !o->force) {
        ok = fs_read(path, 1 << 16, &have, &len, e);
        if (ok && (len != want.len || memcmp(have, want.s, len) != 0))
            ok = err_set(e, ERR_INPUT,
                         "the folder holds another export (export.json); use another -o, or "
                         "--force");
    } else if (ok) {
        ok = fs_write(path, want.s, want.len, e);
    }
    mem_free(have);
    mem_free(path);
    text_release(&want);
    return ok;
}

bool export_run(const export_opts *o, export_result *out, err *e)
{
    job j = {.o = o, .res = out};
    memset(out, 0, sizeof *out);
    cohort_init(&j.c);
    bool ok = (o->is_store ? list_store(&j, e) : list_cohort(&j, e)) && claim_folder(&j, e);
    if (ok) {
        put_in_order(&j);
        j.threads = pool_new(o->threads);
        j.mine = MEM_ARRAY(scratch, pool_threads(j.threads));
        ok = write_pictures(&j, e) && write_table(&j, e);
    }
    for (int t = 0; j.mine && t < pool_threads(j.threads); t++) {
        mem_free(j.mine[t].chunk);
        mem_free(j.mine[t].pixels);
    }
    mem_free(j.mine);
    pool_free(j.threads);
    shard_close(j.open);
    mem_free(j.order);
    mem_free(j.item);
    cohort_release(&j.c);
    catalog_close(j.cat);
    return ok;
}
