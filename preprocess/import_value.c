/* Cells of a line to texts (columns, patterns, conditions, words of the mapping), and texts to
 * values. A cell that its field does not understand stops the import: guessing would mislabel. */
#include "preprocess/import_value.h"

#include "dicom/record.h"

#include <limits.h>
#include <math.h>
#include <string.h>

#define COLUMNS_MOST  16 /* in one pattern */
#define DAYS_PER_YEAR 365.25

typedef struct bound { /* a source with its columns found */
    const mapping_source *s;
    int col, when;             /* -1 = none, or an optional one that is absent */
    int pattern[COLUMNS_MOST]; /* columns of the pattern in order */
    struct bound *otherwise;
} bound;

struct import_cells {
    csv_reader *r;
    const mapping *m;
    const mapping_table *t;
    bound use[MAPPING_USES], only;
    text scratch;
};

/* ---- columns --------------------------------------------------------------------------------- */

static bool find_column(const import_cells *c, const mapping_words *w, bool optional, int *col,
                        err *e)
{
    *col = -1;
    for (int i = 0; i < w->n; i++)
        if (csv_find(c->r, w->v[i]) >= 0)
            return csv_require(c->r, w->v[i], col, e);
    if (optional || csv_require(c->r, w->v[0], col, e))
        return true;
    return w->n > 1 && err_wrap(e, "none of %d names of a column", w->n);
}

static bool bind_pattern(const import_cells *c, bound *b, err *e)
{
    int n = 0;
    for (const char *s = b->s->pattern; (s = strchr(s, '{')); s++) {
        const char *end = strchr(s, '}');
        char name[128];
        if (!end || (size_t)(end - s) > sizeof name || n == COLUMNS_MOST)
            return err_set(e, ERR_CONFIG, "mapping %s: pattern '%s': wanted {column}", c->m->name,
                           b->s->pattern);
        text_copy(name, (size_t)(end - s), s + 1);
        if (!csv_require(c->r, name, &b->pattern[n++], e))
            return false;
    }
    return true;
}

static bool bind(const import_cells *c, const mapping_source *s, bool optional, bound *b, err *e)
{
    *b = (bound){.s = s, .col = -1, .when = -1};
    if (s->pattern ? !bind_pattern(c, b, e)
                   : !find_column(c, &s->column, optional || s->otherwise, &b->col, e))
        return false;
    if (s->when && !find_column(c, &(mapping_words){1, {s->when}}, optional, &b->when, e))
        return false;
    if (!s->otherwise)
        return true;
    b->otherwise = MEM_NEW(bound);
    return bind(c, s->otherwise, optional, b->otherwise, e);
}

static void unbind(bound *b)
{
    if (b->otherwise)
        unbind(b->otherwise);
    mem_free(b->otherwise);
}

import_cells *import_cells_new(csv_reader *r, const mapping *m, const mapping_table *t, err *e)
{
    import_cells *c = MEM_NEW(import_cells);
    *c = (import_cells){.r = r, .m = m, .t = t};
    text_init(&c->scratch);
    bool ok = !t->only || bind(c, t->only, false, &c->only, e);
    for (int i = 0; i < t->n_uses && ok; i++)
        ok = bind(c, &t->use[i]->source, t->use[i]->optional, &c->use[i], e);
    if (ok)
        return c;
    import_cells_free(c);
    return NULL;
}

void import_cells_free(import_cells *c)
{
    if (!c)
        return;
    for (int i = 0; i < c->t->n_uses; i++)
        unbind(&c->use[i]);
    unbind(&c->only);
    text_release(&c->scratch);
    mem_free(c);
}

static bool uses_column(const bound *b, int col)
{
    for (; b; b = b->otherwise) {
        int n = 0;
        if (!b->s)
            return false;
        if (b->col == col || b->when == col)
            return true;
        for (const char *s = b->s->pattern; s && (s = strchr(s, '{')); s++)
            if (b->pattern[n++] == col)
                return true;
    }
    return false;
}

static void add_becomes(import_column *col, const char *what, const char *level)
{
    size_t n = strlen(col->becomes);
    snprintf(col->becomes + n, sizeof col->becomes - n, "%s%s%s%s%s", n ? ", " : "", what,
             level ? " (" : "", level ? level : "", level ? ")" : "");
}

bool import_cells_has(const import_cells *c, int k)
{
    for (const bound *b = &c->use[k]; b; b = b->otherwise)
        if (b->col >= 0 || b->s->pattern)
            return true;
    return false;
}

