/* Deflate for planes of pixels (deflate.h; RFC 1951, section numbers below). Such a plane is noise,
 * which only shorter codes for frequent bytes make smaller, smooth high bytes, which repeat what
 * stood a little before, and long stretches of air. So matches are sought with one hash table and
 * taken at once, and the search strides on where it finds nothing; every block has codes of its
 * own. All decisions are integers that depend on the plane. */
#include "preprocess/deflate.h"

#include <libdeflate.h>
#include <string.h>

#define HASH_BITS  12
#define LEAST      4     /* bytes of a match */
#define MOST       258   /* 3.2.5 */
#define WINDOW     32768 /* bytes back */
#define SYMBOLS    32768 /* of a block, about: literals and matches */
#define STRIDE     3     /* a search that failed 2^STRIDE times more steps one byte farther */
#define STEP       256   /* ... and at most so far */
#define LITLENS    286
#define DISTS      30
#define END        256 /* of a block */
#define GROUP      4   /* literals written together */
#define CODES      19  /* of code lengths */
#define CODE_BITS  14  /* longest code: four literals fit into the bit buffer */
#define CODES_BITS 7
#define STORED     65535 /* bytes of a stored block */

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "first bits and bytes lie lowest");

_Static_assert(SYMBOLS < 1 << 16, "counts are sorted by 16 bits");

typedef struct part {                /* literals and the match behind them; length 0 = none */
    uint16_t literals, length, dist; /* dist: less 1 */
} part;

typedef struct code {
    uint32_t n : 8, bits : 24; /* first bit lowest */
} code;

typedef struct bits { /* being written */
    uint64_t held;
    int n; /* held bits, below 8 after a flush */
    uint8_t *out;
} bits;

typedef struct work {
    uint32_t at[1 << HASH_BITS]; /* where four bytes of this hash were last seen */
    part parts[SYMBOLS + 1];
    int n_parts;
    uint32_t tally[GROUP][512]; /* of literals: equal neighbours do not wait for each other */
    uint32_t lit_count[LITLENS];
    uint32_t length_count[MOST + 1], dist_count[DISTS];
    code lit[LITLENS], dist[DISTS];
    code byte[512], lengths[MOST + 1]; /* of literals, 256.. = none; of lengths with extra bits */
    bits b;
} work;

/* ---- symbols (3.2.5) ------------------------------------------------------------------------- */

/* Groups of 2^extra values share a symbol, four or two groups for each number of extra bits. */
static ALWAYS_INLINE int log2_of(unsigned v)
{
    return 31 - __builtin_clz(v);
}

static int length_symbol(int length, int *extra)
{
    int v = length - 3;
    *extra = length == MOST || v < 8 ? 0 : log2_of((unsigned)v) - 2;
    return length == MOST ? 285 : 257 + 4 * *extra + (v >> *extra);
}

/* dist: less 1 */
static ALWAYS_INLINE int dist_symbol(unsigned dist, int *extra)
{
    *extra = log2_of(dist | 2) - 1;
    return 2 * *extra + (int)(dist >> *extra);
}

/* ---- codes (3.2.2) --------------------------------------------------------------------------- */

/* Symbols that occur, rarest first, those of one count in order. key: count << 9 | symbol. A
 * block's counts fit into 16 bits. */
static int sort_symbols(const uint32_t *count, int n, uint32_t *key)
{
    uint32_t from[LITLENS];
    int used = 0;
    for (int s = 0; s < n; s++)
        if (count[s])
            key[used++] = count[s] << 9 | (uint32_t)s;
    for (int shift = 9; shift < 9 + 16; shift += 8) {
        uint16_t start[257] = {0};
        memcpy(from, key, (size_t)used * sizeof *key);
        for (int i = 0; i < used; i++)
            start[(from[i] >> shift & 255) + 1]++;
        for (int i = 0; i < 256; i++)
            start[i + 1] = (uint16_t)(start[i + 1] + start[i]);
        for (int i = 0; i < used; i++)
            key[start[from[i] >> shift & 255]++] = from[i];
    }
    return used;
}

