/* Reader of prediction tables: strict columns and values, interned strings, canonical row order.
 * Messages name file and line only: a table of a hospital may hold raw identifiers. */
#include "eval/scores.h"
#include "core/csv.h"
#include "core/fs.h"
#include "core/mem.h"
#include "core/text.h"
#include <ctype.h>
#include <math.h>

#define AGE_MAX  130.0
#define TIME_MAX 200.0 /* years */

/* ---- interned strings ------------------------------------------------------------------------ */

#define STRINGS_BLOCK ((size_t)1 << 18)

typedef struct scores_strings {
    char **slot; /* open addressing, NULL = free */
    size_t cap, n;
    arena *mem;        /* of blocks: an arena's own alignment would double a table of names */
    char *block;       /* the open one */
    size_t block_left; /* bytes */
} scores_strings;

static char *strings_keep(scores_strings *t, const char *s, size_t len)
{
    if (len > STRINGS_BLOCK / 4)
        return memcpy(arena_alloc(t->mem, len), s, len);
    if (len > t->block_left) {
        t->block = arena_alloc(t->mem, STRINGS_BLOCK);
        t->block_left = STRINGS_BLOCK;
    }
    char *copy = memcpy(t->block, s, len);
    t->block += len;
    t->block_left -= len;
    return copy;
}

static uint64_t hash_of(const char *s)
{
    uint64_t h = 1469598103934665603u;
    for (; *s; s++)
        h = (h ^ (unsigned char)*s) * 1099511628211u;
    return h ^ (h >> 29);
}

static void strings_place(char **slot, size_t cap, char *s)
{
    size_t i = hash_of(s) & (cap - 1);
    while (slot[i])
        i = (i + 1) & (cap - 1);
    slot[i] = s;
}

static const char *intern(scores_strings *t, const char *s)
{
    if (!s)
        s = "";
    if (4 * (t->n + 1) > 3 * t->cap) {
        size_t cap = t->cap ? 2 * t->cap : 1024;
        char **slot = MEM_ARRAY(char *, cap);
        for (size_t i = 0; i < t->cap; i++)
            if (t->slot[i])
                strings_place(slot, cap, t->slot[i]);
        mem_free(t->slot);
        t->slot = slot;
        t->cap = cap;
    }
    size_t i = hash_of(s) & (t->cap - 1);
    for (; t->slot[i]; i = (i + 1) & (t->cap - 1))
        if (!strcmp(t->slot[i], s))
            return t->slot[i];
    t->n++;
    return t->slot[i] = strings_keep(t, s, strlen(s) + 1);
}

void scores_init(scores *s)
{
    memset(s, 0, sizeof *s);
    s->strings = MEM_NEW(scores_strings);
    s->strings->mem = arena_new(STRINGS_BLOCK);
}

void scores_release(scores *s)
{
    if (!s)
        return;
    if (s->strings) {
        arena_free(s->strings->mem);
        mem_free(s->strings->slot);
        mem_free(s->strings);
    }
    mem_free(s->row);
    memset(s, 0, sizeof *s);
}

/* A copy that lives as long as the table. */
static const scores_more *keep_more(scores *s, const scores_more *m)
{
    if (!s->n_years && !s->n_facts)
        return NULL;
    if (!m || m->n_years != s->n_years || m->n_facts != s->n_facts)
        BUG("scores: a row without the table's columns");
    arena *mem = s->strings->mem;
    size_t years = (size_t)s->n_years * sizeof *m->year;
    const char **fact = arena_alloc(mem, (size_t)s->n_facts * sizeof *fact);
    for (int k = 0; k < s->n_facts; k++)
        fact[k] = intern(s->strings, m->fact[k]);
    scores_more *copy = arena_alloc(mem, sizeof *copy + years);
    double *year = (double *)(copy + 1);
    memcpy(year, m->year, years);
    *copy = (scores_more){s->n_years, s->n_facts, year, fact};
    return copy;
}

void scores_add(scores *s, const scores_row *r)
{
    if (s->n == s->cap) {
        /* by half: the old and the new table are there at once */
        int64_t cap = s->cap ? s->cap + s->cap / 2 : 256;
        s->row = mem_realloc(s->row, (size_t)s->cap * sizeof *s->row, (size_t)cap * sizeof *s->row);
        s->cap = cap;
    }
    scores_row *d = &s->row[s->n++];
    scores_strings *t = s->strings;
    *d = *r;
    d->exam = intern(t, r->exam);
    d->patient = intern(t, r->patient);
    d->image = intern(t, r->image);
    d->split = intern(t, r->split);
    d->vendor = intern(t, r->vendor);
    d->device_model = intern(t, r->device_model);
    d->site = intern(t, r->site);
    d->density = intern(t, r->density);
    d->member = intern(t, r->member);
    d->more = keep_more(s, r->more);
}

