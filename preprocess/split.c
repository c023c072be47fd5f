/* split: prepared images + outcomes -> COHORT.h5, split.csv and the list of what was left out.
 * Options, collecting, normalisation, books and writing; the judgement is in split_judge.c, the
 * folds in split_folds.c. dicom.md 4 and 6, design.md 5. */
#include "preprocess/split_job.h"

#include "core/fs.h"
#include "core/log.h"
#include "core/mem.h"
#include "dicom/pseudo.h"
#include "preprocess/shard.h"

#include <dirent.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define AGE_POOLED 90 /* older women are written as 90, dicom.md 8 */

#define AT(f) offsetof(split_cfg, f)
static const cfg_option table[] = {
    {"split.test_fraction", CFG_REAL, AT(test_fraction), "0.2", 0, 0.95, NULL, "",
     "share of patients kept for the final test, at natural class frequencies"},
    {"split.val_fraction", CFG_REAL, AT(val_fraction), "0.1", 0, 0.95, NULL, "",
     "share of patients with cancer used for validation"},
    {"split.val", CFG_ENUM, AT(val), "balanced", 0, 0, "balanced|natural", "",
     "balanced: as many patients without as with cancer in validation; natural: the same share"},
    {"split.seed", CFG_INT, AT(seed), "1", 0, 1e15, NULL, "", "seed of the division"},
    {"split.vendors", CFG_TEXTS, AT(vendors), "", 0, 0, NULL, "",
     "vendors to keep (HOLOGIC, GE, SIEMENS, ...); empty: all"},
    {"exam.require", CFG_ENUM, AT(require), "any", 0, 0, "any|four_views|exactly4", "",
     "which views an exam must have: any, at least one of each of the four, or exactly four "
     "images"},
    {"exam.duplicate_view", CFG_ENUM, AT(duplicate_view), "best", 0, 0, "best|keep", "",
     "several images of one view in an exam: keep the best, or keep all"},
    {"clinical.detection_days", CFG_INT, AT(detection_days), "60", 0, 3650, NULL, "days",
     "an exam with a cancer found within so many days shows it already and is left out"},
    {"clinical.detection_inclusive", CFG_BOOL, AT(detection_inclusive), "true", 0, 0, NULL, "",
     "whether the last of these days is left out, too"},
    {"clinical.followup_days", CFG_INT, AT(followup_days), "730", 0, 36500, NULL, "days",
     "cancer-free follow-up that a control needs; never less than the horizon"},
    {"clinical.prior_cancer", CFG_ENUM, AT(prior_cancer), "exclude", 0, 0, "exclude|keep", "",
     "exams after a breast cancer"},
    {"clinical.age_min", CFG_INT, AT(age_min), "0", 0, 150, NULL, "years", "youngest age kept"},
    {"clinical.age_max", CFG_INT, AT(age_max), "150", 0, 150, NULL, "years", "oldest age kept"},
    {"clinical.require_female", CFG_BOOL, AT(require_female), "false", 0, 0, NULL, "",
     "leave out patients whose recorded sex is not female"},
};
const cfg_group split_options = {"Exams, clinical rules and the split", table, COUNT_OF(table)};

/* ---- collecting ------------------------------------------------------------------------------ */

static bool collect(void *ctx, const catalog_row *r, err *e)
{
    split_job *j = ctx;
    item *t;
    (void)e;
    j->seen++;
    if (r->scan_reason != REASON_NONE) {
        j->scan_reason[r->scan_reason]++;
        return true;
    }
    if (!r->prepared) {
        j->unjudged++;
        return true;
    }
    if (r->primary != REASON_NONE) {
        j->by_reason[r->primary]++;
        return true;
    }
    if (j->n == j->cap) {
        int64_t cap = j->cap ? 2 * j->cap : 4096;
        j->it = mem_realloc(j->it, (size_t)j->cap * sizeof *j->it, (size_t)cap * sizeof *j->it);
        j->cap = cap;
    }
    t = &j->it[j->n++];
    memset(t, 0, sizeof *t);
    t->file = r->id;
    text_copy(t->image, sizeof t->image, r->image);
    text_copy(t->exam, sizeof t->exam, r->exam);
    text_copy(t->patient, sizeof t->patient, r->patient);
    text_copy(t->pixel_hash, sizeof t->pixel_hash, r->pixel_hash);
    text_copy(t->vendor, sizeof t->vendor, r->rec.vendor);
    text_copy(t->model, sizeof t->model, r->rec.model);
    t->side = r->rec.side;
    t->sex = r->rec.sex;
    t->view = r->rec.view;
    t->modifiers = r->rec.modifiers;
    t->day = r->rec.exam_day;
    t->age = r->rec.age;
    t->shard = r->shard;
    t->row = r->shard_row;
    t->lab = labels_find(j->lab, r);
    return true;
}

