/* Reads the clinical CSV. Rows with the same key must say the same; a contradiction marks the label
 * and is judged (LABEL_CONFLICT) where the images are, never resolved by guessing. */
#include "preprocess/labels.h"

#include "core/csv.h"
#include "core/fs.h"
#include "core/mem.h"

#include <stdlib.h>
#include <string.h>

static const cfg_option table[] = {
    {"labels.id", CFG_TEXT, offsetof(labels_cfg, id), "patient", 0, 0, NULL, "",
     "what the label table is joined by: patient, accession, sop, file, or map:FILE (a CSV with "
     "columns patient_id and key)"},
    {"labels.key", CFG_TEXT, offsetof(labels_cfg, key), "patient_id", 0, 0, NULL, "",
     "column of the label table that holds that id"},
    {"labels.diagnosis_date", CFG_TEXT, offsetof(labels_cfg, diagnosis_date), "diagnosis_date", 0,
     0, NULL, "", "column: date of the breast-cancer diagnosis, empty = none"},
    {"labels.last_negative_date", CFG_TEXT, offsetof(labels_cfg, last_negative_date),
     "last_negative_date", 0, 0, NULL, "", "column: last date known to be free of breast cancer"},
    {"labels.prior_cancer_date", CFG_TEXT, offsetof(labels_cfg, prior_cancer_date),
     "prior_cancer_date", 0, 0, NULL, "", "column, optional: date of an earlier breast cancer"},
    {"labels.laterality", CFG_TEXT, offsetof(labels_cfg, laterality), "cancer_laterality", 0, 0,
     NULL, "", "column, optional: side of the cancer (L, R, B, left, right, both)"},
    {"labels.label", CFG_TEXT, offsetof(labels_cfg, label), "", 0, 0, NULL, "",
     "column with a ready class 0 or 1, for tables without dates; empty: dates decide"},
    {"labels.horizons", CFG_REALS, offsetof(labels_cfg, horizons), "2", 0.1, 50, NULL, "years",
     "horizons of the label, shortest first; the first is what the network learns"},
    {"labels.level", CFG_ENUM, offsetof(labels_cfg, level), "exam", 0, 0, "exam|breast", "",
     "exam: all images of an exam carry its label; breast: only those of the cancer's side"},
    {"labels.site", CFG_TEXT, offsetof(labels_cfg, site), "site", 0, 0, NULL, "",
     "column, optional: where the patient was examined"},
    {"labels.density", CFG_TEXT, offsetof(labels_cfg, density), "density", 0, 0, NULL, "",
     "column, optional: class of breast density"},
    {"labels.split", CFG_TEXT, offsetof(labels_cfg, split), "split", 0, 0, NULL, "",
     "column, optional: the split that a patient belongs to, for split.mode column"},
    {"labels.weight", CFG_TEXT, offsetof(labels_cfg, weight), "weight", 0, 0, NULL, "",
     "column, optional: sampling weight of an enriched cohort; becomes the weight of its images"},
};
const cfg_group labels_options = {"Labels", table, COUNT_OF(table)};

typedef enum labels_by { LABELS_PATIENT, LABELS_ACCESSION, LABELS_SOP, LABELS_FILE } labels_by;

typedef struct pair {
    char *from, *to;
} pair;

struct labels {
    label *row;
    int64_t n, cap;
    pair *map;
    int64_t n_map, cap_map;
    bool mapped, has_split;
    labels_by by;
    labels_scope scope;
    bool ready;
    char **word; /* distinct sites, densities and splits; word[0] is "" */
    int n_words, cap_words;
};

typedef struct columns {
    int key, diagnosis, last_negative, prior, side, cls, site, density, split, weight;
} columns;

#define WORDS_MOST 4096 /* distinct ones; more is a column that was named by mistake */

static int by_key(const void *a, const void *b)
{
    return strcmp(((const label *)a)->key, ((const label *)b)->key);
}

static int by_from(const void *a, const void *b)
{
    return strcmp(((const pair *)a)->from, ((const pair *)b)->from);
}

static bool parse_kind(labels *l, const char *id, const char **map_file, err *e)
{
    static const char *const name[] = {"patient", "accession", "sop", "file"};
    *map_file = NULL;
    for (int i = 0; i < (int)COUNT_OF(name); i++)
        if (!strcmp(id, name[i])) {
            l->by = (labels_by)i;
            return true;
        }
    if (!strncmp(id, "map:", 4) && id[4]) {
        l->by = LABELS_PATIENT;
        l->mapped = true;
        *map_file = id + 4;
        return true;
    }
    return err_set(e, ERR_CONFIG,
                   "labels.id is '%s'; wanted patient, accession, sop, file or map:FILE", id);
}

