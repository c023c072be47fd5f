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

static bool verify_cohort(const cmd_args *a, const char *path, err *e)
{
    cohort c;
    if (!cohort_read(&c, path, e))
        return false;
    bool ok = cohort_check(&c, true, e);
    if (ok)
        cmd_result(a,
                   json_pack("{s:s, s:I, s:i}", "verified", "cohort", "images", (json_int_t)c.n,
                             "shards", c.n_shards),
                   "%s: %" PRId64 " images in %d shards, all present, all hashes agree\n",
                   fs_base(path), c.n, c.n_shards);
    cohort_release(&c);
    return ok;
}

typedef struct store_check {
    const cmd_args *a;
    const char *store;
    catalog *c;
    char id[17];
    int preparations;
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
    if (!shard_check_mask(k->s, r->shard_row, e))
        return err_wrap(e, "shard %d row %d", r->shard, r->shard_row);
    k->kept++;
    return true;
}

/* One canvas size of one preparation. */
static bool verify_size(store_check *k, int h, int w, err *e)
{
    k->h = h;
    k->w = w;
    k->open = -1;
    k->rows = k->kept = 0;
    k->image = MEM_ARRAY(uint16_t, (size_t)h * (size_t)w);
    bool ok = catalog_each(k->c, k->id, check_row, k, e);
    mem_free(k->image);
    shard_close(k->s);
    k->s = NULL;
    if (ok)
        cmd_result(k->a,
                   json_pack("{s:s, s:s, s:i, s:i, s:I, s:I}", "verified", "store", "prepare_id",
                             k->id, "h", h, "w", w, "files", (json_int_t)k->rows, "images",
                             (json_int_t)k->kept),
                   "prepare id %s, %dx%d: %" PRId64 " files, %" PRId64 " images where the "
                   "catalogue says, all readable\n",
                   k->id, h, w, k->rows, k->kept);
    return ok;
}

/* The folder of a preparation carries its own config: prep/<id>/prepare.yaml. */
static bool verify_preparation(void *ctx, const fs_entry *f, err *e)
{
    store_check *k = ctx;
    char *yaml = NULL, id[17];
    size_t len;
    int n, h[PREPARE_SIZES], w[PREPARE_SIZES];
    if (strcmp(fs_base(f->path), "prepare.yaml") || f->bad)
        return true;
    cfg *own = args_schema();
    bool ok = fs_read(f->path, 1 << 20, &yaml, &len, e) &&
              cfg_load_text(own, yaml, len, f->relative, e) && prepare_sizes(own, &n, h, w, e);
    if (ok)
        prepare_id(own, id);
    if (ok && (strncmp(f->relative, id, 16) || f->relative[16] != '/'))
        ok = err_set(e, ERR_MISMATCH, "prep/%s is not the config of its folder", f->relative);
    if (ok) {
        text_copy(k->id, sizeof k->id, id);
        k->preparations++;
    }
    for (int s = 0; ok && s < n; s++)
        ok = verify_size(k, h[s], w[s], e);
    mem_free(yaml);
    cfg_free(own);
    return ok;
}

/* Every preparation that the store holds. */
static bool verify_store(const cmd_args *a, const char *store, err *e)
{
    store_check k = {.a = a, .store = store, .c = catalog_open(store, false, e)};
    if (!k.c)
        return false;
    char *prep = fs_join(store, "prep");
    bool ok = !fs_exists(prep) || fs_walk(prep, verify_preparation, &k, e);
    if (ok && !k.preparations)
        cmd_result(a,
                   json_pack("{s:s, s:I, s:i}", "verified", "store", "files",
                             (json_int_t)catalog_count(k.c), "preparations", 0),
                   "%" PRId64 " files in the catalogue, nothing prepared yet: no image to verify\n",
                   catalog_count(k.c));
    mem_free(k.chunk);
    mem_free(prep);
    catalog_close(k.c);
    return ok;
}

static bool verify_run(const cmd_args *a, const char *path, err *e)
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
        cmd_result(
            a, json_pack("{s:s, s:I}", "verified", "checkpoint", "epoch", (json_int_t)info.epoch),
            "%s: epoch %" PRId64 ", weights agree with their hash\n", fs_base(dir), info.epoch);
    mem_free(weights);
    checkpoint_release(&info);
    return ok;
}

static bool verify(cmd_args *a, err *e)
{
    const char *path = a->word[0];
    switch (cmd_kind_of(path)) {
    case CMD_STORE:
        return verify_store(a, path, e);
    case CMD_RUN:
        return verify_run(a, path, e);
    case CMD_FILE:
        return verify_cohort(a, path, e);
    case CMD_NOTHING:
        break;
    }
    return cmd_not_ours(path, e);
}

const cmd cmd_verify = {
    .verb = "verify",
    .usage = "verify STORE|COHORT.h5|RUN",
    .summary = "compare what is on disk with what the books say",
    .help = "A store: every kept image of every preparation lies where the catalogue says and can "
            "be read. A\ncohort: every shard is there with its SHA-256. A run: the weights have "
            "the hash that was saved.\nExit 6 on a difference.",
    .fn = verify,
    .min_words = 1,
    .max_words = 1,
};
