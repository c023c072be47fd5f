/* show: what is in a file of ours or in a DICOM file, as text, JSON or a picture. */
#include "cli/show_dicom.h"
#include "cli/show_made.h"
#include "cli/show_weights.h"

#include "cli/compat.h"
#include "core/fs.h"
#include "core/json.h"
#include "core/mem.h"
#include "core/text.h"
#include "dicom/catalog.h"
#include "eval/report_text.h"
#include "preprocess/cohort.h"
#include "preprocess/prepare.h"
#include "preprocess/shard.h"
#include "preprocess/store_status.h"
#include "train/checkpoint.h"
#include "train/maps_h5.h"
#include "train/pages.h"
#include "train/picture.h"

#include <dirent.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SHOW_SIDE    2048
#define GALLERY_SIDE 448

/* ---- our own files --------------------------------------------------------------------------- */

static bool show_cohort(const cmd_args *a, const char *path, err *e)
{
    cohort c;
    int64_t n[COHORT_FOLDS] = {0}, y[COHORT_FOLDS] = {0};
    if (!cohort_read(&c, path, e))
        return false;
    for (int64_t i = 0; i < c.n; i++) {
        n[c.row[i].fold]++;
        y[c.row[i].fold] += c.row[i].y[0] == 1;
    }
    json_t *sizes = json_array(), *folds = json_object(), *horizons = json_array();
    text list;
    text_init(&list);
    for (int s = 0; s < c.n_sizes; s++) {
        text_addf(&list, "  size %d: %d x %d px\n", s, c.h[s], c.w[s]);
        json_array_append_new(sizes, json_pack("[i, i]", c.h[s], c.w[s]));
    }
    for (int f = 0; f < COHORT_FOLDS; f++) {
        const char *name = cohort_fold_name((cohort_fold)f);
        if (!n[f])
            continue;
        text_addf(&list, "  %-12s %8" PRId64 " images, %8" PRId64 " positive\n", name, n[f], y[f]);
        json_object_set_new(
            folds, name,
            json_pack("{s:I, s:I}", "images", (json_int_t)n[f], "positives", (json_int_t)y[f]));
    }
    for (int h = 0; h < c.n_horizons; h++) {
        text_addf(&list, "  horizon %d: %g years\n", h, c.horizon_years[h]);
        json_array_append_new(horizons, json_num(c.horizon_years[h]));
    }
    cmd_result(
        a,
        json_pack("{s:I, s:i, s:s, s:o, s:o, s:o, s:f, s:f, s:f, s:f}", "images", (json_int_t)c.n,
                  "shards", c.n_shards, "prepare_id", c.prepare_id, "sizes", sizes, "folds", folds,
                  "horizon_years", horizons, "mean_all", c.mean_all, "sd_all", c.sd_all,
                  "mean_breast", c.mean_breast, "sd_breast", c.sd_breast),
        "cohort: %" PRId64 " images in %d shards, prepare id %s\n%s"
        "  pixels: mean %.6f sd %.6f; breast pixels: mean %.6f sd %.6f\n",
        c.n, c.n_shards, c.prepare_id, list.s, c.mean_all, c.sd_all, c.mean_breast, c.sd_breast);
    text_release(&list);
    cohort_release(&c);
    return true;
}

/* One row of a shard, with its picture. */
static bool show_shard(cmd_args *a, const char *path, err *e)
{
    const char *image = cmd_value(a, "--image"), *row_word = cmd_value(a, "--row");
    int64_t row = 0;
    int h, w;
    shard *s = shard_open(path, e);
    if (!s)
        return false;
    shard_size(s, &h, &w);
    cmd_result(a, json_pack("{s:i, s:i, s:i}", "images", shard_n(s), "h", h, "w", w),
               "shard: %d images of %d x %d px\n", shard_n(s), h, w);
    bool ok = !row_word || (text_i64(row_word, &row) && row >= 0 && row < shard_n(s)) ||
              err_set(e, ERR_USAGE, "--row '%s': wanted 0..%d", row_word, shard_n(s) - 1);
    if (ok && image) {
        void *chunk = NULL;
        size_t cap = 0, len;
        uint16_t *canvas = MEM_ARRAY(uint16_t, (size_t)h * (size_t)w);
        ok = shard_read_chunk(s, (int)row, &chunk, &cap, &len, e) &&
             shard_inflate(chunk, len, h, w, canvas, e) &&
             picture_png(image, canvas, h, w, SHOW_SIDE, e);
        mem_free(canvas);
        mem_free(chunk);
    }
    shard_close(s);
    return ok;
}

