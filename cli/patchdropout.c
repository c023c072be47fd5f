/* Translation of PatchDropout's YAML files (patchdropout.h). They are one flow mapping each; YAML
 * 1.1 reads None as a word and 1e-4 as text, which is why values are taken as they are written. */
#include "cli/patchdropout.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "cli/compat.h"
#include "core/flat.h"
#include "core/fs.h"
#include "core/log.h"
#include "core/mem.h"

#define FILE_MAX  ((size_t)1 << 20)
#define ENTRIES   256
#define CHOICE    "dataset_params.dataset_choice."
#define TRAIN     "training_params.train."
#define SAMPLED   TRAIN "input_type.SampledTokens."
#define NO_WARMUP "0"    /* what the program assumes where an optimiser lacks these keys */
#define LATE_DROP "1000" /* epochs */
#define ONE_LINE  512

typedef struct entry {
    char *key;
    char *value; /* a list as "a, b" */
    int line;
    bool section;
} entry;

typedef struct job {
    patchdropout *p;
    cfg *c;
    const char *file; /* base name */
    entry e[ENTRIES];
    int n;
    text said;
} job;

/* ---- the keys -------------------------------------------------------------------------------- */

typedef struct rule {
    const char *key;
    const char *ours; /* takes the value as it is */
    const char *why;  /* ignored, because; with neither: translate() knows it */
} rule;
static const rule rules[] = {
    {"mode", NULL, NULL},
    {"dataset_params.data_folder", NULL, "images come from run.archive and run.cohort"},
    {"dataset_params.dataset_name", NULL, NULL},
    {"dataset_params.resolution", NULL, NULL},
    {"save_params.output_dir", NULL, "-o names the folder of the run"},
    {"save_params.saveckp_freq", NULL, "the best and the newest checkpoint are kept"},
    {"dataloader_params.trainloader.batch_size", NULL, NULL},
    {"dataloader_params.trainloader.accum_iter", NULL, NULL},
    {"dataloader_params.trainloader.num_workers", NULL, "-j is the number of threads"},
    {"dataloader_params.trainloader.pin_memory", NULL, "changes speed only"},
    {"dataloader_params.trainloader.drop_last", NULL, "an epoch has whole micro-batches only"},
    {"dataloader_params.valloader.batch_size", NULL, "scores do not depend on batches"},
    {"dataloader_params.valloader.accum_iter", NULL, "means nothing in validation"},
    {"dataloader_params.valloader.num_workers", NULL, "-j is the number of threads"},
    {"dataloader_params.valloader.pin_memory", NULL, "changes speed only"},
    {"dataloader_params.valloader.drop_last", NULL, "every validation image is scored"},
    {"model_params.backbone_option", NULL, NULL},
    {"system_params.num_gpus", NULL, NULL},
    {"system_params.gpu_ids", NULL, "--device chooses"},
    {"system_params.random_seed", "run.seed", NULL},
    {TRAIN "num_epochs", "train.epochs", NULL},
    {TRAIN "val_freq", "train.val_every", NULL},
    {TRAIN "optimizer.name", "train.optimizer", NULL},
    {TRAIN "optimizer.sgd.lr", NULL, NULL},
    {TRAIN "optimizer.sgd.momentum", NULL, NULL},
    {TRAIN "optimizer.sgd.warmup_epochs", NULL, NULL},
    {TRAIN "optimizer.sgd.step_epoch", NULL, NULL},
    {TRAIN "optimizer.adamw.lr", NULL, NULL},
    {TRAIN "optimizer.adamw.momentum", NULL, NULL},
    {TRAIN "optimizer.adamw.warmup_epochs", NULL, NULL},
    {TRAIN "optimizer.adamw.step_epoch", NULL, NULL},
    {TRAIN "wd", "train.weight_decay", NULL},
    {TRAIN "clip_grad", NULL, NULL},
    {TRAIN "label_smoothing", "train.label_smoothing", NULL},
    {TRAIN "input_type.name", NULL, NULL},
    {SAMPLED "keep_rate", NULL, NULL},
    {SAMPLED "random_keep_rate", NULL, NULL},
    /* of every data set */
    {CHOICE "*.num_channels", NULL, "not used by the published program either"},
    {CHOICE "*.num_classes", NULL, NULL},
    {CHOICE "*.full_size", NULL, "not used by the published program either"},
    {CHOICE "*.global_size", NULL, "not used by the published program either"},
    {CHOICE "*.knn_use_cuda", NULL, "not used by the published program either"},
    {CHOICE "*.label_mapping_path", NULL, "not used by the published program either"},
    {CHOICE "*.csv_path", NULL, "outcomes come from run.labels, read through a mapping"},
    {CHOICE "*.normalize_mean", NULL, "the training images' own mean: train.normalize"},
    {CHOICE "*.normalize_std", NULL, "the training images' own deviation: train.normalize"},
};

