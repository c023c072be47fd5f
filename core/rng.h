/* Counter-based random numbers (Philox 4x32-10): a value is a pure function of (seed, purpose, id,
 * step, index), never of the order of calls or of the thread. */
#ifndef CORE_RNG_H
#define CORE_RNG_H

#include <stdint.h>

/* What the numbers are for; never reuse a purpose for a second thing. Append only. */
typedef enum rng_purpose {
    RNG_TEST = 1,
    RNG_INIT,      /* parameter initialisation; id = hash of the name */
    RNG_PATCHDROP, /* kept patches; id = sample id, step = epoch */
    RNG_AUGMENT,   /* id = sample id, step = epoch */
    RNG_SAMPLER,   /* balanced sampling and order of an epoch */
    RNG_DROPPATH,
    RNG_BOOT, /* bootstrap; id = replicate */
    RNG_SPLIT,
    RNG_SYNTH, /* demo archive */
    RNG_KEEPRATE,
    RNG_PROBE,     /* random directions of gradient checks */
    RNG_CALIBRATE, /* outcomes simulated from risks; id = simulation */
    RNG_PAGES,     /* exams of the image page; id = hash of the exam */
    RNG_MASK       /* missing patches of --robustness; id = hash of exam and image */
} rng_purpose;

typedef struct rng {
    uint32_t key[2], ctr[4], out[4];
    int left;
} rng;

void rng_init(rng *r, uint64_t seed, rng_purpose purpose, uint64_t id, uint64_t step);
uint32_t rng_u32(rng *r);
uint64_t rng_u64(rng *r);
uint32_t rng_below(rng *r, uint32_t n); /* uniform in 0..n-1 without bias, n >= 1 */
double rng_f64(rng *r);                 /* [0,1), 53 bits */
float rng_f32(rng *r);                  /* [0,1), 24 bits */
double rng_normal(rng *r);              /* mean 0, sd 1 (Box-Muller, one value per two draws) */
/* k distinct indices of 0..n-1, ascending, uniform over subsets. out[k]. */
void rng_subset(rng *r, int n, int k, int32_t *out);
void rng_shuffle(rng *r, int64_t n, int64_t *items); /* Fisher-Yates */
/* The permutation of 0..n-1 that torch.randperm(n) gives on a CPU after torch.manual_seed(seed),
 * for divisions that were published so. Not counter-based. Of the seed only the low 32 bits count;
 * n below 2^32 / 20, where torch changes its way. patchdropout.md 4. */
void rng_torch_permutation(uint64_t seed, int64_t n, int64_t *out);
#endif
