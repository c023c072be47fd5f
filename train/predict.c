/* Scores the rows of one split with one or several checkpoints and writes PRED/: the table, the
 * books and hashes, and the pictures of some exams. The table comes last: where it is, all is
 * there. evaluation.md 1, design.md 5. */
#include "train/predict.h"

#include "core/csv.h"
#include "core/fs.h"
#include "core/kill.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/version.h"
#include "train/maps.h"
#include "train/pages.h"
#include "train/robustness.h"
#include "train/validate.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const cfg_option table[] = {
    {"predict.pages", CFG_INT, offsetof(predict_cfg, pages), "10", 0, 1000, NULL, "exams",
     "exams whose views are kept for the report's image page: by turns the highest score, a cancer "
     "with a low one, a high one without cancer, the lowest, and one drawn at random"},
    {"predict.pages_seed", CFG_INT, offsetof(predict_cfg, pages_seed), "1", 0, 1e15, NULL, "",
     "seed of that draw"},
    {"predict.page_side", CFG_INT, offsetof(predict_cfg, page_side), "720", 64, 2048, NULL, "px",
     "longest side of the largest of these pictures, which all have one scale; the report keeps "
     "its "
     "file below 25 MB and leaves out exams that do not fit"},
    {"predict.keep_rate", CFG_REAL, offsetof(predict_cfg, keep_rate), "1", 1e-6, 1, NULL, "",
     "share of patches kept when scoring; below 1 tissue is left out at random: for studies of "
     "stability, never for reading"},
    {"predict.keep_seed", CFG_INT, offsetof(predict_cfg, keep_seed), "1", 0, 1e15, NULL, "",
     "seed of that draw, which goes by the image's name"},
    {"predict.maps", CFG_ENUM, offsetof(predict_cfg, maps), "none", 0, 0, "none|pages|all", "",
     "maps of what the network read and weighed: of the images of predict.pages, numbers and "
     "pictures; all: numbers of every image, pictures of these"},
    {"predict.evit_mask", CFG_BOOL, offsetof(predict_cfg, evit_mask), "false", 0, 0, NULL, "",
     "with maps of EViT also its published picture: patches that left are black"},
    {"predict.evit_patch0", CFG_BOOL, offsetof(predict_cfg, evit_patch0), "false", 0, 0, NULL, "",
     "in that picture a kept fused token lights up the first patch, as published; a fault"},
};
const cfg_group predict_options = {"Prediction", table, COUNT_OF(table)};

typedef struct member {
    checkpoint_info info;
    char dir[4096];
    double *score, *logit;
} member;

typedef struct job {
    const predict_opts *o;
    predict_cfg c;
    cohort data;
    pool *threads;
    backend *be;
    loader *load;
    member *m;
    int64_t *row, n;
    double *score, *logit; /* of the ensemble */
    int64_t exams;
    char cohort_sha256[65];
} job;

bool predict_images(model *m, backend *be, const checkpoint_info *c, const uint16_t *const *image,
                    int n, double *score, double *logit, err *e)
{
    int classes = (int)model_config(m)->classes;
    run *tape = run_new(be, RUN_INFER);
    float *host = MEM_ARRAY(float, classes);
    bool ok = true;
    for (int i = 0; i < n && ok; i++) {
        model_batch in = {.b = 1,
                          .h = (int)c->model.image_h,
                          .w = (int)c->model.image_w,
                          .image = &image[i],
                          .grey = true,
                          .mean = c->mean,
                          .sd = c->sd};
        run_reset(tape);
        run_read(tape, model_forward(m, tape, &in), host);
        validate_probability(host, classes, &score[i], &logit[i]);
        if (!isfinite(logit[i]))
            ok = err_set(e, ERR_RANGE, "image %d: the network's output is not finite", i + 1);
    }
    run_free(tape);
    mem_free(host);
    return ok;
}

/* ---- what is asked, and what is there -------------------------------------------------------- */

