/* Predictions, their maps, and reports in a few lines. Their files may have been written elsewhere:
 * a member that is missing is left out, one that is needed is an error. */
#include "cli/show_made.h"

#include "core/csv.h"
#include "core/fs.h"
#include "core/mem.h"
#include "core/text.h"
#include "train/maps_h5.h"

#include <inttypes.h>
#include <string.h>

#define EVAL_SCHEMA "mammovit.eval/" /* and a version: members that are read here are in all */

static bool has(const char *dir, const char *name)
{
    char *path = fs_join(dir, name);
    bool found = fs_exists(path);
    mem_free(path);
    return found;
}

static const char *word(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));
    return s ? s : "unknown";
}

/* ---- predictions ----------------------------------------------------------------------------- */

typedef struct table {
    int64_t images, exams;
} table;

static bool count_rows(const char *dir, table *t, err *e)
{
    char *path = fs_join(dir, "predictions.csv");
    csv_reader *r = csv_open(path, e);
    text last;
    int exam, got = -1;
    *t = (table){0};
    text_init(&last);
    if (r && csv_require(r, "exam_id", &exam, e)) {
        while ((got = csv_next(r, e)) > 0) { /* rows of an exam are neighbours */
            t->exams += !t->images || strcmp(last.s, csv_field(r, exam));
            t->images++;
            text_clear(&last);
            text_add(&last, csv_field(r, exam));
        }
    }
    csv_close(r);
    text_release(&last);
    mem_free(path);
    return got == 0;
}

static void add_model(const json_t *card, text *t)
{
    const json_t *members = json_object_get(card, "members");
    text_addf(t, "by %s, %" PRId64 " x %" PRId64 " px, epoch %" PRId64 ", step %" PRId64,
              word(card, "name"), (int64_t)json_integer_value(json_object_get(card, "image_h")),
              (int64_t)json_integer_value(json_object_get(card, "image_w")),
              (int64_t)json_integer_value(json_object_get(card, "epochs")),
              (int64_t)json_integer_value(json_object_get(card, "steps")));
    if (json_integer_value(members) > 1)
        text_addf(t, ", mean of %" PRId64 " networks", (int64_t)json_integer_value(members));
    const json_t *rate = json_object_get(card, "predict_keep_rate");
    if (json_is_number(rate))
        text_addf(t,
                  "\nonly %g of the patches were given to it: a study of stability, not for "
                  "reading",
                  json_number_value(rate));
}

static bool show_whole(const cmd_args *a, const char *dir, const json_t *books, err *e)
{
    table n;
    text by;
    const json_t *card = json_object_get(books, "model"), *sums = json_object_get(books, "hashes");
    if (!json_is_object(card) || !json_is_object(sums))
        return err_set(e, ERR_INPUT, "predictions.json: 'model' or 'hashes' is missing");
    if (!count_rows(dir, &n, e))
        return false;
    text_init(&by);
    add_model(card, &by);
    cmd_result(a,
               json_pack("{s:s, s:I, s:I, s:s, s:s, s:O, s:s, s:b, s:b}", "kind", "prediction",
                         "images", (json_int_t)n.images, "exams", (json_int_t)n.exams, "split",
                         word(books, "split"), "model", word(card, "name"), "hashes", sums,
                         "version", word(books, "version"), "maps", (int)has(dir, "maps.h5"),
                         "pages", (int)has(dir, "pages/index.json")),
               "prediction of split %s: %" PRId64 " images of %" PRId64 " exams\n%s\n"
               "checkpoint %.12s, cohort %.12s, prepare id %s\n%s%s",
               word(books, "split"), n.images, n.exams, by.s, word(sums, "model"),
               word(sums, "cohort"), word(sums, "prepare_id"),
               has(dir, "pages/index.json") ? "pages/: views of some exams\n" : "",
               has(dir, "maps.h5") ? "maps.h5, maps/: what the network read and weighed\n" : "");
    text_release(&by);
    return true;
}

bool show_made_prediction(const cmd_args *a, const char *dir, err *e)
{
    char *path = fs_join(dir, "predictions.json");
    json_t *books = NULL;
    table n;
    bool ok;
    if (!fs_exists(path)) { /* of predict --dicom, or a table from elsewhere */
        ok = count_rows(dir, &n, e);
        if (ok)
            cmd_result(a,
                       json_pack("{s:s, s:I, s:I}", "kind", "scores", "images",
                                 (json_int_t)n.images, "exams", (json_int_t)n.exams),
                       "scores of %" PRId64 " images of %" PRId64
                       " exams, without the books of a cohort\n",
                       n.images, n.exams);
    } else if (!has(dir, "predictions.csv")) {
        ok = err_set(e, ERR_INPUT,
                     "the prediction is not finished: predictions.csv is missing; the same "
                     "predict again makes it");
    } else {
        ok = json_read(path, &books, e) && show_whole(a, dir, books, e);
        json_decref(books);
    }
    mem_free(path);
    return ok;
}

