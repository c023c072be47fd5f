/* Builder, plain-text form and CSV writer of the tables in the eval.json tree. */
#include "eval/cells.h"
#include "core/csv.h"
#include "core/mem.h"
#include "eval/report_number.h"
#include "eval/report_text.h"
#include <math.h>

json_t *cells_string(const char *s)
{
    json_t *j = json_string(s);
    if (j)
        return j;
    char *copy = mem_strdup(s);
    for (char *p = copy; *p; p++)
        *p = (unsigned char)*p < 128 ? *p : '?';
    j = json_string(copy);
    mem_free(copy);
    return j;
}

json_t *cells_table(const char *id)
{
    char key[64];
    json_t *t = json_object();
    json_object_set_new(t, "id", json_string(id));
    snprintf(key, sizeof key, "table.%s", id);
    json_object_set_new(t, "title", json_string(report_text(key)));
    snprintf(key, sizeof key, "note.%s", id);
    const char *note = report_text_find(key);
    json_object_set_new(t, "note", note ? json_string(note) : json_null());
    json_object_set_new(t, "columns", json_array());
    json_object_set_new(t, "rows", json_array());
    return t;
}

void cells_column(json_t *table, const char *id, const char *kind)
{
    char key[64];
    snprintf(key, sizeof key, "col.%s", id);
    json_t *c = json_object();
    json_object_set_new(c, "id", json_string(id));
    json_object_set_new(c, "label", json_string(report_text(key)));
    json_object_set_new(c, "kind", json_string(kind));
    json_array_append_new(json_object_get(table, "columns"), c);
}

json_t *cells_row(json_t *table)
{
    json_t *row = json_array();
    json_array_append_new(json_object_get(table, "rows"), row);
    return row;
}

void cells_text(json_t *row, const char *s)
{
    json_array_append_new(row, cells_string(s));
}

void cells_int(json_t *row, int64_t v)
{
    json_array_append_new(row, json_integer(v));
}

void cells_num(json_t *row, double v)
{
    json_array_append_new(row, json_num(v));
}

void cells_count(json_t *row, int64_t v, bool told)
{
    told ? cells_int(row, v) : cells_text(row, report_text("hidden"));
}

void cells_est(json_t *row, double v, double lo, double hi)
{
    json_t *c = json_object();
    json_object_set_new(c, "v", json_num(v));
    json_object_set_new(c, "lo", json_num(lo));
    json_object_set_new(c, "hi", json_num(hi));
    json_array_append_new(row, c);
}

void cells_rounded(json_t *row, const double value[3], int digits)
{
    cells_est(row, value[0], value[1], value[2]);
    if (digits)
        json_object_set_new(json_array_get(row, json_array_size(row) - 1), "digits",
                            json_integer(digits));
}

int cells_digits(const json_t *cell)
{
    return (int)json_integer_value(json_object_get(cell, "digits"));
}

void cells_rate(json_t *row, const double value[3], bool told)
{
    cells_est(row, told ? value[0] : NAN, told ? value[1] : NAN, told ? value[2] : NAN);
}

/* ---- reading --------------------------------------------------------------------------------- */

static void show_number(double v, const char *kind, text *into)
{
    text plain, *out = &plain;
    text_init(out);
    if (!strncmp(kind, "fix", 3))
        text_addf(out, "%.*f", kind[3] - '0', v);
    else if (!strcmp(kind, "pct"))
        text_addf(out, "%.1f %%", 100 * v);
    else if (!strcmp(kind, "pct4"))
        text_addf(out, "%.3f %%", 100 * v);
    else if (!strcmp(kind, "num1"))
        text_addf(out, "%.1f", v);
    else if (!strcmp(kind, "p"))
        text_addf(out, v < 0.001 ? "<0.001" : "%.3f", v);
    else if (!strcmp(kind, "risk"))
        text_addf(out, "%.2f %%", 100 * v);
    else if (!strcmp(kind, "score") || !strcmp(kind, "est4"))
        text_addf(out, "%.4g", v);
    else if (!strcmp(kind, "auc") || !strcmp(kind, "num"))
        text_addf(out, "%.3f", v);
    else
        text_addf(out, "%.2f", v);
    report_number(into, out->s);
    text_release(out);
}