static bool choose_rows(job *j, err *e)
{
    int fold = cohort_fold_find(j->o->split);
    int64_t exams = 0;
    if (fold < 0 && strcmp(j->o->split, "all"))
        return err_set(e, ERR_USAGE,
                       "unknown split '%s'; wanted train, val, test, val_natural or all",
                       j->o->split);
    j->row = MEM_ARRAY(int64_t, j->data.n ? j->data.n : 1);
    for (int64_t i = 0; i < j->data.n; i++)
        if (fold < 0 || j->data.row[i].fold == fold) {
            exams += !j->n || strcmp(j->data.row[j->row[j->n - 1]].exam, j->data.row[i].exam);
            j->row[j->n++] = i;
        }
    j->exams = exams;
    return j->n || err_set(e, ERR_INPUT, "the cohort has no image in split '%s'", j->o->split);
}

/* A member must have been trained on images prepared exactly like these. */
static bool check_member(const job *j, const member *m, err *e)
{
    const checkpoint_info *k = &m->info, *first = &j->m[0].info;
    if (strcmp(k->prepare_id, j->data.prepare_id))
        return err_set(e, ERR_INPUT,
                       "checkpoint '%s' was trained on images of prepare id %s, the cohort has %s",
                       fs_base(m->dir), k->prepare_id, j->data.prepare_id);
    if (k->horizon >= j->data.n_horizons ||
        k->horizon_years[k->horizon] != first->horizon_years[first->horizon])
        return err_set(e, ERR_INPUT, "the checkpoints or the cohort have different horizons");
    return true;
}

/* All that a prediction is made from, by the words in which it is asked for. */
static json_t *make_inputs(const job *j)
{
    json_t *o = json_object();
    text models;
    text_init(&models);
    for (int m = 0; m < j->o->n_checkpoints; m++)
        text_addf(&models, "%s%.12s", m ? "+" : "", j->m[m].info.model_sha256);
    json_object_set_new(o, "checkpoint", json_string(models.s));
    json_object_set_new(o, "--cohort", json_string(j->cohort_sha256));
    json_object_set_new(o, "--split", json_string(j->o->split));
    for (size_t i = 0; i < predict_options.n; i++) {
        const char *key = predict_options.options[i].key;
        json_object_set_new(o, key, json_words(cfg_text(j->o->config, key)));
    }
    text_release(&models);
    return o;
}

static void add_differences(const json_t *was, json_t *now, text *out)
{
    const char *key;
    json_t *v;
    json_object_foreach(now, key, v)
    {
        const char *old = json_string_value(json_object_get(was, key)),
                   *want = json_string_value(v);
        if (old && strcmp(old, want))
            text_addf(out, strlen(old) < 40 ? " %s (was %s)" : " %s", key, old);
        else if (!old)
            text_addf(out, " %s (unknown)", key);
    }
}

static bool there(const job *j, const char *name)
{
    char *path = fs_join(j->o->out, name);
    bool found = fs_exists(path);
    mem_free(path);
    return found;
}

/* Is the folder's prediction, if it has a whole one, just this? 1 yes, 0 it is to be made, -1 it is
 * another one, which only --force replaces. */
static int made_before(const job *j, err *e)
{
    json_t *was = NULL, *now;
    const json_t *from;
    text differ;
    err none = {0};
    if (j->o->force || !there(j, "predictions.csv"))
        return 0;
    char *books = fs_join(j->o->out, "predictions.json");
    bool known = fs_exists(books) && json_read(books, &was, &none) &&
                 json_is_object(from = json_object_get(was, "inputs"));
    mem_free(books);
    text_init(&differ);
    now = make_inputs(j);
    add_differences(known ? from : NULL, now, &differ);
    json_decref(now);
    json_decref(was);
    int made = !differ.len && there(j, "pages/index.json") &&
               (j->c.maps == MAPS_NONE || there(j, "maps.h5"));
    if (differ.len && !j->o->replace) {
        made = -1;
        err_set(e, ERR_INPUT, "'%s' holds %s; use another folder, or --force to replace it%s%s",
                j->o->out,
                known ? "a prediction from other inputs" : "a predictions.csv of unknown origin",
                known ? "; other:" : "", known ? differ.s : "");
    }
    text_release(&differ);
    return made;
}