/* ---- canonical order ------------------------------------------------------------------------- */

static int cmp_f64(double a, double b)
{
    if (isnan(a) || isnan(b))
        return (isnan(a) != 0) - (isnan(b) != 0);
    return (a > b) - (a < b);
}

/* Both rows are of one table. */
static int cmp_more(const scores_more *a, const scores_more *b)
{
    int c = 0;
    for (int k = 0; a && b && !c && k < a->n_years; k++)
        c = cmp_f64(a->year[k], b->year[k]);
    for (int k = 0; a && b && !c && k < a->n_facts; k++)
        c = strcmp(a->fact[k], b->fact[k]);
    return c;
}

/* Order by image identity first, then by every other column: equal = the same in all columns. */
static int cmp_rest(const scores_row *a, const scores_row *b)
{
    int c = strcmp(a->patient, b->patient);
    c = c ? c : a->side - b->side;
    c = c ? c : a->view - b->view;
    c = c ? c : cmp_f64(a->score, b->score);
    c = c ? c : a->y - b->y;
    c = c ? c : cmp_f64(a->t_years, b->t_years);
    c = c ? c : a->event - b->event;
    c = c ? c : cmp_f64(a->weight, b->weight);
    c = c ? c : cmp_f64(a->exam_day, b->exam_day);
    c = c ? c : a->age - b->age;
    c = c ? c : strcmp(a->split, b->split);
    c = c ? c : strcmp(a->vendor, b->vendor);
    c = c ? c : strcmp(a->device_model, b->device_model);
    c = c ? c : strcmp(a->site, b->site);
    c = c ? c : strcmp(a->density, b->density);
    return c ? c : cmp_more(a->more, b->more);
}

static int cmp_row(const void *x, const void *y)
{
    const scores_row *a = x, *b = y;
    int c = strcmp(a->exam, b->exam);
    c = c ? c : strcmp(a->member, b->member);
    c = c ? c : strcmp(a->image, b->image);
    c = c ? c : cmp_rest(a, b);
    return c ? c : (a->line > b->line) - (a->line < b->line);
}

static int cmp_row_at(const void *x, const void *y)
{
    return cmp_row(*(const scores_row *const *)x, *(const scores_row *const *)y);
}

static int cmp_by_image(const void *x, const void *y)
{
    const scores_row *const *a = x, *const *b = y;
    int c = strcmp((*a)->image, (*b)->image);
    return c ? c : cmp_row(*a, *b);
}

static int cmp_by_patient(const void *x, const void *y)
{
    const scores_row *const *a = x, *const *b = y;
    int c = strcmp((*a)->patient, (*b)->patient);
    c = c ? c : strcmp((*a)->split, (*b)->split);
    return c ? c : cmp_row(*a, *b);
}

/* ---- checks over the whole table ------------------------------------------------------------- */

static bool lines_error(const char *name, const scores_row *a, const scores_row *b,
                        const char *what, err *e)
{
    int first = a->line < b->line ? a->line : b->line;
    int second = a->line < b->line ? b->line : a->line;
    return err_set(e, ERR_INPUT, "%s: lines %d and %d: %s", name, first, second, what);
}

/* Rows that are equal in every column are merged; one image with two different rows fails. */
static bool merge_repeats(scores *s, const char *name, err *e)
{
    int64_t kept = 0;
    for (int64_t i = 0; i < s->n; i++) {
        const scores_row *a = kept ? &s->row[kept - 1] : NULL, *b = &s->row[i];
        if (a && b->image[0] && a->exam == b->exam && a->member == b->member &&
            a->image == b->image) {
            if (cmp_rest(a, b)) {
                const char *what = a->y != b->y           ? "one image has two labels"
                                   : a->score != b->score ? "one image has two scores"
                                                          : "one image has two rows that differ";
                return lines_error(name, a, b, what, e);
            }
            s->n_merged++;
            continue;
        }
        s->row[kept++] = *b;
    }
    s->n = kept;
    return true;
}