/* The key with the name of its data set replaced by '*'; out[ONE_LINE]. */
static const char *general(const char *key, char *out)
{
    size_t n = strlen(CHOICE);
    const char *dot = strncmp(key, CHOICE, n) ? NULL : strchr(key + n, '.');
    if (!dot)
        return key;
    snprintf(out, ONE_LINE, CHOICE "*%s", dot);
    return out;
}

static const rule *find_rule(const char *key)
{
    char room[ONE_LINE];
    const char *k = general(key, room);
    for (size_t i = 0; i < COUNT_OF(rules); i++)
        if (!strcmp(rules[i].key, k))
            return &rules[i];
    return NULL;
}

static bool is_section(const char *key)
{
    char room[ONE_LINE];
    size_t n = strlen(key), c = strlen(CHOICE);
    if (!strncmp(key, CHOICE, c) && !strchr(key + c, '.'))
        return true; /* a data set */
    const char *k = general(key, room);
    for (size_t i = 0; i < COUNT_OF(rules); i++)
        if (!strncmp(rules[i].key, k, n) && rules[i].key[n] == '.')
            return true;
    return false;
}

static bool unknown(const job *j, const entry *x, err *e)
{
    const char *best = "";
    char room[ONE_LINE], shown[ONE_LINE];
    const char *k = general(x->key, room);
    int d = INT_MAX;
    for (size_t i = 0; i < COUNT_OF(rules); i++)
        if (text_distance(k, rules[i].key) < d) {
            d = text_distance(k, rules[i].key);
            best = rules[i].key;
        }
    text_copy(shown, sizeof shown, x->key);
    return err_set(e, ERR_CONFIG,
                   "%s:%d: unknown key '%s' of a PatchDropout file (nearest known key: '%s')",
                   j->file, x->line, shown, best);
}

/* ---- reading --------------------------------------------------------------------------------- */

static bool collect(void *ctx, const flat_value *v, err *e)
{
    job *j = ctx;
    text t;
    if (j->n == ENTRIES)
        return err_set(e, ERR_CONFIG, "%s:%d: more than %d keys", j->file, v->line, ENTRIES);
    text_init(&t);
    for (int i = 0; i < v->n; i++)
        text_addf(&t, "%s%s", i ? ", " : "", v->v[i]);
    entry *x = &j->e[j->n++];
    *x = (entry){mem_strdup(v->key), text_take(&t), v->line, v->kind == FLAT_SECTION};
    for (int i = 0; i < j->n - 1; i++)
        if (!strcmp(j->e[i].key, x->key))
            return err_set(e, ERR_CONFIG, "%s:%d: %s: the key appears twice", j->file, x->line,
                           x->key);
    const rule *r = find_rule(x->key);
    if (!r && !is_section(x->key))
        return unknown(j, x, e);
    if (x->section != !r)
        return err_set(e, ERR_CONFIG, "%s:%d: %s: %s", j->file, x->line, x->key,
                       r ? "a value is wanted, found a mapping" : "a mapping is wanted");
    return true;
}

static bool first_key(void *ctx, const flat_value *v, err *e)
{
    text_copy(ctx, 64, v->key);
    return err_set(e, ERR_CONFIG, "enough");
}