/* ---- scores ---------------------------------------------------------------------------------- */

static int find_size(const cohort *c, const model_cfg *m)
{
    for (int s = 0; s < c->n_sizes; s++)
        if (c->h[s] == m->image_h && c->w[s] == m->image_w)
            return s;
    return -1;
}

static bool check_dropping(job *j, const model *net, err *e)
{
    if (j->c.keep_rate == 1)
        return true;
    if (!keep_check(KEEP_FIXED, "predict.keep_rate", j->c.keep_rate, net, e) ||
        (model_wants_breast(net) && !loader_need_masks(j->load, e)))
        return false;
    keep_warn_share("predict.keep_rate", j->c.keep_rate, net);
    return true;
}

/* Maps are of one network. */
static bool check_maps(const job *j, const model *net, err *e)
{
    if (j->c.maps == MAPS_NONE)
        return true;
    if (j->o->n_checkpoints > 1)
        return err_set(e, ERR_USAGE, "maps show one network; give one checkpoint");
    return maps_check(net, e);
}

static bool open_loader(job *j, const member *m, err *e)
{
    int size = find_size(&j->data, &m->info.model);
    if (size < 0)
        return err_set(e, ERR_INPUT, "the cohort has no images of %lld x %lld px",
                       (long long)m->info.model.image_h, (long long)m->info.model.image_w);
    loader_free(j->load);
    j->load = loader_new(&j->data, size, 0, e);
    return j->load != NULL;
}

static bool score_member(job *j, member *m, err *e)
{
    if (!open_loader(j, m, e))
        return false;
    m->score = MEM_ARRAY(double, j->n);
    m->logit = MEM_ARRAY(double, j->n);
    model *net = checkpoint_load(m->dir, &m->info, j->be, e);
    keep_plan keep = {.net = net, .rate = j->c.keep_rate, .seed = (uint64_t)j->c.keep_seed};
    validate_rows rows = {.net = net,
                          .load = j->load,
                          .info = &m->info,
                          .row = j->row,
                          .n = j->n,
                          .keep = keep.rate < 1 ? &keep : NULL};
    bool ok = net && check_maps(j, net, e) && check_dropping(j, net, e) &&
              validate_score(&rows, m->score, m->logit, e);
    for (int64_t i = 0; i < j->n && ok; i++)
        if (!isfinite(m->logit[i]))
            ok = err_set(e, ERR_RANGE, "the network's output is not finite for row %lld",
                         (long long)i);
    model_free(net);
    return ok;
}

/* Ensemble: mean of the probabilities (evaluation.md 13); one member keeps its own logit. The
 * complement is averaged by itself, so that a certain score still has finite log-odds. */
static void combine(job *j)
{
    int k = j->o->n_checkpoints;
    j->score = MEM_ARRAY(double, j->n);
    j->logit = MEM_ARRAY(double, j->n);
    for (int64_t i = 0; i < j->n; i++) {
        double sum = 0, rest = 0;
        for (int m = 0; m < k; m++) {
            sum += j->m[m].score[i];
            rest += 1 / (1 + exp(j->m[m].logit[i]));
        }
        j->score[i] = sum / k;
        j->logit[i] = k == 1 ? j->m[0].logit[i] : log(sum) - log(rest);
    }
}

/* ---- files ----------------------------------------------------------------------------------- */

static const char *view_of(const cohort_row *r)
{
    return r->view == 'C' ? "CC" : r->view == 'M' ? "MLO" : "";
}

