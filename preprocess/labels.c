/* The label table: its options, the mapping that they describe, rows to labels, and the lookup.
 * Rows of one key must say the same; a contradiction marks the label and is judged (LABEL_CONFLICT)
 * where the images are, never resolved by guessing. */
#include "preprocess/labels_table.h"

#include "core/csv.h"
#include "core/fs.h"
#include "core/mem.h"

#include <math.h>
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
    {"labels.mapping", CFG_TEXT, offsetof(labels_cfg, mapping), "", 0, 0, NULL, "",
     "what the columns of the tables mean: a name of configs/import or a YAML file; empty: the "
     "keys above"},
    {"labels.tables", CFG_TEXTS, offsetof(labels_cfg, tables), "", 0, 0, NULL, "",
     "further files, in the order of the mapping's tables after the first"},
    {"labels.strict", CFG_BOOL, offsetof(labels_cfg, strict), "false", 0, 0, NULL, "",
     "whether a column that the mapping does not name is an error"},
    {"labels.normalise", CFG_ENUM, offsetof(labels_cfg, normalise), "none", 0, 0,
     "none|spaces|zeros|case|all", "",
     "how ids are compared: without inner spaces, leading zeros or difference of case"},
};
const cfg_group labels_options = {"Labels", table, COUNT_OF(table)};

static int by_key(const void *a, const void *b)
{
    return strcmp(((const label *)a)->key, ((const label *)b)->key);
}

static int by_from(const void *a, const void *b)
{
    return strcmp(((const labels_pair *)a)->from, ((const labels_pair *)b)->from);
}

/* ---- the mapping ----------------------------------------------------------------------------- */

/* labels.id: the key of the images, and the file that leads to it. */
static bool parse_id(const char *id, mapping_field *key, const char **pairs, err *e)
{
    static const struct {
        const char *name;
        mapping_field field;
    } kinds[] = {{"patient", FIELD_patient},
                 {"accession", FIELD_accession},
                 {"sop", FIELD_sop},
                 {"file", FIELD_file}};
    *pairs = NULL;
    for (size_t i = 0; i < COUNT_OF(kinds); i++)
        if (!strcmp(id, kinds[i].name)) {
            *key = kinds[i].field;
            return true;
        }
    if (!strncmp(id, "map:", 4) && id[4]) {
        *key = FIELD_patient;
        *pairs = id + 4;
        return true;
    }
    return err_set(e, ERR_CONFIG,
                   "labels.id is '%s'; wanted patient, accession, sop, file or map:FILE", id);
}

static bool read_pairs(labels *l, const char *path, err *e)
{
    int from, to, got = -1;
    csv_reader *r = csv_open(path, e);
    l->paired = true;
    if (!r)
        return err_wrap(e, "labels.id map");
    if (csv_require(r, "patient_id", &from, e) && csv_require(r, "key", &to, e))
        while ((got = csv_next(r, e)) > 0) {
            if (l->n_pairs == l->cap_pairs) {
                int64_t cap = l->cap_pairs ? 2 * l->cap_pairs : 256;
                l->pair = mem_realloc(l->pair, (size_t)l->cap_pairs * sizeof *l->pair,
                                      (size_t)cap * sizeof *l->pair);
                l->cap_pairs = cap;
            }
            l->pair[l->n_pairs++] =
                (labels_pair){mem_strdup(csv_field(r, from)), mem_strdup(csv_field(r, to))};
        }
    csv_close(r);
    if (got < 0)
        return false;
    qsort(l->pair, (size_t)l->n_pairs, sizeof *l->pair, by_from);
    for (int64_t i = 1; i < l->n_pairs; i++)
        if (!strcmp(l->pair[i].from, l->pair[i - 1].from) &&
            strcmp(l->pair[i].to, l->pair[i - 1].to))
            return err_set(e, ERR_INPUT, "labels.id map: one patient_id is mapped to two keys");
    return true;
}

static void add_column(mapping *m, mapping_field f, const char *column, bool optional)
{
    mapping_use *u = column[0] ? mapping_add(m, m->table, f, column) : NULL;
    if (!u)
        return;
    u->optional = optional;
    u->merge = MAPPING_SAME;
}