/* The facts that prepare left in the shards: breast area and the sums for normalisation. */
static bool read_shard_facts(split_job *j, err *e)
{
    int open = -1;
    shard *s = NULL;
    bool ok = true;
    for (int64_t i = 0; i < j->n && ok; i++) {
        item *t = &j->it[i];
        shard_meta m;
        if (t->shard != open) {
            char *path = prepare_shard_path(j->o->store, j->prep_id, j->h[0], j->w[0], t->shard);
            shard_close(s);
            s = shard_open(path, e);
            mem_free(path);
            open = t->shard;
        }
        ok = s && shard_read_meta(s, t->row, &m, e);
        if (ok && strcmp(m.image, t->image))
            ok = err_set(e, ERR_MISMATCH,
                         "shard %d row %d holds another image than the catalogue "
                         "says; run 'mammovit verify'",
                         t->shard, t->row);
        if (ok) {
            t->breast_pixels = m.breast_pixels;
            t->sums[0] = m.sum_all;
            t->sums[1] = m.sumsq_all;
            t->sums[2] = m.sum_breast;
            t->sums[3] = m.sumsq_breast;
        }
    }
    shard_close(s);
    return ok;
}

/* ---- writing --------------------------------------------------------------------------------- */

static void flow_row(split_job *j, const char *stage, const char *step, const char *why,
                     int64_t n_in, int64_t n_out, const char *unit)
{
    json_array_append_new(j->flow, json_pack("{s:s, s:s, s:s, s:I, s:I, s:s}", "stage", stage,
                                             "step", step, "reason", why, "n_in", (json_int_t)n_in,
                                             "n_out", (json_int_t)n_out, "unit", unit));
}

static int64_t flow_reasons(split_job *j, const char *stage, const int64_t *count, int64_t n)
{
    for (int r = 1; r < REASON_COUNT; r++)
        if (count[r]) {
            flow_row(j, stage, reason_sentence((reason)r), reason_name((reason)r), n, n - count[r],
                     "files");
            n -= count[r];
        }
    return n;
}

/* Files seen = kept + excluded + failed, at every step. */
static void make_flow(split_job *j)
{
    int64_t split_reason[REASON_COUNT] = {0}, kept = 0;
    j->flow = json_array();
    for (int64_t i = 0; i < j->n; i++) {
        split_reason[j->it[i].out]++;
        kept += j->it[i].out == REASON_NONE;
    }
    split_reason[REASON_NONE] = 0;
    flow_row(j, "scan", "files found", "", j->seen, j->seen, "files");
    int64_t n = flow_reasons(j, "scan", j->scan_reason, j->seen);
    n = flow_reasons(j, "prepare", j->by_reason, n);
    if (n != j->n)
        BUG("books: %lld files seen, %lld left after prepare, but %lld images collected",
            (long long)j->seen, (long long)n, (long long)j->n);
    n = flow_reasons(j, "split", split_reason, n);
    if (n != kept)
        BUG("books: %lld left after split, %lld kept", (long long)n, (long long)kept);
}

static int by_row(const void *a, const void *b)
{
    const item *x = *(item *const *)a, *y = *(item *const *)b;
    int c = x->group == y->group ? 0 : strcmp(x->person_id, y->person_id);
    if (!c)
        c = (x->day > y->day) - (x->day < y->day);
    if (!c)
        c = strcmp(x->exam, y->exam);
    if (!c)
        c = (int)x->side - (int)y->side;
    if (!c)
        c = (int)x->view - (int)y->view;
    return c ? c : strcmp(x->image, y->image);
}

