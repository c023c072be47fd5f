/* What matched and what did not, once the images were looked up: counts, the list by pseudonym, the
 * hint for ids that are only written differently, and what the columns became. */
#include "preprocess/labels_table.h"

#include "core/csv.h"
#include "core/mem.h"
#include "dicom/pseudo.h"

#include <stdlib.h>
#include <string.h>

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* ---- rows ------------------------------------------------------------------------------------ */

int64_t labels_first_row(const labels *l, const label *x)
{
    return l->member[x->first_member];
}

/* For every row of a table whether an image has it; owned by the caller. */
static bool *matched_rows(const labels *l, int table)
{
    const import_table *first = &l->im->table[0], *t = &l->im->table[table];
    bool *main_used = MEM_ARRAY(bool, first->n ? first->n : 1);
    for (int64_t i = 0; i < l->n; i++)
        for (int64_t k = 0; k < l->row[i].n_members && l->row[i].used; k++)
            main_used[l->member[l->row[i].first_member + k]] = true;
    if (!table)
        return main_used;
    char **key = MEM_ARRAY(char *, first->n ? first->n : 1);
    bool *used = MEM_ARRAY(bool, t->n ? t->n : 1);
    size_t n = 0;
    text link;
    text_init(&link);
    for (int64_t i = 0; i < first->n; i++)
        if (main_used[i] && import_link(l->im, table, i, &link))
            key[n++] = mem_strdup(link.s);
    qsort(key, n, sizeof *key, by_text);
    for (int64_t i = 0; i < t->n; i++)
        used[i] = t->row[i].join && n && bsearch(&t->row[i].join, key, n, sizeof *key, by_text);
    for (size_t i = 0; i < n; i++)
        mem_free(key[i]);
    text_release(&link);
    mem_free(key);
    mem_free(main_used);
    return used;
}

/* A line that stands for both sides is two rows, one behind the other. */
static bool is_twin(const import_table *t, int64_t i)
{
    return i > 0 && t->row[i].line == t->row[i - 1].line;
}

static bool line_matched(const import_table *t, const bool *used, int64_t i)
{
    return used[i] || (i + 1 < t->n && is_twin(t, i + 1) && used[i + 1]);
}

/* ---- the hint -------------------------------------------------------------------------------- */

static int64_t would_match(const labels *l, unsigned how)
{
    char **key = MEM_ARRAY(char *, l->n ? l->n : 1);
    int64_t n = 0;
    text t;
    text_init(&t);
    for (int64_t i = 0; i < l->n; i++) {
        import_normalise(how, l->row[i].key, &t);
        key[i] = mem_strdup(t.s);
    }
    qsort(key, (size_t)l->n, sizeof *key, by_text);
    for (int64_t i = 0; i < l->n_misses; i++) {
        if (!l->miss[i].key)
            continue;
        import_normalise(how, l->miss[i].key, &t);
        n += l->n && bsearch(&t.s, key, (size_t)l->n, sizeof *key, by_text) != NULL;
    }
    for (int64_t i = 0; i < l->n; i++)
        mem_free(key[i]);
    mem_free(key);
    text_release(&t);
    return n;
}

void labels_count(const labels *l, labels_matches *out)
{
    static const struct {
        const char *name;
        unsigned how;
    } ways[] = {{"spaces", IMPORT_SPACES},
                {"zeros", IMPORT_ZEROS},
                {"case", IMPORT_CASE},
                {"all", IMPORT_SPACES | IMPORT_ZEROS | IMPORT_CASE}};
    *out =
        (labels_matches){.images = l->asked, .images_matched = l->asked - l->n_misses, .how = ""};
    for (int k = 0; k < l->map->n_tables; k++) {
        const import_table *t = &l->im->table[k];
        bool *used = t->map ? matched_rows(l, k) : NULL;
        for (int64_t i = 0; i < t->n; i++) {
            out->rows += !is_twin(t, i);
            out->rows_matched += !is_twin(t, i) && line_matched(t, used, i);
        }
        mem_free(used);
    }
    for (size_t w = 0; w < COUNT_OF(ways) && l->n_misses; w++) {
        int64_t n = would_match(l, ways[w].how);
        if (n > out->would) {
            out->would = n;
            out->how = ways[w].name;
        }
    }
}