void import_cells_columns(const import_cells *c, import_column **out, int *n)
{
    *n = csv_columns(c->r);
    *out = MEM_ARRAY(import_column, *n ? *n : 1);
    for (int i = 0; i < *n; i++) {
        import_column *col = &(*out)[i];
        col->name = csv_column_name(c->r, i);
        for (int k = 0; k < c->t->n_uses; k++) {
            const mapping_use *u = c->t->use[k];
            char flag[80];
            if (!uses_column(&c->use[k], i))
                continue;
            snprintf(flag, sizeof flag, "flag %s", reason_name(u->flag));
            add_becomes(col, u->field == FIELD_flag ? flag : mapping_field_name(u->field),
                        u->slot < 0 ? NULL : mapping_level_name(mapping_reach(c->t, u)));
        }
        if (uses_column(&c->only, i))
            add_becomes(col, "condition of a row", NULL);
        col->known = col->becomes[0] || mapping_has_word(&c->t->ignore, col->name);
    }
}

void import_cells_count(const import_cells *c, import_column *col, int n)
{
    for (int i = 0; i < n; i++)
        if (col[i].becomes[0])
            col[i].filled += !csv_missing(c->r, i);
}

const char *import_cells_column(const import_cells *c, const mapping_use *u)
{
    for (int i = 0; i < c->t->n_uses; i++)
        if (c->t->use[i] == u && c->use[i].col >= 0)
            return csv_column_name(c->r, c->use[i].col);
    return u->source.pattern ? u->source.pattern : u->source.column.v[0];
}

/* ---- cells ----------------------------------------------------------------------------------- */

static bool missing(const import_cells *c, int col)
{
    return csv_missing(c->r, col) || mapping_has_word(&c->m->missing, csv_field(c->r, col));
}

/* The cells as the source names them, untranslated. */
static bool raw_text(import_cells *c, const bound *b, text *out)
{
    text_clear(out);
    if (!b->s->pattern) {
        if (b->col < 0 || missing(c, b->col))
            return false;
        text_add(out, csv_field(c->r, b->col));
        return true;
    }
    int n = 0;
    for (const char *s = b->s->pattern; *s;) {
        size_t k = strcspn(s, "{");
        text_addn(out, s, k);
        s += k;
        if (!*s)
            break;
        int col = b->pattern[n++];
        if (missing(c, col))
            return false;
        text_add(out, csv_field(c->r, col));
        s = strchr(s, '}') + 1;
    }
    return true;
}

static bool slash(char c)
{
    return c == '/' || c == '\\';
}

/* One part of a path; false = it has not so many. */
static bool take_part(text *t, int part)
{
    int n = 0, at;
    size_t from = 0;
    for (size_t i = 0; i <= t->len; i++)
        n +=
            i == t->len ? i > 0 && !slash(t->s[i - 1]) : slash(t->s[i]) && i && !slash(t->s[i - 1]);
    at = part > 0 ? part : n + part + 1;
    if (at < 1 || at > n)
        return false;
    for (int k = 1;; k++) {
        while (slash(t->s[from]))
            from++;
        size_t end = from;
        while (end < t->len && !slash(t->s[end]))
            end++;
        if (k == at) {
            memmove(t->s, t->s + from, end - from);
            t->len = end - from;
            t->s[t->len] = 0;
            return t->len > 0;
        }
        from = end;
    }
}

static void set_text(text *t, const char *s)
{
    text_clear(t);
    text_add(t, s);
}

/* Words of the mapping; "" is a word that says nothing. */
static bool translate(const mapping_source *s, text *t)
{
    for (int i = 0; i < s->from.n; i++)
        if (mapping_has_word(&(mapping_words){1, {s->from.v[i]}}, t->s)) {
            set_text(t, s->to.v[i]);
            return t->len > 0;
        }
    if (s->others)
        set_text(t, s->others);
    return t->len > 0;
}

static bool read_source(import_cells *c, const bound *b, text *out)
{
    if (b->s->when && (b->when < 0 || !mapping_has_word(&b->s->when_is, csv_field(c->r, b->when))))
        return false;
    if (!raw_text(c, b, out)) {
        if (!b->s->empty || (b->col < 0 && !b->s->pattern))
            return false;
        set_text(out, b->s->empty);
        return out->len > 0;
    }
    return (!b->s->part || take_part(out, b->s->part)) && translate(b->s, out);
}

