/* The report stage: read, compute the tree, render, write. eval.json is written last: where it is,
 * the report is whole. */
#include "eval/report.h"
#include "core/fs.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/pool.h"
#include "eval/cells.h"
#include "eval/report_again.h"
#include "eval/report_doc.h"
#include "eval/report_html.h"
#include "eval/report_match.h"
#include "eval/report_pdf.h"
#include "eval/report_text.h"
#include "eval/report_tree.h"
#include <math.h>

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

static bool render(const report_opts *o, const report_sources *src, const json_t *tree, err *e)
{
    report_doc doc;
    text html, pdf;
    text_init(&html);
    text_init(&pdf);
    report_doc_build(tree, &doc);
    report_html(tree, &doc, src->in[0].pages.image, &html);
    bool ok = report_pdf(tree, &doc, src->in[0].pages.image, &pdf, e) &&
              write_in(o->out_dir, "report.html", html.s, html.len, e) &&
              write_in(o->out_dir, "report.pdf", pdf.s, pdf.len, e) &&
              write_tables(o->out_dir, tree, e) && write_figures(o->out_dir, tree, e);
    if (ok && o->final)
        ok = report_look_add(o->out_dir, json_object_get(tree, "run"), e);
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

#define NAME_MAX_LEN 32 /* of a model in --compare */

/* What --compare says: NAME=PRED or PRED, with or without ,VALPRED. */
typedef struct compare_words {
    char name[NAME_MAX_LEN + 1];
    char *path, *val; /* owned; val NULL: none */
} compare_words;

/* A file of the whole name comes first: names may hold '=' and ','. */
static bool split_words(const char *s, int i, compare_words *out, err *e)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                  "0123456789-_. ";
    const char *eq = fs_exists(s) ? NULL : strchr(s, '=');
    size_t n = eq ? (size_t)(eq - s) : 0;
    if (eq && (n < 1 || n > NAME_MAX_LEN || strspn(s, letters) < n))
        return err_set(e, ERR_USAGE,
                       "--compare: a name is of 1 to %d letters, digits, spaces, '-', '_' and '.'",
                       NAME_MAX_LEN);
    if (eq)
        snprintf(out->name, sizeof out->name, "%.*s", (int)n, s);
    else
        snprintf(out->name, sizeof out->name, "model-%d", i + 2);
    out->path = mem_strdup(eq ? eq + 1 : s);
    char *comma = fs_exists(out->path) ? NULL : strrchr(out->path, ',');
    if (comma) {
        *comma = '\0';
        out->val = mem_strdup(comma + 1);
    }
    return true;
}

typedef struct job {
    const report_opts *o;
    report_in *in, *compare, *compare_val, val; /* [n_inputs], [n_compare] twice */
    compare_words *words;                       /* [n_compare] */
    const char **names;
    report_in **vals; /* [n_compare]; NULL: none */
    report_sources src;
} job;

static void job_init(job *j, const report_opts *o)
{
    *j = (job){.o = o};
    j->in = MEM_ARRAY(report_in, o->n_inputs);
    j->compare = MEM_ARRAY(report_in, o->n_compare + 1);
    j->compare_val = MEM_ARRAY(report_in, o->n_compare + 1);
    j->words = MEM_ARRAY(compare_words, o->n_compare + 1);
    j->vals = MEM_ARRAY(report_in *, o->n_compare + 1);
    j->names = MEM_ARRAY(const char *, o->n_compare + 1);
    for (int i = 0; i < o->n_inputs; i++)
        report_in_init(&j->in[i]);
    for (int i = 0; i < o->n_compare; i++) {
        report_in_init(&j->compare[i]);
        report_in_init(&j->compare_val[i]);
    }
    report_in_init(&j->val);
    j->src = (report_sources){.in = j->in,
                              .n_in = o->n_inputs,
                              .val = o->val ? &j->val : NULL,
                              .compare = j->compare,
                              .compare_val = j->vals,
                              .compare_name = j->names,
                              .n_compare = o->n_compare};
}

