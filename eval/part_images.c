/* The exam pages: what is known of each chosen exam, and what is said beside its pictures
 * (evaluation.md 18). Plain words first; no p-value, no word of safety. */
#include "eval/part.h"
#include "eval/cells.h"
#include "eval/hanging.h"
#include "eval/report_number.h"
#include "eval/report_text.h"
#include <math.h>
#include <stdlib.h>

#define FEW 5 /* fewer exams are no "of 100" */

/* ---- facts ----------------------------------------------------------------------------------- */

static int by_exam(const void *key, const void *row)
{
    return strcmp(key, ((const exam_row *)row)->exam);
}

static const exam_row *find(const report_build *b, const char *exam)
{
    const exam_table *t = &b->set.exams;
    return t->n ? bsearch(exam, t->row, (size_t)t->n, sizeof *t->row, by_exam) : NULL;
}

/* Share of the exams that score lower, ties counted half, in per cent. */
static double percentile(const report_build *b, double score)
{
    const exam_table *t = &b->set.exams;
    double below = 0;
    for (int64_t i = 0; i < t->n; i++)
        below += t->row[i].score < score ? 1 : t->row[i].score == score ? 0.5 : 0;
    return 100 * below / (double)t->n;
}

/* The score as a risk of a population, where the report has learnt or moved one; else null. */
static void add_risk(const report_build *b, const exam_row *x, json_t *page)
{
    const risks *r = &b->risks;
    risks_form form = r->score[RISKS_RECALIBRATED] ? RISKS_RECALIBRATED : risks_of_population(r);
    const double *score = r->reason ? NULL : r->score[form];
    json_object_set_new(page, "risk",
                        score ? json_pack("{s:o, s:o, s:s}", "value",
                                          json_num(score[x - b->set.exams.row]), "prevalence",
                                          json_num(r->pop.prevalence), "form", risks_name(form))
                              : json_null());
}

static void add_prior(const report_build *b, const exam_row *x, json_t *page)
{
    const exam_table *t = &b->set.exams;
    const exam_row *prior = NULL;
    for (int64_t i = 0; i < t->n; i++) {
        const exam_row *r = &t->row[i];
        if (r->patient_index == x->patient_index && r->exam_day < x->exam_day &&
            (!prior || r->exam_day > prior->exam_day))
            prior = r;
    }
    json_object_set_new(page, "prior",
                        prior ? json_pack("{s:o, s:o}", "days",
                                          json_num(x->exam_day - prior->exam_day), "score",
                                          json_num(prior->score))
                              : json_null());
}

static void add_missing(json_t *page)
{
    json_t *missing = json_array(), *v;
    size_t i;
    for (int k = 0; k < HANGING_PLACES; k++) {
        bool here = false;
        json_array_foreach(json_object_get(page, "views"), i, v) here |=
            !strcmp(json_string_value(json_object_get(v, "view")), hanging_name[k]);
        if (!here)
            json_array_append_new(missing, json_string(hanging_name[k]));
    }
    json_object_set_new(page, "missing", missing);
}

/* The model card may name the manufacturers of the training images (training_vendors). */
static bool unseen_in_training(const report_build *b, const char *vendor)
{
    const json_t *seen = json_object_get(b->model, "training_vendors");
    json_t *v;
    size_t i;
    json_array_foreach(seen, i, v)
    {
        if (json_is_string(v) && text_ieq(json_string_value(v), vendor))
            return false;
    }
    return json_array_size(seen) && vendor[0];
}

static bool not_in_val(const report_build *b, const char *vendor)
{
    for (int64_t i = 0; i < b->val_set.exams.n; i++)
        if (!strcmp(b->val_set.exams.row[i].vendor, vendor))
            return false;
    return b->src->val && vendor[0];
}

/* Risks by year, where the table has them (score_h1, score_h2, ...). */
static void add_years(const report_build *b, const exam_row *x, json_t *page)
{
    json_t *years = json_array();
    for (int k = 0; k < b->set.exams.n_years; k++)
        json_array_append_new(years, json_num(x->year[k]));
    json_object_set_new(page, "year_risks", years);
}

/* Where the score lies, in per cent of the exams: no finer than the risk groups of the tables, and
 * no step with fewer exams than the smallest told number. */
