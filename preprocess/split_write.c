/* Writing for the split: COHORT.h5, split.csv, the books and the normalisation. Rows are made one
 * by one from the images: the table never exists as a whole. design.md 5. */
#include "preprocess/split_job.h"

#include "core/fs.h"
#include "core/mem.h"
#include "preprocess/shard.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define AGE_POOLED 90 /* older women are written as 90, dicom.md 8 */

typedef struct rows { /* what one call of split writes */
    const split_job *j;
    item **p; /* the images of the cohort, in the order of its rows */
    int64_t n;
    int *shard; /* rank of a shard number among those in use, -1 = not in use */
    int n_shards;
} rows;

/* ---- rows ------------------------------------------------------------------------------------ */

static int by_row(const void *a, const void *b, void *ctx)
{
    const split_job *j = ctx;
    const item *x = *(item *const *)a, *y = *(item *const *)b;
    const person *u = split_person(j, x), *v = split_person(j, y);
    int c = u == v ? 0 : split_id_order(&u->id, &v->id);
    if (!c)
        c = (x->day > y->day) - (x->day < y->day);
    if (!c)
        c = x->exam == y->exam ? 0 : split_id_order(&j->exams.id[x->exam], &j->exams.id[y->exam]);
    if (!c)
        c = (int)x->side - (int)y->side;
    if (!c)
        c = (int)x->view - (int)y->view;
    return c ? c : split_id_order(&x->image, &y->image);
}

static void fill_row(const void *ctx, int64_t i, cohort_row *r)
{
    const rows *all = ctx;
    const split_job *j = all->j;
    const item *t = all->p[i];
    const person *p = split_person(j, t);
    const label *l = t->lab;
    bool dated = t->day != RECORD_UNKNOWN;
    memset(r, 0, sizeof *r);
    split_id_text(&t->image, r->image);
    split_id_text(&j->exams.id[t->exam], r->exam);
    split_id_text(&p->id, r->patient);
    r->vendor = j->word[t->vendor];
    r->device_model = j->word[t->model];
    r->site = labels_word(j->lab, l->site);
    r->density = labels_word(j->lab, l->density);
    r->side = t->side;
    r->view = t->view == VIEW_CC ? 'C' : t->view == VIEW_MLO ? 'M' : 0;
    label_times when = labels_times(l, t->day);
    r->days_to_cancer = when.cancer_lo;
    r->days_to_last_negative = when.free_days;
    r->exam_day = dated && p->first_day != RECORD_UNKNOWN ? t->day - p->first_day : 0;
    memset(r->y, -1, sizeof r->y);
    memcpy(r->y, t->y, (size_t)j->lc.horizons.n);
    r->fold = p->fold;
    r->cv_fold = p->cv;
    r->weight = l->weight;
    r->age = (int16_t)(t->age > AGE_POOLED ? AGE_POOLED : t->age);
    for (int s = 0; s < j->n_sizes; s++) {
        r->shard[s] = s * all->n_shards + all->shard[t->shard];
        r->shard_row[s] = t->row;
    }
}

/* ---- shards ---------------------------------------------------------------------------------- */

/* Folder `to` as seen from folder `from`, both existing. */
static bool relative_dir(const char *from, const char *to, text *out, err *e)
{
    char a[PATH_MAX], b[PATH_MAX];
    size_t k = 0, same = 0;
    if (!realpath(from, a) || !realpath(to, b))
        return err_errno(e, "cannot resolve a folder");
    while (a[k] && a[k] == b[k]) {
        k++;
        if ((!a[k] || a[k] == '/') && (!b[k] || b[k] == '/'))
            same = k;
    }
    text_clear(out);
    for (const char *s = a + same; *s; s++)
        if (*s == '/' && s[1])
            text_add(out, "../");
    text_add(out, b[same] == '/' ? b + same + 1 : b + same);
    if (out->len && out->s[out->len - 1] != '/')
        text_add(out, "/");
    return true;
}

typedef struct shard_job { /* one shard file to describe, on any thread */
    char *path;
    cohort_shard *d;
    const catalog_shard *known; /* as prepare recorded it, NULL = not recorded */
    err e;
} shard_job;

/* Prepare has hashed what it wrote: a file of the recorded length is not read again, `verify` does
 * that. */