/* Pictures of a store's kept images, added to the image page of a prediction. */
typedef struct gallery {
    const char *store, *pages;
    char id[17];
    int h, w, number;
    json_t *index;
    void *chunk;
    size_t cap;
    uint16_t *pixels;
} gallery;

static bool add_picture(void *ctx, const catalog_row *r, err *e)
{
    gallery *g = ctx;
    char file[32], exam[32], view[8];
    shard_meta m;
    size_t len;
    int h, w;
    if (!r->prepared || r->primary != REASON_NONE)
        return true;
    char *path = prepare_shard_path(g->store, g->id, g->h, g->w, r->shard);
    shard *s = shard_open(path, e);
    mem_free(path);
    bool ok = s && shard_read_meta(s, r->shard_row, &m, e) &&
              shard_read_chunk(s, r->shard_row, &g->chunk, &g->cap, &len, e) &&
              shard_inflate(g->chunk, len, g->h, g->w, g->pixels, e);
    shard_close(s);
    if (!ok)
        return false;
    snprintf(file, sizeof file, "store-%03d.png", ++g->number);
    snprintf(exam, sizeof exam, "store-%.12s", r->exam);
    snprintf(view, sizeof view, "%c%s", r->rec.side, record_view_name(r->rec.view));
    picture_view v =
        picture_view_of(g->pixels, g->h, g->w, 1, m.affine, m.mm_per_px, (char)r->rec.side);
    picture_view_forget(&v); /* of many machines, each at its own scale */
    double long_side = fmax(v.crop_h * v.mm_h, v.crop_w * v.mm_w);
    uint8_t *grey = picture_hang(&v, g->pixels, fmax(1, long_side / GALLERY_SIDE), &h, &w);
    pages_index_add(g->index, exam, "ingested beside the cohort, not scored",
                    json_pack("{s:s, s:s, s:n, s:n, s:s, s:i, s:i, s:[]}", "view", view, "file",
                              file, "score", "mm_per_px", "chest_wall", v.mirror ? "right" : "left",
                              "width", w, "height", h, "layers"));
    path = fs_join(g->pages, file);
    ok = picture_write(path, grey, h, w, e);
    mem_free(path);
    mem_free(grey);
    return ok;
}

/* Exams of an earlier call go, those of the prediction stay. */
static void drop_old_pictures(json_t *exams)
{
    for (size_t i = json_array_size(exams); i-- > 0;) {
        const char *id = json_string_value(json_object_get(json_array_get(exams, i), "exam_id"));
        if (id && !strncmp(id, "store-", 6))
            json_array_remove(exams, i);
    }
}

static bool add_gallery(cmd_args *a, catalog *c, const char *store, const char *pred, err *e)
{
    gallery g = {.store = store};
    int n, h[PREPARE_SIZES], w[PREPARE_SIZES];
    char *pages = fs_join(pred, "pages"), *index = fs_join(pages, "index.json");
    prepare_id(a->config, g.id);
    bool ok = prepare_sizes(a->config, &n, h, w, e) && pages_index_read(index, &g.index, e);
    if (ok) {
        g.pages = pages;
        g.h = h[0];
        g.w = w[0];
        g.pixels = MEM_ARRAY(uint16_t, (size_t)h[0] * (size_t)w[0]);
        drop_old_pictures(json_object_get(g.index, "exams"));
        ok = catalog_each(c, g.id, add_picture, &g, e) && json_write(index, g.index, true, e);
        cmd_result(a, json_pack("{s:i}", "pictures", g.number), "%d pictures added to %s\n",
                   g.number, index);
        json_decref(g.index);
    }
    mem_free(g.pixels);
    mem_free(g.chunk);
    mem_free(pages);
    mem_free(index);
    return ok;
}