static void put_row(csv_writer *w, const job *j, int64_t i, const char *ckpt, const char *seed)
{
    const cohort_row *r = &j->data.row[j->row[i]];
    const checkpoint_info *k = &j->m[0].info;
    char side[2] = {r->side, 0};
    bool event = r->days_to_cancer >= 0;
    int days = event ? r->days_to_cancer : r->days_to_last_negative;
    csv_put(w, r->exam);
    csv_put(w, r->patient);
    csv_put(w, r->image);
    csv_put(w, side);
    csv_put(w, view_of(r));
    csv_put_f64(w, j->score[i]);
    csv_put_f64(w, j->logit[i]);
    if (r->y[k->horizon] >= 0)
        csv_put_i64(w, r->y[k->horizon]);
    else
        csv_put(w, "");
    csv_put_f64(w, days >= 0 ? days / 365.25 : NAN);
    csv_put(w, days >= 0 ? (event ? "1" : "0") : "");
    csv_put_i64(w, r->exam_day);
    if (r->age >= 0)
        csv_put_i64(w, r->age);
    else
        csv_put(w, "");
    csv_put(w, r->vendor);
    csv_put(w, r->device_model);
    csv_put(w, r->site);
    csv_put(w, r->density);
    csv_put(w, cohort_fold_name((cohort_fold)r->fold));
    csv_put_f64(w, (double)r->weight);
    csv_put(w, ckpt);
    csv_put(w, seed);
    csv_end_row(w);
}

static bool write_table(const job *j, err *e)
{
    static const char *const head[] = {
        "exam_id", "patient_id", "image_id", "laterality", "view",       "score",  "logit",
        "y",       "T",          "E",        "exam_day",   "age",        "vendor", "device_model",
        "site",    "density",    "split",    "weight",     "checkpoint", "seed"};
    char *path = fs_join(j->o->out, "predictions.csv");
    text ckpt, seed;
    text_init(&ckpt);
    text_init(&seed);
    for (int m = 0; m < j->o->n_checkpoints; m++) {
        text_addf(&ckpt, "%s%.12s", m ? "+" : "", j->m[m].info.model_sha256);
        text_addf(&seed, "%s%llu", m ? "+" : "", (unsigned long long)j->m[m].info.seed);
    }
    csv_writer *w = csv_create(path, e);
    for (size_t i = 0; i < COUNT_OF(head) && w; i++)
        csv_put(w, head[i]);
    if (w)
        csv_end_row(w);
    for (int64_t i = 0; i < j->n && w; i++)
        put_row(w, j, i, ckpt.s, seed.s);
    text_release(&ckpt);
    text_release(&seed);
    mem_free(path);
    return w && csv_commit(w, e);
}

/* Exams and women of rows of the cohort, which is in the order of both; row NULL: the first n. */
static void count_wholes(const cohort *c, const int64_t *row, int64_t n, int64_t out[2])
{
    const cohort_row *before = NULL;
    out[0] = out[1] = 0;
    for (int64_t i = 0; i < n; i++) {
        const cohort_row *r = &c->row[row ? row[i] : i];
        out[0] += !before || strcmp(before->exam, r->exam) != 0;
        out[1] += !before || strcmp(before->patient, r->patient) != 0;
        before = r;
    }
}

/* The books: the cohort's, then which images of it are in this split. */
static json_t *make_flow(const job *j)
{
    json_t *flow = json_deep_copy(j->data.flow);
    char step[64];
    int64_t all[2], here[2];
    snprintf(step, sizeof step, "in other splits than '%s'", j->o->split);
    count_wholes(&j->data, NULL, j->data.n, all);
    count_wholes(&j->data, j->row, j->n, here);
    if (j->n != j->data.n)
        json_array_append_new(
            flow,
            json_pack("{s:s, s:s, s:s, s:I, s:I, s:s, s:I, s:I, s:I, s:I, s:I, s:I}", "stage",
                      "predict", "step", step, "reason", "OTHER_SPLIT", "n_in",
                      (json_int_t)j->data.n, "n_out", (json_int_t)j->n, "unit", "files", "exams_in",
                      (json_int_t)all[0], "exams_out", (json_int_t)here[0], "exams_touched",
                      (json_int_t)(all[0] - here[0]), "women_in", (json_int_t)all[1], "women_out",
                      (json_int_t)here[1], "women_touched", (json_int_t)(all[1] - here[1])));
    json_array_append_new(flow,
                          json_pack("{s:s, s:s, s:s, s:I, s:I, s:s}", "stage", "predict", "step",
                                    "exams scored", "reason", "", "n_in", (json_int_t)j->exams,
                                    "n_out", (json_int_t)j->exams, "unit", "exams"));
    return flow;
}

