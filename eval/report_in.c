/* Reads and checks what the predict stage left: scores, books, model card, page images. */
#include "eval/report_in.h"
#include "core/fs.h"
#include "core/mem.h"
#include <math.h>

#define JSON_MAX (64u << 20)

void report_in_init(report_in *in)
{
    memset(in, 0, sizeof *in);
    scores_init(&in->scores);
    pages_in_init(&in->pages);
    robust_in_init(&in->robust);
    in->flow = json_array();
    in->model = json_object();
    in->hashes = json_object();
}

void report_in_release(report_in *in)
{
    scores_release(&in->scores);
    json_decref(in->flow);
    json_decref(in->model);
    json_decref(in->hashes);
    mem_free(in->config);
    pages_in_release(&in->pages);
    robust_in_release(&in->robust);
    memset(in, 0, sizeof *in);
}

/* ---- the books ------------------------------------------------------------------------------- */

static const char *text_member(const json_t *obj, const char *key)
{
    const char *v = json_string_value(json_object_get(obj, key));
    return v ? v : "";
}

static void default_text(json_t *row, const char *key)
{
    if (!json_is_string(json_object_get(row, key)))
        json_object_set_new(row, key, json_string(""));
}

/* Does row b go on counting what row a counted? */
static bool continues(const json_t *a, const json_t *b)
{
    const char *ua = text_member(a, "unit"), *ub = text_member(b, "unit");
    if (ua[0] || ub[0])
        return !strcmp(ua, ub);
    return !strcmp(text_member(a, "stage"), text_member(b, "stage"));
}

/* Exams or women of a row of files, where it has them: all numbers there, and in order; they begin
 * where those of the row before ended. */
static bool check_wholes(const json_t *row, const json_t *before, const char *what, err *e)
{
    static const char *const ends[] = {"in", "out", "touched"};
    int64_t v[3], out_before;
    char key[32];
    snprintf(key, sizeof key, "%s_in", what);
    if (!json_object_get(row, key))
        return true;
    for (size_t k = 0; k < COUNT_OF(ends); k++) {
        snprintf(key, sizeof key, "%s_%s", what, ends[k]);
        if (k == 2 && !json_object_get(row, key)) /* not needed to add up */
            v[2] = v[0] - v[1];
        else if (!json_get_i64(row, key, &v[k], e))
            return false;
    }
    if (v[1] < 0 || v[1] > v[0] || v[2] < v[0] - v[1] || v[2] > v[0])
        return err_set(e, ERR_INPUT,
                       "%lld %s in, %lld out, %lld touched; wanted out <= in and in - out <= "
                       "touched <= in",
                       (long long)v[0], what, (long long)v[1], (long long)v[2]);
    snprintf(key, sizeof key, "%s_out", what);
    if (!before || !continues(before, row) || !json_object_get(before, key))
        return true;
    if (!json_get_i64(before, key, &out_before, e))
        return false;
    return v[0] == out_before ||
           err_set(e, ERR_INPUT, "it begins with %lld %s, the row before it ended with %lld",
                   (long long)v[0], what, (long long)out_before);
}

bool report_in_check_flow(json_t *flow, err *e)
{
    size_t i;
    json_t *row, *before = NULL;
    int64_t out_before = 0;
    json_array_foreach(flow, i, row)
    {
        int64_t in, out, excluded;
        if (!json_is_object(row) || !json_get_i64(row, "n_in", &in, e) ||
            !json_get_i64(row, "n_out", &out, e)) {
            if (!json_is_object(row))
                err_set(e, ERR_INPUT, "not an object");
            return err_wrap(e, "flow row %zu", i + 1);
        }
        default_text(row, "stage");
        default_text(row, "step");
        default_text(row, "unit");
        default_text(row, "reason");
        const char *step = text_member(row, "step");
        if (in < 0 || out < 0 || out > in)
            return err_set(e, ERR_INPUT,
                           "flow row %zu ('%.60s'): %lld in, %lld out; wanted 0 <= out <= in",
                           i + 1, step, (long long)in, (long long)out);
        excluded = in - out;
        if (json_object_get(row, "excluded") && !json_get_i64(row, "excluded", &excluded, e))
            return err_wrap(e, "flow row %zu", i + 1);
        if (excluded != in - out)
            return err_set(e, ERR_INPUT,
                           "flow row %zu ('%.60s') does not add up: %lld in - %lld out is not %lld "
                           "excluded",
                           i + 1, step, (long long)in, (long long)out, (long long)excluded);
        if (before && continues(before, row) && in != out_before)
            return err_set(e, ERR_INPUT,
                           "flow row %zu ('%.60s') does not add up: it begins with %lld, the row "
                           "before it ended with %lld",
                           i + 1, step, (long long)in, (long long)out_before);
        if (!check_wholes(row, before, "exams", e) || !check_wholes(row, before, "women", e))
            return err_wrap(e, "flow row %zu ('%.60s')", i + 1, step);
        json_object_set_new(row, "excluded", json_integer(excluded));
        before = row;
        out_before = out;
    }
    return true;
}

static bool take(json_t *doc, const char *key, bool array, json_t **into, err *e)
{
    json_t *v = json_object_get(doc, key);
    if (!v || json_is_null(v))
        return true;
    if (array ? !json_is_array(v) : !json_is_object(v))
        return err_set(e, ERR_INPUT, "predictions.json: '%s' is not %s", key,
                       array ? "a list" : "an object");
    json_decref(*into);
    *into = json_deep_copy(v);
    return true;
}

static bool read_meta(report_in *in, const char *path, err *e)
{
    json_t *doc = NULL;
    if (!json_read(path, &doc, e))
        return false;
    bool ok = json_is_object(doc) || err_set(e, ERR_INPUT, "predictions.json: not an object");
    ok = ok && take(doc, "flow", true, &in->flow, e) && take(doc, "model", false, &in->model, e) &&
         take(doc, "hashes", false, &in->hashes, e);
    if (ok && !report_in_check_flow(in->flow, e))
        ok = err_wrap(e, "predictions.json");
    const char *yaml = ok ? json_string_value(json_object_get(doc, "config_yaml")) : NULL;
    if (yaml)
        in->config = mem_strdup(yaml);
    json_decref(doc);
    return ok;
}

bool report_in_read(report_in *in, const char *path, int64_t max_pages, err *e)
{
    if (!fs_is_dir(path))
        return scores_read(&in->scores, path, e);
    char *csv = fs_join(path, "predictions.csv"), *meta = fs_join(path, "predictions.json");
    char *pages = fs_join(path, "pages"), *robust = fs_join(path, "robustness.csv");
    bool ok = true;
    if (!fs_exists(csv))
        ok = err_set(e, ERR_INPUT,
                     "the folder has no predictions.csv; give the output folder "
                     "of 'predict' or a CSV file");
    ok = ok && scores_read(&in->scores, csv, e);
    if (ok && fs_exists(meta))
        ok = read_meta(in, meta, e);
    if (ok && max_pages > 0 && fs_is_dir(pages))
        ok = pages_in_read(&in->pages, pages, max_pages, e);
    ok = ok && robust_in_read(&in->robust, robust, e);
    mem_free(csv);
    mem_free(meta);
    mem_free(pages);
    mem_free(robust);
    return ok;
}
