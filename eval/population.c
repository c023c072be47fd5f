/* Weights that turn an enriched set into a population. */
#include "eval/population.h"
#include "core/mem.h"
#include "eval/ksum.h"

const char *population_sampling_name(population_sampling s)
{
    static const char *const names[] = {"auto", "population", "enriched"};
    if ((unsigned)s >= COUNT_OF(names))
        BUG("population sampling %d", (int)s);
    return names[s];
}

void population_build(const cohort_view *v, population_sampling sampling, double target,
                      population *out)
{
    ksum w[2] = {{0}};
    *out = (population){.share = NAN, .in = v->in};
    for (int64_t i = 0; i < v->n; i++)
        ksum_add(&w[v->y[i] != 0], v->weight[i]);
    double cases = ksum_get(&w[1]), all = cases + ksum_get(&w[0]);
    out->prevalence = out->share = all > 0 ? cases / all : NAN;
    out->enriched = sampling == POPULATION_SAMPLED ||
                    (sampling == POPULATION_AUTO && out->share > POPULATION_ENRICHED);
    if (!out->enriched || !(out->share > 0 && out->share < 1))
        return;
    out->prevalence = target;
    out->weight = MEM_ARRAY(double, v->n);
    for (int64_t i = 0; i < v->n; i++)
        out->weight[i] =
            v->weight[i] * (v->y[i] ? target / out->share : (1 - target) / (1 - out->share));
    out->in.weight = out->weight;
}

void population_release(population *p)
{
    mem_free(p->weight);
    memset(p, 0, sizeof *p);
}