static bool read_map(labels *l, const char *path, err *e)
{
    int from, to, got = -1;
    csv_reader *r = csv_open(path, e);
    if (!r)
        return err_wrap(e, "labels.id map");
    if (csv_require(r, "patient_id", &from, e) && csv_require(r, "key", &to, e))
        while ((got = csv_next(r, e)) > 0) {
            if (l->n_map == l->cap_map) {
                int64_t cap = l->cap_map ? 2 * l->cap_map : 256;
                l->map = mem_realloc(l->map, (size_t)l->cap_map * sizeof *l->map,
                                     (size_t)cap * sizeof *l->map);
                l->cap_map = cap;
            }
            l->map[l->n_map++] =
                (pair){mem_strdup(csv_field(r, from)), mem_strdup(csv_field(r, to))};
        }
    csv_close(r);
    if (got < 0)
        return false;
    qsort(l->map, (size_t)l->n_map, sizeof *l->map, by_from);
    for (int64_t i = 1; i < l->n_map; i++)
        if (!strcmp(l->map[i].from, l->map[i - 1].from) && strcmp(l->map[i].to, l->map[i - 1].to))
            return err_set(e, ERR_INPUT, "labels.id map: one patient_id is mapped to two keys");
    return true;
}

/* A named column must exist when the user named it himself or when it is required. */
static bool find_columns(const csv_reader *r, const labels_cfg *c, columns *k, err *e)
{
    k->diagnosis = k->last_negative = k->prior = k->side = k->cls = -1;
    if (!csv_require(r, c->key, &k->key, e))
        return false;
    if (c->label[0] && !csv_require(r, c->label, &k->cls, e))
        return false;
    k->prior = c->prior_cancer_date[0] ? csv_find(r, c->prior_cancer_date) : -1;
    k->side = c->laterality[0] ? csv_find(r, c->laterality) : -1;
    if (c->level == 1 && k->side < 0)
        return err_set(e, ERR_INPUT, "labels.level is breast, but column '%s' is missing",
                       c->laterality);
    k->site = c->site[0] ? csv_find(r, c->site) : -1;
    k->density = c->density[0] ? csv_find(r, c->density) : -1;
    k->split = c->split[0] ? csv_find(r, c->split) : -1;
    k->weight = c->weight[0] ? csv_find(r, c->weight) : -1;
    k->diagnosis = csv_find(r, c->diagnosis_date);
    k->last_negative = csv_find(r, c->last_negative_date);
    return c->label[0] || (csv_require(r, c->diagnosis_date, &k->diagnosis, e) &&
                           csv_require(r, c->last_negative_date, &k->last_negative, e));
}

static bool read_date(const csv_reader *r, int col, int32_t *day, err *e)
{
    *day = INT32_MIN;
    if (col < 0 || csv_missing(r, col) || text_date(csv_field(r, col), day))
        return true;
    return err_set(e, ERR_INPUT,
                   "line %d: column '%s' holds no date (wanted YYYY-MM-DD or "
                   "YYYYMMDD)",
                   csv_line(r), csv_column_name(r, col));
}

static bool read_side(const csv_reader *r, int col, char *side, err *e)
{
    static const struct {
        const char *word;
        char side;
    } words[] = {{"L", 'L'}, {"LEFT", 'L'}, {"R", 'R'},        {"RIGHT", 'R'},
                 {"B", 'B'}, {"BOTH", 'B'}, {"BILATERAL", 'B'}};
    *side = 0;
    if (col < 0 || csv_missing(r, col))
        return true;
    for (size_t i = 0; i < COUNT_OF(words); i++)
        if (text_ieq(csv_field(r, col), words[i].word)) {
            *side = words[i].side;
            return true;
        }
    return err_set(e, ERR_INPUT, "line %d: column '%s' wants L, R or B", csv_line(r),
                   csv_column_name(r, col));
}