static void fill_row(const split_job *j, const item *t, cohort_row *r)
{
    const person *p = &j->who[t->group];
    const label *l = t->lab;
    text_copy(r->image, sizeof r->image, t->image);
    text_copy(r->exam, sizeof r->exam, t->exam);
    text_copy(r->patient, sizeof r->patient, p->id);
    text_copy(r->vendor, sizeof r->vendor, t->vendor);
    text_copy(r->device_model, sizeof r->device_model, t->model);
    r->side = t->side;
    r->view = t->view == VIEW_CC ? 'C' : t->view == VIEW_MLO ? 'M' : 0;
    bool dated = t->day != RECORD_UNKNOWN;
    label_times when = labels_times(l, t->day);
    r->days_to_cancer = when.cancer_lo;
    r->days_to_last_negative = when.free_days;
    r->exam_day = dated && p->first_day != RECORD_UNKNOWN ? t->day - p->first_day : 0;
    memset(r->y, -1, sizeof r->y);
    memcpy(r->y, t->y, (size_t)j->lc.horizons.n);
    r->fold = (int8_t)p->fold;
    r->weight = 1;
    r->age = (int16_t)(t->age > AGE_POOLED ? AGE_POOLED : t->age);
    for (int s = 0; s < j->n_sizes; s++) {
        r->shard[s] = s; /* made an index of cohort.shard by add_shards */
        r->shard_row[s] = t->row;
    }
}

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

/* Describe shard `number` of size s; returns its index in c->shard. */
static bool add_shard(split_job *j, cohort *c, int s, int number, const char *prefix, err *e)
{
    cohort_shard *d = &c->shard[c->n_shards];
    char *path = prepare_shard_path(j->o->store, j->prep_id, j->h[s], j->w[s], number);
    char *inside = prepare_shard_path("", j->prep_id, j->h[s], j->w[s], number);
    struct stat st;
    bool ok = true;
    while (*inside == '/')
        memmove(inside, inside + 1, strlen(inside));
    if (strlen(prefix) + strlen(inside) >= sizeof d->file)
        ok = err_set(e, ERR_INPUT, "the path from the cohort to the store is too long");
    if (ok && stat(path, &st))
        ok = err_errno(e, "shard '%s'", inside);
    if (ok) {
        snprintf(d->file, sizeof d->file, "%s%s", prefix, inside);
        d->bytes = st.st_size;
        d->size = s;
        ok = fs_sha256_file(path, d->sha256, e);
    }
    shard *sh = ok ? shard_open(path, e) : NULL;
    ok = ok && sh;
    if (ok) {
        d->n = shard_n(sh);
        c->n_shards++;
    }
    shard_close(sh);
    mem_free(path);
    mem_free(inside);
    return ok;
}

static bool add_shards(split_job *j, cohort *c, item **p, err *e)
{
    int last = 0;
    text prefix;
    char *dir = mem_strdup(j->o->out);
    bool ok;
    *(char *)fs_base(dir) = 0;
    text_init(&prefix);
    ok = relative_dir(dir[0] ? dir : ".", j->o->store, &prefix, e);
    for (int64_t i = 0; i < c->n; i++)
        last = p[i]->shard > last ? p[i]->shard : last;
    int *index = MEM_ARRAY(int, (last + 1) * j->n_sizes);
    c->shard = MEM_ARRAY(cohort_shard, (last + 1) * j->n_sizes);
    for (int64_t i = 0; i < c->n && ok; i++)
        for (int s = 0; s < j->n_sizes && ok; s++) {
            int *at = &index[s * (last + 1) + p[i]->shard];
            if (!*at) {
                ok = add_shard(j, c, s, p[i]->shard, prefix.s, e);
                *at = c->n_shards;
            }
            c->row[i].shard[s] = *at - 1;
        }
    mem_free(index);
    mem_free(dir);
    text_release(&prefix);
    return ok;
}