static json_t *model_card(const job *j)
{
    const checkpoint_info *k = &j->m[0].info;
    model_counts n = {0};
    json_t *o =
        json_pack("{s:s, s:I, s:I, s:I, s:I, s:o, s:I, s:I, s:I}", "name", k->model.name, "image_h",
                  (json_int_t)k->model.image_h, "image_w", (json_int_t)k->model.image_w, "patch",
                  (json_int_t)k->model.patch, "depth", (json_int_t)k->model.depth, "keep_rate",
                  json_num(k->model.keep_rate), "epochs", (json_int_t)k->epoch, "steps",
                  (json_int_t)k->step, "members", (json_int_t)j->o->n_checkpoints);
    if (model_count(&k->model, &n, NULL)) {
        json_object_set_new(o, "params", json_integer(n.params));
        json_object_set_new(o, "macs", json_integer(model_macs(&n.published, MODEL_FVCORE)));
    }
    json_object_set_new(o, "horizon_years", json_num(k->horizon_years[k->horizon]));
    json_object_set_new(o, "normalize_mean", json_num((double)k->mean));
    json_object_set_new(o, "normalize_sd", json_num((double)k->sd));
    json_object_set_new(o, "val_auc_exam", json_num(k->val_auc));
    json_object_set_new(o, "seed", json_integer((json_int_t)k->seed));
    if (j->c.keep_rate < 1) {
        json_object_set_new(o, "predict_keep_rate", json_num(j->c.keep_rate));
        json_object_set_new(o, "predict_keep_seed", json_integer(j->c.keep_seed));
    }
    json_object_update_missing(o, k->recipe);
    json_object_set_new(o, "history", json_incref(k->history));
    return o;
}

static bool write_books(const job *j, err *e)
{
    char *path = fs_join(j->o->out, "predictions.json");
    const checkpoint_info *k = &j->m[0].info;
    json_t *o = json_object(), *hashes = json_object();
    json_object_set_new(hashes, "cohort", json_string(j->cohort_sha256));
    json_object_set_new(hashes, "training_cohort", json_string(k->cohort_sha256));
    json_object_set_new(hashes, "training_config", json_string(k->config_sha256));
    json_object_set_new(hashes, "prepare_id", json_string(k->prepare_id));
    for (int m = 0; m < j->o->n_checkpoints; m++) {
        char name[32];
        snprintf(name, sizeof name, m ? "model_%d" : "model", m + 1);
        json_object_set_new(hashes, name, json_string(j->m[m].info.model_sha256));
    }
    json_object_set_new(o, "flow", make_flow(j));
    json_object_set_new(o, "model", model_card(j));
    json_object_set_new(o, "hashes", hashes);
    json_object_set_new(o, "inputs", make_inputs(j));
    json_object_set_new(o, "version", json_string(version_number()));
    json_object_set_new(o, "split", json_string(j->o->split));
    text yaml;
    text_init(&yaml);
    text_addf(&yaml, "%s%s", k->prepare_yaml, k->config_yaml);
    json_object_set_new(o, "config_yaml", json_string(yaml.s));
    text_release(&yaml);
    bool ok = json_write(path, o, true, e);
    json_decref(o);
    mem_free(path);
    return ok;
}

typedef struct map_job {
    job *j;
    maps *m;
    const keep_plan *keep; /* as it was scored */
    uint8_t *mask;         /* scratch of one image, NULL = there are none */
    const bool *page;      /* [j->n] */
} map_job;

