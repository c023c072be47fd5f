/* Words of the command line -> cmd_args: shared options, the verb's own options, plain words. The
 * whole config schema is composed here, from the tables of the rooms. */
#include "cli/cmd.h"

#include "cli/compat.h"
#include "core/log.h"
#include "core/text.h"
#include "dicom/scan.h"
#include "eval/report.h"
#include "model/model.h"
#include "preprocess/prepare.h"
#include "preprocess/split.h"
#include "train/augment.h"
#include "train/keep.h"
#include "train/predict.h"
#include "train/robustness.h"
#include "train/trainer.h"

#include <stdio.h>
#include <string.h>

static const cfg_option run_table[] = {
    {"run.archive", CFG_TEXTS, offsetof(run_cfg, archive), "", 0, 0, NULL, "",
     "folders or files of the archive, for the verb run"},
    {"run.labels", CFG_TEXT, offsetof(run_cfg, labels), "", 0, 0, NULL, "",
     "clinical CSV with the outcomes, for the verb run"},
    {"run.dir", CFG_TEXT, offsetof(run_cfg, dir), "mammovit-run", 0, 0, NULL, "",
     "folder for everything that the verb run makes"},
    {"run.cohort", CFG_TEXT, offsetof(run_cfg, cohort), "", 0, 0, NULL, "",
     "COHORT.h5 that train opens; empty: cohort.h5 in run.dir"},
    {"run.seed", CFG_INT, offsetof(run_cfg, seed), "1", 0, 1e15, NULL, "",
     "seed of initialisation, sampling, augmentation and kept patches (--seed)"},
};
const cfg_group run_options = {"The corridor as a whole", run_table, COUNT_OF(run_table)};

cfg *args_schema(void)
{
    static const cfg_group *const groups[] = {
        &run_options,   &scan_options,  &prepare_options, &exclude_options, &labels_options,
        &split_options, &model_options, &backend_options, &augment_options, &train_options,
        &keep_options,  &room_options,  &predict_options, &robust_options,  &eval_options,
    };
    return cfg_new(groups, COUNT_OF(groups));
}

const char *cmd_value(const cmd_args *a, const char *name)
{
    for (int i = a->n_values - 1; i >= 0; i--)
        if (!strcmp(a->value[i].opt->name, name))
            return a->value[i].value;
    return NULL;
}

bool cmd_need_out(const cmd_args *a, const char *what, err *e)
{
    return a->out || err_set(e, ERR_USAGE, "-o is missing: %s", what);
}

/* "k/n" with 0 <= k < n; counting from 0. */
static bool parse_shard(const char *s, cmd_args *a, err *e)
{
    char buf[32], *slash;
    int64_t k, n;
    text_copy(buf, sizeof buf, s);
    slash = strchr(buf, '/');
    if (slash)
        *slash = 0;
    if (!slash || !text_i64(buf, &k) || !text_i64(slash + 1, &n) || n < 1 || n > 100000 || k < 0 ||
        k >= n)
        return err_set(e, ERR_USAGE, "--shard '%s': wanted k/n with 0 <= k < n, such as 0/8", s);
    a->shard_k = (int)k;
    a->shard_n = (int)n;
    return true;
}

static bool parse_threads(const char *s, cmd_args *a, err *e)
{
    int64_t n;
    if (!text_i64(s, &n) || n < 0 || n > 1024)
        return err_set(e, ERR_USAGE, "-j '%s': wanted a number of threads, 0 for all cores", s);
    a->threads = (int)n;
    return true;
}

static bool parse_seed(const char *s, cmd_args *a, err *e)
{
    char kv[64];
    int64_t n;
    if (!text_i64(s, &n))
        return err_set(e, ERR_USAGE, "--seed '%s' is not an integer", s);
    snprintf(kv, sizeof kv, "run.seed=%lld", (long long)n);
    return cfg_set(a->config, kv, e);
}

