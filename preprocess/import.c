/* Reads the tables of a mapping and puts rows together. Cells to values is in import_value.c. */
#include "preprocess/import_value.h"

#include "core/fs.h"
#include "core/log.h"
#include "dicom/record.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define WORDS_MOST 4096 /* distinct ones; more is a column that was named by mistake */
#define TEXT_BLOCK ((size_t)1 << 16)

/* ---- texts and words ------------------------------------------------------------------------- */

struct import_text { /* a block of texts that live as long as the importer */
    struct import_text *next;
    size_t used, cap;
    char s[];
};

static const char *keep(importer *im, const char *s)
{
    size_t n = strlen(s) + 1;
    if (!im->texts || im->texts->cap - im->texts->used < n) {
        size_t cap = n > TEXT_BLOCK ? n : TEXT_BLOCK;
        struct import_text *t = mem_alloc(sizeof *t + cap);
        *t = (struct import_text){.next = im->texts, .cap = cap};
        im->texts = t;
    }
    char *at = im->texts->s + im->texts->used;
    im->texts->used += n;
    return memcpy(at, s, n);
}

const char *import_word(const importer *im, uint16_t word)
{
    return im->word[word];
}

static bool intern(importer *im, const char *s, uint16_t *out)
{
    for (int i = 0; i < im->n_words; i++)
        if (!strcmp(im->word[i], s)) {
            *out = (uint16_t)i;
            return true;
        }
    if (im->n_words == WORDS_MOST)
        return false;
    if (im->n_words == im->cap_words) {
        int cap = im->cap_words ? 2 * im->cap_words : 16;
        im->word = mem_realloc(im->word, (size_t)im->cap_words * sizeof *im->word,
                               (size_t)cap * sizeof *im->word);
        im->cap_words = cap;
    }
    *out = (uint16_t)im->n_words;
    im->word[im->n_words++] = mem_strdup(s);
    return true;
}

/* ---- keys ------------------------------------------------------------------------------------ */

void import_normalise(unsigned how, const char *key, text *out)
{
    bool start = true;
    text_clear(out);
    for (const char *s = key; *s; s++) {
        char c = *s;
        if ((how & IMPORT_SPACES) && c == ' ')
            continue;
        if ((how & IMPORT_ZEROS) && start && c == '0' && s[1] && s[1] != IMPORT_PART && s[1] != '/')
            continue;
        if ((how & IMPORT_CASE) && c >= 'A' && c <= 'Z')
            c = (char)(c - 'A' + 'a');
        start = c == IMPORT_PART || c == '/';
        text_addn(out, &c, 1);
    }
}

static size_t stem_length(const char *base)
{
    static const char *const endings[] = {".dcm", ".dicom", ".dic", ".png", ".jpg", ".jpeg",
                                          ".tif", ".tiff",  ".ima", ".img", ".jp2", ".npy"};
    const char *dot = strrchr(base, '.');
    for (size_t i = 0; dot && dot > base && i < COUNT_OF(endings); i++)
        if (text_ieq(dot, endings[i]))
            return (size_t)(dot - base);
    return strlen(base);
}

/* Parts of a path from its end, so that one path ends another when its text begins the other's. */
static void add_reversed(const char *path, text *out)
{
    const char *end = path + strlen(path);
    while (end > path) {
        const char *s = end;
        while (s > path && s[-1] != '/')
            s--;
        bool dot = end - s == 1 && *s == '.';
        if (end > s && !dot) {
            if (out->len)
                text_addn(out, "/", 1);
            text_addn(out, s, (size_t)(end - s));
        }
        end = s > path ? s - 1 : path;
    }
}

bool import_key_of_file(mapping_field f, const char *path, text *out)
{
    char *p = mem_strdup(path);
    for (char *s = p; *s; s++)
        if (*s == '\\')
            *s = '/';
    char *base = (char *)fs_base(p);
    text_clear(out);
    if (f == FIELD_folder) {
        *base = 0;
        add_reversed(p, out);
    } else {
        base[stem_length(base)] = 0;
        if (f == FIELD_file_start)
            base[strcspn(base, "_")] = 0;
        if (f == FIELD_path)
            add_reversed(p, out);
        else
            text_add(out, base);
    }
    mem_free(p);
    return out->len > 0;
}