static void add_rank(const report_build *b, double score, json_t *page)
{
    static const int steps[] = {10, 20, 25, 50, 100};
    const double n = (double)b->set.exams.n, least = (double)b->opts->cfg.min_count;
    size_t k = 0;
    while (k + 1 < COUNT_OF(steps) && n * steps[k] < 100 * least)
        k++;
    int from = (int)(percentile(b, score) / steps[k]) * steps[k];
    from = from < 100 ? from : 100 - steps[k];
    json_object_set_new(page, "rank_from", json_integer(from));
    json_object_set_new(page, "rank_to", json_integer(from + steps[k]));
}

static json_t *make_page(const report_build *b, const json_t *from)
{
    json_t *page = json_copy((json_t *)from);
    const exam_row *x = find(b, json_string_value(json_object_get(from, "exam_id")));
    add_missing(page);
    json_object_set_new(page, "evaluated", json_boolean(x != NULL));
    if (!x)
        return page;
    json_object_set_new(page, "score", json_num(x->score));
    add_rank(b, x->score, page);
    json_object_set_new(page, "y", json_integer(x->y));
    json_object_set_new(page, "event", x->event < 0 ? json_null() : json_integer(x->event));
    json_object_set_new(page, "years", json_num(x->t_years));
    json_object_set_new(page, "vendor", cells_string(x->vendor));
    json_object_set_new(page, "vendor_unseen", json_boolean(unseen_in_training(b, x->vendor)));
    json_object_set_new(page, "vendor_not_val", json_boolean(not_in_val(b, x->vendor)));
    add_years(b, x, page);
    add_risk(b, x, page);
    add_prior(b, x, page);
    return page;
}

/* Counts that may not be told are null. */
static json_t *threshold_facts(const operate_point *o)
{
    const bool hide1 = !o->cases_told, hide0 = !o->controls_told;
    json_t *t = json_pack("{s:o, s:o, s:s}", "value", json_num(o->threshold), "specificity",
                          json_num(o->target), "chosen_on", o->fixed ? "val" : "same");
    json_object_set_new(t, "tp", hide1 ? json_null() : json_integer(o->tp));
    json_object_set_new(t, "fn", hide1 ? json_null() : json_integer(o->fn));
    json_object_set_new(t, "fp", hide0 ? json_null() : json_integer(o->fp));
    json_object_set_new(t, "tn", hide0 ? json_null() : json_integer(o->tn));
    return t;
}

static bool add(report_build *b, err *e)
{
    const pages_in *in = &b->src->in[0].pages;
    const operate_point *o = report_build_usual_point(b);
    json_t *pages = json_array(), *facts = json_object(), *exam;
    size_t i;
    json_array_foreach(in->exams, i, exam) json_array_append_new(pages, make_page(b, exam));
    json_object_set_new(b->tree, "pages", pages);
    json_object_set_new(facts, "left_out", json_integer(in->left_out));
    json_object_set_new(facts, "exams", json_integer(b->set.exams.n));
    json_object_set_new(facts, "threshold", o ? threshold_facts(o) : json_null());
    json_object_set_new(b->tree, "page_facts", facts);
    if (json_array_size(pages)) {
        char n[24];
        snprintf(n, sizeof n, "%zu", json_array_size(pages));
        report_build_limit(b, "limit.pages", (const char *const[]){"n", n, NULL});
    }
    return true;
}

/* ---- words ----------------------------------------------------------------------------------- */

static double value(const json_t *o, const char *key)
{
    const json_t *v = json_object_get(o, key);
    return json_is_number(v) ? json_number_value(v) : NAN;
}

static void say(json_t *says, const char *key, const char *const *pairs)
{
    text t;
    text_init(&t);
    report_fill(&t, key, pairs);
    json_array_append_new(says, cells_string(t.s));
    text_release(&t);
}

/* "of 100" that is neither 0 nor 100 unless it is. */
static const char *of_hundred(double share, char out[16])
{
    double v = floor(100 * share + 0.5);
    v = share > 0 && v < 1 ? 1 : share < 1 && v > 99 ? 99 : v;
    snprintf(out, 16, "%.0f", v);
    return out;
}

static void per_thousand(double risk, char out[16])
{
    snprintf(out, 16, risk < 0.0095 ? "%.1f" : "%.0f", 1000 * risk);
    report_number_in(out, 16);
}

