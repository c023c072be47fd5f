/* Saving and finding checkpoints. The order of a save makes every moment safe to die in: a folder
 * under a temporary name, fsync, rename, then `best`, then the removal of older folders; reading
 * trusts only folders with their final name. */
#include "train/checkpoint.h"

#include "core/cfg_json.h"
#include "core/fs.h"
#include "core/kill.h"
#include "core/mem.h"
#include "train/weights.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STATE_SCHEMA 1

void checkpoint_release(checkpoint_info *c)
{
    if (c->json)
        json_decref(c->json);
    memset(c, 0, sizeof *c);
}

static json_t *state_json(const checkpoint_info *c, const char *isa)
{
    json_t *h = json_array(), *s = json_object();
    for (int i = 0; i < c->n_horizons; i++)
        json_array_append_new(h, json_num(c->horizon_years[i]));
    json_object_set_new(s, "schema", json_integer(STATE_SCHEMA));
    json_object_set_new(s, "model", cfg_json_make(&model_options, &c->model));
    json_object_set_new(s, "mean", json_num((double)c->mean));
    json_object_set_new(s, "sd", json_num((double)c->sd));
    json_object_set_new(s, "prepare_id", json_string(c->prepare_id));
    json_object_set_new(s, "prepare_yaml", json_string(c->prepare_yaml));
    json_object_set_new(s, "horizon_years", h);
    json_object_set_new(s, "horizon", json_integer(c->horizon));
    json_object_set_new(s, "cohort_sha256", json_string(c->cohort_sha256));
    json_object_set_new(s, "config_sha256", json_string(c->config_sha256));
    json_object_set_new(s, "model_sha256", json_string(c->model_sha256));
    json_object_set_new(s, "epoch", json_integer(c->epoch));
    json_object_set_new(s, "step", json_integer(c->step));
    json_object_set_new(s, "batch", json_integer(c->batch));
    json_object_set_new(s, "loss_sum", json_num(c->loss_sum));
    json_object_set_new(s, "seed", json_integer((json_int_t)c->seed));
    json_object_set_new(s, "val_auc", json_num(c->val_auc));
    json_object_set_new(s, "best", json_num(c->best));
    json_object_set_new(s, "best_epoch", json_integer(c->best_epoch));
    json_object_set_new(s, "best_step", json_integer(c->best_step));
    json_object_set_new(s, "finished", json_boolean(c->finished));
    json_object_set_new(s, "isa", json_string(isa));
    json_object_set_new(s, "config_yaml", json_string(c->config_yaml));
    json_object_set(s, "recipe", c->recipe);
    json_object_set(s, "history", c->history);
    return s;
}

/* A number that may be null. */
static double number_or_nan(const json_t *o, const char *key)
{
    const json_t *v = json_object_get(o, key);
    return json_is_number(v) ? json_number_value(v) : NAN;
}

static bool get_text(const json_t *o, const char *key, char *out, size_t cap, err *e)
{
    const char *s;
    if (!json_get_text(o, key, &s, e))
        return false;
    text_copy(out, cap, s);
    return true;
}

static bool parse_state(checkpoint_info *c, err *e)
{
    const json_t *s = c->json, *net = json_object_get(s, "model"),
                 *h = json_object_get(s, "horizon_years");
    int64_t schema = 0, seed, horizon;
    double mean, sd;
    if (!json_get_i64(s, "schema", &schema, e))
        return false;
    if (schema != STATE_SCHEMA)
        return err_set(e, ERR_INPUT, "state.json has schema %lld, this program reads %d",
                       (long long)schema, STATE_SCHEMA);
    if (!json_is_object(net) || !json_is_array(h) || json_array_size(h) < 1 ||
        json_array_size(h) > 8)
        return err_set(e, ERR_INPUT, "state.json lacks 'model' or 'horizon_years'");
    if (!cfg_json_read(&model_options, net, &c->model, e) || !json_get_f64(s, "mean", &mean, e) ||
        !json_get_f64(s, "sd", &sd, e) ||
        !get_text(s, "prepare_id", c->prepare_id, sizeof c->prepare_id, e) ||
        !json_get_text(s, "prepare_yaml", &c->prepare_yaml, e) ||
        !json_get_text(s, "config_yaml", &c->config_yaml, e) ||
        !json_get_i64(s, "horizon", &horizon, e) ||
        !get_text(s, "cohort_sha256", c->cohort_sha256, sizeof c->cohort_sha256, e) ||
        !get_text(s, "config_sha256", c->config_sha256, sizeof c->config_sha256, e) ||
        !get_text(s, "model_sha256", c->model_sha256, sizeof c->model_sha256, e) ||
        !json_get_i64(s, "epoch", &c->epoch, e) || !json_get_i64(s, "step", &c->step, e) ||
        !json_get_i64(s, "batch", &c->batch, e) || !json_get_f64(s, "loss_sum", &c->loss_sum, e) ||
        !json_get_i64(s, "seed", &seed, e) || !json_get_i64(s, "best_epoch", &c->best_epoch, e) ||
        !json_get_i64(s, "best_step", &c->best_step, e))
        return false;
    c->n_horizons = (int)json_array_size(h);
    for (int i = 0; i < c->n_horizons; i++)
        c->horizon_years[i] = json_number_value(json_array_get(h, (size_t)i));
    if (horizon < 0 || horizon >= c->n_horizons || !(sd > 0))
        return err_set(e, ERR_INPUT, "state.json: horizon or sd out of range");
    c->horizon = (int)horizon;
    c->mean = (float)mean;
    c->sd = (float)sd;
    c->seed = (uint64_t)seed;
    c->val_auc = number_or_nan(s, "val_auc");
    c->best = number_or_nan(s, "best");
    c->finished = json_is_true(json_object_get(s, "finished"));
    c->history = json_object_get(s, "history");
    c->recipe = json_object_get(s, "recipe");
    return (json_is_array(c->history) && json_is_object(c->recipe)) ||
           err_set(e, ERR_INPUT, "state.json lacks 'history' or 'recipe'");
}