/* A folder in a table is written without a file behind it. */
static bool key_of_cell(mapping_field f, const char *cell, unsigned normalise, text *out)
{
    text t;
    text_init(&t);
    if (f == FIELD_folder) {
        text_addf(&t, "%s/x", cell);
        import_key_of_file(f, t.s, out);
    } else if (f >= FIELD_file && f <= FIELD_path) {
        import_key_of_file(f, cell, out);
    } else {
        text_clear(out);
        text_add(out, cell);
    }
    text_clear(&t);
    text_add(&t, out->s);
    import_normalise(normalise, t.s, out);
    text_release(&t);
    return out->len > 0;
}

static bool add_part(text *t, const char *part)
{
    if (!part || !*part)
        return false;
    if (t->len)
        text_addn(t, "\x1f", 1);
    text_add(t, part);
    return true;
}

static bool add_field(const import_row *r, mapping_field f, text *t)
{
    char side[2] = {r->side, 0};
    if (f == FIELD_side)
        return (r->side == 'L' || r->side == 'R') && add_part(t, side);
    if (f == FIELD_view)
        return r->view > 0 && add_part(t, record_view_name((record_view)r->view));
    return add_part(t, r->key[f]);
}

/* The exam of a row: her own number for it, else what names it in the images, else herself (a table
 * with one exam for each patient). */
static bool add_exam(const import_row *r, text *t)
{
    if (r->key[FIELD_patient])
        add_part(t, r->key[FIELD_patient]);
    for (int f = FIELD_exam; f <= FIELD_study; f++)
        if (r->key[f])
            return add_part(t, r->key[f]);
    return r->key[FIELD_patient] != NULL;
}

/* The text that all rows of one patient, exam, breast or image share; false = a key is empty. */
static bool level_key(const import_row *r, mapping_level l, const mapping_table *t, bool further,
                      text *out)
{
    text_clear(out);
    if (l == MAPPING_PATIENT)
        return add_part(out, r->key[FIELD_patient]);
    if (l == MAPPING_EXAM)
        return add_exam(r, out);
    if (l == MAPPING_BREAST && !further)
        return add_exam(r, out) && add_field(r, FIELD_side, out);
    for (int i = 0; i < t->n_join; i++)
        if (!add_field(r, t->join[i], out))
            return false;
    return true;
}

bool import_link(const importer *im, int to, int64_t row, text *out)
{
    return level_key(&im->table[0].row[row], MAPPING_IMAGE, im->table[to].map, true, out);
}

/* ---- putting rows together ------------------------------------------------------------------- */

import_value import_get(const importer *im, int table, int64_t row, int slot)
{
    return im->table[table].value[row * im->map->n_slots + slot];
}

bool import_has(const importer *im, mapping_field f)
{
    for (int s = 0; s < im->map->n_slots; s++)
        if (im->map->slot[s]->field == f && im->found[s])
            return true;
    return false;
}

static bool is_outcome(mapping_field f)
{
    return (f >= FIELD_cancer && f <= FIELD_cancer_side) || f == FIELD_weight;
}

static float pick(mapping_merge how, float a, float b)
{
    return how == MAPPING_MIN ? fminf(a, b) : fmaxf(a, b);
}

/* Put `from` into `to`; false = they contradict each other. */
static bool merge_value(const importer *im, const mapping_use *u, import_value *to,
                        const import_value *from)
{
    bool a = !isnan(to->lo), b = !isnan(from->lo);
    bool same = a == b && (!a || (to->lo == from->lo && to->hi == from->hi));
    if (!a || !b || same) {
        if (!a)
            *to = *from;
        return same || u->merge != MAPPING_SAME;
    }
    switch (u->merge) {
    case MAPPING_UNION:
        to->lo = to->hi = 'B';
        return true;
    case MAPPING_MIN:
    case MAPPING_MAX:
        to->lo = pick(u->merge, to->lo, from->lo);
        to->hi = pick(u->merge, to->hi, from->hi);
        return true;
    case MAPPING_AGREE:
    case MAPPING_SAME:
        break;
    }
    if (mapping_field_kind(u->field) == MAPPING_WORD &&
        strcmp(import_word(im, (uint16_t)from->lo), import_word(im, (uint16_t)to->lo)) < 0)
        *to = *from; /* the first in byte order, whatever the order of rows */
    else if (!is_outcome(u->field) &&
             (from->lo < to->lo || (from->lo == to->lo && from->hi < to->hi)))
        *to = *from;
    return false;
}

