/* verify: does what is on disk agree with what the books say? */
#include "cli/cmd.h"

#include "core/fs.h"
#include "core/mem.h"
#include "dicom/catalog.h"
#include "preprocess/cohort.h"
#include "preprocess/prepare.h"
#include "preprocess/shard.h"
#include "train/checkpoint.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static bool verify_cohort(const char *path, err *e)
{
    cohort c;
    if (!cohort_read(&c, path, e))
        return false;
    bool ok = cohort_check(&c, true, e);
    if (ok)
        printf("%s: %" PRId64 " images in %d shards, all present, all hashes agree\n",
               fs_base(path), c.n, c.n_shards);
    cohort_release(&c);
    return ok;
}

typedef struct store_check {
    const char *store;
    char id[17];
    int h, w, open;
    shard *s;
    void *chunk;
    size_t cap;
    uint16_t *image;
    int64_t rows, kept;
} store_check;

/* A kept image must lie where the catalogue says, and inflate. */
static bool check_row(void *ctx, const catalog_row *r, err *e)
{
    store_check *k = ctx;
    shard_meta m;
    size_t len;
    k->rows++;
    if (!r->prepared || r->primary != REASON_NONE)
        return true;
    if (r->shard != k->open) {
        char *path = prepare_shard_path(k->store, k->id, k->h, k->w, r->shard);
        shard_close(k->s);
        k->s = shard_open(path, e);
        k->open = r->shard;
        mem_free(path);
    }
    if (!k->s || r->shard_row >= shard_n(k->s) || !shard_read_meta(k->s, r->shard_row, &m, e))
        return err_set(e, ERR_MISMATCH, "shard %d is missing or has no row %d", r->shard,
                       r->shard_row);
    if (strcmp(m.image, r->image) || strcmp(m.pixel_hash, r->pixel_hash))
        return err_set(e, ERR_MISMATCH, "shard %d row %d holds another image", r->shard,
                       r->shard_row);
    if (!shard_read_chunk(k->s, r->shard_row, &k->chunk, &k->cap, &len, e) ||
        !shard_inflate(k->chunk, len, k->h, k->w, k->image, e))
        return err_set(e, ERR_MISMATCH, "shard %d row %d is damaged", r->shard, r->shard_row);
    k->kept++;
    return true;
}

static bool verify_store(cmd_args *a, const char *store, err *e)
{
    store_check k = {.store = store, .open = -1};
    int n, h[PREPARE_SIZES], w[PREPARE_SIZES];
    bool ok = prepare_sizes(a->config, &n, h, w, e);
    catalog *c = ok ? catalog_open(store, false, e) : NULL;
    prepare_id(a->config, k.id);
    ok = c != NULL;
    for (int s = 0; s < n && ok; s++) {
        k.h = h[s];
        k.w = w[s];
        k.open = -1;
        k.rows = k.kept = 0;
        k.image = MEM_ARRAY(uint16_t, (size_t)k.h * (size_t)k.w);
        ok = catalog_each(c, k.id, check_row, &k, e);
        mem_free(k.image);
        shard_close(k.s);
        k.s = NULL;
        if (ok)
            printf("prepare id %s, %dx%d: %" PRId64 " files, %" PRId64 " images where the "
                   "catalogue says, all readable\n",
                   k.id, k.h, k.w, k.rows, k.kept);
    }
    mem_free(k.chunk);
    catalog_close(c);
    return ok;
}

static bool verify_run(const char *path, err *e)
{
    checkpoint_info info;
    char dir[4096], sum[65];
    if (!checkpoint_read_info(path, &info, dir, e))
        return false;
    char *weights = fs_join(dir, "model.safetensors");
    bool ok = fs_sha256_file(weights, sum, e);
    if (ok && strcmp(sum, info.model_sha256))
        ok = err_set(e, ERR_MISMATCH, "%s: the weights are not those that were saved (SHA-256)",
                     fs_base(dir));
    if (ok)
        printf("%s: epoch %" PRId64 ", weights agree with their hash\n", fs_base(dir), info.epoch);
    mem_free(weights);
    checkpoint_release(&info);
    return ok;
}

static bool verify(cmd_args *a, err *e)
{
    const char *path = a->word[0];
    char *db_path = fs_join(path, "catalog.db");
    bool store = fs_exists(db_path);
    mem_free(db_path);
    if (!fs_exists(path))
        return err_set(e, ERR_INPUT, "'%s' does not exist", path);
    if (!fs_is_dir(path))
        return verify_cohort(path, e);
    return store ? verify_store(a, path, e) : verify_run(path, e);
}

const cmd cmd_verify = {
    .verb = "verify",
    .usage = "verify STORE|COHORT.h5|RUN [-c CONFIG]",
    .summary = "compare what is on disk with what the books say",
    .help = "A store: every kept image lies where the catalogue says and can be read (give the "
            "config that\nprepared it). A cohort: every shard is there with its SHA-256. A run: "
            "the weights have the hash\nthat was saved. Exit 6 on a difference.",
    .fn = verify,
    .min_words = 1,
    .max_words = 1,
};
