/* Provenance: program, hashes, configuration, and the check for identifiers. */
#include "eval/part.h"
#include "eval/report_text.h"

static void show(report_doc *d, const json_t *tree)
{
    static const char *const known[] = {
        "tool", "git", "data_sha256", "model_sha256", "config_sha256", "eval_options_sha256",
        "seed", NULL};
    const json_t *run = json_object_get(tree, "run"), *privacy = json_object_get(tree, "privacy");
    json_t *list = json_array(), *v;
    const char *name;
    doc_number n, hits;
    text t;
    text_init(&t);
    report_doc_section(d, "reproduce");
    for (int i = 0; known[i]; i++) {
        char key[48];
        snprintf(key, sizeof key, "run.%s", known[i]);
        text_clear(&t);
        report_doc_value(json_object_get(run, known[i]), &t);
        report_doc_pair(list, report_text(key), t.s);
    }
    json_object_foreach(json_object_get(run, "hashes"), name, v)
    {
        text_clear(&t);
        report_doc_value(v, &t);
        report_doc_pair(list, name, t.s);
    }
    report_doc_data(d, DOC_PAIRS, list);
    int64_t found = json_integer_value(json_object_get(privacy, "suspicious"));
    report_doc_fill(d, found ? DOC_WARN : DOC_NOTE, found ? "privacy.hits" : "privacy.clean",
                    (const char *const[]){
                        "n", doc_number_count(&n, json_object_get(privacy, "strings")), "hits",
                        doc_number_count(&hits, json_object_get(privacy, "suspicious")), NULL});
    if (report_tree_str(run, "config_yaml")[0])
        report_doc_text(d, DOC_CODE, report_tree_str(run, "config_yaml"));
    text_release(&t);
}

const report_part part_reproduce = {"reproduce", NULL, show};