static bool read_class(const csv_reader *r, int col, int *cls, err *e)
{
    int64_t v;
    *cls = -1;
    if (col < 0 || csv_missing(r, col))
        return true;
    if (!text_i64(csv_field(r, col), &v) || v < 0 || v > 1)
        return err_set(e, ERR_INPUT, "line %d: column '%s' wants 0 or 1", csv_line(r),
                       csv_column_name(r, col));
    *cls = (int)v;
    return true;
}

static bool read_word(labels *l, const csv_reader *r, int col, uint16_t *out, err *e)
{
    const char *s = col < 0 || csv_missing(r, col) ? "" : csv_field(r, col);
    *out = 0;
    for (int i = 0; i < l->n_words; i++)
        if (!strcmp(l->word[i], s)) {
            *out = (uint16_t)i;
            return true;
        }
    if (l->n_words == WORDS_MOST)
        return err_set(e, ERR_INPUT, "line %d: column '%s' has more than %d different values",
                       csv_line(r), csv_column_name(r, col), WORDS_MOST);
    if (l->n_words == l->cap_words) {
        int cap = l->cap_words ? 2 * l->cap_words : 16;
        l->word = mem_realloc(l->word, (size_t)l->cap_words * sizeof *l->word,
                              (size_t)cap * sizeof *l->word);
        l->cap_words = cap;
    }
    *out = (uint16_t)l->n_words;
    l->word[l->n_words++] = mem_strdup(s);
    return true;
}

static bool read_weight(const csv_reader *r, int col, float *weight, err *e)
{
    double v;
    *weight = 1;
    if (col < 0 || csv_missing(r, col))
        return true;
    if (!text_f64(csv_field(r, col), &v) || !(v > 0 && v < 1e9))
        return err_set(e, ERR_INPUT, "line %d: column '%s' wants a number above 0", csv_line(r),
                       csv_column_name(r, col));
    *weight = (float)v;
    return true;
}

static bool read_row(labels *l, const csv_reader *r, const columns *k, err *e)
{
    label v = {0};
    if (csv_missing(r, k->key))
        return err_set(e, ERR_INPUT, "line %d: column '%s' is empty", csv_line(r),
                       csv_column_name(r, k->key));
    if (!read_date(r, k->diagnosis, &v.diagnosis, e) ||
        !read_date(r, k->last_negative, &v.last_negative, e) ||
        !read_date(r, k->prior, &v.prior, e) || !read_side(r, k->side, &v.side, e) ||
        !read_class(r, k->cls, &v.cls, e) || !read_weight(r, k->weight, &v.weight, e) ||
        !read_word(l, r, k->site, &v.site, e) || !read_word(l, r, k->density, &v.density, e) ||
        !read_word(l, r, k->split, &v.split, e))
        return false;
    if (l->n == l->cap) {
        int64_t cap = l->cap ? 2 * l->cap : 1024;
        l->row = mem_realloc(l->row, (size_t)l->cap * sizeof *l->row, (size_t)cap * sizeof *l->row);
        l->cap = cap;
    }
    v.key = mem_strdup(csv_field(r, k->key));
    v.person = l->by == LABELS_PATIENT ? v.key : "";
    l->row[l->n++] = v;
    return true;
}

bool labels_same(const label *a, const label *b)
{
    return a->diagnosis == b->diagnosis && a->last_negative == b->last_negative &&
           a->prior == b->prior && a->side == b->side && a->cls == b->cls && a->weight == b->weight;
}

static uint16_t first_word(const labels *l, uint16_t a, uint16_t b)
{
    if (!a || !b)
        return a ? a : b;
    return strcmp(l->word[a], l->word[b]) <= 0 ? a : b;
}

/* Another row of the same key. */
static void merge_row(const labels *l, label *to, const label *from)
{
    to->conflict |= !labels_same(to, from);
    to->split_conflict |= to->split != from->split;
    to->site = first_word(l, to->site, from->site);
    to->density = first_word(l, to->density, from->density);
    to->split = first_word(l, to->split, from->split);
}

/* Rows of one key become one label, marked when they differ. */
static void merge_rows(labels *l)
{
    int64_t n = 0;
    qsort(l->row, (size_t)l->n, sizeof *l->row, by_key);
    for (int64_t i = 0; i < l->n; i++) {
        if (n && !strcmp(l->row[n - 1].key, l->row[i].key)) {
            merge_row(l, &l->row[n - 1], &l->row[i]);
            mem_free(l->row[i].key);
        } else {
            l->row[n++] = l->row[i];
        }
    }
    l->n = n;
}

