/* The list of blocks of the report, and how parts append to it. Every number comes out of the tree.
 */
#include "eval/report_doc.h"
#include "core/mem.h"
#include "eval/cells.h"
#include "eval/part.h"
#include "eval/report_number.h"
#include "eval/report_text.h"
#include "eval/report_tree.h"
#include <math.h>

static doc_block *add(report_doc *d, doc_kind kind)
{
    if (d->n == d->cap) {
        int cap = d->cap ? 2 * d->cap : 32;
        d->block = mem_realloc(d->block, (size_t)d->cap * sizeof *d->block,
                               (size_t)cap * sizeof *d->block);
        d->cap = cap;
    }
    doc_block *b = &d->block[d->n++];
    *b = (doc_block){.kind = kind};
    return b;
}

void report_doc_text(report_doc *d, doc_kind kind, const char *s)
{
    add(d, kind)->text = mem_strdup(s);
}

void report_doc_fill(report_doc *d, doc_kind kind, const char *key, const char *const *pairs)
{
    text t;
    text_init(&t);
    report_fill(&t, key, pairs);
    add(d, kind)->text = text_take(&t);
    text_release(&t);
}

void report_doc_data(report_doc *d, doc_kind kind, json_t *data)
{
    add(d, kind)->data = data;
}

void report_doc_section(report_doc *d, const char *id)
{
    char key[48];
    snprintf(key, sizeof key, "section.%s", id);
    doc_block *b = add(d, DOC_SECTION);
    b->id = id;
    b->text = mem_strdup(report_text(key));
}

void report_doc_figure(report_doc *d, const json_t *tree, const char *id)
{
    const figure *f = figure_find(id);
    if (f->paint(NULL, tree) > 0)
        add(d, DOC_FIGURE)->fig = f;
}

void report_doc_table(report_doc *d, const json_t *tree, const char *id, bool fold)
{
    const json_t *t = report_tree_by_id(tree, "tables", id);
    if (!json_array_size(json_object_get(t, "rows")))
        return;
    doc_block *b = add(d, DOC_TABLE);
    b->data = json_incref((json_t *)t);
    b->fold = fold;
    const char *note = json_string_value(json_object_get(t, "note"));
    if (note)
        report_doc_text(d, DOC_NOTE, note);
}

void report_doc_names(report_doc *d, const json_t *tree, const char *id, const char *list,
                      const char *key)
{
    const json_t *names = json_object_get(report_tree_by_id(tree, "tables", id), list);
    doc_number minimum;
    text t;
    size_t i;
    json_t *v;
    text_init(&t);
    json_array_foreach(names, i, v) text_addf(&t, "%s%s", i ? ", " : "", json_string_value(v));
    doc_number_count(&minimum, json_object_get(json_object_get(tree, "options"), "min_count"));
    if (t.len)
        report_doc_fill(d, DOC_NOTE, key,
                        (const char *const[]){"names", t.s, "minimum", minimum.s, NULL});
    text_release(&t);
}

void report_doc_joined(report_doc *d, const json_t *tree, const json_t *table)
{
    doc_number n;
    if (!json_is_true(json_object_get(table, "joined")) || json_object_get(table, "single"))
        return;
    doc_number_count(&n, json_object_get(json_object_get(tree, "options"), "min_count"));
    report_doc_fill(d, DOC_NOTE, "small.joined", (const char *const[]){"minimum", n.s, NULL});
}

void report_doc_release(report_doc *d)
{
    for (int i = 0; i < d->n; i++) {
        mem_free(d->block[i].text);
        json_decref(d->block[i].data);
    }
    mem_free(d->block);
    mem_free(d->title);
    mem_free(d->subtitle);
    mem_free(d->footer);
    memset(d, 0, sizeof *d);
}

/* ---- numbers as text ------------------------------------------------------------------------- */

const char *doc_number_show(doc_number *n, const char *kind, double v)
{
    if (!strcmp(kind, "auc"))
        snprintf(n->s, sizeof n->s, "%.3f", v);
    else if (!strcmp(kind, "p"))
        snprintf(n->s, sizeof n->s, v < 0.001 ? "< 0.001" : "= %.3f", v);
    else if (!strcmp(kind, "0"))
        snprintf(n->s, sizeof n->s, "%.0f", v);
    else if (!strcmp(kind, "1"))
        snprintf(n->s, sizeof n->s, "%.1f", v);
    else if (!strcmp(kind, "2"))
        snprintf(n->s, sizeof n->s, "%.2f", v);
    else
        snprintf(n->s, sizeof n->s, "%.4g", v);
    report_number_in(n->s, sizeof n->s);
    return n->s;
}

const char *doc_number_auc(doc_number *n, const json_t *cell, const char *key)
{
    int digits = cells_digits(cell);
    snprintf(n->s, sizeof n->s, "%.*f", digits ? digits : 3,
             json_number_value(json_object_get(cell, key)));
    report_number_in(n->s, sizeof n->s);
    return n->s;
}

const char *doc_number_count(doc_number *n, const json_t *v)
{
    snprintf(n->s, sizeof n->s, "%lld", (long long)json_integer_value(v));
    report_number_in(n->s, sizeof n->s);
    return n->s;
}

void report_doc_pair(json_t *list, const char *label, const char *value)
{
    json_t *p = json_array();
    json_array_append_new(p, cells_string(label));
    json_array_append_new(p, cells_string(value && value[0] ? value : report_text("not_recorded")));
    json_array_append_new(list, p);
}

void report_doc_value(const json_t *v, text *out)
{
    if (json_is_string(v))
        text_add(out, json_string_value(v));
    else if (json_is_boolean(v))
        text_add(out, report_text(json_is_true(v) ? "yes" : "no"));
    else if (json_is_array(v) && json_is_string(json_array_get(v, 0)))
        for (size_t i = 0; i < json_array_size(v); i++) {
            text_add(out, i ? ", " : "");
            report_doc_value(json_array_get(v, i), out);
        }
    else if (v && !json_is_null(v))
        json_write_text(v, false, out);
}

/* ---- all together ---------------------------------------------------------------------------- */

static void frame(report_doc *d, const json_t *tree)
{
    const json_t *m = report_tree_metric(tree, "auc", "all"), *o = json_object_get(tree, "options"),
                 *run = json_object_get(tree, "run");
    const char *name = report_tree_str(json_object_get(tree, "model"), "name");
    doc_number n, p;
    text t;
    char data[17];
    text_init(&t);
    report_fill(
        &t, "subtitle",
        (const char *const[]){"model", name[0] ? name : "a model", "exams",
                              doc_number_count(&n, json_object_get(m, "n_exams")), "patients",
                              doc_number_count(&p, json_object_get(m, "n_patients")), "split",
                              report_tree_str(o, "split")[0] ? report_tree_str(o, "split")
                                                             : report_text("not_recorded"),
                              NULL});
    d->subtitle = text_take(&t);
    text_copy(data, sizeof data, report_tree_str(run, "data_sha256"));
    report_fill(&t, "footer",
                (const char *const[]){"tool", report_tree_str(run, "tool"), "git",
                                      report_tree_str(run, "git"), "data", data, NULL});
    d->footer = text_take(&t);
    d->title = mem_strdup(report_tree_str(o, "title"));
    text_release(&t);
}

void report_doc_build(const json_t *tree, report_doc *out)
{
    memset(out, 0, sizeof *out);
    frame(out, tree);
    for (int i = 0; part_at(i); i++)
        if (part_at(i)->show)
            part_at(i)->show(out, tree);
}