static void show_integer(json_int_t v, text *out)
{
    char plain[32];
    snprintf(plain, sizeof plain, "%lld", (long long)v);
    report_number(out, plain);
}

void cells_show(const json_t *cell, const char *kind, text *out)
{
    const char *const fixed[] = {kind, "fix1", "fix2", "fix3"};
    int digits = cells_digits(cell);
    if (digits < (int)COUNT_OF(fixed))
        kind = fixed[digits];
    if (json_is_string(cell) && !strcmp(kind, "section")) {
        char key[64];
        snprintf(key, sizeof key, "section.%.48s", json_string_value(cell));
        const char *name = report_text_find(key);
        text_add(out, name ? name : report_text("checklist.author"));
    } else if (json_is_string(cell)) {
        text_add(out, json_string_value(cell));
    } else if (json_is_integer(cell)) {
        show_integer(json_integer_value(cell), out);
    } else if (json_is_real(cell)) {
        show_number(json_real_value(cell), kind, out);
    } else if (json_is_object(cell) && json_is_number(json_object_get(cell, "v"))) {
        show_number(json_number_value(json_object_get(cell, "v")), kind, out);
        const json_t *lo = json_object_get(cell, "lo"), *hi = json_object_get(cell, "hi");
        if (json_is_number(lo) && json_is_number(hi)) {
            text_add(out, " (");
            show_number(json_number_value(lo), kind, out);
            bool minus = json_number_value(lo) < 0 || json_number_value(hi) < 0;
            text_add(out, minus ? report_text("range.to") : "\xE2\x80\x93"); /* en dash */
            show_number(json_number_value(hi), kind, out);
            text_add(out, ")");
        }
    } else {
        text_add(out, "\xE2\x80\x93");
    }
}

bool cells_are_words(const char *kind)
{
    return !strcmp(kind, "text") || !strcmp(kind, "section");
}

static bool is_estimate(const char *kind)
{
    return !strcmp(kind, "est") || !strcmp(kind, "est4") || !strcmp(kind, "risk") ||
           !strcmp(kind, "auc");
}

static void csv_cell(csv_writer *w, const json_t *c)
{
    if (json_is_string(c))
        csv_put(w, json_string_value(c));
    else if (json_is_integer(c))
        csv_put_i64(w, json_integer_value(c));
    else
        csv_put_f64(w, json_is_real(c) ? json_real_value(c) : NAN);
}

bool cells_csv(const json_t *table, const char *path, err *e)
{
    csv_writer *w = csv_create(path, e);
    if (!w)
        return false;
    const json_t *columns = json_object_get(table, "columns"),
                 *rows = json_object_get(table, "rows");
    size_t i, k;
    json_t *c, *row;
    json_array_foreach(columns, i, c)
    {
        const char *id = json_string_value(json_object_get(c, "id"));
        csv_put(w, id);
        if (!is_estimate(json_string_value(json_object_get(c, "kind"))))
            continue;
        char name[80];
        snprintf(name, sizeof name, "%s_lo", id);
        csv_put(w, name);
        snprintf(name, sizeof name, "%s_hi", id);
        csv_put(w, name);
    }
    csv_end_row(w);
    json_array_foreach(rows, k, row)
    {
        json_array_foreach(columns, i, c)
        {
            const json_t *cell = json_array_get(row, i);
            if (!is_estimate(json_string_value(json_object_get(c, "kind")))) {
                csv_cell(w, cell);
                continue;
            }
            csv_cell(w, json_object_get(cell, "v"));
            csv_cell(w, json_object_get(cell, "lo"));
            csv_cell(w, json_object_get(cell, "hi"));
        }
        csv_end_row(w);
    }
    return csv_commit(w, e);
}