static bool check_table(const scores *s, const char *name, err *e)
{
    bool ok = true;
    const scores_row **p = MEM_ARRAY(const scores_row *, s->n + 1);
    for (int64_t i = 0; i < s->n; i++)
        p[i] = &s->row[i];
    qsort(p, (size_t)s->n, sizeof *p, cmp_by_image);
    for (int64_t i = 1; ok && i < s->n; i++) {
        const scores_row *a = p[i - 1], *b = p[i];
        if (!a->image[0] || a->image != b->image)
            continue;
        if (a->exam != b->exam)
            ok = lines_error(name, a, b, "one image belongs to two exams", e);
        else if (a->y != b->y)
            ok = lines_error(name, a, b, "one image has two labels", e);
    }
    if (ok)
        qsort(p, (size_t)s->n, sizeof *p, cmp_by_patient);
    for (int64_t i = 1; ok && i < s->n; i++)
        if (p[i - 1]->patient == p[i]->patient && p[i - 1]->split != p[i]->split)
            ok = lines_error(name, p[i - 1], p[i], "one patient is in two splits", e);
    mem_free(p);
    return ok;
}

/* ---- reading --------------------------------------------------------------------------------- */

typedef struct columns {
    int exam, patient, image, side, view, score, y, t, event, weight, age, split, vendor, model,
        site, density, checkpoint, seed, day, logit;
    int year[SCORES_YEARS];
    int *fact; /* [n_facts] in order of their names */
} columns;

static const struct known {
    const char *name;
    size_t at;        /* in columns */
    unsigned present; /* bit of scores.columns, or 0 */
} known[] = {
    {"exam_id", offsetof(columns, exam), 0},
    {"patient_id", offsetof(columns, patient), SCORES_HAS_PATIENT},
    {"image_id", offsetof(columns, image), SCORES_HAS_IMAGE},
    {"laterality", offsetof(columns, side), SCORES_HAS_SIDE},
    {"view", offsetof(columns, view), SCORES_HAS_VIEW},
    {"score", offsetof(columns, score), 0},
    {"y", offsetof(columns, y), 0},
    {"T", offsetof(columns, t), SCORES_HAS_TIME},
    {"E", offsetof(columns, event), 0},
    {"weight", offsetof(columns, weight), SCORES_HAS_WEIGHT},
    {"age", offsetof(columns, age), SCORES_HAS_AGE},
    {"split", offsetof(columns, split), SCORES_HAS_SPLIT},
    {"vendor", offsetof(columns, vendor), SCORES_HAS_VENDOR},
    {"device_model", offsetof(columns, model), 0},
    {"site", offsetof(columns, site), 0},
    {"density", offsetof(columns, density), 0},
    {"checkpoint", offsetof(columns, checkpoint), 0},
    {"seed", offsetof(columns, seed), 0},
    {"exam_day", offsetof(columns, day), 0},
    {"logit", offsetof(columns, logit), 0}, /* says what score says */
};

typedef struct reading {
    csv_reader *csv;
    const char *name; /* base name of the file */
    columns c;
    const char **fact; /* [n_facts] of the row at hand */
} reading;

static bool bad_value(const reading *r, int col, const char *wanted, err *e)
{
    char shown[48];
    text_copy(shown, sizeof shown, csv_field(r->csv, col));
    return err_set(e, ERR_INPUT, "%s line %d: column '%s' is '%s'; wanted %s", r->name,
                   csv_line(r->csv), csv_column_name(r->csv, col), shown, wanted);
}

/* A number in [lo, hi]; an absent column or a missing value gives *out = absent. */
static bool get_number(const reading *r, int col, double lo, double hi, double *out, err *e)
{
    if (col < 0 || csv_missing(r->csv, col))
        return true;
    double v;
    char wanted[64];
    snprintf(wanted, sizeof wanted, "a number from %g to %g", lo, hi);
    if (!text_f64(csv_field(r->csv, col), &v) || !(v >= lo && v <= hi))
        return bad_value(r, col, wanted, e);
    *out = v;
    return true;
}

static bool get_risk(const reading *r, int col, double *out, err *e)
{
    if (csv_missing(r->csv, col))
        return bad_value(r, col, "a probability from 0 to 1", e);
    if (!get_number(r, col, 0, 1, out, e))
        return false;
    *out += 0.0; /* no negative zero */
    return true;
}

static bool get_binary(const reading *r, int col, int *out, err *e)
{
    if (col < 0 || csv_missing(r->csv, col))
        return true;
    double v;
    if (!text_f64(csv_field(r->csv, col), &v) || (v != 0 && v != 1))
        return bad_value(r, col, "0, 1 or empty", e);
    *out = v == 1;
    return true;
}

static bool get_side(const reading *r, int col, char *out, err *e)
{
    if (col < 0 || csv_missing(r->csv, col))
        return true;
    const char *v = csv_field(r->csv, col);
    if (text_ieq(v, "L") || text_ieq(v, "left"))
        *out = 'L';
    else if (text_ieq(v, "R") || text_ieq(v, "right"))
        *out = 'R';
    else if (strcmp(v, "?"))
        return bad_value(r, col, "L, R or empty", e);
    return true;
}