static bool wants_map(const map_job *k, int64_t i)
{
    return k->page[i] || k->j->c.maps == MAPS_ALL;
}

/* Image i through the loader, with the patches that were kept when it was scored. */
static bool add_map(const map_job *k, int64_t i, err *e)
{
    job *j = k->j;
    const cohort_row *r = &j->data.row[j->row[i]];
    loader_batch b;
    loader_plan one = {.row = &j->row[i], .n = 1, .batch = 1, .keep = k->keep, .by_image = true};
    if (k->mask && !loader_mask(j->load, j->row[i], k->mask, e))
        return false;
    loader_start(j->load, &one);
    bool ok = loader_next(j->load, &b, e) == 1;
    if (ok)
        ok = maps_add(k->m,
                      &(maps_image){.image = r->image,
                                    .exam = r->exam,
                                    .side = r->side,
                                    .view = view_of(r),
                                    .pixels = b.in.image[0],
                                    .mask = k->mask,
                                    .keep = b.in.keep,
                                    .n_keep = b.in.n_keep,
                                    .pictures = k->page[i]},
                      e);
    loader_stop(j->load);
    return ok;
}

static bool add_maps(map_job *k, maps_spec *s, err *e)
{
    bool ok = true;
    for (int64_t i = 0; i < k->j->n; i++)
        s->n += wants_map(k, i);
    k->m = maps_new(s, e);
    for (int64_t i = 0; i < k->j->n && k->m && ok; i++)
        ok = !wants_map(k, i) || add_map(k, i, e);
    if (k->m && ok)
        return maps_commit(k->m, e);
    maps_discard(k->m);
    return false;
}

/* Maps of the rows that are on a page, or of all; layers: for the pages. */
static bool write_maps(job *j, const pages_spec *pages, json_t *layers, err *e)
{
    const member *first = &j->m[0];
    const model_cfg *c = &first->info.model;
    const char *lacking;
    char why[400];
    if (!maps_clear(j->o->out, e))
        return false;
    if (j->c.maps == MAPS_NONE)
        return true;
    if (!loader_masks(j->load, &lacking, e))
        return false;
    snprintf(why, sizeof why, "shard '%s' has no masks; prepare the images with prepare.mask: true",
             lacking ? lacking : "");
    maps_spec s = {.out = j->o->out,
                   .net = checkpoint_load(first->dir, &first->info, j->be, e),
                   .be = j->be,
                   .info = &first->info,
                   .no_mask = lacking ? why : NULL,
                   .evit_mask = j->c.evit_mask,
                   .evit_patch0 = j->c.evit_patch0,
                   .layers = layers};
    keep_plan keep = {.net = s.net, .rate = j->c.keep_rate, .seed = (uint64_t)j->c.keep_seed};
    bool *page = MEM_ARRAY(bool, j->n);
    map_job k = {.j = j, .keep = keep.rate < 1 ? &keep : NULL, .page = page};
    k.mask = lacking ? NULL : MEM_ARRAY(uint8_t, c->image_h * c->image_w);
    pages_choose(pages, page);
    bool ok = s.net && add_maps(&k, &s, e);
    model_free(s.net);
    mem_free(k.mask);
    mem_free(page);
    return ok;
}

static bool write_all(job *j, err *e)
{
    const checkpoint_info *first = &j->m[0].info;
    char *dir = fs_join(j->o->out, "pages"), *scored = fs_join(j->o->out, "predictions.csv");
    json_t *layers = json_object();
    pages_spec pages = {.scored = {.data = &j->data,
                                   .row = j->row,
                                   .score = j->score,
                                   .n = j->n,
                                   .horizon = first->horizon},
                        .exams = (int)j->c.pages,
                        .seed = (uint64_t)j->c.pages_seed,
                        .side = (int)j->c.page_side,
                        .patch = (int)first->model.patch,
                        .layers = layers};
    bool ok = fs_mkdirs(j->o->out, e) && robustness_clear(j->o->out, e) &&
              fs_remove_tree(scored, e) && write_maps(j, &pages, layers, e);
    kill_point("predict_inside");
    ok = ok && pages_write(dir, j->load, &pages, e) && write_books(j, e);
    kill_point("predict_inside");
    ok = ok && write_table(j, e);
    json_decref(layers);
    mem_free(dir);
    mem_free(scored);
    return ok;
}