typedef struct group_key {
    const char *key;
    int64_t row;
} group_key;

static int by_group(const void *a, const void *b)
{
    const group_key *x = a, *y = b;
    int c = strcmp(x->key, y->key);
    return c ? c : (x->row > y->row) - (x->row < y->row);
}

/* Rows that have a key of this level, in its order. */
static group_key *group_rows(importer *im, int table, mapping_level l, int64_t *n)
{
    import_table *t = &im->table[table];
    group_key *g = MEM_ARRAY(group_key, t->n ? t->n : 1);
    text key;
    text_init(&key);
    *n = 0;
    for (int64_t i = 0; i < t->n; i++)
        if (l == MAPPING_IMAGE) {
            if (t->row[i].join)
                g[(*n)++] = (group_key){t->row[i].join, i};
        } else if (level_key(&t->row[i], l, t->map, table > 0, &key)) {
            g[(*n)++] = (group_key){keep(im, key.s), i};
        }
    text_release(&key);
    qsort(g, (size_t)*n, sizeof *g, by_group);
    return g;
}

static bool has_level(const importer *im, int table, mapping_level l)
{
    const mapping_table *t = im->table[table].map;
    for (int i = 0; i < t->n_uses; i++)
        if (t->use[i]->slot >= 0 && t->use[i]->level == l)
            return true;
    return false;
}

/* Give rows a..b of a group what they say together. */
static void merge_group(importer *im, int table, mapping_level l, const group_key *g, int64_t n)
{
    import_table *t = &im->table[table];
    int slots = im->map->n_slots;
    for (int k = 0; k < t->map->n_uses; k++) {
        const mapping_use *u = t->map->use[k];
        if (u->slot < 0 || u->level != l)
            continue;
        import_value v = t->value[g[0].row * slots + u->slot];
        bool agree = true;
        for (int64_t i = 1; i < n; i++)
            agree &= merge_value(im, u, &v, &t->value[g[i].row * slots + u->slot]);
        for (int64_t i = 0; i < n; i++) {
            t->value[g[i].row * slots + u->slot] = v;
            t->row[g[i].row].conflict |= !agree && is_outcome(u->field);
            t->row[g[i].row].split_conflict |= !agree && u->field == FIELD_split;
        }
    }
}

static void merge_level(importer *im, int table, mapping_level l)
{
    int64_t n;
    if (!has_level(im, table, l))
        return;
    group_key *g = group_rows(im, table, l, &n);
    for (int64_t a = 0, b; a < n; a = b) {
        for (b = a + 1; b < n && !strcmp(g[b].key, g[a].key); b++)
            ;
        if (b - a > 1)
            merge_group(im, table, l, g + a, b - a);
    }
    mem_free(g);
}

/* Values of a further table go to the rows of the first one that share the keys of their level. */
static void attach_level(importer *im, int table, mapping_level l)
{
    import_table *to = &im->table[0], *from = &im->table[table];
    int slots = im->map->n_slots;
    int64_t n;
    text key;
    if (!has_level(im, table, l))
        return;
    group_key *g = group_rows(im, table, l, &n);
    text_init(&key);
    for (int64_t i = 0; i < to->n; i++) {
        if (!level_key(&to->row[i], l, from->map, true, &key))
            continue;
        int64_t a = 0, b = n;
        while (a < b) { /* the first of the group: its rows all say the same now */
            int64_t m = a + (b - a) / 2;
            if (strcmp(g[m].key, key.s) < 0)
                a = m + 1;
            else
                b = m;
        }
        if (a == n || strcmp(g[a].key, key.s))
            continue;
        for (int k = 0; k < from->map->n_uses; k++) {
            const mapping_use *u = from->map->use[k];
            if (u->slot >= 0 && u->level == l)
                to->value[i * slots + u->slot] = from->value[g[a].row * slots + u->slot];
        }
        to->row[i].conflict |= from->row[g[a].row].conflict;
        to->row[i].split_conflict |= from->row[g[a].row].split_conflict;
    }
    text_release(&key);
    mem_free(g);
}