/* The mapping that labels.id, labels.key and the names of columns describe. */
static mapping *mapping_of_keys(const labels_cfg *c, mapping_field key, err *e)
{
    mapping *m = mapping_new("labels.*");
    mapping_table *t = mapping_add_table(m, "labels");
    bool ready = c->label[0] != 0;
    m->ready = ready;
    m->keys_required = true;
    t->join[0] = key;
    t->n_join = 1;
    add_column(m, key, c->key, false);
    add_column(m, FIELD_diagnosis_date, c->diagnosis_date, ready);
    add_column(m, FIELD_last_negative_date, c->last_negative_date, ready);
    add_column(m, FIELD_prior_cancer_date, c->prior_cancer_date, true);
    add_column(m, FIELD_cancer_side, c->laterality, true);
    add_column(m, FIELD_cancer, c->label, false);
    add_column(m, FIELD_site, c->site, true);
    add_column(m, FIELD_density, c->density, true);
    add_column(m, FIELD_split, c->split, true);
    add_column(m, FIELD_weight, c->weight, true);
    if (mapping_finish(m, e))
        return m;
    mapping_free(m);
    return NULL;
}

/* Keys that name columns do nothing beside a mapping; a value there is a misunderstanding. */
static bool no_columns(const labels_cfg *c, err *e)
{
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        size_t at = table[i].offset;
        if (table[i].type != CFG_TEXT || at == offsetof(labels_cfg, mapping))
            continue;
        const char *v = *(const char *const *)((const char *)c + at);
        if (!strcmp(v, table[i].def) || (at == offsetof(labels_cfg, id) && !strncmp(v, "map:", 4)))
            continue;
        return err_set(e, ERR_CONFIG,
                       "%s does nothing beside labels.mapping; name the column there",
                       table[i].key);
    }
    return true;
}

static bool is_outcome(const mapping *m, mapping_field f)
{
    return m->ready ? f == FIELD_cancer : f >= FIELD_diagnosis_date && f <= FIELD_free_for;
}

/* What has one outcome, from the finest column that decides it. */
static void find_scope(labels *l, const labels_cfg *c)
{
    mapping_level finest = MAPPING_PATIENT;
    const mapping *m = l->map;
    if (m->keys_required) {
        l->scope = m->table[0].join[0] == FIELD_patient ? LABELS_OF_PATIENT
                   : c->level == 1                      ? LABELS_OF_BREAST
                                                        : LABELS_OF_EXAM;
        return;
    }
    for (int i = 0; i < m->n_tables; i++)
        for (int k = 0; k < m->table[i].n_uses; k++) {
            const mapping_use *u = m->table[i].use[k];
            mapping_level at = mapping_reach(&m->table[i], u);
            if (is_outcome(m, u->field) && at > finest)
                finest = at;
        }
    l->scope = (labels_scope)finest;
    l->knows_breast = m->ready && finest >= MAPPING_BREAST;
}

static bool check_horizons(const cfg_reals *h, err *e)
{
    for (int i = 1; i < h->n; i++)
        if (h->v[i] <= h->v[i - 1])
            return err_set(e, ERR_CONFIG, "labels.horizons must increase");
    return (h->n >= 1 && h->n <= 8) ||
           err_set(e, ERR_CONFIG, "labels.horizons wants 1 to 8 values, found %d", h->n);
}

static bool find_mapping(labels *l, const labels_cfg *c, err *e)
{
    const char *pairs;
    mapping_field key = FIELD_patient;
    if (!parse_id(c->id, &key, &pairs, e) || (pairs && !read_pairs(l, pairs, e)))
        return false;
    if (!c->mapping[0])
        return (l->map = mapping_of_keys(c, key, e)) != NULL;
    l->map = no_columns(c, e) ? mapping_load(c->mapping, e) : NULL;
    if (l->map)
        mapping_coarsen(l->map, FIELD_cancer, c->level == 1 ? MAPPING_BREAST : MAPPING_EXAM);
    return l->map != NULL;
}

/* ---- rows to labels -------------------------------------------------------------------------- */

/* The first table that says something of the field. */
static bool value_of(const labels *l, int64_t row, mapping_field f, import_value *v)
{
    for (int s = 0; s < l->map->n_slots; s++)
        if (l->map->slot[s]->field == f) {
            *v = import_get(l->im, 0, row, s);
            if (!isnan(v->lo))
                return true;
        }
    return false;
}

static int32_t whole(float v)
{
    return isinf(v) ? INT32_MAX : (int32_t)v;
}

static int32_t low(const labels *l, int64_t row, mapping_field f)
{
    import_value v;
    return value_of(l, row, f, &v) ? whole(v.lo) : INT32_MIN;
}