/* How many codes have each length in Huffman's tree of n sorted keys: two queues, leaves and inner
 * nodes, both in order of weight. */
static void tree_lengths(const uint32_t *key, int n, int of[64])
{
    uint32_t weight[LITLENS];
    int up[2 * LITLENS], depth[LITLENS], leaf = 0, node = 0;
    for (int k = 0; k + 1 < n; k++) {
        weight[k] = 0;
        for (int side = 0; side < 2; side++) {
            bool take_leaf = leaf < n && (node == k || key[leaf] >> 9 <= weight[node]);
            weight[k] += take_leaf ? key[leaf] >> 9 : weight[node];
            up[take_leaf ? leaf++ : LITLENS + node++] = k;
        }
    }
    depth[n - 2] = 0;
    for (int k = n - 3; k >= 0; k--)
        depth[k] = depth[up[LITLENS + k]] + 1;
    for (int i = 0; i < n; i++)
        of[depth[up[i]] + 1]++;
}

/* No code is longer than `most`: each of those cut off takes the place of a shorter one, which
 * moves down and makes room for both. */
static void limit_lengths(int of[64], int most)
{
    int64_t room = (int64_t)1 << most;
    for (int l = most + 1; l < 64; l++) {
        of[most] += of[l];
        of[l] = 0;
    }
    for (int l = 1; l <= most; l++)
        room -= (int64_t)of[l] << (most - l);
    for (; room < 0; room++) {
        int l = most - 1;
        while (!of[l])
            l--;
        of[l]--;
        of[l + 1] += 2;
        of[most]--;
    }
}

/* Codes for the symbols that are counted; at least two, for decoders want whole trees. Returns the
 * bits of all that was counted. */
static uint64_t make_codes(uint32_t *count, int n, int most, code *out)
{
    uint32_t key[LITLENS];
    uint64_t cost = 0;
    int of[64] = {0}, used = 0;
    for (int s = 0; s < n; s++)
        used += count[s] > 0;
    for (int s = 0; used < 2; s++)
        if (!count[s]) {
            count[s] = 1;
            used++;
        }
    sort_symbols(count, n, key);
    tree_lengths(key, used, of);
    limit_lengths(of, most);
    memset(out, 0, (size_t)n * sizeof *out);
    for (int l = most, i = 0; l > 0; l--)
        for (int k = 0; k < of[l]; k++, i++) {
            out[key[i] & 511].n = (uint8_t)l;
            cost += (uint64_t)l * (key[i] >> 9);
        }
    unsigned next[64] = {0};
    for (int l = 1; l <= most; l++)
        next[l + 1] = (next[l] + (unsigned)of[l]) << 1;
    for (int s = 0; s < n; s++)
        if (out[s].n) {
            unsigned v = next[out[s].n]++, turned = 0;
            for (int k = 0; k < out[s].n; k++)
                turned |= (v >> k & 1) << (out[s].n - 1 - k);
            out[s].bits = turned & 0xFFFFFF;
        }
    return cost;
}

/* ---- bits ------------------------------------------------------------------------------------ */

static ALWAYS_INLINE void put(bits *b, uint64_t v, int n)
{
    b->held |= v << b->n;
    b->n += n;
}

static ALWAYS_INLINE void flush(bits *b)
{
    memcpy(b->out, &b->held, sizeof b->held);
    b->out += b->n >> 3;
    b->held >>= b->n & ~7;
    b->n &= 7;
}

static void put_all(bits *b, uint64_t v, int n)
{
    put(b, v, n);
    flush(b);
}

/* ---- reading -------------------------------------------------------------------------------- */

