/* Philox 4x32-10 (Salmon, Moraes, Dror, Shaw: Parallel random numbers: as easy as 1, 2, 3, SC
 * 2011). How a stream is addressed: key[0..1]  seed XOR (purpose << 56), low word first: distinct
 * for every seed below 2^56 ctr[0]     block index, carried into the low 31 bits of ctr[1] ctr[1]
 * bit 31: 0 = exact address, 1 = mixed address ctr[2..3]  exact (id < 2^40 and step < 2^24): id |
 * step << 40, so no two streams ever meet; mixed: a 64-bit hash of (id, step), 31 further hash bits
 * in ctr[1] */
#include "core/rng.h"
#include "core/err.h"

#include <math.h>

#define ID_BITS   40
#define STEP_BITS 24
#define MIXED     0x80000000u

static void philox(const uint32_t ctr[4], const uint32_t key[2], uint32_t out[4])
{
    uint32_t c0 = ctr[0], c1 = ctr[1], c2 = ctr[2], c3 = ctr[3];
    uint32_t k0 = key[0], k1 = key[1];
    for (int round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t)0xD2511F53u * c0;
        uint64_t p1 = (uint64_t)0xCD9E8D57u * c2;
        c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        c1 = (uint32_t)p1;
        c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c3 = (uint32_t)p0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

/* The 64-bit finaliser of MurmurHash3: a bijection that spreads every bit. */
static uint64_t mix64(uint64_t x)
{
    x ^= x >> 33;
    x *= 0xFF51AFD7ED558CCDu;
    x ^= x >> 33;
    x *= 0xC4CEB9FE1A85EC53u;
    return x ^ (x >> 33);
}

void rng_init(rng *r, uint64_t seed, rng_purpose purpose, uint64_t id, uint64_t step)
{
    uint64_t key = seed ^ ((uint64_t)purpose << 56);
    r->key[0] = (uint32_t)key;
    r->key[1] = (uint32_t)(key >> 32);
    r->ctr[0] = 0;
    uint64_t where;
    if (id >> ID_BITS == 0 && step >> STEP_BITS == 0) {
        where = id | step << ID_BITS;
        r->ctr[1] = 0;
    } else {
        uint64_t h = mix64(id + 0x9E3779B97F4A7C15u);
        where = mix64(h ^ step);
        r->ctr[1] = MIXED | (uint32_t)(mix64(h + mix64(step + 1)) >> 33);
    }
    r->ctr[2] = (uint32_t)where;
    r->ctr[3] = (uint32_t)(where >> 32);
    for (int i = 0; i < 4; i++)
        r->out[i] = 0;
    r->left = 0;
}

uint32_t rng_u32(rng *r)
{
    if (!r->left) {
        philox(r->ctr, r->key, r->out);
        if (++r->ctr[0] == 0)
            r->ctr[1] = (r->ctr[1] & MIXED) | ((r->ctr[1] + 1) & ~MIXED);
        r->left = 4;
    }
    return r->out[4 - r->left--];
}

uint64_t rng_u64(rng *r)
{
    uint64_t low = rng_u32(r);
    return low | (uint64_t)rng_u32(r) << 32;
}

/* Lemire, Fast random integer generation in an interval, 2019: multiply, reject the short part. */
uint32_t rng_below(rng *r, uint32_t n)
{
    if (!n)
        BUG("rng_below: n is 0");
    uint64_t m = (uint64_t)rng_u32(r) * n;
    if ((uint32_t)m < n) {
        uint32_t reject = (0u - n) % n;
        while ((uint32_t)m < reject)
            m = (uint64_t)rng_u32(r) * n;
    }
    return (uint32_t)(m >> 32);
}

static uint64_t below64(rng *r, uint64_t n)
{
    if (n <= UINT32_MAX)
        return rng_below(r, (uint32_t)n);
    uint64_t reject = (0u - n) % n, v;
    do
        v = rng_u64(r);
    while (v < reject);
    return v % n;
}

double rng_f64(rng *r)
{
    return (double)(rng_u64(r) >> 11) * 0x1p-53;
}

float rng_f32(rng *r)
{
    return (float)(rng_u32(r) >> 8) * 0x1p-24f;
}

double rng_normal(rng *r)
{
    double u = 1 - rng_f64(r); /* (0,1]: the logarithm is finite */
    double angle = 2 * 3.14159265358979323846 * rng_f64(r);
    return sqrt(-2 * log(u)) * cos(angle);
}

/* Selection sampling: index i is kept with probability (still wanted) / (still to come). */
void rng_subset(rng *r, int n, int k, int32_t *out)
{
    if (k < 0 || n < 0 || k > n)
        BUG("rng_subset: %d of %d", k, n);
    int taken = 0;
    for (int i = 0; taken < k; i++)
        if (rng_below(r, (uint32_t)(n - i)) < (uint32_t)(k - taken))
            out[taken++] = i;
}

void rng_shuffle(rng *r, int64_t n, int64_t *items)
{
    for (int64_t i = n - 1; i > 0; i--) {
        int64_t j = (int64_t)below64(r, (uint64_t)i + 1);
        int64_t t = items[i];
        items[i] = items[j];
        items[j] = t;
    }
}

/* ---- torch.randperm ---------------------------------------------------------------------------
 */

/* MT19937 (Matsumoto, Nishimura: Mersenne Twister, 1998; seeding of the 2002 version). */
enum { MT_WORDS = 624, MT_AHEAD = 397 };
typedef struct twister {
    uint32_t word[MT_WORDS];
    int next;
} twister;

static void twister_seed(twister *t, uint32_t seed)
{
    t->word[0] = seed;
    for (uint32_t i = 1; i < MT_WORDS; i++)
        t->word[i] = 1812433253u * (t->word[i - 1] ^ t->word[i - 1] >> 30) + i;
    t->next = MT_WORDS;
}

static void twister_turn(twister *t)
{
    for (int i = 0; i < MT_WORDS; i++) {
        uint32_t *w = t->word;
        uint32_t x = (w[i] & 0x80000000u) | (w[(i + 1) % MT_WORDS] & 0x7FFFFFFFu);
        w[i] = w[(i + MT_AHEAD) % MT_WORDS] ^ x >> 1 ^ (x & 1 ? 0x9908B0DFu : 0);
    }
    t->next = 0;
}

static uint32_t twister_u32(twister *t)
{
    if (t->next == MT_WORDS)
        twister_turn(t);
    uint32_t x = t->word[t->next++];
    x ^= x >> 11;
    x ^= x << 7 & 0x9D2C5680u;
    x ^= x << 15 & 0xEFC60000u;
    return x ^ x >> 18;
}

void rng_torch_permutation(uint64_t seed, int64_t n, int64_t *out)
{
    if (n < 0 || n >= UINT32_MAX / 20)
        BUG("rng_torch_permutation: %lld items", (long long)n);
    twister t;
    twister_seed(&t, (uint32_t)seed);
    for (int64_t i = 0; i < n; i++)
        out[i] = i;
    for (int64_t i = 0; i < n - 1; i++) { /* the bias of the remainder is part of it */
        int64_t k = i + twister_u32(&t) % (n - i);
        int64_t swap = out[i];
        out[i] = out[k];
        out[k] = swap;
    }
}