labels *labels_read(const char *path, const labels_cfg *c, err *e)
{
    labels *l = MEM_NEW(labels);
    const char *map_file;
    columns k;
    csv_reader *r = NULL;
    int got = -1;
    uint16_t none;
    (void)!read_word(l, NULL, -1, &none, e); /* word 0: "" */
    for (int i = 1; i < c->horizons.n; i++)
        if (c->horizons.v[i] <= c->horizons.v[i - 1]) {
            err_set(e, ERR_CONFIG, "labels.horizons must increase");
            goto fail;
        }
    if (c->horizons.n < 1 || c->horizons.n > 8) {
        err_set(e, ERR_CONFIG, "labels.horizons wants 1 to 8 values, found %d", c->horizons.n);
        goto fail;
    }
    if (!parse_kind(l, c->id, &map_file, e) || (map_file && !read_map(l, map_file, e)))
        goto fail;
    r = csv_open(path, e);
    if (!r || !find_columns(r, c, &k, e))
        goto fail;
    l->has_split = k.split >= 0;
    l->ready = c->label[0] != 0;
    l->scope = l->by == LABELS_PATIENT ? LABELS_OF_PATIENT
               : c->level == 1         ? LABELS_OF_BREAST
                                       : LABELS_OF_EXAM;
    while ((got = csv_next(r, e)) > 0)
        if (!read_row(l, r, &k, e)) {
            got = -1;
            break;
        }
    if (got < 0)
        goto fail;
    csv_close(r);
    merge_rows(l);
    return l;
fail:
    if (r)
        csv_close(r);
    labels_free(l);
    err_wrap(e, "labels '%s'", fs_base(path));
    return NULL;
}

void labels_free(labels *l)
{
    if (!l)
        return;
    for (int64_t i = 0; i < l->n; i++)
        mem_free(l->row[i].key);
    for (int64_t i = 0; i < l->n_map; i++) {
        mem_free(l->map[i].from);
        mem_free(l->map[i].to);
    }
    for (int i = 0; i < l->n_words; i++)
        mem_free(l->word[i]);
    mem_free(l->word);
    mem_free(l->row);
    mem_free(l->map);
    mem_free(l);
}

const char *labels_word(const labels *l, uint16_t word)
{
    return l->word[word];
}

bool labels_has_split(const labels *l)
{
    return l->has_split;
}

labels_scope labels_scope_of(const labels *l)
{
    return l->scope;
}

bool labels_ready(const labels *l)
{
    return l->ready;
}

label_times labels_times(const label *x, int32_t exam_day)
{
    label_times t = {.cancer_lo = -1, .cancer_hi = -1, .free_days = -1};
    if (exam_day == RECORD_UNKNOWN)
        return t;
    t.known = true;
    t.before = (x->diagnosis != INT32_MIN && x->diagnosis < exam_day) ||
               (x->prior != INT32_MIN && x->prior < exam_day);
    if (x->diagnosis != INT32_MIN && x->diagnosis >= exam_day)
        t.cancer_lo = t.cancer_hi = x->diagnosis - exam_day;
    if (x->last_negative != INT32_MIN && x->last_negative >= exam_day)
        t.free_days = x->last_negative - exam_day;
    return t;
}

static const char *image_id(labels_by by, const catalog_row *r)
{
    switch (by) {
    case LABELS_PATIENT:
        return r->rec.patient_id;
    case LABELS_ACCESSION:
        return r->rec.accession;
    case LABELS_SOP:
        return r->rec.sop_uid;
    case LABELS_FILE:
        return fs_base(r->path);
    }
    BUG("key of a label table");
}

label *labels_find(labels *l, const catalog_row *image)
{
    const char *id = image_id(l->by, image);
    if (l->mapped) {
        pair want = {.from = (char *)id};
        pair *p = bsearch(&want, l->map, (size_t)l->n_map, sizeof *l->map, by_from);
        if (!p)
            return NULL;
        id = p->to;
    }
    label want = {.key = (char *)id};
    label *f = l->n ? bsearch(&want, l->row, (size_t)l->n, sizeof *l->row, by_key) : NULL;
    if (f)
        f->used = true;
    return f;
}

int64_t labels_count(const labels *l)
{
    return l->n;
}

int64_t labels_unused(const labels *l)
{
    int64_t n = 0;
    for (int64_t i = 0; i < l->n; i++)
        n += !l->row[i].used;
    return n;
}
