/* Limits of use that follow from the data themselves. */
#include "eval/part.h"
#include "eval/report_match.h"
#include "eval/report_text.h"
#include <strings.h>

#define FEW_CASES 100 /* below this the limits say that cases are few */

static bool one_vendor(const report_build *b)
{
    const exam_table *t = &b->set.exams;
    for (int64_t i = 1; i < t->n; i++)
        if (strcmp(t->row[i].vendor, t->row[0].vendor))
            return false;
    return t->n > 0 && t->row[0].vendor[0];
}

static bool says_synthetic(const char *s)
{
    static const char word[] = "synthetic";
    for (; s && *s; s++)
        if (!strncasecmp(s, word, sizeof word - 1))
            return true;
    return false;
}

/* The model card has a member of that name, or title, label or follow-up say so. */
static bool synthetic(const report_build *b)
{
    const report_cfg *c = &b->opts->cfg;
    return json_is_true(json_object_get(b->model, "synthetic")) || says_synthetic(c->title) ||
           says_synthetic(c->label) || says_synthetic(c->follow_up);
}

/* The only place where keys stand in a sentence. */
static void add_keys(json_t *l, const report_cfg *c)
{
    char share[32], minimum[32], screen[32], interval[32], pages[32];
    snprintf(share, sizeof share, "%.4g", 100 * c->population);
    snprintf(minimum, sizeof minimum, "%lld", (long long)c->min_count);
    snprintf(screen, sizeof screen, "%.4g", c->screen_days);
    snprintf(interval, sizeof interval, "%.4g", c->interval_days);
    snprintf(pages, sizeof pages, "%lld", (long long)c->pages);
    report_build_sentence(l, "limit.keys",
                          (const char *const[]){"population", share, "minimum", minimum, "screen",
                                                screen, "interval", interval, "pages", pages,
                                                NULL});
}

static bool add(report_build *b, err *e)
{
    static const char *const none[] = {NULL};
    json_t *l = json_array();
    const cohort_view *v = &b->all;
    const report_cfg *c = &b->opts->cfg;
    unsigned columns = b->src->in[0].scores.columns;
    char share[32], cases[32], n[32], models[32], prevalence[32];
    snprintf(share, sizeof share, "%.1f", 100 * b->risks.pop.share);
    snprintf(cases, sizeof cases, "%lld", (long long)v->events);
    snprintf(prevalence, sizeof prevalence, "%.4g", 100 * c->population);
    report_build_sentence(l, "limit.research", none);
    if (synthetic(b))
        report_build_sentence(l, "limit.synthetic", none);
    json_object_set_new(b->tree, "synthetic", json_boolean(synthetic(b)));
    if (b->opts->final) {
        snprintf(n, sizeof n, "%lld", (long long)b->src->look.n + 1);
        snprintf(models, sizeof models, "%lld", (long long)b->src->look.models);
        report_build_sentence(l, b->src->look.n ? "limit.looks" : "limit.first_look",
                              (const char *const[]){"n", n, "models", models, NULL});
    }
    if (report_match_dropped(b->src->in, b->src->n_in, b->src->val))
        report_build_sentence(l, "limit.dropped", none);
    if (text_ieq(b->split, "train") || text_ieq(b->split, "training"))
        report_build_sentence(l, "limit.train", none);
    else if (!text_ieq(b->split, "test"))
        report_build_sentence(l, b->split[0] ? "limit.not_test" : "limit.split_unknown",
                              (const char *const[]){"split", b->split, NULL});
    if (v->events < FEW_CASES)
        report_build_sentence(l, "limit.few", (const char *const[]){"cases", cases, NULL});
    if (b->risks.pop.enriched)
        report_build_sentence(
            l, "limit.enriched",
            (const char *const[]){"share", share, "prevalence", prevalence, NULL});
    if (one_vendor(b))
        report_build_sentence(l, "limit.one_vendor", none);
    if (!(columns & SCORES_HAS_VENDOR))
        report_build_sentence(l, "limit.no_vendor", none);
    if (!(columns & SCORES_HAS_PATIENT))
        report_build_sentence(l, "limit.no_patient", none);
    if (!c->label[0] && !json_object_get(b->model, "label"))
        report_build_sentence(l, "limit.no_label", none);
    if (!c->follow_up[0] && !json_object_get(b->model, "follow_up"))
        report_build_sentence(l, "limit.no_follow_up", none);
    if (!b->src->val)
        report_build_sentence(l, "limit.exploratory", none);
    json_array_extend(l, json_object_get(b->tree, "limits")); /* what other parts have found */
    add_keys(l, c);
    json_object_set_new(b->tree, "limits", l);
    return true;
}

static void show(report_doc *d, const json_t *tree)
{
    size_t i;
    json_t *v;
    report_doc_section(d, "limits");
    json_array_foreach(json_object_get(tree, "limits"), i, v)
        report_doc_text(d, DOC_ITEM, json_string_value(v));
}

const report_part part_limits = {"limits", add, show};
