/* Bootstrap over clusters (patients): draw patients with replacement, take all their rows.
 * Replicate b uses the random numbers of (seed, b) only, so any number of threads gives the same
 * result. evaluation.md 5. */
#ifndef EVAL_BOOT_H
#define EVAL_BOOT_H

#include "core/err.h"
#include "core/pool.h"

/* BCa (Efron 1987): percentiles moved by the bias of the replicates and by the acceleration, from
 * the jackknife over clusters; for several strata as in Davison and Hinkley 1997, 5.4: influences
 * divided by the size of the stratum. More than BOOT_GROUPS clusters of a stratum are left out in
 * so many groups. Equal replicates count half on either side of the value. */
typedef enum boot_kind { BOOT_PERCENTILE, BOOT_BCA } boot_kind;
#define BOOT_GROUPS 200
const char *boot_name(boot_kind k); /* of tree.metrics: "bootstrap", "bca" */

/* Statistics of one replicate. times[c] = how often cluster c was drawn; out[n_stats], NaN where
 * undefined. Returns false when the replicate must be drawn again (a class is missing). */
typedef bool boot_stat(void *ctx, const int32_t *times, double *out, int thread);

typedef struct boot_spec {
    int n_clusters;
    const int *stratum; /* of each cluster, 0..n_strata-1; NULL = one stratum */
    int n_strata;
    int64_t replicates;
    uint64_t seed;
    int n_stats;
    boot_stat *stat;
    void *ctx;
    pool *pool; /* borrowed */
    int kind;   /* boot_kind of the intervals */
} boot_spec;

typedef struct boot_result {
    double *value; /* [replicates, n_stats]; a row of NaN where 100 draws failed */
    int64_t replicates;
    int n_stats;
    int64_t redrawn, failed;
    double *point;     /* [n_stats] of all clusters once; BOOT_BCA, else NULL, as below */
    double *influence; /* [n_groups, n_stats] */
    int n_groups;
} boot_result;

void boot_run(const boot_spec *s, boot_result *out);
void boot_release(boot_result *r);
/* Interval (type 7 quantiles) of the spec's kind and standard deviation of a statistic over its
 * defined replicates; false when fewer than 20 are defined, or, BOOT_BCA, all lie on one side of
 * the value. */
bool boot_interval(const boot_result *r, int stat, double level, double *lo, double *hi,
                   double *sd);
/* Type 7 quantile of n sorted values. */
double boot_quantile(const double *sorted, int64_t n, double p);
#endif
