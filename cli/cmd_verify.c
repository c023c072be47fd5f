/* verify: does what is on disk agree with what the books say? */
#include "cli/cmd.h"

#include "core/fs.h"
#include "core/mem.h"
#include "dicom/catalog.h"
#include "preprocess/cohort.h"
#include "preprocess/store_check.h"
#include "train/checkpoint.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* One line per finding: the file, then why. */
static void print_finding(const cmd_args *a, const char *name, const char *fault, const char *why)
{
    cmd_result(a,
               json_pack("{s:o, s:s, s:o}", "file", json_words(name), "fault", fault, "why",
                         json_words(why)),
               "%s: %s\n", name, why);
}

static bool found(const char *what, int n, err *e)
{
    return n == 0 || err_set(e, ERR_MISMATCH, "%s: %d finding%s", what, n, n == 1 ? "" : "s");
}

static bool verify_cohort(const cmd_args *a, const char *path, err *e)
{
    cohort c;
    char why[160];
    int n = 0;
    if (!cohort_read(&c, path, e))
        return false;
    for (int i = 0; i < c.n_shards; i++) {
        const char *fault = cohort_shard_fault(&c, i, true, why);
        if (fault)
            print_finding(a, c.shard[i].file, fault, why);
        n += fault != NULL;
    }
    if (!n)
        cmd_result(a,
                   json_pack("{s:s, s:I, s:i}", "verified", "cohort", "images", (json_int_t)c.n,
                             "shards", c.n_shards),
                   "%s: %" PRId64 " images in %d shards, all present, all hashes agree\n",
                   fs_base(path), c.n, c.n_shards);
    cohort_release(&c);
    return found(fs_base(path), n, e);
}

static void print_store(const cmd_args *a, catalog *c, const store_check *k)
{
    for (int i = 0; i < k->n; i++)
        print_finding(a, k->finding[i].name, store_check_fault_name(k->finding[i].fault),
                      k->finding[i].why);
    for (int i = 0; i < k->n_sizes; i++) {
        const store_check_size *z = &k->size[i];
        cmd_result(a,
                   json_pack("{s:s, s:s, s:i, s:i, s:I, s:I, s:I}", "verified", "store",
                             "prepare_id", z->id, "h", z->h, "w", z->w, "files",
                             (json_int_t)catalog_count(c), "images", (json_int_t)z->images,
                             "shards", (json_int_t)z->shards),
                   "prepare id %s, %dx%d: %" PRId64 " images in %" PRId64
                   " shards where the catalogue says%s\n",
                   z->id, z->h, z->w, z->images, z->shards, k->n ? "" : ", all readable");
    }
    if (!k->n_sizes)
        cmd_result(a,
                   json_pack("{s:s, s:I, s:i}", "verified", "store", "files",
                             (json_int_t)catalog_count(c), "preparations", 0),
                   "%" PRId64 " files in the catalogue, nothing prepared yet: no image to verify\n",
                   catalog_count(c));
}

/* A store from before shards were recorded: what was found sound is written down now. */
static bool record_hashes(const cmd_args *a, const char *store, store_check *k, err *e)
{
    if (!k->n_unrecorded)
        return true;
    catalog *c = catalog_open(store, true, e);
    bool ok = c && store_check_record(k, c, e);
    catalog_close(c);
    if (ok)
        cmd_result(a, json_pack("{s:i}", "recorded", k->n_unrecorded),
                   "notice: the catalogue held no hash of %d sound shard%s; recorded now\n",
                   k->n_unrecorded, k->n_unrecorded == 1 ? "" : "s");
    return ok;
}

/* Under the lock of the store: shards that a run has just written look like orphans. A store that
 * may only be read has no such run. */
static bool verify_store(const cmd_args *a, const char *store, err *e)
{
    bool writable = access(store, W_OK) == 0;
    fs_lock *lock = writable ? fs_lock_take(store, e) : NULL;
    if (writable && !lock)
        return false;
    store_check k = {0};
    catalog *c = catalog_open(store, false, e);
    bool ok = c && store_check_run(&k, c, store, NULL, e);
    if (ok)
        print_store(a, c, &k);
    catalog_close(c);
    ok = ok && (!writable || record_hashes(a, store, &k, e)) && found("store", k.n, e);
    store_check_release(&k);
    fs_lock_release(lock);
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
    case CMD_PRED:
    case CMD_REPORT:
        return err_set(e, ERR_INPUT,
                       "'%s' is a prediction or a report; verify takes a store, a cohort or a run",
                       path);
    case CMD_NOTHING:
        break;
    }
    return cmd_not_ours(path, e);
}

const cmd cmd_verify = {
    .verb = "verify",
    .usage = "verify STORE|COHORT.h5|RUN",
    .summary = "compare what is on disk with what the books say",
    .help =
        "A store: every shard has the SHA-256 that was recorded with it, every kept image lies "
        "where the\ncatalogue says, and nothing else lies there. A cohort: every shard is there "
        "with its SHA-256. A run:\nthe weights have the hash that was saved. One line per "
        "finding; exit 6. mammovit repair mends a store.",
    .fn = verify,
    .min_words = 1,
    .max_words = 1,
};