bool patchdropout_is(const char *path)
{
    static const char *const top[] = {
        "mode",         "dataset_params", "save_params",    "dataloader_params",
        "model_params", "system_params",  "training_params"};
    char key[64] = "", *data = NULL;
    size_t len;
    err e = {0};
    if (fs_read(path, FILE_MAX, &data, &len, &e))
        (void)!flat_read(data, len, "", first_key, key, &e);
    mem_free(data);
    for (size_t i = 0; i < COUNT_OF(top); i++)
        if (!strcmp(key, top[i]))
            return true;
    return false;
}

/* ---- translating ----------------------------------------------------------------------------- */

static const entry *get(const job *j, const char *key)
{
    for (int i = 0; i < j->n; i++)
        if (!strcmp(j->e[i].key, key) && !j->e[i].section)
            return &j->e[i];
    return NULL;
}

static const char *value(const job *j, const char *key, const char *missing)
{
    const entry *x = get(j, key);
    return x ? x->value : missing;
}

/* A key of ours; `from`: the entry that it comes of, or NULL with the reason. */
static bool set(job *j, const entry *from, const char *ours, const char *v, const char *why, err *e)
{
    text kv;
    text_init(&kv);
    text_addf(&kv, "%s=%s", ours, v);
    bool ok = cfg_set(j->c, kv.s, e);
    if (!ok)
        err_wrap(e, "%s:%d: %s", j->file, from ? from->line : 0, from ? from->key : why);
    else if (from)
        text_addf(&j->said, "  %s = %s -> %s%s%s\n", from->key, from->value, kv.s, why ? "; " : "",
                  why ? why : "");
    else
        text_addf(&j->said, "  %s -> %s\n", why, kv.s);
    text_release(&kv);
    return ok;
}

static bool wrong(const job *j, const entry *x, const char *wanted, err *e)
{
    char shown[80];
    text_copy(shown, sizeof shown, x->value);
    return err_set(e, ERR_CONFIG, "%s:%d: %s: '%s'; wanted %s", j->file, x->line, x->key, shown,
                   wanted);
}

static bool is_none(const char *s)
{
    return !strcmp(s, "None") || !strcmp(s, "null") || !strcmp(s, "~") || !*s;
}

/* A whole number of at least `min`; `missing` where the key is not there. */
static bool whole(const job *j, const char *key, int64_t min, int64_t missing, int64_t *out, err *e)
{
    const entry *x = get(j, key);
    *out = missing;
    return !x || (text_i64(x->value, out) && *out >= min && *out <= INT_MAX) ||
           wrong(j, x, min ? "a whole number above 0" : "a whole number", e);
}

/* The global batch is divided among GPUs and micro-batches; here one process takes the GPUs'
 * shares together, whose mean gradient is the same. */
static bool put_batch(job *j, err *e)
{
    const entry *x = get(j, "dataloader_params.trainloader.batch_size");
    int64_t batch, accum, gpus;
    char text_of[32];
    if (!whole(j, "dataloader_params.trainloader.batch_size", 1, 128, &batch, e) ||
        !whole(j, "dataloader_params.trainloader.accum_iter", 1, 1, &accum, e) ||
        !whole(j, "system_params.num_gpus", 1, 1, &gpus, e))
        return false;
    const entry *a = get(j, "dataloader_params.trainloader.accum_iter"),
                *g = get(j, "system_params.num_gpus");
    int64_t micro = batch / (gpus * accum) * gpus;
    if (x && !micro)
        return wrong(j, x, "at least one image for every GPU and micro-batch", e);
    snprintf(text_of, sizeof text_of, "%" PRId64, micro);
    if (x && !set(j, x, "train.batch", text_of, "images of a micro-batch, of all GPUs together", e))
        return false;
    if (g)
        text_addf(&j->said, "  %s = %s -> its share in train.batch\n", g->key, g->value);
    return !a || set(j, a, "train.accum", a->value, NULL, e);
}

