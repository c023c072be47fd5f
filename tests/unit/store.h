/* A synthetic STORE for the tests of split: catalogue rows and shards as scan and prepare leave
 * them, from a table of shots. No DICOM, no pixels worth looking at. */
#ifndef TESTS_UNIT_STORE_H
#define TESTS_UNIT_STORE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/fs.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/rng.h"
#include "dicom/catalog.h"
#include "dicom/pseudo.h"
#include "preprocess/cohort.h"
#include "preprocess/prepare.h"
#include "preprocess/shard.h"
#include "preprocess/split.h"

#define STORE_SHARD_ROWS 20

typedef struct shot { /* one file; NULL and 0 take the defaults of shot_fill */
    const char *patient, *study, *sop;
    const char *day; /* "2015-06-01"; NULL = that day, "" = unknown */
    const char *view, *vendor, *issuer, *accession, *path;
    char side;
    int age;    /* 0 = 60 */
    int pixels; /* images with the same number have the same stored pixels; 0 = its own */
    int breast; /* breast pixels; 0 = 100 */
    uint32_t modifiers;
    char sex; /* 0 = F */
    int time; /* of acquisition; 0 = unknown */
    bool processing, synthetic;
    float noise;
    const char *other_ids; /* "ISSUER|ID" joined by '\\' */
    reason scanned, primary;
    bool unjudged;
} shot;