static char view_of(const char *v)
{
    return text_ieq(v, "CC") ? 'C' : text_ieq(v, "MLO") ? 'M' : '?';
}

static const char *text_of(const reading *r, int col)
{
    return col < 0 || csv_missing(r->csv, col) ? "" : csv_field(r->csv, col);
}

static const char *year_name(int k, char out[16])
{
    snprintf(out, 16, "score_h%d", k + 1);
    return out;
}

static bool find_years(reading *r, scores *s, err *e)
{
    columns *c = &r->c;
    for (int k = 0; k < SCORES_YEARS; k++) {
        char name[16];
        c->year[k] = csv_find(r->csv, year_name(k, name));
        if (c->year[k] >= 0 && s->n_years < k)
            return err_set(e, ERR_INPUT, "%s: column '%s' is there without 'score_h%d'", r->name,
                           name, k);
        s->n_years += c->year[k] >= 0;
    }
    return true;
}

typedef struct named {
    const char *name;
    int column;
} named;

static int cmp_named(const void *x, const void *y)
{
    return strcmp(((const named *)x)->name, ((const named *)y)->name);
}

/* The columns that nothing else here reads, by name. */
static void find_facts(reading *r, scores *s)
{
    int n = csv_columns(r->csv);
    named *f = MEM_ARRAY(named, n + 1);
    for (int k = 0; k < n; k++) {
        const char *name = csv_column_name(r->csv, k);
        char year[16];
        bool taken = !name[0];
        for (int i = 0; i < SCORES_YEARS; i++)
            taken = taken || text_ieq(year_name(i, year), name);
        for (size_t i = 0; i < COUNT_OF(known); i++)
            taken = taken || text_ieq(known[i].name, name);
        if (taken)
            continue;
        char *lower = mem_strdup(name);
        for (char *p = lower; *p; p++)
            *p = (char)tolower((unsigned char)*p);
        f[s->n_facts++] = (named){intern(s->strings, lower), k};
        mem_free(lower);
    }
    qsort(f, (size_t)s->n_facts, sizeof *f, cmp_named);
    const char **fact = arena_alloc(s->strings->mem, (size_t)s->n_facts * sizeof *fact);
    r->c.fact = MEM_ARRAY(int, s->n_facts + 1);
    for (int k = 0; k < s->n_facts; k++) {
        fact[k] = f[k].name;
        r->c.fact[k] = f[k].column;
    }
    s->fact_name = fact;
    mem_free(f);
}

static bool find_columns(reading *r, scores *s, err *e)
{
    int found;
    if (!csv_require(r->csv, "exam_id", &found, e) || !csv_require(r->csv, "score", &found, e) ||
        !csv_require(r->csv, "y", &found, e) || !find_years(r, s, e))
        return false;
    s->columns = 0;
    for (size_t i = 0; i < COUNT_OF(known); i++) {
        int at = csv_find(r->csv, known[i].name);
        memcpy((char *)&r->c + known[i].at, &at, sizeof at);
        s->columns |= at >= 0 ? known[i].present : 0u;
    }
    find_facts(r, s);
    return true;
}

static bool read_row(const reading *r, scores *s, text *member, err *e)
{
    const columns *c = &r->c;
    const char *exam = text_of(r, c->exam), *patient = text_of(r, c->patient);
    int line = csv_line(r->csv);
    if (!exam[0])
        return err_set(e, ERR_INPUT, "%s line %d: exam_id is empty", r->name, line);
    if (c->patient >= 0 && !patient[0])
        return err_set(e, ERR_INPUT, "%s line %d: patient_id is empty", r->name, line);
    scores_row row = {.exam = exam,
                      .patient = patient[0] ? patient : exam,
                      .image = text_of(r, c->image),
                      .side = '?',
                      .view = view_of(text_of(r, c->view)),
                      .y = -1,
                      .t_years = NAN,
                      .event = -1,
                      .weight = 1,
                      .exam_day = NAN,
                      .split = text_of(r, c->split),
                      .vendor = text_of(r, c->vendor),
                      .device_model = text_of(r, c->model),
                      .site = text_of(r, c->site),
                      .density = text_of(r, c->density),
                      .line = line};
    double age = -1, score, year[SCORES_YEARS];
    if (!get_risk(r, c->score, &score, e))
        return false;
    for (int k = 0; k < s->n_years; k++)
        if (!get_risk(r, c->year[k], &year[k], e))
            return false;
    if (!get_binary(r, c->y, &row.y, e) || !get_number(r, c->t, 0, TIME_MAX, &row.t_years, e) ||
        !get_binary(r, c->event, &row.event, e) ||
        !get_number(r, c->day, -1e6, 1e6, &row.exam_day, e) ||
        !get_number(r, c->weight, 0, 1e12, &row.weight, e) ||
        !get_number(r, c->age, 0, AGE_MAX, &age, e) || !get_side(r, c->side, &row.side, e))
        return false;
    if (!(row.weight > 0))
        return bad_value(r, c->weight, "a weight above 0", e);
    row.score = score;
    row.age = age < 0 ? -1 : (int)age;
    text_clear(member);
    if (c->checkpoint >= 0 || c->seed >= 0)
        text_addf(member, "%s|%s", text_of(r, c->checkpoint), text_of(r, c->seed));
    row.member = member->s;
    for (int k = 0; k < s->n_facts; k++)
        r->fact[k] = text_of(r, c->fact[k]);
    row.more = &(scores_more){s->n_years, s->n_facts, year, r->fact};
    scores_add(s, &row);
    return true;
}