/* ---- reports --------------------------------------------------------------------------------- */

static void add_number(const json_t *v, text *t)
{
    if (json_is_number(v))
        text_addf(t, "%.4f", json_number_value(v));
    else
        text_add(t, "undefined");
}

static void show_metric(const cmd_args *a, const json_t *m)
{
    const json_t *lo = json_object_get(m, "lo"), *hi = json_object_get(m, "hi");
    text t;
    text_init(&t);
    text_addf(&t, "%s %s ", word(m, "unit"), word(m, "id"));
    add_number(json_object_get(m, "value"), &t);
    if (json_is_number(lo) && json_is_number(hi))
        text_addf(&t, " (%.4f to %.4f, %s)", json_number_value(lo), json_number_value(hi),
                  word(m, "ci"));
    else if (json_is_string(json_object_get(m, "reason")))
        text_addf(&t, " (%s)", word(m, "reason"));
    if (json_is_integer(json_object_get(m, "n_exams")))
        text_addf(&t, ", %" PRId64 " exams",
                  (int64_t)json_integer_value(json_object_get(m, "n_exams")));
    cmd_result(a, json_deep_copy(m), "  %s\n", t.s);
    text_release(&t);
}

static bool show_eval(const cmd_args *a, const json_t *o, err *e)
{
    const json_t *metrics = json_object_get(o, "metrics"), *card = json_object_get(o, "model");
    if (strncmp(word(o, "schema"), EVAL_SCHEMA, strlen(EVAL_SCHEMA)) != 0)
        return err_set(e, ERR_INPUT, "schema '%s' is not %sN", word(o, "schema"), EVAL_SCHEMA);
    if (!json_is_array(metrics))
        return err_set(e, ERR_INPUT, "'metrics' is missing");
    cmd_result(a,
               json_pack("{s:s, s:s, s:s, s:I}", "kind", "report", "schema", word(o, "schema"),
                         "model", word(card, "name"), "metrics",
                         (json_int_t)json_array_size(metrics)),
               "report: %zu metrics, network %s; of all exams:\n", json_array_size(metrics),
               word(card, "name"));
    for (size_t i = 0; i < json_array_size(metrics); i++) {
        const json_t *m = json_array_get(metrics, i);
        if (json_is_object(m) && !strcmp(word(m, "subset"), "all"))
            show_metric(a, m);
    }
    return true;
}

bool show_made_report(const cmd_args *a, const char *path, err *e)
{
    json_t *o = NULL;
    char *file = fs_is_dir(path) ? fs_join(path, "eval.json") : mem_strdup(path);
    bool ok =
        json_read(file, &o, e) && (show_eval(a, o, e) || err_wrap(e, "report '%s'", fs_base(file)));
    json_decref(o);
    mem_free(file);
    return ok;
}

bool show_made_json(const cmd_args *a, const char *path, err *e)
{
    if (strcmp(fs_base(path), "predictions.json") != 0)
        return show_made_report(a, path, e);
    char *dir = mem_strdup(path);
    dir[fs_base(dir) - dir] = 0;
    bool ok = show_made_prediction(a, dir[0] ? dir : ".", e);
    mem_free(dir);
    return ok;
}

/* ---- maps ------------------------------------------------------------------------------------ */

bool show_made_maps(const cmd_args *a, const char *path, err *e)
{
    maps_h5_head h;
    if (!maps_h5_read_head(path, &h, e))
        return false;
    cmd_result(a,
               json_pack("{s:s, s:I, s:i, s:i, s:i, s:o, s:o, s:o, s:o, s:o}", "kind", "maps",
                         "images", (json_int_t)h.n, "rows", h.rows, "cols", h.cols, "layers",
                         h.layers, "model", json_words(h.model), "reduction",
                         json_words(h.reduction), "checkpoint", json_words(h.checkpoint),
                         "prepare_id", json_words(h.prepare_id), "note", json_words(h.note)),
               "maps of %" PRId64 " images on %d x %d patches, %d reducing blocks (%s)\n"
               "%s, checkpoint %.12s, prepare id %s\n%s\n",
               h.n, h.rows, h.cols, h.layers, h.reduction, h.model, h.checkpoint, h.prepare_id,
               h.note);
    return true;
}
