/* Data and flow: what was evaluated, and the books of every stage down to the analysed exams. */
#include "eval/part.h"
#include "eval/cells.h"
#include "eval/report_flow.h"
#include "eval/report_text.h"

typedef struct flow_step {
    const char *step, *unit, *reason;
    int64_t n_in, n_out;
} flow_step;

static void flow_add(json_t *flow, const flow_step *s)
{
    json_t *r = json_object();
    json_object_set_new(r, "stage", json_string("report"));
    json_object_set_new(r, "step", json_string(report_text(s->step)));
    json_object_set_new(r, "unit", json_string(s->unit));
    json_object_set_new(r, "reason", json_string(s->reason));
    json_object_set_new(r, "n_in", json_integer(s->n_in));
    json_object_set_new(r, "n_out", json_integer(s->n_out));
    json_array_append_new(flow, r);
}

/* What the stages before have counted last: exams, and women behind files; -1: they have not. */
static void counted_before(const json_t *flow, int64_t *exams, int64_t *women)
{
    size_t i;
    json_t *row;
    *exams = *women = -1;
    json_array_foreach(flow, i, row)
    {
        if (!strcmp(report_tree_str(row, "unit"), "exams"))
            *exams = json_integer_value(json_object_get(row, "n_out"));
        if (json_is_integer(json_object_get(row, "women_out")))
            *women = json_integer_value(json_object_get(row, "women_out"));
    }
}

static bool add_flow(report_build *b, err *e)
{
    const report_in *in = &b->src->in[0];
    json_t *flow = json_deep_copy(in->flow);
    json_object_set_new(b->tree, "flow", flow);
    const json_t *last = json_array_get(flow, json_array_size(flow) - 1);
    const char *unit = json_string_value(json_object_get(last, "unit"));
    int64_t left = json_integer_value(json_object_get(last, "n_out"));
    if (unit && !strcmp(unit, "images") && left != b->rows_read)
        return err_set(e, ERR_INPUT,
                       "predictions.json: the flow ends with %lld images, but predictions.csv has "
                       "%lld rows",
                       (long long)left, (long long)b->rows_read);
    int64_t exams = b->set.exams.n + b->set.n_unlabelled, before, women;
    counted_before(flow, &before, &women);
    if (women < b->all.n_patients || before > exams) /* the rest are of other splits */
        women = b->all.n_patients;
    const flow_step steps[] = {
        {"flow.repeated", "images", "REPEATED_ROW", b->rows_read,
         b->rows_read - in->scores.n_merged},
        {"flow.other_split", "images", "OTHER_SPLIT", b->rows_read - in->scores.n_merged,
         b->rows_split},
        {"flow.incomplete", "images", "INCOMPLETE_EXAM", b->rows_split, b->rows_whole},
        {"flow.other_exams", "exams", "OTHER_SPLIT", before > exams ? before : exams, exams},
        {"flow.unlabelled", "exams", "LABEL_UNKNOWN", exams, b->set.exams.n},
        {"flow.women", "women", "", women, b->all.n_patients},
    };
    for (size_t i = 0; i < COUNT_OF(steps); i++)
        if (i == 0 || i > 3 || steps[i].n_in != steps[i].n_out)
            flow_add(flow, &steps[i]);
    if (!report_in_check_flow(flow, e))
        return false;
    report_flow_order(flow);
    report_flow_join(flow, b->opts->cfg.min_count);
    return true;
}

/* The rows of the flow that have a member, by members that are columns. */
static void flow_table(report_build *b, const char *id, const char *want,
                       const char *const columns[][2], size_t n)
{
    json_t *t = cells_table(id), *f;
    size_t i;
    for (size_t k = 0; k < n; k++)
        cells_column(t, columns[k][0], columns[k][1]);
    json_array_foreach(json_object_get(b->tree, "flow"), i, f)
    {
        if (!json_object_get(f, want))
            continue;
        json_t *row = cells_row(t);
        for (size_t k = 0; k < n; k++) {
            json_t *v = json_object_get(f, columns[k][0]);
            json_array_append(row, v ? v : json_null());
        }
    }
    if (json_array_size(json_object_get(t, "rows")))
        report_build_table(b, t);
    else
        json_decref(t);
}

