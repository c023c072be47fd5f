/* Names of 128 bits as numbers: pseudonyms come as hexadecimal text, and the same few million of
 * them are compared again and again. */
#include "preprocess/split_job.h"

#include "core/fs.h"
#include "core/mem.h"

#include <string.h>

static int digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : 0;
}

split_id split_id_parse(const char *hex)
{
    split_id id = {{0}};
    if (strlen(hex) == 2 * sizeof id.b)
        for (size_t i = 0; i < sizeof id.b; i++)
            id.b[i] = (uint8_t)(16 * digit(hex[2 * i]) + digit(hex[2 * i + 1]));
    return id;
}

split_id split_id_hash(const char *s)
{
    split_id id;
    uint64_t hash[2];
    fs_xxh128_raw(s, strlen(s), hash);
    memcpy(id.b, hash, sizeof id.b);
    return id;
}

void split_id_text(const split_id *id, char out[33])
{
    if (split_id_none(id))
        out[0] = 0;
    else
        text_hex(id->b, sizeof id->b, out);
}

bool split_id_none(const split_id *id)
{
    static const split_id none;
    return !memcmp(id, &none, sizeof none);
}

int split_id_order(const split_id *a, const split_id *b)
{
    return memcmp(a->b, b->b, sizeof a->b);
}

/* Names are hashes already: their first bytes are as good as any. */
static int64_t first_slot(const split_ids *t, const split_id *id)
{
    uint64_t h;
    memcpy(&h, id->b, sizeof h);
    return (int64_t)(h % (uint64_t)t->slots);
}

static void grow(split_ids *t)
{
    int32_t cap = t->cap ? 2 * t->cap : 1024;
    if (cap <= t->cap)
        BUG("too many names");
    t->id = mem_realloc(t->id, (size_t)t->cap * sizeof *t->id, (size_t)cap * sizeof *t->id);
    t->cap = cap;
    mem_free(t->slot);
    t->slots = 2 * (int64_t)cap + 1;
    t->slot = mem_calloc((size_t)t->slots, sizeof *t->slot);
    for (int32_t i = 0; i < t->n; i++) {
        int64_t s = first_slot(t, &t->id[i]);
        while (t->slot[s])
            s = s + 1 == t->slots ? 0 : s + 1;
        t->slot[s] = i + 1;
    }
}

int32_t split_ids_find(const split_ids *t, const split_id *id)
{
    if (!t->n)
        return -1;
    for (int64_t s = first_slot(t, id); t->slot[s]; s = s + 1 == t->slots ? 0 : s + 1)
        if (!split_id_order(&t->id[t->slot[s] - 1], id))
            return t->slot[s] - 1;
    return -1;
}

int32_t split_ids_add(split_ids *t, const split_id *id)
{
    if (t->n == t->cap)
        grow(t);
    int64_t s = first_slot(t, id);
    for (; t->slot[s]; s = s + 1 == t->slots ? 0 : s + 1)
        if (!split_id_order(&t->id[t->slot[s] - 1], id))
            return t->slot[s] - 1;
    t->id[t->n] = *id;
    t->slot[s] = ++t->n;
    return t->n - 1;
}

void split_ids_release(split_ids *t)
{
    mem_free(t->id);
    mem_free(t->slot);
    memset(t, 0, sizeof *t);
}

int32_t split_word(split_job *j, const char *s)
{
    split_id id = split_id_hash(s);
    int32_t before = j->words.n;
    int32_t w = split_ids_add(&j->words, &id);
    if (w < before)
        return w;
    if (w == j->cap_word) {
        int32_t cap = w ? 2 * w : 64;
        j->word = mem_realloc(j->word, (size_t)w * sizeof *j->word, (size_t)cap * sizeof *j->word);
        j->cap_word = cap;
    }
    j->word[w] = mem_strdup(s);
    return w;
}