static bool read_dir(const char *dir, checkpoint_info *out, err *e)
{
    char *path = fs_join(dir, "state.json");
    memset(out, 0, sizeof *out);
    bool ok = json_read(path, &out->json, e) && parse_state(out, e);
    mem_free(path);
    if (!ok)
        checkpoint_release(out);
    return ok || err_wrap(e, "checkpoint '%s'", fs_base(dir));
}

/* Number of a whole checkpoint folder's name, -1 for anything else. */
static int64_t number_of(const char *name)
{
    int64_t n;
    return !strncmp(name, "ckpt-", 5) && text_i64(name + 5, &n) && n >= 0 ? n : -1;
}

/* -1: there is none, or no folder; -2: the folder cannot be read, errno is set. */
static int64_t newest_number(const char *folder)
{
    int64_t newest = -1;
    DIR *d = opendir(folder);
    if (!d)
        return errno == ENOENT ? -1 : -2;
    for (struct dirent *f; (f = readdir(d));)
        newest = number_of(f->d_name) > newest ? number_of(f->d_name) : newest;
    closedir(d);
    return newest;
}

/* RUN/best itself. */
static bool is_best_file(const char *path)
{
    return !strcmp(fs_base(path), "best") && fs_exists(path) && !fs_is_dir(path);
}

bool checkpoint_weights(const char *path, text *out, err *e)
{
    checkpoint_info k;
    char dir[4096];
    if (!fs_is_dir(path) && !is_best_file(path)) {
        text_add(out, path);
        return true;
    }
    if (!checkpoint_read_info(path, &k, dir, e)) {
        if (e && e->code == ERR_IO)
            e->code = ERR_INPUT;
        return err_wrap(e, "'%s' is no run and no checkpoint", path);
    }
    checkpoint_release(&k);
    text_addf(out, "%s/model.safetensors", dir);
    return true;
}

bool checkpoint_read_info(const char *path, checkpoint_info *out, char dir[4096], err *e)
{
    char *best = fs_join(path, "best"), *name = NULL;
    size_t len;
    int64_t newest;
    bool ok = true;
    if (is_best_file(path)) {
        char *parent = mem_strdup(path);
        parent[fs_base(parent) - parent] = 0;
        ok = checkpoint_read_info(parent[0] ? parent : ".", out, dir, e);
        mem_free(parent);
        mem_free(best);
        return ok;
    }
    text_copy(dir, 4096, path);
    if (fs_exists(best)) {
        ok = fs_read(best, 64, &name, &len, e);
        if (ok &&
            (strncmp(name, "ckpt-", 5) || strcspn(name, "\n") != len - 1 || strchr(name, '/')))
            ok = err_set(e, ERR_INPUT, "'%s' names no checkpoint", best);
        if (ok) {
            name[len - 1] = 0;
            char *full = fs_join(path, name);
            text_copy(dir, 4096, full);
            mem_free(full);
        }
    } else if (!fs_is_dir(path)) {
        ok = err_set(e, ERR_INPUT, "'%s' is no run and no checkpoint", path);
    } else if ((newest = newest_number(path)) >= 0) { /* a run before its first validation */
        snprintf(dir, 4096, "%s/ckpt-%06lld", path, (long long)newest);
    }
    mem_free(best);
    mem_free(name);
    return ok && read_dir(dir, out, e);
}