static void print_task(void *ctx, const store_status *s)
{
    text t;
    text_init(&t);
    text_addf(&t, "%s%s%s", s->task, s->id[0] ? " " : "", s->id);
    if (s->n > 1)
        text_addf(&t, " part %d/%d", s->k, s->n);
    if (!s->started)
        text_add(&t, ": not started");
    else
        text_addf(&t, ": %" PRId64 " done, %" PRId64 " failed", s->done, s->failed);
    if (s->left >= 0)
        text_addf(&t, ", %" PRId64 " left", s->left);
    if (s->started && !isnan(s->per_second))
        text_addf(&t,
                  ", %" PRId64 " of %" PRId64
                  " gone through in the running or last session at %.1f images/s",
                  s->session_done, s->session_total, s->per_second);
    if (s->left > 0 && !isnan(s->eta_seconds))
        text_addf(&t, ", %.0f s to go", s->eta_seconds);
    cmd_result(
        ctx,
        json_pack("{s:s, s:s, s:i, s:i, s:b, s:I, s:I, s:o, s:I, s:I, s:o, s:o}", "task", s->task,
                  "prepare_id", s->id, "part", s->k, "parts", s->n, "started", (int)s->started,
                  "done", (json_int_t)s->done, "failed", (json_int_t)s->failed, "left",
                  s->left >= 0 ? json_integer((json_int_t)s->left) : json_null(), "session_done",
                  (json_int_t)s->session_done, "session_total", (json_int_t)s->session_total,
                  "per_second", json_num(s->per_second), "eta_seconds", json_num(s->eta_seconds)),
        "%s\n", t.s);
    text_release(&t);
}

/* The table that leads back to persons must not lie where files lie that are to leave. */
static bool write_reidentify(const cmd_args *a, catalog *c, const char *to, err *e)
{
    char *dir = mem_strdup(to);
    *(char *)fs_base(dir) = 0;
    DIR *d = opendir(dir[0] ? dir : ".");
    bool ok = d || err_errno(e, "--reidentify: cannot open the folder");
    for (struct dirent *f; ok && (f = readdir(d));)
        if (text_ends(f->d_name, ".h5"))
            ok = err_set(e, ERR_INPUT,
                         "--reidentify: that folder holds images or a cohort that may leave the "
                         "hospital; choose another one");
    if (d)
        closedir(d);
    mem_free(dir);
    if (ok && fs_exists(to) && !a->force)
        ok = err_set(e, ERR_INPUT, "--reidentify: the file exists; --force writes it again");
    return ok && catalog_identities(c, to, e);
}

static bool show_store(cmd_args *a, const char *path, err *e)
{
    const char *to = cmd_value(a, "--export"), *map = cmd_value(a, "--reidentify");
    char id[17];
    catalog *c = catalog_open(path, false, e);
    if (!c)
        return false;
    prepare_id(a->config, id);
    cmd_result(a, json_pack("{s:I, s:s}", "files", (json_int_t)catalog_count(c), "prepare_id", id),
               "store: %" PRId64 " files in the catalogue; prepare id of this config: %s\n",
               catalog_count(c), id);
    const char *pred = cmd_value(a, "--pages");
    bool ok = store_status_each(c, path, id, print_task, a, e) &&
              (!to || catalog_export(c, id, to, e)) && (!map || write_reidentify(a, c, map, e)) &&
              (!pred || add_gallery(a, c, path, pred, e));
    catalog_close(c);
    return ok;
}

static const char *keep_schedule_of(const checkpoint_info *k)
{
    const char *s = json_string_value(json_object_get(k->recipe, "keep_schedule"));
    return s ? s : "fixed";
}

static const char *reduction_name(const model_cfg *m)
{
    return m->reduction == MODEL_EVIT ? "evit" : m->reduction == MODEL_PPT ? "ppt" : "none";
}

