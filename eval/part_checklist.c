/* Reporting guidelines: every item with the section of this report that answers it, or that the
 * authors must. Nothing is called answered that the report does not hold. evaluation.md 17 (13). */
#include "eval/part.h"
#include "eval/cells.h"
#include "eval/report_text.h"

/* `where` answers the item when `when` holds: "@" always; else one of the alternatives between '|':
 * a path into the tree whose end is not empty, or #table, a table with rows. "": the authors. */
typedef struct item {
    const char *guideline, *number, *where, *when;
} item;

static const item items[] = {
    {"tripod", "1", "", ""},
    {"tripod", "2", "summary", "@"},
    {"tripod", "3a", "", ""},
    {"tripod", "3b", "", ""},
    {"tripod", "3c", "", ""},
    {"tripod", "4", "", ""},
    {"tripod", "5a", "", ""},
    {"tripod", "5b", "", ""},
    {"tripod", "6a", "", ""},
    {"tripod", "6b", "data", "flow"},
    {"tripod", "6c", "", ""},
    {"tripod", "7", "reproduce", "run.config_yaml"},
    {"tripod", "8a", "data", "options.label|model.label"},
    {"tripod", "8b", "", ""},
    {"tripod", "8c", "", ""},
    {"tripod", "9a", "model", "model.image_h"},
    {"tripod", "9b", "reproduce", "run.config_yaml"},
    {"tripod", "9c", "", ""},
    {"tripod", "10", "comparators", "#comparators"},
    {"tripod", "11", "data", "flow"},
    {"tripod", "12a", "data", "options.split"},
    {"tripod", "12b", "reproduce", "run.config_yaml"},
    {"tripod", "12c", "model", "model.name"},
    {"tripod", "12d", "subgroups", "#subgroups"},
    {"tripod", "12e", "performance", "@"},
    {"tripod", "12f", "calibration", "#recalibration"},
    {"tripod", "12g", "data", "options.rule"},
    {"tripod", "13", "", ""},
    {"tripod", "14", "subgroups", "#subgroups"},
    {"tripod", "15", "operating", "#operating"},
    {"tripod", "16", "", ""},
    {"tripod", "17", "", ""},
    {"tripod", "18a", "", ""},
    {"tripod", "18b", "", ""},
    {"tripod", "18c", "", ""},
    {"tripod", "18d", "", ""},
    {"tripod", "18e", "", ""},
    {"tripod", "18f", "reproduce", "run.git"},
    {"tripod", "19", "", ""},
    {"tripod", "20a", "data", "flow"},
    {"tripod", "20b", "data", "#participants"},
    {"tripod", "20c", "", ""},
    {"tripod", "21", "performance", "@"},
    {"tripod", "22", "reproduce", "run.model_sha256"},
    {"tripod", "23a", "performance", "@"},
    {"tripod", "23b", "subgroups", "#subgroups"},
    {"tripod", "24", "calibration", "#recalibration"},
    {"tripod", "25", "", ""},
    {"tripod", "26", "limits", "@"},
    {"tripod", "27a", "data", "flow"},
    {"tripod", "27b", "", ""},
    {"tripod", "27c", "", ""},
    {"claim", "1", "", ""},
    {"claim", "2", "summary", "@"},
    {"claim", "3", "", ""},
    {"claim", "4", "", ""},
    {"claim", "5", "", ""},
    {"claim", "6", "", ""},
    {"claim", "7", "", ""},
    {"claim", "8", "data", "flow"},
    {"claim", "9", "reproduce", "run.config_yaml"},
    {"claim", "10", "data", "flow"},
    {"claim", "11", "reproduce", "@"},
    {"claim", "12", "data", "flow"},
    {"claim", "13", "data", "#participants"},
    {"claim", "14", "data", "options.label|model.label"},
    {"claim", "15", "", ""},
    {"claim", "16", "", ""},
    {"claim", "17", "", ""},
    {"claim", "18", "", ""},
    {"claim", "19", "data", "options.split"},
    {"claim", "20", "data", "options.split"},
    {"claim", "21", "comparators", "#comparators"},
    {"claim", "22", "model", "model.name"},
    {"claim", "23", "reproduce", "run.tool"},
    {"claim", "24", "model", "model.pretrained"},
    {"claim", "25", "reproduce", "run.config_yaml"},
    {"claim", "26", "", ""},
    {"claim", "27", "performance", "#members"},
    {"claim", "28", "performance", "@"},
    {"claim", "29", "performance", "@"},
    {"claim", "30", "subgroups", "#sensitivity"},
    {"claim", "31", "images", "pages"},
    {"claim", "32", "performance", "@"},
    {"claim", "33", "", ""},
    {"claim", "34", "", ""},
    {"claim", "35", "data", "flow"},
    {"claim", "36", "data", "#participants"},
    {"claim", "37", "comparators", "#readers|#compare"},
    {"claim", "38", "performance", "@"},
    {"claim", "39", "images", "pages"},
    {"claim", "40", "limits", "@"},
    {"claim", "41", "", ""},
    {"claim", "42", "", ""},
    {"claim", "43", "reproduce", "run.git"},
    {"claim", "44", "", ""},
    {"stard", "1", "", ""},
    {"stard", "2", "summary", "@"},
    {"stard", "3", "", ""},
    {"stard", "4", "", ""},
    {"stard", "5", "", ""},
    {"stard", "6", "data", "flow"},
    {"stard", "7", "", ""},
    {"stard", "8", "", ""},
    {"stard", "9", "", ""},
    {"stard", "10a", "reproduce", "run.model_sha256"},
    {"stard", "10b", "data", "options.follow_up|model.follow_up"},
    {"stard", "11", "", ""},
    {"stard", "12a", "operating", "#operating"},
    {"stard", "12b", "data", "options.label|model.label"},
    {"stard", "13a", "", ""},
    {"stard", "13b", "", ""},
    {"stard", "14", "performance", "@"},
    {"stard", "15", "data", "flow"},
    {"stard", "16", "data", "flow"},
    {"stard", "17", "subgroups", "#subgroups"},
    {"stard", "18", "comparators", "#comparators"},
    {"stard", "19", "data", "flow"},
    {"stard", "20", "data", "#participants"},
    {"stard", "21a", "time", "#found"},
    {"stard", "21b", "", ""},
    {"stard", "22", "time", "#found"},
    {"stard", "23", "data", "#crosstab"},
    {"stard", "24", "operating", "#operating"},
    {"stard", "25", "", ""},
    {"stard", "26", "limits", "@"},
    {"stard", "27", "", ""},
    {"stard", "28", "", ""},
    {"stard", "29", "", ""},
    {"stard", "30", "", ""},
    {"stard_ai", "1", "", ""},
    {"stard_ai", "3", "", ""},
    {"stard_ai", "6", "", ""},
    {"stard_ai", "7", "data", "flow"},
    {"stard_ai", "11", "", ""},
    {"stard_ai", "12", "", ""},
    {"stard_ai", "13", "data", "#participants"},
    {"stard_ai", "14", "reproduce", "run.config_yaml"},
    {"stard_ai", "15b", "model", "model.training_images"},
    {"stard_ai", "15d", "", ""},
    {"stard_ai", "23", "subgroups", "#subgroups"},
    {"stard_ai", "25", "data", "#participants"},
    {"stard_ai", "28", "limits", "@"},
    {"stard_ai", "29", "", ""},
    {"stard_ai", "35", "", ""},
    {"stard_ai", "39", "", ""},
    {"stard_ai", "40a", "reproduce", "run.git"},
    {"stard_ai", "40b", "reproduce", "run.data_sha256"},
};

