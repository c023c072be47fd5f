/* The report stage: read, compute the tree, render, write. eval.json is written last: where it is,
 * the report is whole. */
#include "eval/report.h"
#include "core/fs.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/pool.h"
#include "eval/cells.h"
#include "eval/report_doc.h"
#include "eval/report_html.h"
#include "eval/report_match.h"
#include "eval/report_pdf.h"
#include "eval/report_tree.h"
#include <math.h>

#define LOG_MAX (16u << 20)

static bool write_in(const char *dir, const char *name, const void *data, size_t len, err *e)
{
    char *path = fs_join(dir, name);
    bool ok = fs_write(path, data, len, e);
    mem_free(path);
    return ok;
}

static bool write_tables(const char *dir, const json_t *tree, err *e)
{
    char *sub = fs_join(dir, "tables");
    bool ok = fs_remove_tree(sub, e) && fs_mkdirs(sub, e);
    size_t i;
    json_t *t;
    json_array_foreach(json_object_get(tree, "tables"), i, t)
    {
        char name[64];
        snprintf(name, sizeof name, "%s.csv", json_string_value(json_object_get(t, "id")));
        char *path = fs_join(sub, name);
        ok = ok && cells_csv(t, path, e);
        mem_free(path);
    }
    mem_free(sub);
    return ok;
}

/* Every figure as SVG and, where no table holds them, its points as CSV. */
static bool write_figures(const char *dir, const json_t *tree, err *e)
{
    char *sub = fs_join(dir, "figures");
    bool ok = fs_remove_tree(sub, e) && fs_mkdirs(sub, e);
    for (int i = 0; ok && figure_at(i); i++) {
        char name[64];
        char *svg = figure_svg(figure_at(i), tree, true);
        snprintf(name, sizeof name, "%s.svg", figure_at(i)->id);
        ok = !svg || write_in(sub, name, svg, strlen(svg), e);
        json_t *data = figure_at(i)->curves ? figure_data(figure_at(i), tree, 0) : NULL;
        snprintf(name, sizeof name, "%s.csv", figure_at(i)->id);
        char *path = fs_join(sub, name);
        ok = ok && (!svg || !data || cells_csv(data, path, e));
        json_decref(data);
        mem_free(path);
        mem_free(svg);
    }
    mem_free(sub);
    return ok;
}

/* One line per look at a test split: time, revision, hashes. The only file with a clock time. */
static bool log_final(const char *dir, const json_t *tree, err *e)
{
    const json_t *run = json_object_get(tree, "run");
    char *path = fs_join(dir, "final.log"), *old = NULL;
    size_t len = 0;
    struct tm tm;
    time_t now = time(NULL);
    text t;
    bool ok = true;
    text_init(&t);
    if (fs_exists(path))
        ok = fs_read(path, LOG_MAX, &old, &len, e);
    if (ok && old)
        text_addn(&t, old, len);
    gmtime_r(&now, &tm);
    text_addf(&t, "%04d-%02d-%02dT%02d:%02d:%02dZ", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday,
              tm.tm_hour, tm.tm_min, tm.tm_sec);
    static const char *const keys[] = {"git", "data_sha256", "model_sha256", "config_sha256", NULL};
    for (int i = 0; keys[i]; i++) {
        const char *v = json_string_value(json_object_get(run, keys[i]));
        text_addf(&t, " %s=%.64s", keys[i], v ? v : "-");
    }
    text_add(&t, "\n");
    ok = ok && fs_write(path, t.s, t.len, e);
    text_release(&t);
    mem_free(old);
    mem_free(path);
    return ok;
}

