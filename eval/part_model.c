/* The model card: what the predict stage recorded of the network. */
#include "eval/part.h"
#include "eval/report_text.h"

static void show(report_doc *d, const json_t *tree)
{
    const json_t *model = json_object_get(tree, "model");
    json_t *list = json_array(), *v;
    const char *member;
    text t;
    text_init(&t);
    report_doc_section(d, "model");
    if (json_is_true(json_object_get(tree, "synthetic")))
        report_doc_pair(list, report_text("model.data"), report_text("model.data_synthetic"));
    for (int i = 0; i < report_text_count(); i++) {
        const char *key = report_text_key(i);
        if (strncmp(key, "card.", 5))
            continue;
        text_clear(&t);
        report_doc_value(json_object_get(model, key + 5), &t);
        report_doc_pair(list, report_text(key), t.s);
    }
    json_object_foreach((json_t *)model, member, v)
    {
        char key[80];
        snprintf(key, sizeof key, "card.%.64s", member);
        if (report_text_find(key) || !strcmp(member, "history")) /* the curve is in eval.json */
            continue;
        text_clear(&t);
        report_doc_value(v, &t);
        report_doc_pair(list, member, t.s);
    }
    report_doc_data(d, DOC_PAIRS, list);
    text_release(&t);
}

const report_part part_model = {"model", NULL, show};