static bool open_inputs(job *j, err *e)
{
    if (!cohort_read(&j->data, j->o->cohort, e) || !cohort_check(&j->data, e) ||
        !choose_rows(j, e) || !fs_sha256_file(j->o->cohort, j->cohort_sha256, e))
        return false;
    for (int m = 0; m < j->o->n_checkpoints; m++) {
        if (!checkpoint_read_info(j->o->checkpoint[m], &j->m[m].info, j->m[m].dir, e) ||
            !check_member(j, &j->m[m], e))
            return false;
    }
    return true;
}

static bool open_backend(job *j, err *e)
{
    j->threads = pool_new(j->o->threads);
    j->be = backend_new(j->o->device, j->threads, e);
    backend_how how = {0};
    cfg_bind(j->o->config, &backend_options, &how);
    return j->be && backend_compute(j->be, &how, e);
}

static bool score_all(job *j, err *e)
{
    bool ok = open_backend(j, e);
    for (int m = 0; m < j->o->n_checkpoints && ok; m++)
        ok = score_member(j, &j->m[m], e);
    if (ok)
        combine(j);
    return ok;
}

/* The network and the images again, for one checkpoint, also where its scores were made before. */
static bool write_robustness(job *j, bool *made_before, err *e)
{
    const member *first = &j->m[0];
    if (j->o->n_checkpoints > 1)
        return err_set(e, ERR_USAGE, "--robustness is of one network; give one checkpoint");
    json_t *inputs = make_inputs(j);
    robustness_job r = {.out = j->o->out,
                        .config = j->o->config,
                        .info = &first->info,
                        .data = &j->data,
                        .row = j->row,
                        .n = j->n,
                        .inputs = inputs};
    bool ok = true;
    *made_before = !j->o->force && robustness_made(&r);
    if (j->o->force)
        ok = robustness_clear(j->o->out, e);
    if (ok && !*made_before) {
        if (!j->be)
            open_backend(j, e);
        if (j->be && !j->load)
            open_loader(j, first, e);
        r.be = j->be;
        r.load = j->load;
        r.net = j->load ? checkpoint_load(first->dir, &first->info, j->be, e) : NULL;
        ok = r.net && robustness_write(&r, e);
        model_free(r.net);
    }
    json_decref(inputs);
    return ok;
}

bool predict_run(const predict_opts *o, predict_result *out, err *e)
{
    job j = {.o = o};
    bool ok = false;
    cohort_init(&j.data);
    cfg_bind(o->config, &predict_options, &j.c);
    j.m = MEM_ARRAY(member, o->n_checkpoints);
    if (j.c.keep_rate < 1)
        log_warn("stability_study",
                 "predict.keep_rate=%g why=\"patches are left out at random: a study of stability, "
                 "not for reading\"",
                 j.c.keep_rate);
    int made = open_inputs(&j, e) ? made_before(&j, e) : -1;
    ok = made == 1 || (made == 0 && score_all(&j, e) && write_all(&j, e));
    ok = ok && (!o->robustness || write_robustness(&j, &out->robust_before, e));
    out->made_before = made == 1;
    out->images = j.n;
    out->exams = j.exams;
    loader_free(j.load);
    for (int m = 0; m < o->n_checkpoints; m++) {
        mem_free(j.m[m].score);
        mem_free(j.m[m].logit);
        checkpoint_release(&j.m[m].info);
    }
    mem_free(j.m);
    mem_free(j.row);
    mem_free(j.score);
    mem_free(j.logit);
    backend_free(j.be);
    pool_free(j.threads);
    cohort_release(&j.data);
    return ok;
}