static void describe_shard(void *ctx, int64_t i, int thread)
{
    shard_job *k = (shard_job *)ctx + i;
    struct stat st;
    (void)thread;
    if (stat(k->path, &st)) {
        err_errno(&k->e, "shard '%s'", k->d->file);
        return;
    }
    k->d->bytes = st.st_size;
    if (k->known && k->known->sha256[0] && k->known->bytes == st.st_size) {
        text_copy(k->d->sha256, sizeof k->d->sha256, k->known->sha256);
        k->d->n = k->known->n;
        return;
    }
    shard *s = fs_sha256_file(k->path, k->d->sha256, &k->e) ? shard_open(k->path, &k->e) : NULL;
    if (s)
        k->d->n = shard_n(s);
    shard_close(s);
}

static const catalog_shard *find_known(const catalog_shard *list, int n, int number, int h, int w)
{
    for (int i = 0; i < n; i++)
        if (list[i].number == number && list[i].h == h && list[i].w == w)
            return &list[i];
    return NULL;
}

/* Shard `number` of size s as the cohort names it. */
static bool name_shard(const split_job *j, int s, int number, const char *prefix, shard_job *k,
                       err *e)
{
    char *inside = prepare_shard_path("", j->prep_id, j->h[s], j->w[s], number);
    const char *from = inside + strspn(inside, "/");
    bool ok = strlen(prefix) + strlen(from) < sizeof k->d->file ||
              err_set(e, ERR_INPUT, "the path from the cohort to the store is too long");
    if (ok)
        snprintf(k->d->file, sizeof k->d->file, "%s%s", prefix, from);
    k->d->size = s;
    k->path = prepare_shard_path(j->o->store, j->prep_id, j->h[s], j->w[s], number);
    mem_free(inside);
    return ok;
}

/* Which shards the rows lie in, by rank. */
static void rank_shards(rows *r)
{
    int last = 0, rank = 0;
    for (int64_t i = 0; i < r->n; i++)
        last = r->p[i]->shard > last ? r->p[i]->shard : last;
    r->shard = MEM_ARRAY(int, last + 1);
    for (int64_t i = 0; i < r->n; i++)
        r->shard[r->p[i]->shard] = 1;
    for (int k = 0; k <= last; k++)
        r->shard[k] = r->shard[k] ? rank++ : -1;
    r->n_shards = rank;
}

static bool add_shards(split_job *j, rows *r, cohort *c, err *e)
{
    text prefix;
    char *dir = mem_strdup(j->o->out);
    catalog_shard *known = NULL;
    int last = 0, n_known = 0;
    *(char *)fs_base(dir) = 0;
    text_init(&prefix);
    rank_shards(r);
    for (int64_t i = 0; i < r->n; i++)
        last = r->p[i]->shard > last ? r->p[i]->shard : last;
    c->n_shards = r->n_shards * j->n_sizes;
    c->shard = MEM_ARRAY(cohort_shard, c->n_shards);
    shard_job *k = MEM_ARRAY(shard_job, c->n_shards);
    bool ok = relative_dir(dir[0] ? dir : ".", j->o->store, &prefix, e) &&
              catalog_shards(j->cat, j->prep_id, &known, &n_known, e);
    for (int s = 0; s < j->n_sizes; s++)
        for (int number = 0; number <= last && ok; number++)
            if (r->shard[number] >= 0) {
                int at = s * r->n_shards + r->shard[number];
                k[at].d = &c->shard[at];
                k[at].known = find_known(known, n_known, number, j->h[s], j->w[s]);
                ok = name_shard(j, s, number, prefix.s, &k[at], e);
            }
    if (ok)
        pool_for(j->threads, c->n_shards, describe_shard, k);
    for (int i = 0; i < c->n_shards; i++) {
        if (ok && k[i].e.code)
            ok = err_set(e, k[i].e.code, "%s", k[i].e.msg);
        mem_free(k[i].path);
    }
    mem_free(known);
    mem_free(k);
    mem_free(dir);
    text_release(&prefix);
    return ok;
}

/* Nothing is written then, so the message says what the lists would. */
static bool nothing_left(const split_job *j, err *e)
{
    int64_t count[REASON_COUNT] = {0};
    reason most = REASON_NONE;
    for (int64_t i = 0; i < j->n; i++)
        count[j->it[i].out]++;
    for (int r = REASON_NONE + 1; r < REASON_COUNT; r++)
        if (most == REASON_NONE || count[r] > count[most])
            most = (reason)r;
    return err_set(e, ERR_INPUT,
                   "no training image is left: %lld of %lld prepared images have a row in the "
                   "table; most were left out as %s (%lld); split --dry-run tells what the table "
                   "is taken for",
                   (long long)j->matches.images_matched, (long long)j->matches.images,
                   reason_name(most), (long long)count[most]);
}

