/* The making of one shard file, for the stage and for repair (prepare_stage.h). */
#include "preprocess/prepare_stage.h"

#include <sys/stat.h>

#include "core/fs.h"
#include "core/json.h"
#include "core/kill.h"
#include "core/log.h"
#include "core/mem.h"
#include "dicom/pixels.h"
#include "dicom/pseudo.h"
#include "preprocess/prepare_cfg.h"

/* What PS3.15 annex E calls what was done: the basic profile; descriptors cleaned; dates only as
 * days from the first exam; age, sex and the device's kind retained; pixels cleaned where
 * everything outside the breast is erased. */
static json_t *deid_codes(const cfg *c)
{
    prepare_cfg p;
    json_t *codes = json_pack("[s, s, s, s, s]", "113100", "113105", "113107", "113108", "113109");
    err e = {0};
    if (!codes || !prepare_bind(c, &p, &e))
        BUG("prepare: provenance of an unchecked config");
    if (p.erase_outside)
        json_array_append_new(codes, json_string("113101"));
    return codes;
}

char *prepare_provenance(const char *store, const cfg *c, err *e)
{
    char key[17], id[17];
    text yaml, t;
    pseudo *p = pseudo_open(store, false, e);
    if (!p)
        return NULL;
    pseudo_key_id(p, key);
    pseudo_free(p);
    prepare_id(c, id);
    text_init(&yaml);
    text_init(&t);
    prepare_yaml(c, &yaml);
    json_t *j = json_pack("{s:s,s:s,s:s,s:s,s:o}", "prepare_id", id, "prepare", yaml.s, "key_id",
                          key, "decoder", pixels_libraries(), "deid", deid_codes(c));
    if (!j)
        BUG("prepare: provenance");
    json_write_text(j, false, &t);
    json_decref(j);
    text_release(&yaml);
    return text_take(&t);
}

int prepare_rows_per_shard(const prepare_cfg *c)
{
    int64_t largest = 0;
    for (int i = 0; i < c->n_sizes; i++) {
        int64_t bytes = (int64_t)c->h[i] * c->w[i] * 2;
        largest = bytes > largest ? bytes : largest;
    }
    int64_t rows = (c->shard_mib << 20) / largest;
    return rows < 1 ? 1 : rows > 1000000 ? 1000000 : (int)rows;
}

bool prepare_commit_shard(shard_writer *w, const char *path, const char *provenance,
                          catalog_shard *out, err *e)
{
    struct stat st;
    out->n = shard_rows(w);
    if (!shard_commit(w, provenance, out->sha256, e))
        return false;
    if (stat(path, &st) != 0)
        return err_errno(e, "shard %s", fs_base(path));
    out->bytes = (int64_t)st.st_size;
    log_debug("shard_written", "size=%dx%d number=%d rows=%lld sha256=%s", out->h, out->w,
              out->number, (long long)out->n, out->sha256);
    return true;
}

bool prepare_write_yaml(const char *folder, const cfg *c, err *e)
{
    text yaml;
    char *path = fs_join(folder, "prepare.yaml");
    text_init(&yaml);
    prepare_yaml(c, &yaml);
    bool ok = fs_exists(path) || fs_write(path, yaml.s, yaml.len, e);
    text_release(&yaml);
    mem_free(path);
    return ok;
}