bool import_cells_get(import_cells *c, int k, text *out)
{
    for (const bound *b = &c->use[k]; b; b = b->otherwise)
        if (read_source(c, b, out))
            return true;
    return false;
}

bool import_cells_wanted(import_cells *c)
{
    return !c->t->only || (read_source(c, &c->only, &c->scratch) &&
                           mapping_has_word(&c->t->only->yes, c->scratch.s));
}

/* ---- values ---------------------------------------------------------------------------------- */

static bool refuse(const import_cells *c, const mapping_use *u, const char *wanted, err *e)
{
    return err_set(e, ERR_INPUT, "line %d: column '%s' %s", csv_line(c->r),
                   import_cells_column(c, u), wanted);
}

/* A number with a dot or a decimal comma. */
static bool number(const char *s, double *v)
{
    char t[64];
    text_copy(t, sizeof t, s);
    char *comma = strchr(t, ',');
    if (comma && !strchr(t, '.') && !strchr(comma + 1, ','))
        *comma = '.';
    return strlen(s) < sizeof t && text_f64(t, v);
}

static bool side_of(const char *s, import_value *v)
{
    static const struct {
        const char *word;
        char side;
    } words[] = {{"L", 'L'}, {"LEFT", 'L'}, {"R", 'R'},        {"RIGHT", 'R'},
                 {"B", 'B'}, {"BOTH", 'B'}, {"BILATERAL", 'B'}};
    for (size_t i = 0; i < COUNT_OF(words); i++)
        if (text_ieq(s, words[i].word)) {
            v->lo = v->hi = words[i].side;
            return true;
        }
    return false;
}

static bool class_of(const char *s, import_value *v)
{
    double n;
    bool yes;
    if (number(s, &n) && (n == 0 || n == 1))
        v->lo = v->hi = (float)n;
    else if (text_bool(s, &yes))
        v->lo = v->hi = yes;
    else
        return false;
    return true;
}

static int32_t first_day(int y, int m)
{
    char s[40];
    int32_t d = INT32_MIN;
    snprintf(s, sizeof s, "%04d-%02d-01", y, m);
    return text_date(s, &d) ? d : INT32_MIN;
}

/* A year or a month of a year: all of its days. */
static bool coarse_date(const char *s, import_value *v)
{
    int64_t n, m = 0;
    size_t k = strlen(s);
    char year[8];
    if (k == 7 && (s[4] == '-' || s[4] == '/')) {
        if (!text_i64(s + 5, &m) || m < 1)
            return false;
    } else if (k == 6) {
        if (!text_i64(s + 4, &m) || m < 1)
            return false;
    } else if (k != 4) {
        return false;
    }
    text_copy(year, 5, s);
    if (!text_i64(year, &n) || n < 1 || n > 9998 || m > 12)
        return false;
    int y = (int)n, from = m ? (int)m : 1;
    int32_t lo = first_day(y, from);
    int32_t hi = m && m < 12 ? first_day(y, from + 1) : first_day(y + 1, 1);
    v->lo = (float)lo;
    v->hi = (float)(hi - 1);
    return true;
}

/* Day and month in front, between points, slashes or hyphens. */
static bool ordered_date(const char *s, int order, int32_t *day)
{
    int a, b, y, used = 0;
    char iso[40];
    if (sscanf(s, "%2d%*1[./-]%2d%*1[./-]%4d%n", &a, &b, &y, &used) != 3 || s[used] || y < 1000)
        return false;
    snprintf(iso, sizeof iso, "%04d-%02d-%02d", y, order == 1 ? b : a, order == 1 ? a : b);
    return text_date(iso, day);
}

static bool is_sentinel(const mapping *m, const char *s)
{
    static const mapping_words always = {
        5, {"19000101", "20990909", "99991231", "00000000", "00010101"}};
    char digits[16];
    size_t n = 0;
    for (; *s && n + 1 < sizeof digits; s++)
        if (*s != '-')
            digits[n++] = *s;
    digits[n] = 0;
    for (int i = 0; i < always.n; i++)
        if (!strcmp(always.v[i], digits))
            return true;
    for (int i = 0; i < m->sentinel.n; i++)
        if (!strcmp(m->sentinel.v[i], digits))
            return true;
    return false;
}

static bool date_of(const mapping *m, const mapping_use *u, const char *s, import_value *v)
{
    char day[32];
    int32_t d;
    text_copy(day, sizeof day, s);
    char *clock = strchr(day, strchr(day, 'T') ? 'T' : ' ');
    if (clock && clock[1] >= '0' && clock[1] <= '9')
        *clock = 0; /* 2013-05-01 00:00:00 */
    if (is_sentinel(m, day))
        return true;
    if (text_date(day, &d) || (u->date_order && ordered_date(day, u->date_order, &d)))
        v->lo = v->hi = (float)d;
    else
        return coarse_date(day, v);
    return true;
}