typedef enum shared_id {
    OPT_CONFIG,
    OPT_COMPAT,
    OPT_SET,
    OPT_THREADS,
    OPT_DEVICE,
    OPT_SEED,
    OPT_OUT,
    OPT_SHARD,
    OPT_VERBOSE,
    OPT_QUIET,
    OPT_JSON,
    OPT_DRY,
    OPT_FORCE,
    OPT_STRICT,
    OPT_HELP
} shared_id;
static const struct {
    const char *shrt, *name;
    shared_id id;
    bool arg;
} shared[] = {
    {"-c", "--config", OPT_CONFIG, true},   {NULL, "--set", OPT_SET, true},
    {"-j", "--threads", OPT_THREADS, true}, {NULL, "--device", OPT_DEVICE, true},
    {NULL, "--seed", OPT_SEED, true},       {"-o", "--out", OPT_OUT, true},
    {NULL, "--shard", OPT_SHARD, true},     {"-v", "--verbose", OPT_VERBOSE, false},
    {"-q", "--quiet", OPT_QUIET, false},    {NULL, "--json", OPT_JSON, false},
    {NULL, "--dry-run", OPT_DRY, false},    {NULL, "--force", OPT_FORCE, false},
    {NULL, "--compat", OPT_COMPAT, true},   {NULL, "--strict", OPT_STRICT, false},
    {"-h", "--help", OPT_HELP, false},
};

static bool apply_shared(shared_id id, const char *v, cmd_args *a, err *e)
{
    switch (id) {
    case OPT_CONFIG:
        a->has_config = true;
        return patchdropout_is(v) ? patchdropout_load(&a->foreign, a->config, v, e)
                                  : cfg_load(a->config, v, e);
    case OPT_SET:
    case OPT_COMPAT:
        return true; /* have passes of their own */
    case OPT_THREADS:
        return parse_threads(v, a, e);
    case OPT_DEVICE:
        a->device = v;
        return true;
    case OPT_SEED:
        return parse_seed(v, a, e);
    case OPT_OUT:
        a->out = v;
        return true;
    case OPT_SHARD:
        return parse_shard(v, a, e);
    case OPT_VERBOSE:
        log_set_level(LOG_DEBUG);
        return true;
    case OPT_QUIET:
        log_set_level(LOG_WARN);
        return true;
    case OPT_JSON:
        return a->json = true;
    case OPT_DRY:
        return a->dry_run = true;
    case OPT_FORCE:
        return a->force = true;
    case OPT_STRICT:
        return a->strict = true;
    case OPT_HELP:
        return a->help = true;
    }
    BUG("shared option %d", (int)id);
}

static const cmd_opt *find_own(const cmd *c, const char *name)
{
    for (const cmd_opt *o = c->opts; o && o->name; o++)
        if (!strcmp(o->name, name))
            return o;
    return NULL;
}

static bool unknown_option(const cmd *c, const char *name, err *e)
{
    const char *best = NULL;
    int d = 4;
    for (const cmd_opt *o = c->opts; o && o->name; o++)
        if (text_distance(o->name, name) < d) {
            d = text_distance(o->name, name);
            best = o->name;
        }
    for (size_t i = 0; i < COUNT_OF(shared); i++)
        if (text_distance(shared[i].name, name) < d) {
            d = text_distance(shared[i].name, name);
            best = shared[i].name;
        }
    return err_set(e, ERR_USAGE, "unknown option '%s'%s%s; see 'mammovit %s --help'", name,
                   best ? ", did you mean " : "", best ? best : "", c->verb);
}

/* The words are gone through once for --compat (and how much talk there is), then for files and all
 * that has no order, then for --set: later passes override what earlier ones set. */
typedef enum pass_of { PASS_FIRST, PASS_FILES, PASS_SETS } pass_of;