int checkpoint_newest(const char *folder, checkpoint_info *out, char dir[4096], err *e)
{
    int64_t number = newest_number(folder);
    if (number == -1)
        return 0;
    if (number < -1)
        return err_errno(e, "run folder"), -1;
    snprintf(dir, 4096, "%s/ckpt-%06lld", folder, (long long)number);
    return read_dir(dir, out, e) ? 1 : -1;
}

model *checkpoint_load(const char *dir, const checkpoint_info *c, backend *be, err *e)
{
    char sum[65], *path = fs_join(dir, "model.safetensors");
    model *m = NULL;
    bool ok = fs_sha256_file(path, sum, e);
    if (ok && strcmp(sum, c->model_sha256))
        ok = err_set(e, ERR_MISMATCH, "checkpoint '%s': the weights are not those that were saved",
                     fs_base(dir));
    m = ok ? model_new(&c->model, be, c->seed, e) : NULL;
    if (m && !weights_load(m, path, &(weights_opts){.exact = true}, NULL, e)) {
        model_free(m);
        m = NULL;
    }
    mem_free(path);
    return m;
}

/* fsync a folder, so that the names in it are on disk. */
static bool sync_dir(const char *dir, err *e)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool ok = fd >= 0 && fsync(fd) == 0;
    if (fd >= 0)
        close(fd);
    return ok || err_errno(e, "cannot sync '%s'", fs_base(dir));
}

static bool write_files(const char *dir, checkpoint_info *info, model *m, const optim *o, err *e)
{
    char *weights = fs_join(dir, "model.safetensors"), *opt = fs_join(dir, "optim.safetensors"),
         *state = fs_join(dir, "state.json");
    json_t *meta = json_pack("{s:s, s:s, s:s}", "format", "pt", "model", info->model.name,
                             "prepare_id", info->prepare_id);
    bool ok = weights_save(m, weights, meta, e);
    kill_point("ckpt_inside");
    ok = ok && fs_sha256_file(weights, info->model_sha256, e) && optim_save(o, opt, e);
    kill_point("ckpt_inside");
    if (ok) {
        json_t *s = state_json(info, backend_isa(model_params(m)->be));
        ok = json_write(state, s, true, e);
        json_decref(s);
    }
    json_decref(meta);
    mem_free(weights);
    mem_free(opt);
    mem_free(state);
    return ok;
}

/* Only the best and the newest checkpoint stay. */
static bool prune(const char *folder, int64_t best, int64_t newest, err *e)
{
    bool ok = true;
    DIR *d = opendir(folder);
    if (!d)
        return err_errno(e, "run folder");
    for (struct dirent *f; ok && (f = readdir(d));) {
        int64_t n = number_of(f->d_name);
        bool partial = !strncmp(f->d_name, "ckpt-", 5) && strstr(f->d_name, ".partial");
        if (partial || (n >= 0 && n != best && n != newest)) {
            char *path = fs_join(folder, f->d_name);
            ok = fs_remove_tree(path, e);
            mem_free(path);
        }
    }
    closedir(d);
    return ok;
}

bool checkpoint_settle(const char *folder, const checkpoint_info *info, err *e)
{
    char line[40], *best = fs_join(folder, "best");
    bool ok = true;
    if (info->best_step > 0) {
        snprintf(line, sizeof line, "ckpt-%06lld\n", (long long)info->best_step);
        ok = fs_write(best, line, strlen(line), e);
    }
    kill_point("ckpt_after");
    mem_free(best);
    return ok && prune(folder, info->best_step, info->step, e);
}

bool checkpoint_save(const char *folder, checkpoint_info *info, model *m, const optim *o, err *e)
{
    char name[32];
    snprintf(name, sizeof name, "ckpt-%06lld", (long long)info->step);
    char *dir = fs_join(folder, name);
    text tmp;
    text_init(&tmp);
    text_addf(&tmp, "%s.partial", dir);
    kill_point("ckpt_before");
    bool ok = fs_remove_tree(tmp.s, e) && fs_mkdirs(tmp.s, e) &&
              write_files(tmp.s, info, m, o, e) && sync_dir(tmp.s, e) && fs_remove_tree(dir, e);
    kill_point("ckpt_inside");
    if (ok && rename(tmp.s, dir))
        ok = err_errno(e, "cannot rename '%s.partial'", name);
    ok = ok && sync_dir(folder, e);
    kill_point("ckpt_after");
    ok = ok && checkpoint_settle(folder, info, e);
    mem_free(dir);
    text_release(&tmp);
    return ok || err_wrap(e, "checkpoint %s", name);
}