/* ---- is it here ------------------------------------------------------------------------------ */

static bool holds_something(const json_t *v)
{
    if (json_is_string(v))
        return json_string_length(v) > 0;
    if (json_is_array(v))
        return json_array_size(v) > 0;
    if (json_is_object(v))
        return json_object_size(v) > 0;
    return v && !json_is_null(v);
}

static bool holds_path(const json_t *tree, const char *path)
{
    const json_t *v = tree;
    while (v && *path) {
        char name[64];
        size_t n = strcspn(path, ".");
        snprintf(name, sizeof name, "%.*s", (int)n, path);
        v = json_object_get(v, name);
        path += n + (path[n] == '.');
    }
    return holds_something(v);
}

static bool answered(const json_t *tree, const char *when)
{
    if (!strcmp(when, "@"))
        return true;
    while (*when) {
        char one[64];
        size_t n = strcspn(when, "|");
        snprintf(one, sizeof one, "%.*s", (int)n, when);
        if (one[0] == '#' ? holds_something(
                                json_object_get(report_tree_by_id(tree, "tables", one + 1), "rows"))
                          : holds_path(tree, one))
            return true;
        when += n + (when[n] == '|');
    }
    return false;
}

/* ---- the part -------------------------------------------------------------------------------- */

static bool add(report_build *b, err *e)
{
    json_t *t = NULL;
    for (size_t i = 0; i < COUNT_OF(items); i++) {
        const item *it = &items[i];
        char id[64], key[64];
        if (!i || strcmp(it->guideline, it[-1].guideline)) {
            snprintf(key, sizeof key, "guideline.%s", it->guideline);
            snprintf(id, sizeof id, "checklist_%s", it->guideline);
            t = cells_table("checklist");
            json_object_set_new(t, "id", json_string(id));
            json_object_set_new(t, "title", json_string(report_text(key)));
            cells_column(t, "item", "text");
            cells_column(t, "topic", "text");
            cells_column(t, "where", "section");
            report_build_table(b, t);
        }
        json_t *row = cells_row(t);
        snprintf(key, sizeof key, "item.%s.%s", it->guideline, it->number);
        cells_text(row, it->number);
        cells_text(row, report_text(key));
        cells_text(row, answered(b->tree, it->when) ? it->where : "");
    }
    return true;
}

static void show(report_doc *d, const json_t *tree)
{
    const json_t *t, *row;
    doc_number n, here;
    int64_t all = 0, answers = 0;
    size_t i, k;
    report_doc_section(d, "checklist");
    json_array_foreach(json_object_get(tree, "tables"), i, t)
    {
        if (strncmp(report_tree_str(t, "id"), "checklist_", 10))
            continue;
        json_array_foreach(json_object_get(t, "rows"), k, row)
        {
            all++;
            answers += json_string_length(json_array_get(row, 2)) > 0;
        }
    }
    doc_number_show(&n, "0", (double)all);
    doc_number_show(&here, "0", (double)answers);
    report_doc_fill(d, DOC_TEXT, "checklist.intro",
                    (const char *const[]){"n", n.s, "here", here.s, NULL});
    json_array_foreach(json_object_get(tree, "tables"), i, t)
    {
        if (!strncmp(report_tree_str(t, "id"), "checklist_", 10))
            report_doc_table(d, tree, report_tree_str(t, "id"), true);
    }
}

const report_part part_checklist = {"checklist", add, show};