static bool render(const report_opts *o, const report_sources *src, const json_t *tree, err *e)
{
    report_doc doc;
    text html, pdf;
    text_init(&html);
    text_init(&pdf);
    report_doc_build(tree, &doc);
    report_html(tree, &doc, src->in[0].image, &html);
    bool ok = report_pdf(tree, &doc, src->in[0].image, &pdf, e) &&
              write_in(o->out_dir, "report.html", html.s, html.len, e) &&
              write_in(o->out_dir, "report.pdf", pdf.s, pdf.len, e) &&
              write_tables(o->out_dir, tree, e) && write_figures(o->out_dir, tree, e);
    if (ok && o->final)
        ok = log_final(o->out_dir, tree, e);
    report_doc_release(&doc);
    text_release(&html);
    text_release(&pdf);
    char *path = fs_join(o->out_dir, "eval.json");
    ok = ok && json_write(path, tree, true, e);
    mem_free(path);
    return ok;
}

static void fill_headline(const report_opts *o, const json_t *tree, report_headline *out)
{
    const json_t *m = report_tree_metric(tree, "auc", "all");
    const char *ci = json_string_value(json_object_get(m, "ci")),
               *reason = json_string_value(json_object_get(m, "reason"));
    const struct {
        const char *key;
        double *into;
    } numbers[] = {{"value", &out->auc}, {"lo", &out->lo}, {"hi", &out->hi}};
    memset(out, 0, sizeof *out);
    for (size_t i = 0; i < COUNT_OF(numbers); i++) {
        const json_t *v = json_object_get(m, numbers[i].key);
        *numbers[i].into = json_is_number(v) ? json_number_value(v) : NAN;
    }
    text_copy(out->ci, sizeof out->ci, ci ? ci : "");
    text_copy(out->reason, sizeof out->reason, reason ? reason : "");
    out->n_exams = json_integer_value(json_object_get(m, "n_exams"));
    out->n_patients = json_integer_value(json_object_get(m, "n_patients"));
    out->n_events = json_integer_value(json_object_get(m, "n_events"));
    char *path = fs_join(o->out_dir, "report.html");
    text_copy(out->html, sizeof out->html, path);
    mem_free(path);
}

static bool check_output(const report_opts *o, err *e)
{
    char *done = fs_join(o->out_dir, "eval.json");
    bool there = fs_exists(done);
    mem_free(done);
    if (there && !o->force)
        return err_set(e, ERR_USAGE,
                       "the output folder already holds a report; --force overwrites it");
    return fs_mkdirs(o->out_dir, e);
}

bool report_write(const report_opts *o, report_headline *out, err *e)
{
    if (o->n_inputs < 1)
        return err_set(e, ERR_USAGE, "give at least one prediction folder or CSV file");
    report_in *in = MEM_ARRAY(report_in, o->n_inputs), val;
    report_sources src = {in, o->n_inputs, o->val ? &val : NULL};
    pool *p = pool_new(o->threads);
    json_t *tree = NULL;
    bool ok = true;
    for (int i = 0; i < o->n_inputs; i++)
        report_in_init(&in[i]);
    report_in_init(&val);
    for (int i = 0; ok && i < o->n_inputs; i++)
        ok = report_in_read(&in[i], o->inputs[i], i ? 0 : o->cfg.pages, e);
    if (ok && o->val && !report_in_read(&val, o->val, 0, e))
        ok = err_wrap(e, "--val");
    ok = ok && report_match_seeds(in, o->n_inputs, e) &&
         (!o->val || report_match_val(in, o->n_inputs, &val, e)) &&
         report_tree_build(o, &src, p, &tree, e) && check_output(o, e) && render(o, &src, tree, e);
    if (ok) {
        if (report_match_dropped(in, o->n_inputs, o->val ? &val : NULL))
            log_warn("stability_study", "why=\"patches were left out at random when scoring "
                                        "(predict.keep_rate): a study of stability, not for "
                                        "reading\"");
        report_headline h;
        fill_headline(o, tree, &h);
        log_info("report_written", "exams=%lld patients=%lld events=%lld auc=%.4f",
                 (long long)h.n_exams, (long long)h.n_patients, (long long)h.n_events, h.auc);
        if (out)
            *out = h;
    }
    json_decref(tree);
    for (int i = 0; i < o->n_inputs; i++)
        report_in_release(&in[i]);
    report_in_release(&val);
    pool_free(p);
    mem_free(in);
    return ok;
}