bool scores_read(scores *s, const char *path, err *e)
{
    reading r = {.name = fs_base(path)};
    text member;
    text_init(&member);
    r.csv = csv_open(path, e);
    bool ok = r.csv && find_columns(&r, s, e);
    r.fact = MEM_ARRAY(const char *, s->n_facts + 1);
    int more = 0;
    while (ok && (more = csv_next(r.csv, e)) > 0)
        ok = read_row(&r, s, &member, e);
    ok = ok && more == 0;
    if (ok && s->n == 0)
        ok = err_set(e, ERR_INPUT, "%s: the table has no rows", r.name);
    if (ok) {
        qsort(s->row, (size_t)s->n, sizeof *s->row, cmp_row);
        ok = merge_repeats(s, r.name, e) && check_table(s, r.name, e);
    }
    csv_close(r.csv);
    mem_free(r.c.fact);
    mem_free(r.fact);
    text_release(&member);
    return ok;
}

void scores_keep_split(scores *s, const char *split)
{
    if (!split[0])
        return;
    int64_t kept = 0;
    for (int64_t i = 0; i < s->n; i++)
        if (!strcmp(s->row[i].split, split))
            s->row[kept++] = s->row[i];
    s->n = kept;
}

void scores_keep_whole(scores *s, int n)
{
    int64_t kept = 0;
    for (int64_t i = 0, end; i < s->n; i = end) {
        int images = 0; /* of the network that made the first row */
        for (end = i; end < s->n && !strcmp(s->row[end].exam, s->row[i].exam); end++)
            images += !strcmp(s->row[end].member, s->row[i].member);
        for (int64_t k = i; k < end && images == n; k++)
            s->row[kept++] = s->row[k];
    }
    s->n = kept;
}

static void hash_text(fs_sha256 *h, const char *s)
{
    fs_sha256_add(h, s, strlen(s) + 1);
}

static void hash_number(fs_sha256 *h, double v)
{
    char t[32];
    text_shortest(v, t);
    hash_text(h, t);
}

void scores_hash(const scores *s, char out[65])
{
    const scores_row **row = MEM_ARRAY(const scores_row *, s->n + 1);
    bool sorted = true; /* as scores_read leaves them */
    for (int64_t i = 0; i < s->n; i++) {
        row[i] = &s->row[i];
        sorted = sorted && (!i || cmp_row(row[i - 1], row[i]) <= 0);
    }
    if (!sorted)
        qsort(row, (size_t)s->n, sizeof *row, cmp_row_at);
    fs_sha256 *h = fs_sha256_new();
    for (int k = 0; k < s->n_facts; k++)
        hash_text(h, s->fact_name[k]);
    for (int64_t i = 0; i < s->n; i++) {
        const scores_row *r = row[i];
        const char *words[] = {r->exam,   r->patient,      r->image, r->split,   r->vendor,
                               r->member, r->device_model, r->site,  r->density, NULL};
        for (int k = 0; words[k]; k++)
            hash_text(h, words[k]);
        const double numbers[] = {r->side,  r->view,   r->score, r->y,       r->t_years,
                                  r->event, r->weight, r->age,   r->exam_day};
        for (size_t k = 0; k < COUNT_OF(numbers); k++)
            hash_number(h, numbers[k]);
        for (int k = 0; r->more && k < s->n_years; k++)
            hash_number(h, r->more->year[k]);
        for (int k = 0; r->more && k < s->n_facts; k++)
            hash_text(h, r->more->fact[k]);
    }
    fs_sha256_end(h, out);
    mem_free(row);
}
