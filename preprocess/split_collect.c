/* Reading for the split: catalogue rows become items, each with its label and the facts that
 * prepare left in the shards. A shard is opened once, whatever the order of the catalogue. */
#include "preprocess/split_job.h"

#include "core/fs.h"
#include "core/mem.h"
#include "preprocess/shard.h"

#include <stdlib.h>
#include <string.h>

/* A file without a study is an exam of its own, one without a patient a patient of its own. */
static split_id or_else(const char *hex, const split_id *other)
{
    split_id id = split_id_parse(hex);
    return split_id_none(&id) ? *other : id;
}

/* What the header does not say and the label table does. */
static void fill_gaps(item *t)
{
    const label *l = t->lab;
    if (l && t->day == RECORD_UNKNOWN)
        t->day = l->exam_day;
    if (l && t->age < 0 && l->age_lo == l->age_hi && l->age_lo >= 0)
        t->age = (int16_t)l->age_lo;
}

static void fill_item(split_job *j, item *t, const catalog_row *r)
{
    const record *f = &r->rec;
    memset(t, 0, sizeof *t);
    t->pixels = split_id_parse(r->pixel_hash);
    t->image = or_else(r->image, &t->pixels);
    split_id exam = or_else(r->exam, &t->image), patient = or_else(r->patient, &exam);
    t->file = r->id;
    t->exam = split_ids_add(&j->exams, &exam);
    t->patient = split_ids_add(&j->patients, &patient);
    t->vendor = split_word(j, f->vendor);
    t->model = split_word(j, record_model_public(f));
    t->side = f->side;
    t->sex = f->sex;
    t->view = (uint8_t)f->view;
    t->modifiers = f->modifiers;
    t->day = f->exam_day;
    t->time = f->acquisition_time;
    t->age = (int16_t)(f->age < 0 ? -1 : f->age > INT16_MAX ? INT16_MAX : f->age);
    t->processing = f->intent == INTENT_PROCESSING;
    t->synthetic = split_is_synthetic(f, &r->reasons);
    t->shard = r->shard;
    t->row = r->shard_row;
    t->lab = labels_find(j->lab, r);
    fill_gaps(t);
    t->said = -1;
    if (t->lab && t->lab->person[0]) { /* kept as a number: equal words have equal hashes */
        split_id said = split_id_hash(t->lab->person);
        t->said = split_ids_add(&j->said, &said);
    }
    split_ids_note(j, t->patient, f);
}

/* For the books: whose file it was. */
static void lose(split_job *j, const catalog_row *r, reason why)
{
    if (j->n_lost == j->cap_lost) {
        int64_t cap = j->cap_lost ? j->cap_lost + j->cap_lost / 2 : 1024;
        j->lost = mem_realloc(j->lost, (size_t)j->cap_lost * sizeof *j->lost,
                              (size_t)cap * sizeof *j->lost);
        j->cap_lost = cap;
    }
    j->lost[j->n_lost++] = (split_lost){split_id_parse(r->exam), split_id_parse(r->patient),
                                        (uint8_t)why, r->scan_reason != REASON_NONE};
}

static bool collect(void *ctx, const catalog_row *r, err *e)
{
    split_job *j = ctx;
    (void)e;
    j->seen++;
    if (r->scan_reason != REASON_NONE) {
        j->scan_reason[r->scan_reason]++;
        lose(j, r, r->scan_reason);
        return true;
    }
    if (!r->prepared) {
        j->unjudged++;
        return true;
    }
    if (r->primary != REASON_NONE) {
        j->by_reason[r->primary]++;
        lose(j, r, r->primary);
        return true;
    }
    if (j->n == j->cap) {
        int64_t cap = j->cap + (j->cap < 8192 ? 4096 : j->cap / 4);
        j->it = mem_realloc(j->it, (size_t)j->cap * sizeof *j->it, (size_t)cap * sizeof *j->it);
        j->cap = cap;
    }
    fill_item(j, &j->it[j->n++], r);
    return true;
}

static int by_place(const void *a, const void *b)
{
    const item *x = *(item *const *)a, *y = *(item *const *)b;
    int c = (x->shard > y->shard) - (x->shard < y->shard);
    return c ? c : (x->row > y->row) - (x->row < y->row);
}

static bool take_facts(item *t, const shard *s, err *e)
{
    const shard_meta *m = shard_meta_all(s);
    if (t->row < 0 || t->row >= shard_n(s))
        return err_set(e, ERR_MISMATCH, "shard %d has no row %d; run 'mammovit verify'", t->shard,
                       t->row);
    m += t->row;
    split_id image = split_id_parse(m->image);
    if (split_id_order(&image, &t->image) && !split_id_none(&image))
        return err_set(e, ERR_MISMATCH,
                       "shard %d row %d holds another image than the catalogue "
                       "says; run 'mammovit verify'",
                       t->shard, t->row);
    t->breast_pixels = m->breast_pixels;
    t->noise = m->noise;
    t->sums[0] = m->sum_all;
    t->sums[1] = m->sumsq_all;
    t->sums[2] = m->sum_breast;
    t->sums[3] = m->sumsq_breast;
    return true;
}

/* The facts that prepare left in the shards: breast area and the sums for normalisation. */
static bool read_shards(split_job *j, err *e)
{
    item **p = MEM_ARRAY(item *, j->n ? j->n : 1);
    shard *s = NULL;
    bool ok = true;
    for (int64_t i = 0; i < j->n; i++)
        p[i] = &j->it[i];
    qsort(p, (size_t)j->n, sizeof *p, by_place);
    for (int64_t i = 0; i < j->n && ok; i++) {
        if (!i || p[i]->shard != p[i - 1]->shard) {
            char *path = prepare_shard_path(j->o->store, j->prep_id, j->h[0], j->w[0], p[i]->shard);
            shard_close(s);
            s = shard_open(path, e);
            mem_free(path);
        }
        ok = s && take_facts(p[i], s, e);
    }
    shard_close(s);
    mem_free(p);
    return ok;
}

bool split_collect(split_job *j, err *e)
{
    int64_t most = catalog_count(j->cat); /* growing in steps would hold two copies at times */
    j->cap = most > 0 ? most : 1;
    j->it = mem_alloc((size_t)j->cap * sizeof *j->it);
    if (!catalog_each(j->cat, j->prep_id, collect, j, e))
        return false;
    if (j->unjudged)
        return err_set(e, ERR_INPUT,
                       "%lld of %lld files have no outcome under prepare id %s; run 'mammovit "
                       "prepare' with the same config first",
                       (long long)j->unjudged, (long long)j->seen, j->prep_id);
    return read_shards(j, e);
}

void split_collect_release(split_job *j)
{
    for (int32_t i = 0; i < j->words.n; i++)
        mem_free(j->word[i]);
    mem_free(j->word);
    split_ids_release(&j->words);
    split_ids_release(&j->exams);
    split_ids_release(&j->said);
    split_ids_release(&j->patients);
    mem_free(j->it);
    mem_free(j->lost);
    mem_free(j->link);
}