static int32_t high(const labels *l, int64_t row, mapping_field f)
{
    import_value v;
    return value_of(l, row, f, &v) ? whole(v.hi) : INT32_MIN;
}

static uint16_t word(const labels *l, int64_t row, mapping_field f)
{
    import_value v;
    return value_of(l, row, f, &v) ? (uint16_t)v.lo : 0;
}

static void fill_times(const labels *l, int64_t row, label *x)
{
    import_value v;
    x->diagnosis = low(l, row, FIELD_diagnosis_date);
    x->diagnosis_end = high(l, row, FIELD_diagnosis_date);
    x->last_negative = low(l, row, FIELD_last_negative_date);
    x->prior = low(l, row, FIELD_prior_cancer_date);
    x->had_cancer = value_of(l, row, FIELD_prior_cancer, &v) && v.lo == 1;
    x->cancer_lo = low(l, row, FIELD_cancer_in);
    x->cancer_hi = high(l, row, FIELD_cancer_in);
    if (x->cancer_lo == INT32_MAX)
        x->cancer_lo = x->cancer_hi = -1;
    x->free_for = low(l, row, FIELD_free_for);
    x->exam_day = low(l, row, FIELD_exam_date);
    if (x->exam_day != high(l, row, FIELD_exam_date))
        x->exam_day = INT32_MIN;
}

static void fill_label(const labels *l, int64_t row, label *x)
{
    const import_row *r = &l->im->table[0].row[row];
    import_value v;
    fill_times(l, row, x);
    x->key = r->join;
    x->person = r->key[FIELD_patient] ? r->key[FIELD_patient] : "";
    x->age_lo = low(l, row, FIELD_age);
    x->age_hi = high(l, row, FIELD_age);
    x->side = value_of(l, row, FIELD_cancer_side, &v) ? (char)v.lo : 0;
    x->image_side = r->side == 'L' || r->side == 'R' ? r->side : 0;
    x->cls = value_of(l, row, FIELD_cancer, &v) ? (signed char)v.lo : -1;
    x->weight = value_of(l, row, FIELD_weight, &v) ? v.lo : 1;
    x->site = word(l, row, FIELD_site);
    x->density = word(l, row, FIELD_density);
    x->split = word(l, row, FIELD_split);
    for (int s = 0; s < l->map->n_slots; s++)
        if (l->map->slot[s]->field == FIELD_flag && import_get(l->im, 0, row, s).lo == 1)
            reason_add(&x->flags, l->map->slot[s]->flag);
    if (r->view >= 0 && r->view != VIEW_CC && r->view != VIEW_MLO)
        reason_add(&x->flags, REASON_VIEW_NONSTANDARD);
}

typedef struct member {
    const char *join;
    int64_t row;
} member;

static int by_join(const void *a, const void *b)
{
    const member *x = a, *y = b;
    int c = strcmp(x->join, y->join);
    return c ? c : (x->row > y->row) - (x->row < y->row);
}

/* One label for the rows of one key. */
static void make_labels(labels *l)
{
    const import_table *t = &l->im->table[0];
    member *m = MEM_ARRAY(member, t->n ? t->n : 1);
    int64_t n = 0;
    for (int64_t i = 0; i < t->n; i++)
        if (t->row[i].join)
            m[n++] = (member){t->row[i].join, i};
    qsort(m, (size_t)n, sizeof *m, by_join);
    l->member = MEM_ARRAY(int64_t, n ? n : 1);
    l->row = MEM_ARRAY(label, n ? n : 1);
    for (int64_t i = 0; i < n; i++) {
        const import_row *r = &t->row[m[i].row];
        l->member[i] = m[i].row;
        if (!l->n || strcmp(l->row[l->n - 1].key, r->join)) {
            fill_label(l, m[i].row, &l->row[l->n]);
            l->row[l->n++].first_member = i;
        }
        label *x = &l->row[l->n - 1];
        x->n_members++;
        x->conflict |= r->conflict;
        x->split_conflict |= r->split_conflict;
    }
    mem_free(m);
}