/* What the network was trained without, and what leaves between its blocks. */
static void add_dropping(const checkpoint_info *k, text *t)
{
    const model_cfg *m = &k->model;
    if (strcmp(keep_schedule_of(k), "fixed") != 0)
        text_addf(t, "share of patches kept in training: by schedule %s", keep_schedule_of(k));
    else
        text_addf(t, "share of %s kept in training: %g",
                  m->window ? "rows and of columns of each window" : "patches", m->keep_rate);
    text_addf(t, "; token reduction: %s", reduction_name(m));
    if (m->reduction == MODEL_EVIT)
        text_addf(t, ", %g stay after blocks %s", m->evit_keep, m->reduction_layers);
    else if (m->reduction == MODEL_PPT)
        text_addf(t, ", at most %" PRId64 " leave after each of blocks %s", m->ppt_tokens,
                  m->reduction_layers);
}

static bool show_run(const cmd_args *a, const char *path, err *e)
{
    checkpoint_info k;
    char dir[4096];
    if (!checkpoint_read_info(path, &k, dir, e))
        return false;
    text val, less;
    text_init(&val);
    if (k.best_epoch > 0)
        text_addf(&val, "validation exam AUC %.4f, best %.4f after epoch %" PRId64, k.val_auc,
                  k.best, k.best_epoch);
    else
        text_add(&val, "not validated yet");
    text_init(&less);
    add_dropping(&k, &less);
    cmd_result(a,
               json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:b, s:o, s:o, s:I, s:s, s:I, s:o, s:s, "
                         "s:s}",
                         "checkpoint", fs_base(dir), "model", k.model.name, "image_h",
                         (json_int_t)k.model.image_h, "image_w", (json_int_t)k.model.image_w,
                         "epoch", (json_int_t)k.epoch, "step", (json_int_t)k.step, "finished",
                         (int)k.finished, "val_auc", json_num(k.val_auc), "best", json_num(k.best),
                         "best_epoch", (json_int_t)k.best_epoch, "prepare_id", k.prepare_id, "seed",
                         (json_int_t)k.seed, "keep_rate", json_num(k.model.keep_rate),
                         "keep_schedule", keep_schedule_of(&k), "token_reduction",
                         reduction_name(&k.model)),
               "checkpoint %s: %s, %" PRId64 " x %" PRId64 " px, epoch %" PRId64 ", step %" PRId64
               "%s\n%s\n%s\nprepare id %s, seed %" PRIu64 "\n",
               fs_base(dir), k.model.name, k.model.image_h, k.model.image_w, k.epoch, k.step,
               k.finished ? ", finished" : "", val.s, less.s, k.prepare_id, k.seed);
    text_release(&less);
    text_release(&val);
    checkpoint_release(&k);
    return true;
}

static bool is_weights(const char *path)
{
    static const char *const names[] = {".safetensors", ".pth", ".pt", ".bin", ".npz"};
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        if (text_ends(path, names[i]))
            return true;
    }
    return false;
}

/* By its first bytes: any name may be given to a cohort. */
static bool is_hdf5(const char *path)
{
    char head[8] = {0};
    FILE *f = fopen(path, "rb");
    bool found = f && fread(head, 1, sizeof head, f) == sizeof head &&
                 !memcmp(head, "\x89HDF\r\n\x1a\n", sizeof head);
    if (f)
        fclose(f);
    return found;
}

/* Every key with its help, as configs/default.yaml has it, with -c and --set applied. */
static bool show_config(const cmd_args *a)
{
    text t, bare;
    text_init(&t);
    text_init(&bare);
    cfg_dump(a->config, NULL, true, &t);
    cfg_dump(a->config, NULL, false, &bare);
    cmd_result(a, json_pack("{s:o}", "yaml", json_words(bare.s)), "%s", t.s);
    text_release(&bare);
    text_release(&t);
    return true;
}