static uint32_t load4(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

static uint64_t load8(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

/* ---- blocks ---------------------------------------------------------------------------------- */

typedef struct head { /* of a block with codes of its own, 3.2.7 */
    int n_lit, n_dist, n_codes;
    uint8_t symbol[LITLENS + DISTS], extra[LITLENS + DISTS]; /* lengths of codes, runs as one */
    int n;
    code codes[CODES];
    uint64_t cost;
} head;

static const uint8_t codes_order[CODES] = {16, 17, 18, 0, 8,  7, 9,  6, 10, 5,
                                           11, 4,  12, 3, 13, 2, 14, 1, 15};

static int extra_bits(int symbol)
{
    return symbol == 16 ? 2 : symbol == 17 ? 3 : symbol == 18 ? 7 : 0;
}

static void make_head(const work *k, head *h)
{
    uint8_t all[LITLENS + DISTS];
    uint32_t count[CODES] = {0};
    int n = 0;
    h->n_lit = LITLENS;
    h->n_dist = DISTS;
    h->n_codes = CODES;
    while (!k->lit[h->n_lit - 1].n)
        h->n_lit--;
    while (!k->dist[h->n_dist - 1].n)
        h->n_dist--;
    for (int i = 0; i < h->n_lit; i++)
        all[n++] = (uint8_t)k->lit[i].n;
    for (int i = 0; i < h->n_dist; i++)
        all[n++] = (uint8_t)k->dist[i].n;
    h->n = 0;
    for (int i = 0, run; i < n; i += run) {
        int most = all[i] ? 7 : 138, symbol = all[i], extra = 0;
        run = 1;
        while (run < most && i + run < n && all[i + run] == all[i])
            run++;
        if (all[i] && run > 3) { /* the first as it is, then its repetition */
            count[symbol]++;
            h->symbol[h->n] = all[i];
            h->extra[h->n++] = 0;
            symbol = 16;
            extra = run - 4;
        } else if (!all[i] && run > 2) {
            symbol = run > 10 ? 18 : 17;
            extra = run - (run > 10 ? 11 : 3);
        } else {
            run = 1;
        }
        count[symbol]++;
        h->symbol[h->n] = (uint8_t)symbol;
        h->extra[h->n++] = (uint8_t)extra;
    }
    h->cost = make_codes(count, CODES, CODES_BITS, h->codes);
    while (!h->codes[codes_order[h->n_codes - 1]].n)
        h->n_codes--;
    h->cost += 17 + 3 * (uint64_t)h->n_codes;
    for (int i = 0; i < h->n; i++)
        h->cost += (uint64_t)extra_bits(h->symbol[i]);
}

static void put_head(bits *b, const head *h, bool last)
{
    put_all(b, (unsigned)last | 2 << 1, 3);
    put_all(b, (unsigned)(h->n_lit - 257), 5);
    put_all(b, (unsigned)(h->n_dist - 1), 5);
    put_all(b, (unsigned)(h->n_codes - 4), 4);
    for (int i = 0; i < h->n_codes; i++)
        put_all(b, (unsigned)h->codes[codes_order[i]].n, 3);
    for (int i = 0; i < h->n; i++) {
        code c = h->codes[h->symbol[i]];
        put(b, c.bits, c.n);
        put_all(b, h->extra[i], extra_bits(h->symbol[i]));
    }
}

static void put_stored(bits *b, const uint8_t *raw, size_t n, bool last)
{
    do {
        size_t some = n < STORED ? n : STORED;
        put(b, last && some == n, 3);
        b->n = (b->n + 7) & ~7;
        flush(b);
        put_all(b, some | (~some & 0xFFFF) << 16, 32);
        memcpy(b->out, raw, some);
        b->out += some;
        raw += some;
        n -= some;
    } while (n);
}

/* Which of four literals are not there, first in bit 8. */
static const uint32_t absent[GROUP + 1] = {0xF00, 0xE00, 0xC00, 0x800, 0};

static ALWAYS_INLINE void count_literals(work *k, const uint8_t *raw, int n)
{
    uint32_t v = load4(raw), no = absent[n];
    k->tally[0][(v & 255) | (no & 256)]++;
    k->tally[1][(v >> 8 & 255) | (no >> 1 & 256)]++;
    k->tally[2][(v >> 16 & 255) | (no >> 2 & 256)]++;
    k->tally[3][v >> 24 | (no >> 3 & 256)]++;
}

/* Counts, with the cost of the extra bits. */
static uint64_t count_symbols(work *k, const uint8_t *raw)
{
    uint64_t extras = 0;
    memset(k->tally, 0, sizeof k->tally);
    memset(k->lit_count, 0, sizeof k->lit_count);
    memset(k->length_count, 0, sizeof k->length_count);
    memset(k->dist_count, 0, sizeof k->dist_count);
    k->lit_count[END] = 1;
    for (int i = 0; i < k->n_parts; i++) {
        const part *p = &k->parts[i];
        int n = p->literals, x = 0, more;
        for (; x + GROUP < n; x += GROUP)
            count_literals(k, raw + x, GROUP);
        count_literals(k, raw + x, n - x);
        raw += n + p->length;
        k->length_count[p->length]++;
        k->dist_count[dist_symbol(p->dist, &more)]++;
        extras += (uint64_t)more;
    }
    k->dist_count[0]--; /* of the last part, which is no match */
    for (int length = 3, more; length <= MOST; length++) {
        k->lit_count[length_symbol(length, &more)] += k->length_count[length];
        extras += (uint64_t)more * k->length_count[length];
    }
    for (int s = 0; s < END; s++)
        k->lit_count[s] = k->tally[0][s] + k->tally[1][s] + k->tally[2][s] + k->tally[3][s];
    return extras;
}

/* Two codes as one value. */
static ALWAYS_INLINE uint64_t two(code a, code b)
{
    return a.bits | (uint64_t)b.bits << a.n;
}

/* Up to four literals as one value: the buffer waits for their sum only. */
static ALWAYS_INLINE void put_literals(bits *b, const code *lit, const uint8_t *raw, int n)
{
    uint32_t v = load4(raw), no = absent[n];
    code c0 = lit[(v & 255) | (no & 256)], c1 = lit[(v >> 8 & 255) | (no >> 1 & 256)];
    code c2 = lit[(v >> 16 & 255) | (no >> 2 & 256)], c3 = lit[v >> 24 | (no >> 3 & 256)];
    int half = c0.n + c1.n;
    put(b, two(c0, c1) | two(c2, c3) << half, half + c2.n + c3.n);
    flush(b);
}

static void put_parts(work *k, const uint8_t *raw)
{
    bits b = k->b;
    for (int i = 0; i < k->n_parts; i++) {
        const part *p = &k->parts[i];
        int n = p->literals, x = 0, extra;
        for (; x + GROUP < n; x += GROUP)
            put_literals(&b, k->byte, raw + x, GROUP);
        put_literals(&b, k->byte, raw + x, n - x);
        raw += n + p->length;
        if (!p->length)
            continue;
        code length = k->lengths[p->length], dist = k->dist[dist_symbol(p->dist, &extra)];
        put(&b, length.bits, length.n);
        put(&b, dist.bits | (uint64_t)(p->dist & ((1u << extra) - 1)) << dist.n, dist.n + extra);
        flush(&b);
    }
    put_all(&b, k->lit[END].bits, k->lit[END].n);
    k->b = b;
}

/* Codes of whole lengths: the symbol's with the extra bits behind. */
static void make_lengths(work *k)
{
    memcpy(k->byte, k->lit, END * sizeof *k->byte);
    for (int length = 3; length <= MOST; length++) {
        int extra, s = length_symbol(length, &extra);
        code c = k->lit[s];
        unsigned low = (unsigned)(length - 3) & ((1u << extra) - 1);
        k->lengths[length] =
            (code){.bits = (c.bits | low << c.n) & 0xFFFFFF, .n = (uint8_t)(c.n + extra)};
    }
}

static void put_block(work *k, const uint8_t *raw, size_t n, bool last)
{
    head h;
    uint64_t cost = count_symbols(k, raw);
    cost += make_codes(k->lit_count, LITLENS, CODE_BITS, k->lit);
    cost += make_codes(k->dist_count, DISTS, CODE_BITS, k->dist);
    make_head(k, &h);
    if (h.cost + cost >= 8 * (uint64_t)n) {
        put_stored(&k->b, raw, n, last);
        return;
    }
    put_head(&k->b, &h, last);
    make_lengths(k);
    put_parts(k, raw);
}

/* ---- matches --------------------------------------------------------------------------------- */

static uint32_t hash4(uint32_t v)
{
    return v * 2654435761u >> (32 - HASH_BITS);
}

/* Equal bytes from a and b on, a < b < end. */
static size_t same(const uint8_t *a, const uint8_t *b, const uint8_t *end)
{
    const uint8_t *from = b;
    for (; b + 8 <= end; a += 8, b += 8) {
        uint64_t odd = load8(a) ^ load8(b);
        if (odd)
            return (size_t)(b - from) + (size_t)__builtin_ctzll(odd) / 8;
    }
    while (b < end && *a == *b)
        a++, b++;
    return (size_t)(b - from);
}

/* A match as pieces that a symbol can say, none shorter than LEAST. */
static int put_pieces(part *out, size_t literals, size_t length, size_t dist)
{
    int n = 0;
    while (length > MOST) {
        size_t some = length < MOST + LEAST ? length - LEAST : MOST;
        out[n++] = (part){(uint16_t)literals, (uint16_t)some, (uint16_t)(dist - 1)};
        literals = 0;
        length -= some;
    }
    out[n++] = (part){(uint16_t)literals, (uint16_t)length, (uint16_t)(dist - 1)};
    return n;
}

/* Fills k->parts from raw[at] on; returns where the block ends. */
static size_t find_parts(work *k, const uint8_t *raw, size_t at, size_t n)
{
    size_t from = at, budget = SYMBOLS; /* from: first literal that waits */
    int missed = 0;
    k->n_parts = 0;
    while (at + LEAST <= n && at - from < budget) {
        uint32_t v = load4(raw + at), h = hash4(v);
        size_t old = k->at[h];
        k->at[h] = (uint32_t)at;
        /* one jump for both: either alone is a toss of a coin */
        uint32_t odd = (load4(raw + old) ^ v) | (uint32_t)((at - old - 1) / WINDOW);
        if (odd) {
            int step = 1 + (missed++ >> STRIDE);
            at += (size_t)(step < STEP ? step : STEP);
            continue;
        }
        size_t length = LEAST + same(raw + old + LEAST, raw + at + LEAST, raw + n);
        while (at > from && old > 0 && raw[at - 1] == raw[old - 1]) {
            at--;
            old--;
            length++;
        }
        missed = 0;
        size_t literals = at - from, most = (budget - literals) * MOST; /* as many symbols */
        length = length < most ? length : most;
        int pieces = put_pieces(k->parts + k->n_parts, literals, length, at - old);
        k->n_parts += pieces;
        budget -= literals + (size_t)pieces;
        at += length;
        from = at;
        if (at + LEAST <= n)
            k->at[hash4(load4(raw + at - 2))] = (uint32_t)(at - 2);
    }
    at = n - from < budget ? n : from + budget;
    k->parts[k->n_parts++] = (part){(uint16_t)(at - from), 0, 0};
    return at;
}

/* ---- the stream ------------------------------------------------------------------------------ */

size_t deflate_bound(size_t n)
{
    return n + (n / STORED + n / SYMBOLS + 2) * 5 + 64; /* blocks that are stored, and slack */
}

size_t deflate_plane(const uint8_t *raw, size_t n, arena *a, uint8_t *out)
{
    work *k = arena_alloc(a, sizeof *k);
    uint32_t sum = libdeflate_adler32(1, raw, n);
    size_t at = 0;
    memset(k->at, 0, sizeof k->at); /* all else is made anew for each block */
    memset(k->byte, 0, sizeof k->byte);
    k->b = (bits){.out = out + 2};
    out[0] = 0x78; /* RFC 1950: deflate, 32 KiB; the fastest level */
    out[1] = 0x01;
    do {
        size_t end = find_parts(k, raw, at, n);
        put_block(k, raw + at, end - at, end == n);
        at = end;
    } while (at < n);
    k->b.n = (k->b.n + 7) & ~7;
    flush(&k->b);
    uint8_t *p = k->b.out;
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)(sum >> (24 - 8 * i));
    return (size_t)(p + 4 - out);
}