static bool put_network(job *j, err *e)
{
    static const char tail[] = "_in22k"; /* of Swin; the network is the same */
    const entry *x = get(j, "model_params.backbone_option"),
                *r = get(j, "dataset_params.resolution");
    char name[96], size[48];
    int64_t side;
    if (x) {
        size_t n = strlen(x->value), k = strlen(tail);
        bool cut = n > k && !strcmp(x->value + n - k, tail);
        snprintf(name, sizeof name, "%.*s", (int)(cut ? n - k : n), x->value);
        if (!set(j, x, "model.name", name, "its weights are read by train.init", e))
            return false;
    }
    if (!r)
        return true;
    if (!whole(j, r->key, 1, 0, &side, e))
        return false;
    snprintf(size, sizeof size, "%" PRId64 "x%" PRId64, side, side);
    return set(j, r, "prepare.sizes", size, NULL, e) &&
           set(j, r, "model.image_h", r->value, NULL, e) &&
           set(j, r, "model.image_w", r->value, NULL, e);
}

/* The keys of the optimiser that is not chosen mean nothing. */
static bool put_optimizer(job *j, err *e)
{
    static const char *const name[] = {"sgd", "adamw"};
    const char *chosen = value(j, TRAIN "optimizer.name", "sgd");
    for (int i = 0; i < 2; i++) {
        char key[4][96], betas[2][32];
        static const char *const part[] = {"lr", "momentum", "warmup_epochs", "step_epoch"};
        const entry *x[4];
        for (int k = 0; k < 4; k++) {
            snprintf(key[k], sizeof key[k], TRAIN "optimizer.%s.%s", name[i], part[k]);
            x[k] = get(j, key[k]);
            if (x[k] && strcmp(chosen, name[i]))
                text_addf(&j->said, "  %s = %s ignored: the optimiser is %s\n", key[k], x[k]->value,
                          chosen);
        }
        if (strcmp(chosen, name[i]) || !get(j, TRAIN "optimizer.name"))
            continue;
        if (x[0] && !set(j, x[0], "train.lr", x[0]->value, NULL, e))
            return false;
        if (x[1] && i == 1) {
            if (sscanf(x[1]->value, "%31[^,], %31[^,]", betas[0], betas[1]) != 2)
                return wrong(j, x[1], "two numbers, such as [0.9, 0.999]", e);
            if (!set(j, x[1], "train.beta1", betas[0], NULL, e) ||
                !set(j, x[1], "train.beta2", betas[1], NULL, e))
                return false;
        } else if (x[1] && !set(j, x[1], "train.momentum", x[1]->value, NULL, e)) {
            return false;
        }
        if (!set(j, x[2], "train.warmup_epochs", x[2] ? x[2]->value : NO_WARMUP,
                 x[2] ? NULL : "no warmup_epochs", e) ||
            !set(j, x[3], "train.drop_epoch", x[3] ? x[3]->value : LATE_DROP,
                 x[3] ? NULL : "no step_epoch", e))
            return false;
    }
    return true;
}

static bool put_kept(job *j, err *e)
{
    const entry *type = get(j, TRAIN "input_type.name"), *rate = get(j, SAMPLED "keep_rate"),
                *random = get(j, SAMPLED "random_keep_rate");
    bool all = type && !strcmp(type->value, "AllTokens"), varies = false;
    if (type && !all && strcmp(type->value, "SampledTokens"))
        return wrong(j, type, "AllTokens or SampledTokens", e);
    if (random && !text_bool(text_ieq(random->value, "true")    ? "true"
                             : text_ieq(random->value, "false") ? "false"
                                                                : random->value,
                             &varies))
        return wrong(j, random, "True or False", e);
    if (all && !set(j, type, "model.keep_rate", "1", NULL, e))
        return false;
    if (type && !all)
        text_addf(&j->said, "  %s = %s -> patches are kept as the next keys say\n", type->key,
                  type->value);
    if (rate && all)
        text_addf(&j->said, "  %s = %s ignored: AllTokens keeps all\n", rate->key, rate->value);
    else if (rate && !set(j, rate, "model.keep_rate", rate->value, NULL, e))
        return false;
    return !random || set(j, random, "train.keep_schedule", varies ? "code" : "fixed",
                          varies ? "the configured rate is ignored, also with AllTokens" : NULL, e);
}