/* What published programs do, and the key that does it here. */
static bool show_compat(const cmd_args *a)
{
    cfg *plain = args_schema();
    if (!a->json)
        printf("%-12s  %-23s  %-10s  %-9s  %s\n", "program", "key", "default", "published",
               "quirk");
    for (int i = 0; compat_at(i); i++) {
        const compat_row *r = compat_at(i);
        const char *def = r->key ? cfg_text(plain, r->key) : NULL;
        cmd_result(
            a,
            json_pack("{s:s, s:s, s:s?, s:s?, s:s?, s:s?, s:s?}", "program", r->program, "quirk",
                      r->quirk, "key", r->key, "default", def, "published", r->value, "networks",
                      r->nets, r->key ? "note" : "not_reproduced", r->why),
            "%-12s  %-23s  %-10s  %-9s  %s%s%s%s\n", r->program, r->key ? r->key : "-",
            def ? def : "-", r->value ? r->value : "-", r->quirk, r->key && r->why ? "; " : "",
            r->key ? "" : ". Not reproduced: ", r->why ? r->why : "");
    }
    cfg_free(plain);
    return true;
}

/* The report's words, for a translator (eval.strings). */
static bool show_strings(void)
{
    text t;
    text_init(&t);
    json_t *words = report_text_all();
    json_write_text(words, true, &t);
    printf("%s\n", t.s);
    json_decref(words);
    text_release(&t);
    return true;
}

static bool show(cmd_args *a, err *e)
{
    const char *path = a->word[0];
    if (!strcmp(path, "config") && !fs_exists(path))
        return show_config(a);
    if (!strcmp(path, "compat") && !fs_exists(path))
        return show_compat(a);
    if (!strcmp(path, "strings") && !fs_exists(path))
        return show_strings();
    if (!strcmp(path, "reasons") && !fs_exists(path))
        return show_dicom_reasons(a);
    switch (cmd_kind_of(path)) {
    case CMD_NOTHING:
        return cmd_not_ours(path, e);
    case CMD_STORE:
        return show_store(a, path, e);
    case CMD_RUN:
        return show_run(a, path, e);
    case CMD_PRED:
        return show_made_prediction(a, path, e);
    case CMD_REPORT:
        return show_made_report(a, path, e);
    case CMD_FILE:
        break;
    }
    if (is_weights(path))
        return show_weights(a, path, e);
    if (text_ends(path, ".json"))
        return show_made_json(a, path, e);
    if (is_hdf5(path) && maps_h5_is(path))
        return show_made_maps(a, path, e);
    if (is_hdf5(path)) {
        shard *s = shard_open(path, NULL);
        shard_close(s);
        return s ? show_shard(a, path, e) : show_cohort(a, path, e);
    }
    return show_dicom(a, path, e);
}

static const cmd_opt opts[] = {
    {"--image", "OUT.png", "also write a picture: of a DICOM file or of a shard's row"},
    {"--stage", "S", "of a DICOM file: stored, modality, display or final instead of two panels"},
    {"--row", "N", "row of a shard, from 0"},
    {"--identifiers", NULL, "also print what names a person (hospital side only)"},
    {"--export", "CSV", "of a store: every file's facts and outcome, pseudonyms only"},
    {"--reidentify", "CSV", "of a store: pseudonyms and raw identifiers (hospital side only)"},
    {"--pages", "PRED", "of a store: add its kept images to a prediction's image page"},
    {NULL, NULL, NULL},
};
const cmd cmd_show = {
    .verb = "show",
    .usage = "show FILE|STORE|RUN|PRED|REPORT|config|reasons|compat|strings [--image OUT.png "
             "[--stage S]] "
             "[--json]",
    .summary = "what is in a DICOM file, store, shard, cohort, checkpoint, prediction or report",
    .help =
        "A DICOM file: its facts, every decision of prepare and every reason that would leave it "
        "out under the\nconfig. --image: left the image with the outline of the breast and the "
        "crop, right what the network\nwould see; also for an image that is left out. "
        "Identifiers are printed only on request.\nThe word config prints the resolved config "
        "with the help of every key, the word reasons every\nreason code, "
        "the word compat what published programs do and the key that does it here (--compat), the "
        "word strings\nthe words of the report for a translator (eval.strings).",
    .fn = show,
    .opts = opts,
    .foreign_bytes = true,
    .min_words = 1,
    .max_words = 1,
};