static void say_years(const json_t *page, json_t *says)
{
    const json_t *years = json_object_get(page, "year_risks");
    json_t *v;
    size_t i;
    text list;
    text_init(&list);
    json_array_foreach(years, i, v)
    {
        char risk[16], year[24];
        per_thousand(json_number_value(v), risk);
        snprintf(year, sizeof year, "%zu", i + 1);
        text_add(&list, i ? ", " : "");
        report_fill(&list, "images.year", (const char *const[]){"year", year, "risk", risk, NULL});
    }
    if (json_array_size(years))
        say(says, "images.years", (const char *const[]){"years", list.s, NULL});
    text_release(&list);
}

/* A score outside of what was seen says less. */
static void say_vendor(const json_t *page, json_t *says)
{
    const char *const pairs[] = {"vendor", report_tree_str(page, "vendor"), NULL};
    if (json_is_true(json_object_get(page, "vendor_unseen")))
        say(says, "images.vendor_unseen", pairs);
    if (json_is_true(json_object_get(page, "vendor_not_val")))
        say(says, "images.vendor_val", pairs);
}

static void say_why(const json_t *page, json_t *says)
{
    char key[48];
    const char *why = json_string_value(json_object_get(page, "why")),
               *words = json_string_value(json_object_get(page, "note"));
    if (!strcmp(why, "false_alarm") && value(page, "event") == 1)
        why = "early_alarm";
    snprintf(key, sizeof key, "images.why.%.24s", why);
    if (report_text_find(key))
        json_array_append_new(says, cells_string(report_text(key)));
    else if (words[0])
        json_array_append_new(says, cells_string(words));
}

static void say_rank(const json_t *page, const char *score, json_t *says)
{
    double from = value(page, "rank_from"), to = value(page, "rank_to");
    char low[16], high[16], top[16];
    snprintf(low, sizeof low, "%.0f", from);
    snprintf(high, sizeof high, "%.0f", to);
    snprintf(top, sizeof top, "%.0f", 100 - from);
    const char *const pairs[] = {"score", score, "from", low, "to", high, "top", top, NULL};
    say(says,
        to - from >= 100 ? "images.rank_none"
        : to >= 100      ? "images.rank_top"
        : from <= 0      ? "images.rank_low"
                         : "images.rank",
        pairs);
}

static void say_score(const json_t *page, json_t *says)
{
    const json_t *known = json_object_get(page, "risk");
    char score[16], risk[16], prevalence[16];
    double v = value(page, "score");
    snprintf(score, sizeof score, "%.3f", v);
    report_number_in(score, sizeof score);
    say_rank(page, score, says);
    per_thousand(json_is_object(known) ? value(known, "value") : v, risk);
    snprintf(prevalence, sizeof prevalence, "%.4g", 100 * value(known, "prevalence"));
    report_number_in(prevalence, sizeof prevalence);
    if (json_is_object(known))
        say(says,
            !strcmp(json_string_value(json_object_get(known, "form")),
                    risks_name(RISKS_RECALIBRATED))
                ? "images.risk_recalibrated"
                : "images.risk_shifted",
            (const char *const[]){"risk", risk, "prevalence", prevalence, NULL});
    else
        say(says, "images.risk", (const char *const[]){"risk", risk, NULL});
}

static void say_flag(const json_t *page, const json_t *facts, json_t *says)
{
    const json_t *t = json_object_get(facts, "threshold");
    char threshold[24], spec[24], share[16];
    double at = value(t, "value");
    if (isnan(at))
        return;
    bool flagged = value(page, "score") >= at,
         val = !strcmp(json_string_value(json_object_get(t, "chosen_on")), "val");
    double with = value(t, flagged ? "tp" : "fn"), without = value(t, flagged ? "fp" : "tn");
    snprintf(threshold, sizeof threshold, "%.4g", at);
    snprintf(spec, sizeof spec, "%.4g", 100 * value(t, "specificity"));
    report_number_in(threshold, sizeof threshold);
    report_number_in(spec, sizeof spec);
    say(says, flagged ? "images.above" : "images.below",
        (const char *const[]){"threshold", threshold, "spec", spec, "where",
                              report_text(val ? "where.val" : "where.same"), NULL});
    if (with + without >= FEW)
        say(says, flagged ? "images.of_flagged" : "images.of_unflagged",
            (const char *const[]){"share", of_hundred(with / (with + without), share), NULL});
}