static bool fill(labels *l, const char *path, const labels_cfg *c, err *e)
{
    static const unsigned how[] = {0, IMPORT_SPACES, IMPORT_ZEROS, IMPORT_CASE,
                                   IMPORT_SPACES | IMPORT_ZEROS | IMPORT_CASE};
    const char *files[CFG_LIST_MAX + 1] = {path};
    if (!check_horizons(&c->horizons, e) || !find_mapping(l, c, e))
        return false;
    for (int i = 0; i < c->tables.n; i++)
        files[i + 1] = c->tables.v[i];
    l->normalise = how[c->normalise];
    l->im = import_read(l->map, files, c->tables.n + 1, l->normalise, c->strict, e);
    if (!l->im)
        return false;
    find_scope(l, c);
    l->has_split = import_has(l->im, FIELD_split);
    if (c->level == 1 && !l->knows_breast && !import_has(l->im, FIELD_cancer_side))
        return err_set(e, ERR_INPUT, "labels.level is breast, but column '%s' is missing",
                       c->mapping[0] ? "cancer_side" : c->laterality);
    make_labels(l);
    return true;
}

labels *labels_read(const char *path, const labels_cfg *c, err *e)
{
    labels *l = MEM_NEW(labels);
    if (fill(l, path, c, e))
        return l;
    labels_free(l);
    return NULL;
}

void labels_free(labels *l)
{
    if (!l)
        return;
    for (int64_t i = 0; i < l->n_pairs; i++) {
        mem_free(l->pair[i].from);
        mem_free(l->pair[i].to);
    }
    for (int64_t i = 0; i < l->n_misses; i++)
        mem_free(l->miss[i].key);
    mem_free(l->miss);
    mem_free(l->pair);
    mem_free(l->row);
    mem_free(l->member);
    import_free(l->im);
    mapping_free(l->map);
    mem_free(l);
}

const char *labels_word(const labels *l, uint16_t number)
{
    return import_word(l->im, number);
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
    return l->map->ready;
}

bool labels_knows_breast(const labels *l)
{
    return l->knows_breast;
}

bool labels_same(const label *a, const label *b)
{
    return a->diagnosis == b->diagnosis && a->diagnosis_end == b->diagnosis_end &&
           a->last_negative == b->last_negative && a->prior == b->prior &&
           a->had_cancer == b->had_cancer && a->cancer_lo == b->cancer_lo &&
           a->cancer_hi == b->cancer_hi && a->free_for == b->free_for && a->side == b->side &&
           a->cls == b->cls && a->weight == b->weight;
}

bool labels_silent(const label *x)
{
    return x->cls == 1 && x->diagnosis == INT32_MIN && x->cancer_lo == INT32_MIN;
}

/* A diagnosis known as a range that holds the exam's day counts as made on that day: the exam may
 * be the one that found it. */
label_times labels_times(const label *x, int32_t exam_day)
{
    bool dated = exam_day != RECORD_UNKNOWN;
    label_times t = {.cancer_lo = -1, .cancer_hi = -1, .free_days = -1};
    t.known = dated || x->cancer_lo != INT32_MIN || x->free_for != INT32_MIN;
    t.before = x->had_cancer || (dated && x->prior != INT32_MIN && x->prior < exam_day);
    if (x->cancer_lo >= 0) {
        t.cancer_lo = x->cancer_lo;
        t.cancer_hi = x->cancer_hi;
    } else if (dated && x->diagnosis != INT32_MIN) {
        t.before |= x->diagnosis_end < exam_day;
        if (x->diagnosis >= exam_day) {
            t.cancer_lo = x->diagnosis - exam_day;
            t.cancer_hi = x->diagnosis_end - exam_day;
        } else if (x->diagnosis_end >= exam_day) {
            t.cancer_lo = t.cancer_hi = 0;
        }
    }
    if (x->free_for >= 0)
        t.free_days = x->free_for;
    else if (dated && x->last_negative != INT32_MIN && x->last_negative >= exam_day)
        t.free_days = x->last_negative - exam_day;
    return t;
}

/* ---- lookup ---------------------------------------------------------------------------------- */

static const char *id_of(const labels *l, mapping_field f, const catalog_row *image)
{
    const record *r = &image->rec;
    if (f == FIELD_accession)
        return r->accession;
    if (f == FIELD_study)
        return r->study_uid;
    if (f == FIELD_series)
        return r->series_uid;
    if (f == FIELD_sop)
        return r->sop_uid;
    if (f != FIELD_patient)
        BUG("field %d names no image", (int)f);
    if (!l->paired)
        return r->patient_id;
    labels_pair want = {.from = (char *)r->patient_id};
    labels_pair *p = bsearch(&want, l->pair, (size_t)l->n_pairs, sizeof *l->pair, by_from);
    return p ? p->to : "";
}