/* ---- reading --------------------------------------------------------------------------------- */

static int64_t new_row(importer *im, import_table *t)
{
    size_t slots = (size_t)im->map->n_slots;
    if (t->n == t->cap) {
        int64_t cap = t->cap ? 2 * t->cap : 1024;
        t->row = mem_realloc(t->row, (size_t)t->cap * sizeof *t->row, (size_t)cap * sizeof *t->row);
        t->value = mem_realloc(t->value, (size_t)t->cap * slots * sizeof *t->value,
                               (size_t)cap * slots * sizeof *t->value);
        t->cap = cap;
    }
    memset(&t->row[t->n], 0, sizeof *t->row);
    t->row[t->n].view = -1;
    for (size_t k = 0; k < slots; k++)
        t->value[(size_t)t->n * slots + k] = (import_value){NAN, NAN};
    return t->n++;
}

typedef struct reading {
    importer *im;
    int table;
    unsigned normalise;
    csv_reader *csv;
    import_cells *cells;
    text cell, key;
} reading;

static bool is_join(const mapping_table *t, mapping_field f)
{
    for (int i = 0; i < t->n_join; i++)
        if (t->join[i] == f)
            return true;
    return false;
}

static bool store_key(reading *d, int64_t row, const mapping_use *u, bool said, err *e)
{
    import_row *r = &d->im->table[d->table].row[row];
    const mapping_table *t = d->im->table[d->table].map;
    if (said && key_of_cell(u->field, d->cell.s, d->normalise, &d->key))
        r->key[u->field] = keep(d->im, d->key.s);
    else if (d->im->map->keys_required && is_join(t, u->field))
        return err_set(e, ERR_INPUT, "line %d: column '%s' is empty", csv_line(d->csv),
                       u->source.column.n ? u->source.column.v[0] : u->source.pattern);
    return true;
}

static bool store_value(reading *d, int64_t row, const mapping_use *u, err *e)
{
    import_value *v = &d->im->table[d->table].value[row * d->im->map->n_slots + u->slot];
    uint16_t word;
    if (mapping_field_kind(u->field) != MAPPING_WORD)
        return import_value_of(d->cells, u, d->cell.s, v, e);
    if (!intern(d->im, d->cell.s, &word))
        return err_set(e, ERR_INPUT, "line %d: column '%s' has more than %d different values",
                       csv_line(d->csv), import_cells_column(d->cells, u), WORDS_MOST);
    v->lo = v->hi = word;
    return true;
}

/* One line of the file. A side that is B or empty, where rows are joined by side, is both. */
static bool read_line(reading *d, err *e)
{
    import_table *t = &d->im->table[d->table];
    int64_t row = new_row(d->im, t);
    t->row[row].line = csv_line(d->csv);
    for (int k = 0; k < t->map->n_uses; k++) {
        const mapping_use *u = t->map->use[k];
        bool said = import_cells_get(d->cells, k, &d->cell);
        import_value v;
        if (u->field < MAPPING_KEYS) {
            if (!store_key(d, row, u, said, e))
                return false;
        } else if (u->slot < 0 && said) {
            if (!import_value_of(d->cells, u, d->cell.s, &v, e))
                return false;
            if (u->field == FIELD_side)
                t->row[row].side = (char)v.lo;
            else
                t->row[row].view = (signed char)v.lo;
        } else if (said && !store_value(d, row, u, e)) {
            return false;
        }
    }
    if (is_join(t->map, FIELD_side) && t->row[row].side != 'L' && t->row[row].side != 'R') {
        size_t slots = (size_t)d->im->map->n_slots;
        int64_t twin = new_row(d->im, t);
        t->row[twin] = t->row[row];
        memcpy(&t->value[(size_t)twin * slots], &t->value[(size_t)row * slots],
               slots * sizeof *t->value);
        t->row[row].side = 'L';
        t->row[twin].side = 'R';
    }
    for (int64_t i = row; i < t->n; i++)
        if (level_key(&t->row[i], MAPPING_IMAGE, t->map, true, &d->key))
            t->row[i].join = keep(d->im, d->key.s);
    return true;
}

