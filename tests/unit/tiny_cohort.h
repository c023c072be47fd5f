/* A small COHORT.h5 with its shards, written without prepare and split, for the tests of train. The
 * signal: images of women with cancer have a bright corner. */
#ifndef TESTS_UNIT_TINY_COHORT_H
#define TESTS_UNIT_TINY_COHORT_H

#include "tests/unit/store.h"

#define TINY_SIDE  32
#define TINY_SHARD 24 /* images per shard */

typedef struct tiny_spec {
    int train, val, test; /* patients; one exam of four images each */
    bool shuffled_label;  /* no relation between pixels and label */
    bool masks;
    const char *prepare_id;
    float mm; /* of a pixel of CC views, twice that of MLO views, both twice for women with
                cancer; 0 = unknown */
} tiny_spec;

/* Every third woman has cancer; vendors GE (two of three) and HOLOGIC. */
static inline bool tiny_positive(int patient)
{
    return patient % 3 == 0;
}

static inline void tiny_pixels(int image, bool signal, uint16_t *out)
{
    rng g;
    rng_init(&g, 9, RNG_TEST, (uint64_t)image, 0);
    for (int y = 0; y < TINY_SIDE; y++)
        for (int x = 0; x < TINY_SIDE; x++) {
            int v = 15000 + (int)rng_below(&g, 12000);
            if (signal && x >= 8 && x < 24 && y >= 8 && y < 24)
                v += 20000;
            out[y * TINY_SIDE + x] = (uint16_t)v;
        }
}

/* Breast: from the left edge, wider from image to image; a strip above and below is air. */
static inline void tiny_mask(int image, uint8_t *out)
{
    for (int y = 0; y < TINY_SIDE; y++)
        for (int x = 0; x < TINY_SIDE; x++)
            out[y * TINY_SIDE + x] = y >= 3 && y < 28 && x < 4 + image % 20;
}

static inline void tiny_row(const tiny_spec *s, int i, cohort_row *r)
{
    int patient = i / 4;
    bool y = tiny_positive(patient);
    memset(r, 0, sizeof *r);
    snprintf(r->image, sizeof r->image, "%032x", i + 1);
    snprintf(r->exam, sizeof r->exam, "%032x", patient + 1);
    snprintf(r->patient, sizeof r->patient, "%032x", patient + 1);
    r->side = i % 4 < 2 ? 'L' : 'R';
    r->view = i % 2 ? 'M' : 'C';
    r->days_to_cancer = y ? 400 : -1;
    r->days_to_last_negative = y ? -1 : 2000;
    memset(r->y, -1, sizeof r->y);
    r->y[0] = y;
    r->fold = (int8_t)(patient < s->train            ? COHORT_TRAIN
                       : patient < s->train + s->val ? COHORT_VAL
                                                     : COHORT_TEST);
    r->cv_fold = -1;
    r->weight = 1;
    r->age = 55;
    r->vendor = patient / 3 % 3 == 2 ? "HOLOGIC" : "GE";
    r->device_model = "X";
    r->site = patient % 2 ? "north" : "south";
    r->density = "C";
    r->shard[0] = i / TINY_SHARD;
    r->shard_row[0] = i % TINY_SHARD;
}

static inline void tiny_shard(const char *dir, cohort *c, int k, const tiny_spec *s)
{
    cohort_shard *d = &c->shard[k];
    snprintf(d->file, sizeof d->file, "tiny-%02d.h5", k);
    char *path = fs_join(dir, d->file);
    shard_writer *w;
    OK((w = shard_create(path, TINY_SIDE, TINY_SIDE, e)));
    for (int64_t i = k * TINY_SHARD; i < c->n && i < (k + 1) * TINY_SHARD; i++) {
        uint16_t pixels[TINY_SIDE * TINY_SIDE];
        shard_meta m = {.side = c->row[i].side,
                        .view = c->row[i].view,
                        .mm_per_px =
                            s->mm * (float)(1 + i % 2) * (tiny_positive((int)i / 4) ? 2 : 1)};
        size_t len;
        bool signal = s->shuffled_label ? i / 4 % 2 : c->row[i].y[0] == 1;
        memcpy(m.image, c->row[i].image, sizeof m.image);
        tiny_pixels((int)i, signal, pixels);
        void *chunk = shard_compress(pixels, TINY_SIDE, TINY_SIDE, &len);
        OK(shard_append(w, chunk, len, &m, e));
        mem_free(chunk);
        if (s->masks) {
            uint8_t mask[TINY_SIDE * TINY_SIDE];
            tiny_mask((int)i, mask);
            chunk = shard_compress_mask(mask, TINY_SIDE, TINY_SIDE, &len);
            OK(shard_append_mask(w, chunk, len, e));
            mem_free(chunk);
        }
        d->n++;
    }
    OK(shard_commit(w, "{}", d->sha256, e));
    char *bytes;
    size_t len;
    OK(fs_read(path, 1 << 28, &bytes, &len, e));
    d->bytes = (int64_t)len;
    mem_free(bytes);
    mem_free(path);
}

/* Writes dir/name and its shards. */
static inline void tiny_write(const char *dir, const char *name, const tiny_spec *s)
{
    cohort c;
    cohort_init(&c);
    c.n = 4 * (s->train + s->val + s->test);
    c.row = MEM_ARRAY(cohort_row, c.n);
    for (int i = 0; i < (int)c.n; i++)
        tiny_row(s, i, &c.row[i]);
    c.n_shards = (int)((c.n + TINY_SHARD - 1) / TINY_SHARD);
    c.shard = MEM_ARRAY(cohort_shard, c.n_shards);
    for (int k = 0; k < c.n_shards; k++)
        tiny_shard(dir, &c, k, s);
    c.n_sizes = 1;
    c.h[0] = c.w[0] = TINY_SIDE;
    c.n_horizons = 1;
    c.horizon_years[0] = 2;
    c.mean_all = c.mean_breast = 0.35;
    c.sd_all = c.sd_breast = 0.12;
    snprintf(c.prepare_id, sizeof c.prepare_id, "%s",
             s->prepare_id ? s->prepare_id : "00000000000000aa");
    snprintf(c.key_id, sizeof c.key_id, "00000000000000bb");
    memset(c.config_sha256, 'd', 64);
    c.prepare_yaml = mem_strdup("prepare:\n  sizes: [32x32]\n");
    c.flow =
        json_pack("[{s:s, s:s, s:s, s:I, s:I, s:s}]", "stage", "scan", "step", "files found",
                  "reason", "", "n_in", (json_int_t)c.n, "n_out", (json_int_t)c.n, "unit", "files");
    char *path = fs_join(dir, name);
    OK(cohort_write(&c, path, e));
    mem_free(path);
    cohort_release(&c);
}
#endif