static void say_prior(const json_t *page, json_t *says)
{
    const json_t *prior = json_object_get(page, "prior");
    char years[16], score[16], change[16];
    if (!json_is_object(prior))
        return;
    snprintf(years, sizeof years, "%.1f", value(prior, "days") / 365.25);
    snprintf(score, sizeof score, "%.3f", value(prior, "score"));
    snprintf(change, sizeof change, "%+.3f", value(page, "score") - value(prior, "score"));
    report_number_in(years, sizeof years);
    report_number_in(score, sizeof score);
    report_number_in(change, sizeof change);
    say(says, "images.prior",
        (const char *const[]){"years", years, "score", score, "change", change, NULL});
}

static void say_missing(const json_t *page, json_t *says)
{
    const json_t *missing = json_object_get(page, "missing");
    text list;
    text_init(&list);
    for (size_t i = 0; i < json_array_size(missing); i++)
        text_addf(&list, "%s%s", i ? ", " : "", json_string_value(json_array_get(missing, i)));
    if (list.len)
        say(says, "images.absent", (const char *const[]){"views", list.s, NULL});
    text_release(&list);
}

/* By the label first: a cancer after the time that it looks at is told as such. */
static void say_outcome(const json_t *page, json_t *says)
{
    char years[16];
    double t = value(page, "years"), event = value(page, "event");
    bool cancer = value(page, "y") == 1;
    const char *key = cancer ? "images.cancer" : "images.none";
    if (!isnan(t) && event == 1)
        key = cancer ? "images.cancer_after" : "images.cancer_later";
    else if (!isnan(t) && event == 0 && !cancer)
        key = "images.none_after";
    snprintf(years, sizeof years, "%.1f", t);
    report_number_in(years, sizeof years);
    say(says, key, (const char *const[]){"years", years, NULL});
}

typedef struct place_in { /* an exam's among those shown */
    size_t number, of;
    double widest; /* picture of them all, mm */
} place_in;

static void show_exam(report_doc *d, const json_t *facts, json_t *page, const place_in *p)
{
    char at[24], of[24];
    json_t *says = json_array();
    text head;
    text_init(&head);
    snprintf(at, sizeof at, "%zu", p->number);
    snprintf(of, sizeof of, "%zu", p->of);
    report_fill(&head, "images.head",
                (const char *const[]){"n", at, "of", of, "exam",
                                      json_string_value(json_object_get(page, "exam_id")), NULL});
    say_why(page, says);
    if (json_is_true(json_object_get(page, "evaluated"))) {
        say_score(page, says);
        say_years(page, says);
        say_vendor(page, says);
        say_flag(page, facts, says);
        say_prior(page, says);
        say_missing(page, says);
        say_outcome(page, says);
    } else {
        say(says, "images.not_evaluated", (const char *const[]){NULL});
        say_missing(page, says);
    }
    report_doc_data(d, DOC_PAGES,
                    json_pack("{s:o, s:o, s:O, s:i, s:o}", "head", cells_string(head.s), "says",
                              says, "page", page, "number", (int)p->number, "widest_mm",
                              json_num(p->widest)));
    text_release(&head);
}

static bool any_miss(const json_t *pages)
{
    json_t *page;
    size_t i;
    json_array_foreach(pages, i, page)
    {
        if (!strcmp(report_tree_str(page, "why"), "missed"))
            return true;
    }
    return false;
}

static void show(report_doc *d, const json_t *tree)
{
    const json_t *pages = json_object_get(tree, "pages"),
                 *facts = json_object_get(tree, "page_facts");
    char left[24];
    size_t i;
    json_t *page;
    if (!json_array_size(pages))
        return;
    doc_number n;
    report_doc_section(d, "images");
    report_doc_fill(
        d, DOC_WARN, "images.single",
        (const char *const[]){"n", doc_number_show(&n, "0", (double)json_array_size(pages)), NULL});
    report_doc_text(d, DOC_NOTE, report_text("images.note"));
    if (!any_miss(pages))
        report_doc_text(d, DOC_NOTE, report_text("images.no_miss"));
    snprintf(left, sizeof left, "%.0f", value(facts, "left_out"));
    if (value(facts, "left_out") > 0)
        report_doc_fill(d, DOC_NOTE, "images.left_out", (const char *const[]){"n", left, NULL});
    place_in p = {.of = json_array_size(pages), .widest = hanging_widest_mm(pages)};
    json_array_foreach(pages, i, page)
    {
        p.number = i + 1;
        show_exam(d, facts, page, &p);
    }
}

const report_part part_images = {"images", add, show};