/* Mean and standard deviation over the training images, size 0, on [0,1]. */
static bool normalise(const rows *r, cohort *c, err *e)
{
    const split_job *j = r->j;
    double s[4] = {0}, n_all = 0, n_breast = 0;
    for (int64_t i = 0; i < r->n; i++) {
        const item *t = r->p[i];
        if (split_person(j, t)->fold != COHORT_TRAIN)
            continue;
        for (int k = 0; k < 4; k++)
            s[k] += t->sums[k];
        n_all += (double)j->h[0] * j->w[0];
        n_breast += t->breast_pixels;
    }
    if (n_all == 0 || n_breast == 0)
        return nothing_left(r->j, e);
    c->mean_all = s[0] / n_all;
    c->sd_all = sqrt(fmax(s[1] / n_all - c->mean_all * c->mean_all, 0));
    c->mean_breast = s[2] / n_breast;
    c->sd_breast = sqrt(fmax(s[3] / n_breast - c->mean_breast * c->mean_breast, 0));
    return c->sd_all > 0 || err_set(e, ERR_INPUT, "all training images are constant");
}

/* ---- files ----------------------------------------------------------------------------------- */

char *split_beside(const char *out, const char *name)
{
    char *dir = mem_strdup(out), *path;
    *(char *)fs_base(dir) = 0;
    path = dir[0] ? fs_join(dir, name) : mem_strdup(name);
    mem_free(dir);
    return path;
}

static bool write_csv(const rows *all, const cohort *c, const char *path, err *e)
{
    csv_writer *w = csv_create(path, e);
    if (!w)
        return false;
    cohort_csv_head(c, w);
    csv_end_row(w);
    for (int64_t i = 0; i < c->n; i++) {
        cohort_row r;
        fill_row(all, i, &r);
        cohort_csv_row(c, &r, w);
        csv_end_row(w);
    }
    return csv_commit(w, e);
}

static void describe(split_job *j, cohort *c)
{
    text yaml;
    text_init(&yaml);
    c->n_sizes = j->n_sizes;
    memcpy(c->h, j->h, sizeof c->h);
    memcpy(c->w, j->w, sizeof c->w);
    c->n_horizons = j->lc.horizons.n;
    memcpy(c->horizon_years, j->lc.horizons.v, (size_t)c->n_horizons * sizeof(double));
    text_copy(c->prepare_id, sizeof c->prepare_id, j->prep_id);
    text_copy(c->key_id, sizeof c->key_id, j->key_id);
    static const cfg_group *const mine[] = {&labels_options, &split_options, NULL};
    cfg_hash(j->o->config, mine, c->config_sha256);
    prepare_yaml(j->o->config, &yaml);
    c->prepare_yaml = text_take(&yaml);
    c->flow = json_incref(j->flow);
}

static bool write_tables(split_job *j, const rows *r, const cohort *c, split_result *out, err *e)
{
    char *csv = split_beside(j->o->out, "split.csv");
    char *merges = split_beside(j->o->out, "split_merges.csv");
    char *summary = split_beside(j->o->out, "split_summary.csv");
    char *unmatched = split_beside(j->o->out, "split_unmatched.csv");
    bool ok = write_csv(r, c, csv, e) && split_merges(j, merges, e) &&
              split_summary(j, r->p, r->n, summary, out, e) &&
              labels_write_unmatched(j->lab, j->o->store, unmatched, e);
    if (ok) {
        ok = csv_commit(j->excluded, e);
        j->excluded = NULL;
    }
    mem_free(csv);
    mem_free(merges);
    mem_free(summary);
    mem_free(unmatched);
    return ok;
}

bool split_write(split_job *j, split_result *out, err *e)
{
    cohort c;
    rows r = {.j = j, .p = MEM_ARRAY(item *, j->n ? j->n : 1)};
    cohort_init(&c);
    for (int64_t i = 0; i < j->n; i++)
        if (j->it[i].out == REASON_NONE)
            r.p[r.n++] = &j->it[i];
    qsort_r(r.p, (size_t)r.n, sizeof *r.p, by_row, j);
    c.n = r.n;
    c.fill = fill_row;
    c.fill_ctx = &r;
    split_disjoint(j, r.p, r.n);
    split_books(j);
    describe(j, &c);
    bool ok = normalise(&r, &c, e) && add_shards(j, &r, &c, e) && write_tables(j, &r, &c, out, e) &&
              cohort_write(&c, j->o->out, e); /* last: its presence says that all is there */
    cohort_release(&c);
    mem_free(r.shard);
    mem_free(r.p);
    return ok;
}