static bool check_columns(const import_table *t, bool strict, err *e)
{
    text list;
    int n = 0;
    text_init(&list);
    for (int i = 0; i < t->n_columns; i++)
        if (!t->column[i].known) {
            text_addf(&list, "%s%s", n ? ", " : "", t->column[i].name);
            n++;
        }
    if (n && strict)
        err_set(e, ERR_INPUT, "%d column%s unknown to the mapping (labels.strict): %.500s", n,
                n == 1 ? " is" : "s are", list.s);
    else if (n)
        log_info("columns_ignored", "table=%s n=%d columns=\"%.500s\"", t->map->name, n, list.s);
    text_release(&list);
    return !n || !strict;
}

static bool read_table(importer *im, int table, const char *path, unsigned normalise, bool strict,
                       err *e)
{
    import_table *t = &im->table[table];
    reading d = {.im = im, .table = table, .normalise = normalise};
    int got = -1;
    t->map = &im->map->table[table];
    text_init(&d.cell);
    text_init(&d.key);
    d.csv = csv_open(path, e);
    d.cells = d.csv ? import_cells_new(d.csv, im->map, t->map, e) : NULL;
    if (d.cells) {
        import_cells_columns(d.cells, &t->column, &t->n_columns);
        for (int i = 0; i < t->n_columns; i++)
            t->column[i].name = keep(im, t->column[i].name);
        for (int k = 0; k < t->map->n_uses; k++)
            if (t->map->use[k]->slot >= 0)
                im->found[t->map->use[k]->slot] = import_cells_has(d.cells, k);
        got = check_columns(t, strict, e) ? 1 : -1;
    }
    while (got > 0 && (got = csv_next(d.csv, e)) > 0) {
        t->lines++;
        import_cells_count(d.cells, t->column, t->n_columns);
        if (!import_cells_wanted(d.cells))
            t->passed_over++;
        else if (!read_line(&d, e))
            got = -1;
    }
    import_cells_free(d.cells);
    csv_close(d.csv);
    text_release(&d.cell);
    text_release(&d.key);
    return got == 0 || err_wrap(e, "labels '%s'", fs_base(path));
}

static bool read_all(importer *im, const char *const *path, int n, unsigned normalise, bool strict,
                     err *e)
{
    int least = 0;
    for (int i = 0; i < im->map->n_tables; i++)
        if (!im->map->table[i].optional)
            least = i + 1;
    if (n < least || n > im->map->n_tables)
        return err_set(e, ERR_CONFIG,
                       "mapping %s has %d tables, %d files were given (--labels, then "
                       "labels.tables)",
                       im->map->name, im->map->n_tables, n);
    for (int i = 0; i < n; i++)
        if (!read_table(im, i, path[i], normalise, strict, e))
            return false;
    for (int i = 0; i < n; i++)
        for (int l = MAPPING_PATIENT; l <= MAPPING_IMAGE; l++)
            merge_level(im, i, (mapping_level)l);
    for (int i = 1; i < n; i++)
        for (int l = MAPPING_PATIENT; l <= MAPPING_IMAGE; l++)
            attach_level(im, i, (mapping_level)l);
    return true;
}

importer *import_read(const mapping *m, const char *const *path, int n, unsigned normalise,
                      bool strict, err *e)
{
    importer *im = MEM_NEW(importer);
    uint16_t none;
    im->map = m;
    intern(im, "", &none);
    if (read_all(im, path, n, normalise, strict, e))
        return im;
    import_free(im);
    return NULL;
}

void import_free(importer *im)
{
    if (!im)
        return;
    for (int i = 0; i < MAPPING_TABLES; i++) {
        mem_free(im->table[i].row);
        mem_free(im->table[i].value);
        mem_free(im->table[i].column);
    }
    for (int i = 0; i < im->n_words; i++)
        mem_free(im->word[i]);
    mem_free(im->word);
    for (struct import_text *t = im->texts, *next; t; t = next) {
        next = t->next;
        mem_free(t);
    }
    mem_free(im);
}