/* Mean and standard deviation over the training images, size 0, on [0,1]. */
static bool normalise(const split_job *j, item **p, cohort *c, err *e)
{
    double s[4] = {0}, n_all = 0, n_breast = 0;
    for (int64_t i = 0; i < c->n; i++) {
        if (c->row[i].fold != COHORT_TRAIN)
            continue;
        for (int k = 0; k < 4; k++)
            s[k] += p[i]->sums[k];
        n_all += (double)j->h[0] * j->w[0];
        n_breast += p[i]->breast_pixels;
    }
    if (n_all == 0 || n_breast == 0)
        return err_set(e, ERR_INPUT, "no training image is left; see the exclusion list");
    c->mean_all = s[0] / n_all;
    c->sd_all = sqrt(fmax(s[1] / n_all - c->mean_all * c->mean_all, 0));
    c->mean_breast = s[2] / n_breast;
    c->sd_breast = sqrt(fmax(s[3] / n_breast - c->mean_breast * c->mean_breast, 0));
    return c->sd_all > 0 || err_set(e, ERR_INPUT, "all training images are constant");
}

static char *beside(const char *out, const char *name)
{
    char *dir = mem_strdup(out), *path;
    *(char *)fs_base(dir) = 0;
    path = dir[0] ? fs_join(dir, name) : mem_strdup(name);
    mem_free(dir);
    return path;
}

static bool write_csv(const cohort *c, const char *path, err *e)
{
    csv_writer *w = csv_create(path, e);
    if (!w)
        return false;
    cohort_csv_head(c, w);
    csv_end_row(w);
    for (int64_t i = 0; i < c->n; i++) {
        cohort_csv_row(c, &c->row[i], w);
        csv_end_row(w);
    }
    return csv_commit(w, e);
}

static void count_result(const cohort *c, split_result *out)
{
    memset(out, 0, sizeof *out);
    out->images = c->n;
    for (int64_t a = 0, b; a < c->n; a = b) { /* rows of an exam are neighbours */
        bool positive = false;
        for (b = a; b < c->n && !strcmp(c->row[b].exam, c->row[a].exam); b++)
            positive |= c->row[b].y[0] == 1;
        out->patients += !a || strcmp(c->row[a].patient, c->row[a - 1].patient) != 0;
        out->exams++;
        out->positives += positive;
        out->fold_exams[c->row[a].fold]++;
        out->fold_positives[c->row[a].fold] += positive;
    }
}

static bool write_cohort(split_job *j, split_result *out, err *e)
{
    cohort c;
    item **p = MEM_ARRAY(item *, j->n ? j->n : 1);
    text yaml;
    char *csv = beside(j->o->out, "split.csv");
    cohort_init(&c);
    text_init(&yaml);
    for (int64_t i = 0; i < j->n; i++) {
        j->it[i].person_id = j->who[j->it[i].group].id;
        if (j->it[i].out == REASON_NONE)
            p[c.n++] = &j->it[i];
    }
    qsort(p, (size_t)c.n, sizeof *p, by_row);
    c.row = MEM_ARRAY(cohort_row, c.n ? c.n : 1);
    for (int64_t i = 0; i < c.n; i++)
        fill_row(j, p[i], &c.row[i]);
    c.n_sizes = j->n_sizes;
    memcpy(c.h, j->h, sizeof c.h);
    memcpy(c.w, j->w, sizeof c.w);
    c.n_horizons = j->lc.horizons.n;
    memcpy(c.horizon_years, j->lc.horizons.v, (size_t)c.n_horizons * sizeof(double));
    text_copy(c.prepare_id, sizeof c.prepare_id, j->prep_id);
    text_copy(c.key_id, sizeof c.key_id, j->key_id);
    static const cfg_group *const mine[] = {&labels_options, &split_options, NULL};
    cfg_hash(j->o->config, mine, c.config_sha256);
    prepare_yaml(j->o->config, &yaml);
    c.prepare_yaml = text_take(&yaml);
    make_flow(j);
    c.flow = json_incref(j->flow);
    bool ok = normalise(j, p, &c, e) && add_shards(j, &c, p, e) && write_csv(&c, csv, e);
    if (ok) {
        ok = csv_commit(j->excluded, e);
        j->excluded = NULL;
    }
    ok = ok && cohort_write(&c, j->o->out, e); /* last: its presence says that all is there */
    count_result(&c, out);
    cohort_release(&c);
    mem_free(csv);
    mem_free(p);
    text_release(&yaml);
    return ok;
}

