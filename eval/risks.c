/* Forms of risk, made once for the parts of the report. */
#include "eval/risks.h"
#include "core/mem.h"
#include "eval/rate.h"
#include "eval/report_text.h"
#include <math.h>

const char *risks_name(risks_form f)
{
    static const char *const names[RISKS_FORMS] = {"given", "recalibrated", "shifted"};
    if ((unsigned)f >= RISKS_FORMS)
        BUG("risks: form %d", (int)f);
    return names[f];
}

static int64_t least_of(const cohort_view *v)
{
    return v->events < v->n - v->events ? v->events : v->n - v->events;
}

static void recalibrate(const cohort_view *all, const cohort_view *val, const report_cfg *want,
                        risks *r)
{
    population other;
    population_build(val, (population_sampling)want->sampling, want->population, &other);
    if (r->pop.enriched)
        r->shift_from = other.share;
    if (want->recalibration != RECALIBRATE_NONE && least_of(val) < METRIC_FEW) {
        r->map = (recalibrate_map){.kind = (recalibrate_kind)want->recalibration,
                                   .rows = val->n,
                                   .events = val->events,
                                   .reason = "FEW_EVENTS"};
    } else if (recalibrate_fit((recalibrate_kind)want->recalibration, &other.in, &r->map) &&
               r->map.kind != RECALIBRATE_NONE) {
        r->score[RISKS_RECALIBRATED] = MEM_ARRAY(double, all->n + 1);
        for (int64_t i = 0; i < all->n; i++)
            r->score[RISKS_RECALIBRATED][i] = recalibrate_apply(&r->map, all->score[i]);
    }
    population_release(&other);
}

void risks_build(const cohort_view *all, const cohort_view *val, const report_cfg *want, risks *out)
{
    int64_t least = least_of(all);
    *out = (risks){.map = {.b = 1}, .shift_from = NAN, .unstable = least < METRIC_UNSTABLE};
    population_build(all, (population_sampling)want->sampling, want->population, &out->pop);
    if (least < METRIC_FEW || want->ensemble == MEMBER_MEAN_RANK) {
        out->reason = least < METRIC_FEW ? "FEW_EVENTS" : "RANKS";
        return;
    }
    if (out->pop.enriched)
        out->shift_from = out->pop.share;
    if (val)
        recalibrate(all, val, want, out);
    if (!(out->shift_from > 0 && out->shift_from < 1))
        return;
    out->score[RISKS_SHIFTED] = MEM_ARRAY(double, all->n + 1);
    for (int64_t i = 0; i < all->n; i++)
        out->score[RISKS_SHIFTED][i] =
            rate_prior_shift(all->score[i], out->shift_from, out->pop.prevalence);
}

void risks_release(risks *r)
{
    population_release(&r->pop);
    recalibrate_release(&r->map);
    for (int f = 0; f < RISKS_FORMS; f++)
        mem_free(r->score[f]);
    memset(r, 0, sizeof *r);
}

const char *risks_words(const risks *r, risks_form f)
{
    char key[64];
    snprintf(key, sizeof key, "risks.%s",
             f == RISKS_RECALIBRATED ? recalibrate_name(r->map.kind) : risks_name(f));
    return report_text(key);
}

risks_form risks_of_population(const risks *r)
{
    return !r->pop.enriched               ? RISKS_GIVEN
           : r->score[RISKS_RECALIBRATED] ? RISKS_RECALIBRATED
                                          : RISKS_SHIFTED;
}

bool risks_rows(const risks *r, risks_form f, metric_in *out)
{
    if (r->reason || (f != RISKS_GIVEN && !r->score[f]))
        return false;
    *out = r->pop.in;
    if (f != RISKS_GIVEN)
        out->score = r->score[f];
    return true;
}