static bool take_shared(cmd_args *a, pass_of which, shared_id id, const char *v, err *e)
{
    if (which == PASS_SETS && id == OPT_SET && !strncmp(v, "model.", 6))
        a->set_model = v;
    if (which == PASS_SETS)
        return id != OPT_SET || cfg_set(a->config, v, e);
    if (which == PASS_FILES)
        return apply_shared(id, v, a, e);
    if (id == OPT_QUIET || id == OPT_VERBOSE)
        return apply_shared(id, v, a, e);
    if (id != OPT_COMPAT)
        return true;
    if (a->compat)
        return err_set(e, ERR_USAGE, "--compat is given twice");
    a->compat = v;
    return compat_check(v, e);
}

static bool pass(cmd_args *a, const cmd *c, int argc, char **argv, pass_of which, err *e)
{
    bool only_words = false;
    for (int i = 0; i < argc; i++) {
        char name[64];
        const char *w = argv[i], *v = NULL, *eq;
        if (only_words || w[0] != '-' || !w[1]) {
            if (which != PASS_FILES)
                continue;
            if (a->n_words == CMD_WORDS)
                return err_set(e, ERR_USAGE, "more than %d words", CMD_WORDS);
            a->word[a->n_words++] = w;
            continue;
        }
        if (!strcmp(w, "--")) {
            only_words = true;
            continue;
        }
        text_copy(name, sizeof name, w);
        eq = w[1] == '-' ? strchr(w, '=') : NULL;
        if (eq && (size_t)(eq - w) < sizeof name) {
            name[eq - w] = 0;
            v = eq + 1;
        }
        const cmd_opt *own = find_own(c, name);
        int s = -1;
        for (size_t k = 0; k < COUNT_OF(shared) && !own; k++)
            if (!strcmp(shared[k].name, name) || (shared[k].shrt && !strcmp(shared[k].shrt, name)))
                s = (int)k;
        char tight[3] = {w[0], w[1], 0}; /* -j4 */
        for (size_t k = 0; k < COUNT_OF(shared) && !own && s < 0 && w[1] != '-'; k++)
            if (shared[k].shrt && shared[k].arg && !strcmp(shared[k].shrt, tight)) {
                s = (int)k;
                v = w + 2;
            }
        if (!own && s < 0)
            return unknown_option(c, name, e);
        bool arg = own ? own->arg != NULL : shared[s].arg;
        if (!arg && v)
            return err_set(e, ERR_USAGE, "%s takes no value", name);
        if (arg && !v && i + 1 == argc)
            return err_set(e, ERR_USAGE, "%s wants a value", name);
        if (arg && !v)
            v = argv[++i];
        if (own && which == PASS_FILES) {
            if (a->n_values == CMD_VALUES)
                return err_set(e, ERR_USAGE, "more than %d options", CMD_VALUES);
            a->value[a->n_values].opt = own;
            a->value[a->n_values++].value = arg ? v : "";
        } else if (!own && !take_shared(a, which, shared[s].id, v, e)) {
            return false;
        }
    }
    return true;
}

bool args_parse(cmd_args *a, const cmd *c, int argc, char **argv, err *e)
{
    memset(a, 0, sizeof *a);
    a->config = args_schema();
    a->device = "auto";
    a->shard_n = 1;
    if (!pass(a, c, argc, argv, PASS_FIRST, e) ||
        (a->compat && !compat_apply(a->config, a->compat, true, e)) ||
        !pass(a, c, argc, argv, PASS_FILES, e) || !pass(a, c, argc, argv, PASS_SETS, e))
        return false;
    const char *compat = a->compat ? a->compat : a->foreign.training ? "patchdropout" : NULL;
    if (compat && !compat_apply(a->config, compat, false, e))
        return false;
    if (a->help)
        return true;
    if (a->n_words < c->min_words || (c->max_words >= 0 && a->n_words > c->max_words))
        return err_set(e, ERR_USAGE, "usage: mammovit %s", c->usage);
    return true;
}