static bool open_exclusions(split_job *j, err *e)
{
    static const char *const head[] = {"file",       "image_id", "exam_id",
                                       "patient_id", "reason",   "sentence"};
    char *path = beside(j->o->out, "split_exclusions.csv");
    j->excluded = csv_create(path, e);
    mem_free(path);
    for (size_t i = 0; i < COUNT_OF(head) && j->excluded; i++)
        csv_put(j->excluded, head[i]);
    if (j->excluded)
        csv_end_row(j->excluded);
    return j->excluded != NULL;
}

static bool load(split_job *j, err *e)
{
    pseudo *ps = pseudo_open(j->o->store, false, e);
    if (!ps)
        return false;
    pseudo_key_id(ps, j->key_id);
    pseudo_free(ps);
    prepare_id(j->o->config, j->prep_id);
    if (!prepare_sizes(j->o->config, &j->n_sizes, j->h, j->w, e))
        return false;
    j->lab = labels_read(j->o->labels_csv, &j->lc, e);
    j->cat = j->lab ? catalog_open(j->o->store, false, e) : NULL;
    if (!j->cat || !catalog_each(j->cat, j->prep_id, collect, j, e))
        return false;
    if (j->unjudged)
        return err_set(e, ERR_INPUT,
                       "%lld of %lld files have no outcome under prepare id %s; run 'mammovit "
                       "prepare' with the same config first",
                       (long long)j->unjudged, (long long)j->seen, j->prep_id);
    return read_shard_facts(j, e);
}

bool split_keeps_best_view(const cfg *c)
{
    split_cfg s;
    cfg_bind(c, &split_options, &s);
    return s.duplicate_view == 0;
}

/* split.csv and split_exclusions.csv lie beside the cohort: one cohort per folder. */
static bool check_folder(const split_opts *o, err *e)
{
    char *csv = beside(o->out, "split.csv"), *slash, other[256] = "";
    bool taken = fs_exists(csv);
    if (fs_exists(o->out)) {
        mem_free(csv);
        return err_set(e, ERR_INPUT, "'%s' exists; give --force to replace it", fs_base(o->out));
    }
    slash = strrchr(csv, '/');
    if (slash)
        *slash = 0;
    DIR *d = taken ? opendir(slash ? csv : ".") : NULL;
    for (struct dirent *f; d && (f = readdir(d));) {
        size_t n = strlen(f->d_name);
        if (n > 3 && !strcmp(f->d_name + n - 3, ".h5") && strcmp(f->d_name, fs_base(o->out)))
            text_copy(other, sizeof other, f->d_name);
    }
    if (d)
        closedir(d);
    mem_free(csv);
    return !other[0] || err_set(e, ERR_INPUT,
                                "the folder holds split.csv of another cohort ('%s'); use another "
                                "folder, or --force to replace it",
                                other);
}

bool split_run(const split_opts *o, split_result *out, err *e)
{
    split_job j = {.o = o};
    bool ok = false;
    cfg_bind(o->config, &split_options, &j.c);
    cfg_bind(o->config, &labels_options, &j.lc);
    if (!o->force && !check_folder(o, e))
        return false;
    if (!load(&j, e) || !open_exclusions(&j, e))
        goto done;
    split_identities(&j);
    split_judge(&j);
    if (!split_folds(&j, e) || !write_cohort(&j, out, e))
        goto done;
    ok = true;
    if (labels_unused(j.lab))
        log_info("labels_unmatched", "rows=%lld of=%lld why=no_image",
                 (long long)labels_unused(j.lab), (long long)labels_count(j.lab));
done:
    if (j.excluded)
        csv_discard(j.excluded);
    catalog_close(j.cat);
    labels_free(j.lab);
    mem_free(j.it);
    mem_free(j.who);
    if (j.flow)
        json_decref(j.flow);
    return ok;
}