static bool put_rest(job *j, err *e)
{
    const entry *mode = get(j, "mode"), *clip = get(j, TRAIN "clip_grad"),
                *name = get(j, "dataset_params.dataset_name");
    if (mode && strcmp(mode->value, "train"))
        return wrong(j, mode,
                     "train: mode inference scores nothing in the published program; here that is "
                     "'mammovit predict'",
                     e);
    if (mode)
        text_addf(&j->said, "  mode = train -> the verb train\n");
    if (name)
        text_addf(&j->said, "  %s = %s -> which entry of the file of data sets counts\n", name->key,
                  name->value);
    if (clip && !set(j, clip, "train.clip", is_none(clip->value) ? "0" : clip->value, NULL, e))
        return false;
    for (int i = 0; i < j->n; i++) {
        const entry *x = &j->e[i];
        const rule *r = x->section ? NULL : find_rule(x->key);
        if (r && r->ours && !set(j, x, r->ours, x->value, NULL, e))
            return false;
    }
    return true;
}

/* ---- data sets ------------------------------------------------------------------------------- */

static bool remember(job *j, err *e)
{
    const entry *name = get(j, "dataset_params.dataset_name");
    if (name)
        text_copy(j->p->dataset, sizeof j->p->dataset, name->value);
    for (int i = 0; i < j->n; i++) {
        const entry *x = &j->e[i];
        size_t n = strlen(CHOICE);
        const char *dot = strncmp(x->key, CHOICE, n) ? NULL : strchr(x->key + n, '.');
        int64_t classes;
        if (!dot || strcmp(dot, ".num_classes"))
            continue;
        if (!whole(j, x->key, 1, 0, &classes, e))
            return false;
        if (j->p->n == PATCHDROPOUT_SETS)
            return err_set(e, ERR_CONFIG, "%s:%d: more than %d data sets", j->file, x->line,
                           PATCHDROPOUT_SETS);
        snprintf(j->p->set[j->p->n].name, sizeof j->p->set[0].name, "%.*s",
                 (int)(dot - x->key - (int64_t)n), x->key + n);
        j->p->set[j->p->n++].classes = classes;
    }
    return true;
}

/* Once both files are known. */
static bool put_classes(job *j, err *e)
{
    char number[32];
    if (!j->p->dataset[0] || !j->p->n)
        return true;
    for (int i = 0; i < j->p->n; i++)
        if (!strcmp(j->p->set[i].name, j->p->dataset)) {
            snprintf(number, sizeof number, "%" PRId64, j->p->set[i].classes);
            return set(j, NULL, "model.classes", number, "num_classes of the chosen data set", e);
        }
    return err_set(e, ERR_CONFIG, "%s: the data set '%s' of the training file has no entry",
                   j->file, j->p->dataset);
}

static void say_ignored(job *j)
{
    for (int i = 0; i < j->n; i++) {
        const rule *r = j->e[i].section ? NULL : find_rule(j->e[i].key);
        if (r && r->why)
            text_addf(&j->said, "  %s = %s ignored: %s\n", j->e[i].key, j->e[i].value, r->why);
    }
}

static bool translate(job *j, err *e)
{
    bool training = false;
    for (int i = 0; i < j->n; i++)
        training |= strncmp(j->e[i].key, "dataset_params", 14) != 0;
    j->p->training |= training;
    if (training && !compat_apply(j->c, "patchdropout", true, e))
        return false;
    text_addf(&j->said, "%s, a file of PatchDropout's:\n", j->file);
    if (!put_rest(j, e) || !put_network(j, e) || !put_batch(j, e) || !put_optimizer(j, e) ||
        !put_kept(j, e) || !remember(j, e) || !put_classes(j, e))
        return false;
    say_ignored(j);
    return true;
}

bool patchdropout_load(patchdropout *p, cfg *c, const char *path, err *e)
{
    job *j = MEM_NEW(job);
    char *data = NULL;
    size_t len;
    *j = (job){.p = p, .c = c, .file = fs_base(path)};
    text_init(&j->said);
    bool ok = fs_read(path, FILE_MAX, &data, &len, e) &&
              flat_read(data, len, j->file, collect, j, e) && translate(j, e);
    if (ok && log_get_level() >= LOG_INFO)
        fputs(j->said.s, stderr);
    for (int i = 0; i < j->n; i++) {
        mem_free(j->e[i].key);
        mem_free(j->e[i].value);
    }
    text_release(&j->said);
    mem_free(data);
    mem_free(j);
    return ok;
}