/* `e` is the error inside the call; a test may have its own outside. */
#pragma GCC diagnostic ignored "-Wshadow"
#define OK(call)                                                                                   \
    do {                                                                                           \
        err e_ = {0};                                                                              \
        err *e = &e_;                                                                              \
        if (!(call))                                                                               \
            fail_msg("%s: %s", #call, e_.msg);                                                     \
    } while (0)

/* A folder of this test, in memory where that exists: these programs sync much. */
static inline bool store_tmp(const char *name, char out[64])
{
    snprintf(out, 64, "/dev/shm/mammovit_%s_XXXXXX", name);
    if (mkdtemp(out))
        return true;
    snprintf(out, 64, "/tmp/mammovit_%s_XXXXXX", name);
    return mkdtemp(out) != NULL;
}

static inline int32_t store_day(const char *s)
{
    int32_t d = RECORD_UNKNOWN;
    if (s[0] && !text_date(s, &d))
        fail_msg("no date: %s", s);
    return d;
}

static inline cfg *store_config(void)
{
    static const cfg_group *const groups[] = {&prepare_options, &exclude_options, &labels_options,
                                              &split_options};
    cfg *c = cfg_new(groups, COUNT_OF(groups));
    OK(cfg_set(c, "prepare.sizes=[16x16, 32x16]", e));
    return c;
}

static inline void shot_record(const shot *s, record *r)
{
    record_clear(r);
    text_copy(r->patient_id, sizeof r->patient_id, s->patient);
    text_copy(r->issuer, sizeof r->issuer, s->issuer ? s->issuer : "");
    text_copy(r->study_uid, sizeof r->study_uid, s->study ? s->study : s->patient);
    text_copy(r->sop_uid, sizeof r->sop_uid, s->sop);
    text_copy(r->accession, sizeof r->accession, s->accession ? s->accession : "");
    text_copy(r->vendor, sizeof r->vendor, s->vendor ? s->vendor : "HOLOGIC");
    text_copy(r->model, sizeof r->model, "Model X");
    r->side = s->side ? s->side : 'L';
    r->view = record_view_find(s->view ? s->view : "CC");
    r->exam_day = store_day(s->day ? s->day : "2015-06-01");
    r->age = s->age ? s->age : 60;
    r->sex = s->sex ? s->sex : 'F';
    r->modifiers = s->modifiers;
    text_copy(r->other_ids, sizeof r->other_ids, s->other_ids ? s->other_ids : "");
    r->acquisition_time = s->time ? s->time : -1;
    r->intent = s->processing ? INTENT_PROCESSING : INTENT_PRESENTATION;
    text_copy(r->image_type[3], sizeof r->image_type[3], s->synthetic ? "GENERATED_2D" : "");
}

typedef struct store_row {
    int64_t id;
    int at; /* index of the shot */
} store_row;
typedef struct store_job {
    const shot *s;
    int n;
    store_row *row;
    int n_rows;
    char (*image)[33], (*exam)[33], (*patient)[33];
} store_job;

static inline void shot_path(const shot *s, int i, char out[64])
{
    snprintf(out, 64, "a/%05d.dcm", i);
    if (s->path)
        text_copy(out, 64, s->path);
}

static inline bool store_collect(void *ctx, const catalog_row *r, err *e)
{
    store_job *j = ctx;
    (void)e;
    for (int i = 0; i < j->n; i++) {
        char path[64];
        shot_path(&j->s[i], i, path);
        if (!strcmp(r->path, path))
            j->row[j->n_rows] = (store_row){r->id, i};
    }
    j->n_rows++;
    return true;
}

/* Pixels of a row: a function of the picture's number and the size. */
static inline void store_pixels(int picture, int h, int w, uint16_t *out, shard_meta *m)
{
    rng g;
    rng_init(&g, 5, RNG_TEST, (uint64_t)picture, (uint64_t)h);
    m->sum_all = m->sumsq_all = m->sum_breast = m->sumsq_breast = 0;
    for (int i = 0; i < h * w; i++) {
        out[i] = (uint16_t)rng_below(&g, 65536);
        double v = out[i] / 65535.0;
        m->sum_all += v;
        m->sumsq_all += v * v;
        if ((uint32_t)i < m->breast_pixels) {
            m->sum_breast += v;
            m->sumsq_breast += v * v;
        }
    }
}

static inline void store_append(shard_writer *w, const store_job *j, const shot *s, int i, int h,
                                int wd, const char *hash)
{
    uint16_t pixels[32 * 32];
    size_t len;
    shard_meta m = {.side = s->side ? s->side : 'L',
                    .view = s->view && s->view[0] == 'M' ? 'M' : 'C',
                    .breast_pixels = (uint32_t)(s->breast ? s->breast : 100),
                    .noise = s->noise};
    text_copy(m.image, sizeof m.image, j->image[i]);
    text_copy(m.exam, sizeof m.exam, j->exam[i]);
    text_copy(m.patient, sizeof m.patient, j->patient[i]);
    text_copy(m.pixel_hash, sizeof m.pixel_hash, hash);
    store_pixels(s->pixels ? s->pixels : 100000 + i, h, wd, pixels, &m);
    void *chunk = shard_compress(pixels, h, wd, &len);
    OK(shard_append(w, chunk, len, &m, e));
    mem_free(chunk);
}

/* What prepare does: shards of STORE_SHARD_ROWS images in catalogue order, then the outcomes. */
static inline void store_prepare(const char *store, const cfg *c, catalog *cat, store_job *j)
{
    int n_sizes, h[PREPARE_SIZES], w[PREPARE_SIZES], kept = 0;
    char id[17], sum[65];
    shard_writer *out[PREPARE_SIZES] = {NULL};
    prepare_id(c, id);
    OK(prepare_sizes(c, &n_sizes, h, w, e));
    OK(catalog_begin(cat, e));
    for (int k = 0; k < j->n_rows; k++) {
        const shot *s = &j->s[j->row[k].at];
        catalog_row r = {.id = j->row[k].id, .primary = s->primary, .prepared = true};
        if (s->unjudged || s->scanned)
            continue;
        r.shard = r.shard_row = -1;
        snprintf(r.pixel_hash, sizeof r.pixel_hash, "%032x",
                 (unsigned)(s->pixels ? s->pixels : 100000 + j->row[k].at));
        snprintf(r.file_hash, sizeof r.file_hash, "%032x", (unsigned)k);
        if (s->primary == REASON_NONE) {
            r.shard = kept / STORE_SHARD_ROWS;
            r.shard_row = kept % STORE_SHARD_ROWS;
            for (int z = 0; z < n_sizes; z++) {
                if (!r.shard_row) {
                    char *path = prepare_shard_path(store, id, h[z], w[z], r.shard);
                    if (out[z])
                        OK(shard_commit(out[z], "{}", sum, e));
                    char *dir = mem_strdup(path);
                    *(char *)fs_base(dir) = 0;
                    OK(fs_mkdirs(dir, e));
                    OK((out[z] = shard_create(path, h[z], w[z], e)));
                    mem_free(dir);
                    mem_free(path);
                }
                store_append(out[z], j, s, j->row[k].at, h[z], w[z], r.pixel_hash);
            }
            kept++;
        }
        OK(catalog_set_prepared(cat, id, &r, e));
    }
    for (int z = 0; z < n_sizes; z++)
        if (out[z])
            OK(shard_commit(out[z], "{}", sum, e));
    OK(catalog_commit(cat, e));
}

/* One key for all test runs: the order of pseudonyms is then the same each time. */
static inline void store_key(const char *store)
{
    char *path = fs_join(store, "key");
    uint8_t key[32];
    memset(key, 0x5a, sizeof key);
    int fd = open(path, O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0 && write(fd, key, sizeof key) == (ssize_t)sizeof key);
    close(fd);
    mem_free(path);
}

/* (Re)make the store from scratch; its key is always the same. */
static inline void store_write(const char *store, const cfg *c, const shot *s, int n)
{
    char *base = fs_join(store, "catalog.db"), *prep = fs_join(store, "prep"), path[64];
    store_job j = {.s = s, .n = n};
    int64_t run;
    record *rec = mem_alloc(sizeof *rec);
    pseudo *p;
    catalog *cat;
    OK(fs_mkdirs(store, e));
    OK(fs_remove_tree(base, e));
    OK(fs_remove_tree(prep, e));
    store_key(store);
    OK((p = pseudo_open(store, true, e)));
    OK((cat = catalog_open(store, true, e)));
    j.row = MEM_ARRAY(store_row, n);
    j.image = mem_calloc((size_t)n, 33);
    j.exam = mem_calloc((size_t)n, 33);
    j.patient = mem_calloc((size_t)n, 33);
    OK(catalog_begin(cat, e));
    OK(catalog_next_run(cat, &run, e));
    for (int i = 0; i < n; i++) {
        shot_record(&s[i], rec);
        pseudo_patient(p, rec->issuer, rec->patient_id, j.patient[i]);
        pseudo_name(p, "exam", rec->study_uid, j.exam[i]);
        pseudo_name(p, "image", rec->sop_uid, j.image[i]);
        shot_path(&s[i], i, path);
        catalog_file f = {.root = "/archive",
                          .path = path,
                          .size = 1,
                          .scan_reason = s[i].scanned,
                          .header_hash = "x",
                          .rec = rec,
                          .patient = j.patient[i],
                          .exam = j.exam[i],
                          .image = j.image[i]};
        OK(catalog_put(cat, &f, run, e));
    }
    OK(catalog_commit(cat, e));
    OK(catalog_each(cat, NULL, store_collect, &j, e));
    assert_int_equal(j.n_rows, n);
    store_prepare(store, c, cat, &j);
    catalog_close(cat);
    pseudo_free(p);
    mem_free(rec);
    mem_free(j.row);
    mem_free(j.image);
    mem_free(j.exam);
    mem_free(j.patient);
    mem_free(base);
    mem_free(prep);
}

static inline void store_image(const char *store, const char *sop, char out[33])
{
    pseudo *p;
    OK((p = pseudo_open(store, false, e)));
    pseudo_name(p, "image", sop, out);
    pseudo_free(p);
}

/* The row of an image, NULL = it is not in the cohort. */
static inline const cohort_row *store_find(const char *store, const cohort *c, const char *sop)
{
    char image[33];
    store_image(store, sop, image);
    for (int64_t i = 0; i < c->n; i++)
        if (!strcmp(c->row[i].image, image))
            return &c->row[i];
    return NULL;
}
#endif