static void flow_tables(report_build *b)
{
    static const char *const files[][2] = {{"stage", "text"}, {"step", "text"},    {"unit", "text"},
                                           {"n_in", "int"},   {"excluded", "int"}, {"n_out", "int"},
                                           {"reason", "text"}};
    static const char *const wholes[][2] = {
        {"stage", "text"},     {"step", "text"},      {"excluded", "int"},  {"exams_in", "int"},
        {"exams_lost", "int"}, {"exams_part", "int"}, {"exams_out", "int"}, {"women_in", "int"},
        {"women_lost", "int"}, {"women_out", "int"}};
    flow_table(b, "flow", "n_in", files, COUNT_OF(files));
    flow_table(b, "flow_exams", "exams_in", wholes, COUNT_OF(wholes));
}

/* What is hidden, and what is shown of single women all the same. */
static void show_small(report_doc *d, const json_t *tree)
{
    const json_t *minimum = json_object_get(json_object_get(tree, "options"), "min_count");
    size_t pages = json_array_size(json_object_get(tree, "pages"));
    doc_number n;
    if (json_integer_value(minimum) > 1)
        report_doc_fill(d, DOC_NOTE, "small.note",
                        (const char *const[]){"minimum", doc_number_count(&n, minimum), NULL});
    else
        report_doc_text(d, DOC_WARN, report_text("small.none"));
    if (pages)
        report_doc_fill(d, DOC_NOTE, "small.pages",
                        (const char *const[]){"n", doc_number_show(&n, "0", (double)pages), NULL});
}

static void show(report_doc *d, const json_t *tree)
{
    const json_t *m = report_tree_metric(tree, "auc", "all"), *o = json_object_get(tree, "options"),
                 *model = json_object_get(tree, "model"), *flow = json_object_get(tree, "flow");
    json_t *list = json_array();
    doc_number n;
    text t;
    char key[48];
    text_init(&t);
    report_doc_section(d, "data");
    text_add(&t, report_tree_str(o, "label"));
    if (!t.len)
        report_doc_value(json_object_get(model, "label"), &t);
    report_doc_pair(list, report_text("data.label"), t.s);
    text_clear(&t);
    text_add(&t, report_tree_str(o, "follow_up"));
    if (!t.len)
        report_doc_value(json_object_get(model, "follow_up"), &t);
    report_doc_pair(list, report_text("data.follow_up"), t.s);
    report_doc_pair(list, report_text("data.split"), report_tree_str(o, "split"));
    snprintf(key, sizeof key, "rule.%s", report_tree_str(o, "rule"));
    report_doc_pair(list, report_text("data.rule"), report_text(key));
    report_doc_pair(list, report_text("data.exams"),
                    doc_number_count(&n, json_object_get(m, "n_exams")));
    report_doc_pair(list, report_text("data.patients"),
                    doc_number_count(&n, json_object_get(m, "n_patients")));
    report_doc_pair(list, report_text("data.cases"),
                    doc_number_count(&n, json_object_get(m, "n_events")));
    text_clear(&t);
    double share = report_tree_num(m, "n_events") / report_tree_num(m, "n_exams");
    text_addf(&t, "%.1f %%", 100 * share);
    report_doc_pair(list, report_text("data.share"), t.s);
    if (!strcmp(report_tree_str(o, "thresholds"), "val"))
        report_doc_pair(list, report_text("data.shared"),
                        "0"); /* any other doc_number fails the report */
    report_doc_data(d, DOC_PAIRS, list);
    show_small(d, tree);
    if (json_array_size(flow)) {
        report_doc_figure(d, tree, "flow");
        report_doc_table(d, tree, "crosstab", false);
        if (report_tree_by_id(tree, "tables", "flow_exams"))
            report_doc_table(d, tree, "flow_exams", true);
        report_doc_table(d, tree, "flow", true);
    }
    text_release(&t);
}

static bool add(report_build *b, err *e)
{
    if (!add_flow(b, e))
        return false;
    flow_tables(b);
    return true;
}

const report_part part_data = {"data", add, show};