static bool add_part(const labels *l, mapping_field f, const catalog_row *image, text *part)
{
    char side[2] = {image->rec.side, 0};
    text_clear(part);
    if (f >= FIELD_file && f <= FIELD_folder)
        return import_key_of_file(f, image->path, part);
    if (f == FIELD_side)
        text_add(part, side[0] == 'L' || side[0] == 'R' ? side : "");
    else
        text_add(part, f == FIELD_view ? record_view_name(image->rec.view) : id_of(l, f, image));
    return part->len > 0;
}

bool labels_key_of_image(const labels *l, const catalog_row *image, text *out)
{
    const mapping_table *t = &l->map->table[0];
    bool ok = true;
    text part, whole_key;
    text_init(&part);
    text_init(&whole_key);
    for (int i = 0; i < t->n_join && ok; i++) {
        ok = add_part(l, t->join[i], image, &part);
        if (i)
            text_addn(&whole_key, "\x1f", 1);
        text_add(&whole_key, part.s);
    }
    import_normalise(l->normalise, whole_key.s, out);
    text_release(&part);
    text_release(&whole_key);
    return ok;
}

static label *find_key(const labels *l, const char *key)
{
    label want = {.key = key};
    return l->n ? bsearch(&want, l->row, (size_t)l->n, sizeof *l->row, by_key) : NULL;
}

/* The row whose path ends the image's, the longest first; else the only row whose path the image's
 * ends. Keys are paths from their end. */
static label *find_path(const labels *l, text *key)
{
    char *whole_key = mem_strdup(key->s);
    label *f = find_key(l, key->s);
    for (char *cut; !f && (cut = strrchr(key->s, '/')); key->len = strlen(key->s)) {
        *cut = 0;
        f = find_key(l, key->s);
    }
    size_t n = strlen(whole_key);
    int64_t a = 0, b = f ? 0 : l->n;
    while (a < b) {
        int64_t m = a + (b - a) / 2;
        if (strcmp(l->row[m].key, whole_key) < 0)
            a = m + 1;
        else
            b = m;
    }
    for (; !f && a < l->n && !strncmp(l->row[a].key, whole_key, n); a++) {
        bool next = a + 1 < l->n && !strncmp(l->row[a + 1].key, whole_key, n) &&
                    l->row[a + 1].key[n] == '/';
        if (l->row[a].key[n] == '/') {
            f = next ? NULL : &l->row[a];
            break;
        }
    }
    mem_free(whole_key);
    return f;
}

static void note_miss(labels *l, const catalog_row *image, const char *key)
{
    if (l->n_misses == l->cap_misses) {
        int64_t cap = l->cap_misses ? 2 * l->cap_misses : 256;
        l->miss = mem_realloc(l->miss, (size_t)l->cap_misses * sizeof *l->miss,
                              (size_t)cap * sizeof *l->miss);
        l->cap_misses = cap;
    }
    labels_miss *m = &l->miss[l->n_misses++];
    *m = (labels_miss){.file = image->id, .key = key ? mem_strdup(key) : NULL};
    text_copy(m->image, sizeof m->image, image->image);
    text_copy(m->exam, sizeof m->exam, image->exam);
    text_copy(m->patient, sizeof m->patient, image->patient);
}

/* What the image itself says against the row. */
static void compare(const labels *l, label *x, const catalog_row *image)
{
    char side = image->rec.side;
    uint64_t who[2];
    if (x->image_side && (side == 'L' || side == 'R') && side != x->image_side)
        reason_add(&x->flags, REASON_LAT_CONFLICT);
    if (l->map->table[0].join[0] >= FIELD_file && l->map->table[0].join[0] <= FIELD_folder) {
        fs_xxh128_raw(image->patient, strlen(image->patient), who);
        x->conflict |= x->used && x->owner != who[0];
        x->owner = who[0];
    }
    x->used = true;
}

label *labels_find(labels *l, const catalog_row *image)
{
    text key;
    text_init(&key);
    bool known = labels_key_of_image(l, image, &key);
    mapping_field first = l->map->table[0].join[0];
    label *f = NULL;
    l->asked++;
    if (known && (first == FIELD_path || first == FIELD_folder)) {
        char *whole_key = mem_strdup(key.s);
        f = find_path(l, &key);
        text_clear(&key);
        text_add(&key, whole_key);
        mem_free(whole_key);
    } else if (known) {
        f = find_key(l, key.s);
    }
    if (f)
        compare(l, f, image);
    else
        note_miss(l, image, known ? key.s : NULL);
    text_release(&key);
    return f;
}