static void job_release(job *j)
{
    for (int i = 0; i < j->o->n_inputs; i++)
        report_in_release(&j->in[i]);
    for (int i = 0; i < j->o->n_compare; i++) {
        report_in_release(&j->compare[i]);
        report_in_release(&j->compare_val[i]);
        mem_free(j->words[i].path);
        mem_free(j->words[i].val);
    }
    report_in_release(&j->val);
    mem_free(j->in);
    mem_free(j->compare);
    mem_free(j->compare_val);
    mem_free(j->words);
    mem_free(j->vals);
    mem_free(j->names);
}

/* The other model's validation exams, scored by the networks that scored its evaluated ones. */
static bool read_compare_val(job *j, int i, err *e)
{
    if (!j->words[i].val)
        return true;
    j->vals[i] = &j->compare_val[i];
    return (report_in_read(j->vals[i], j->words[i].val, 0, e) &&
            report_match_val(&j->compare[i], 1, j->vals[i], e)) ||
           err_wrap(e, "--compare %s, validation", j->names[i]);
}

static bool read_compare(job *j, err *e)
{
    for (int i = 0; i < j->o->n_compare; i++) {
        if (!split_words(j->o->compare[i], i, &j->words[i], e))
            return false;
        j->names[i] = j->words[i].name;
        for (int k = 0; k < i; k++)
            if (!strcmp(j->names[i], j->names[k]))
                return err_set(e, ERR_USAGE, "--compare: the name '%s' stands twice", j->names[i]);
        if (!report_in_read(&j->compare[i], j->words[i].path, 0, e))
            return err_wrap(e, "--compare %s", j->names[i]);
        if (!read_compare_val(j, i, e))
            return false;
    }
    return true;
}

static bool read_all(job *j, err *e)
{
    const report_opts *o = j->o;
    for (int i = 0; i < o->n_inputs; i++)
        if (!report_in_read(&j->in[i], o->inputs[i], i ? 0 : o->cfg.pages, e))
            return false;
    if (o->val && !report_in_read(&j->val, o->val, 0, e))
        return err_wrap(e, "--val");
    return read_compare(j, e) && report_match_seeds(j->in, o->n_inputs, e) &&
           (!o->val || report_match_val(j->in, o->n_inputs, &j->val, e)) &&
           report_look_read(o->out_dir, &j->src.look, e);
}

bool report_write(const report_opts *o, report_headline *out, err *e)
{
    if (o->n_inputs < 1)
        return err_set(e, ERR_USAGE, "give at least one prediction folder or CSV file");
    job j;
    json_t *tree = NULL, *inputs = NULL;
    mem_large_apart();
    job_init(&j, o);
    int again = -1;
    bool ok = report_text_use(o->cfg.strings[0] ? o->cfg.strings : NULL, e) && read_all(&j, e);
    if (ok) {
        j.src.inputs = inputs = report_again_inputs(o, &j.src);
        again = report_again(o, inputs, &tree, e);
        ok = again >= 0;
    }
    if (ok && !again) {
        pool *p = pool_new(o->threads);
        ok = report_tree_build(o, &j.src, p, &tree, e) && fs_mkdirs(o->out_dir, e) &&
             render(o, &j.src, tree, e);
        pool_free(p);
    }
    if (ok) {
        if (report_match_dropped(j.in, o->n_inputs, j.src.val))
            log_warn("stability_study", "why=\"patches were left out at random when scoring "
                                        "(predict.keep_rate): a study of stability, not for "
                                        "reading\"");
        report_headline h;
        fill_headline(o, tree, &h);
        log_info(again ? "report_unchanged" : "report_written",
                 "exams=%lld patients=%lld events=%lld auc=%.4f", (long long)h.n_exams,
                 (long long)h.n_patients, (long long)h.n_events, h.auc);
        if (out)
            *out = h;
    }
    json_decref(tree);
    json_decref(inputs);
    job_release(&j);
    ok = report_text_use(NULL, e) && ok;
    return ok;
}