/* Days of "12", "12 days", "2 years": whole years are all their days, part of a year is one day. */
static bool span_of(const char *s, bool years, double *lo, double *hi)
{
    char t[64];
    double n;
    text_copy(t, sizeof t, s);
    char *unit = strchr(t, ' ');
    if (unit) {
        *unit++ = 0;
        if (!text_ieq(unit, "days") && !text_ieq(unit, "years"))
            return false;
        years = text_ieq(unit, "years");
    }
    if (!number(t, &n) || n < 0 || n > 40000)
        return false;
    if (years && n == floor(n)) {
        *lo = ceil(n * DAYS_PER_YEAR);
        *hi = ceil((n + 1) * DAYS_PER_YEAR) - 1;
    } else {
        *lo = *hi = floor(years ? n * DAYS_PER_YEAR : n);
    }
    return true;
}

/* "none", one span, "60..729" or "731..". */
static bool time_of(const char *s, bool years, import_value *v)
{
    double lo, hi, skip;
    const char *dots = strstr(s, "..");
    if (text_ieq(s, "none")) {
        v->lo = v->hi = INFINITY;
        return true;
    }
    if (!dots) {
        if (!span_of(s, years, &lo, &hi))
            return false;
    } else {
        char left[64];
        if (dots - s >= (ptrdiff_t)sizeof left)
            return false;
        text_copy(left, (size_t)(dots - s) + 1, s);
        if (!span_of(left, years, &lo, &skip))
            return false;
        hi = INFINITY;
        if (dots[2] && (!span_of(dots + 2, years, &skip, &hi) || hi < lo))
            return false;
    }
    v->lo = (float)lo;
    v->hi = (float)hi;
    return true;
}

/* "053Y", "45", "40..55", "90+". */
static bool age_of(const char *s, import_value *v)
{
    char t[32];
    double lo, hi;
    text_copy(t, sizeof t, s);
    char *dots = strstr(t, "..");
    size_t n = strlen(t);
    if (!dots && n > 1 && (t[n - 1] == 'Y' || t[n - 1] == 'y' || t[n - 1] == '+'))
        t[n - 1] = 0;
    if (dots)
        *dots = 0;
    if (!number(t, &lo) || lo < 0 || lo > 150)
        return false;
    hi = dots ? 150 : lo;
    if (dots && dots[2] && (!number(dots + 2, &hi) || hi < lo || hi > 150))
        return false;
    v->lo = (float)floor(lo);
    v->hi = (float)floor(hi);
    return true;
}

static bool weight_of(const char *s, import_value *v)
{
    double n;
    if (!number(s, &n) || !(n > 0 && n < 1e9))
        return false;
    v->lo = v->hi = (float)n;
    return true;
}

bool import_value_of(const import_cells *c, const mapping_use *u, const char *s, import_value *out,
                     err *e)
{
    *out = (import_value){NAN, NAN};
    switch (mapping_field_kind(u->field)) {
    case MAPPING_SIDE:
        return side_of(s, out) || refuse(c, u, "wants L, R or B", e);
    case MAPPING_VIEW: {
        record_view v = record_view_find(s);
        out->lo = out->hi = (float)(v == VIEW_UNKNOWN ? VIEW_OTHER : v);
        return true;
    }
    case MAPPING_CLASS:
        return class_of(s, out) || refuse(c, u, "wants 0 or 1", e);
    case MAPPING_DATE:
        return date_of(c->m, u, s, out) ||
               refuse(c, u, "holds no date (wanted YYYY-MM-DD or YYYYMMDD)", e);
    case MAPPING_TIME:
        return time_of(s, u->years, out) ||
               refuse(c, u, u->years ? "holds no number of years" : "holds no number of days", e);
    case MAPPING_AGE:
        return age_of(s, out) || refuse(c, u, "holds no age in years", e);
    case MAPPING_WEIGHT:
        return weight_of(s, out) || refuse(c, u, "wants a number above 0", e);
    case MAPPING_FLAG:
        out->lo = out->hi = mapping_has_word(&u->source.yes, s);
        return true;
    case MAPPING_KEY:
    case MAPPING_WORD:
        break;
    }
    BUG("kind of a field");
}