/* ---- the list -------------------------------------------------------------------------------- */

static void put_image(csv_writer *w, const labels_miss *m)
{
    csv_put(w, "image");
    csv_put(w, "");
    csv_put(w, "");
    csv_put_i64(w, m->file);
    csv_put(w, m->image);
    csv_put(w, m->exam);
    csv_put(w, m->patient);
    csv_put(w, m->key ? "no row" : "the image lacks the id");
    csv_end_row(w);
}

static void put_row(const labels *l, const pseudo *ps, csv_writer *w, int table, int64_t i)
{
    const import_row *r = &l->im->table[table].row[i];
    char image[33], exam[33], patient[33];
    pseudo_name(ps, "image", r->key[FIELD_sop] ? r->key[FIELD_sop] : "", image);
    pseudo_name(ps, "exam", r->key[FIELD_study] ? r->key[FIELD_study] : "", exam);
    pseudo_patient(ps, "", r->key[FIELD_patient] && !l->paired ? r->key[FIELD_patient] : "",
                   patient);
    csv_put(w, "row");
    csv_put(w, l->im->table[table].map->name);
    csv_put_i64(w, r->line);
    csv_put(w, "");
    csv_put(w, image);
    csv_put(w, exam);
    csv_put(w, patient);
    csv_put(w, r->join ? "no image" : "the row lacks the id");
    csv_end_row(w);
}

bool labels_write_unmatched(const labels *l, const char *store, const char *path, err *e)
{
    static const char *const head[] = {"kind",     "table",   "line",       "file",
                                       "image_id", "exam_id", "patient_id", "why"};
    pseudo *ps = pseudo_open(store, false, e);
    csv_writer *w = ps ? csv_create(path, e) : NULL;
    if (!w) {
        pseudo_free(ps);
        return false;
    }
    for (size_t i = 0; i < COUNT_OF(head); i++)
        csv_put(w, head[i]);
    csv_end_row(w);
    for (int64_t i = 0; i < l->n_misses; i++)
        put_image(w, &l->miss[i]);
    for (int k = 0; k < l->map->n_tables; k++) {
        const import_table *t = &l->im->table[k];
        bool *used = t->map ? matched_rows(l, k) : NULL;
        for (int64_t i = 0; i < t->n; i++)
            if (!is_twin(t, i) && !line_matched(t, used, i))
                put_row(l, ps, w, k, i);
        mem_free(used);
    }
    pseudo_free(ps);
    return csv_commit(w, e);
}

/* ---- what the columns became ----------------------------------------------------------------- */

json_t *labels_columns(const labels *l)
{
    json_t *a = json_array();
    for (int k = 0; k < l->map->n_tables; k++) {
        const import_table *t = &l->im->table[k];
        for (int i = 0; i < t->n_columns; i++) {
            const import_column *c = &t->column[i];
            const char *becomes = c->becomes[0] ? c->becomes : c->known ? "ignored" : "unknown";
            json_array_append_new(a, json_pack("{s:s, s:o, s:s, s:I, s:I}", "table", t->map->name,
                                               "column", json_words(c->name), "becomes", becomes,
                                               "filled", (json_int_t)c->filled, "rows",
                                               (json_int_t)t->lines));
        }
    }
    return a;
}

static bool try_image(void *ctx, const catalog_row *r, err *e)
{
    (void)e;
    if (r->scan_reason == REASON_NONE)
        (void)labels_find(ctx, r);
    return true;
}

bool labels_try(labels *l, const char *store, err *e)
{
    catalog *c = catalog_open(store, false, e);
    bool ok = c && catalog_each(c, NULL, try_image, l, e);
    catalog_close(c);
    return ok;
}
