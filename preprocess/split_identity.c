/* Who is one person: union-find over patient pseudonyms that share an exam, an image, a picture, a
 * row of the clinical table, an id of the header or a line of the alias table. Every joining is
 * listed with its reason in split_merges.csv. dicom.md 6. */
#include "preprocess/split_job.h"

#include "core/fs.h"
#include "core/log.h"
#include "core/mem.h"

#include <stdlib.h>
#include <string.h>

static const char *const why_name[] = {"SAME_EXAM",  "SAME_IMAGE", "SAME_PIXELS",
                                       "SAME_LABEL", "OTHER_ID",   "ALIAS"};

#define OTHERS_MOST 32 /* further numbers of one header */

static int32_t find_root(int32_t *up, int32_t i)
{
    while (up[i] != i)
        i = up[i] = up[up[i]];
    return i;
}

/* ---- ids that are known to belong together before an image is looked at ---------------------- */

struct split_aliases {
    split_ids id; /* pseudonyms of the ids as the table writes them: without an issuer */
    int32_t *up;  /* union-find over their numbers */
    int32_t cap;
    int32_t *first; /* by root: a patient number that was seen, -1 = none */
};

static int32_t alias_add(split_job *j, const char *raw)
{
    struct split_aliases *a = j->alias;
    char hex[33];
    pseudo_patient(j->ps, "", raw, hex);
    split_id id = split_id_parse(hex);
    int32_t before = a->id.n, k = split_ids_add(&a->id, &id);
    if (k < before)
        return k;
    if (k == a->cap) {
        int32_t cap = k ? 2 * k : 256;
        a->up = mem_realloc(a->up, (size_t)k * sizeof *a->up, (size_t)cap * sizeof *a->up);
        a->cap = cap;
    }
    a->up[k] = k;
    return k;
}

bool split_aliases_read(split_job *j, err *e)
{
    int id, alias, got = -1;
    if (!j->c.aliases[0])
        return true;
    csv_reader *r = csv_open(j->c.aliases, e);
    if (!r)
        return err_wrap(e, "split.aliases");
    j->alias = MEM_NEW(struct split_aliases);
    if (csv_require(r, "patient_id", &id, e) && csv_require(r, "alias", &alias, e))
        while ((got = csv_next(r, e)) > 0) {
            if (csv_missing(r, id) || csv_missing(r, alias)) {
                err_set(e, ERR_INPUT, "line %d: an id is empty", csv_line(r));
                got = -1;
                break;
            }
            int32_t a = alias_add(j, csv_field(r, id)), b = alias_add(j, csv_field(r, alias));
            a = find_root(j->alias->up, a);
            b = find_root(j->alias->up, b);
            j->alias->up[a > b ? a : b] = a > b ? b : a;
        }
    csv_close(r);
    if (got < 0)
        return err_wrap(e, "split.aliases");
    j->alias->first = MEM_ARRAY(int32_t, j->alias->id.n ? j->alias->id.n : 1);
    for (int32_t i = 0; i < j->alias->id.n; i++)
        j->alias->first[i] = -1;
    return true;
}

void split_aliases_free(struct split_aliases *a)
{
    if (!a)
        return;
    split_ids_release(&a->id);
    mem_free(a->up);
    mem_free(a->first);
    mem_free(a);
}

static void add_link(split_job *j, int32_t a, int32_t b, split_why why)
{
    if (a == b)
        return;
    for (int64_t i = j->n_link - 1; i >= 0 && i >= j->n_link - OTHERS_MOST; i--)
        if (j->link[i].a == a && j->link[i].b == b && j->link[i].why == (int)why)
            return; /* rows of one patient follow each other */
    if (j->n_link == j->cap_link) {
        int64_t cap = j->cap_link ? 2 * j->cap_link : 256;
        j->link = mem_realloc(j->link, (size_t)j->cap_link * sizeof *j->link,
                              (size_t)cap * sizeof *j->link);
        j->cap_link = cap;
    }
    j->link[j->n_link++] = (split_link){a, b, (int)why};
}

/* Further numbers in the header are names of the same domain as PatientID: two persons who share
 * one are one, whether or not an image carries it as its PatientID. */
static void note_other_ids(split_job *j, int32_t patient, const record *r)
{
    char other[OTHERS_MOST][33];
    int n = pseudo_others(j->ps, r->other_ids, other, OTHERS_MOST);
    for (int i = 0; i < n; i++) {
        split_id id = split_id_parse(other[i]);
        add_link(j, patient, split_ids_add(&j->patients, &id), SPLIT_OTHER_ID);
    }
}

/* An id of the alias table means every image with this PatientID, of whatever issuer, as in the
 * clinical table. */
void split_ids_note(split_job *j, int32_t patient, const record *r)
{
    note_other_ids(j, patient, r);
    struct split_aliases *a = j->alias;
    char hex[33];
    if (!a || !r->patient_id[0])
        return;
    pseudo_patient(j->ps, "", r->patient_id, hex);
    split_id id = split_id_parse(hex);
    int32_t k = split_ids_find(&a->id, &id);
    if (k < 0)
        return;
    k = find_root(a->up, k);
    if (a->first[k] < 0)
        a->first[k] = patient;
    else
        add_link(j, a->first[k], patient, SPLIT_ALIAS);
}

/* ---- joining --------------------------------------------------------------------------------- */

typedef struct joining {
    int32_t *up;
    split_link *event; /* joinings of different classes, in the order in which they were found */
    int64_t n, cap;
} joining;

static void join(joining *u, int32_t a, int32_t b, int why)
{
    int32_t x = find_root(u->up, a), y = find_root(u->up, b);
    if (x == y)
        return;
    u->up[x > y ? x : y] = x > y ? y : x;
    if (u->n == u->cap) {
        int64_t cap = u->cap ? 2 * u->cap : 64;
        u->event = mem_realloc(u->event, (size_t)u->cap * sizeof *u->event,
                               (size_t)cap * sizeof *u->event);
        u->cap = cap;
    }
    u->event[u->n++] = (split_link){a, b, why};
}

typedef int order_fn(const void *a, const void *b);

static int64_t catalogue_order(const item *x, const item *y)
{
    return (x > y) - (x < y); /* items lie in the order of the catalogue */
}

static int by_exam(const void *a, const void *b)
{
    const item *x = *(item *const *)a, *y = *(item *const *)b;
    int c = (x->exam > y->exam) - (x->exam < y->exam);
    return c ? c : (int)catalogue_order(x, y);
}

static int by_image(const void *a, const void *b)
{
    const item *x = *(item *const *)a, *y = *(item *const *)b;
    int c = split_id_order(&x->image, &y->image);
    return c ? c : (int)catalogue_order(x, y);
}

static int by_pixels(const void *a, const void *b)
{
    const item *x = *(item *const *)a, *y = *(item *const *)b;
    int c = split_id_order(&x->pixels, &y->pixels);
    return c ? c : (int)catalogue_order(x, y);
}

static int by_label(const void *a, const void *b)
{
    const item *x = *(item *const *)a, *y = *(item *const *)b;
    int c = (x->said > y->said) - (x->said < y->said);
    return c ? c : (int)catalogue_order(x, y);
}

static bool share(const item *x, const item *y, split_why why)
{
    switch (why) {
    case SPLIT_SAME_EXAM:
        return x->exam == y->exam;
    case SPLIT_SAME_IMAGE:
        return !split_id_order(&x->image, &y->image) && !split_id_none(&x->image);
    case SPLIT_SAME_PIXELS:
        return !split_id_order(&x->pixels, &y->pixels) && !split_id_none(&x->pixels);
    case SPLIT_SAME_LABEL:
        return x->said >= 0 && x->said == y->said;
    default:
        BUG("joining");
    }
}

static void join_equal(const split_job *j, item **p, joining *u, order_fn *order, split_why why)
{
    qsort(p, (size_t)j->n, sizeof *p, order);
    for (int64_t i = 1; i < j->n; i++)
        if (share(p[i], p[i - 1], why))
            join(u, p[i - 1]->patient, p[i]->patient, (int)why);
}

/* Classes, numbered in the order of the catalogue. */
static void make_people(split_job *j, int32_t *up)
{
    int32_t *of_root = MEM_ARRAY(int32_t, j->patients.n ? j->patients.n : 1);
    j->group = MEM_ARRAY(int32_t, j->patients.n ? j->patients.n : 1);
    j->who = MEM_ARRAY(person, j->patients.n ? j->patients.n : 1);
    for (int32_t i = 0; i < j->patients.n; i++)
        of_root[i] = j->group[i] = -1;
    for (int64_t i = 0; i < j->n; i++) {
        const item *t = &j->it[i];
        const split_id *id = &j->patients.id[t->patient];
        int32_t *g = &of_root[find_root(up, t->patient)];
        if (*g < 0) {
            *g = j->n_who++;
            j->who[*g] = (person){.id = *id, .first_day = t->day, .fold = -1, .cv = -1, .bin = -1};
        }
        person *p = &j->who[*g];
        p->names += j->group[t->patient] < 0;
        j->group[t->patient] = *g;
        if (split_id_order(id, &p->id) < 0)
            p->id = *id;
        if (p->first_day == RECORD_UNKNOWN || (t->day != RECORD_UNKNOWN && t->day < p->first_day))
            p->first_day = t->day;
    }
    for (int32_t i = 0; i < j->patients.n; i++) /* ids without images, for --keep */
        if (j->group[i] < 0)
            j->group[i] = of_root[find_root(up, i)];
    mem_free(of_root);
}

bool split_merges(const split_job *j, const char *path, err *e)
{
    char a[33];
    csv_writer *w = csv_create(path, e);
    if (!w)
        return false;
    csv_put(w, "patient_id");
    csv_put(w, "pseudonym_a");
    csv_put(w, "pseudonym_b");
    csv_put(w, "reason");
    csv_end_row(w);
    for (int64_t i = 0; i < j->n_merge; i++) {
        const split_link *l = &j->merge[i];
        int32_t g = j->group[l->a];
        if (g < 0 || j->who[g].names < 2)
            continue; /* further numbers that only one pseudonym with images has */
        split_id_text(&j->who[g].id, a);
        csv_put(w, a);
        split_id_text(&j->patients.id[l->a], a);
        csv_put(w, a);
        split_id_text(&j->patients.id[l->b], a);
        csv_put(w, a);
        csv_put(w, why_name[l->why]);
        csv_end_row(w);
    }
    return csv_commit(w, e);
}

static int by_person_day(const void *a, const void *b, void *ctx)
{
    const split_job *j = ctx;
    const item *x = *(item *const *)a, *y = *(item *const *)b;
    int32_t g = j->group[x->patient], h = j->group[y->patient];
    int c = (g > h) - (g < h);
    if (!c)
        c = (x->day > y->day) - (x->day < y->day);
    return c ? c : split_id_order(&j->exams.id[x->exam], &j->exams.id[y->exam]);
}

/* exam.merge_same_day: exams of one person on one day are one exam, under the first name. */
static void merge_days(split_job *j, item **p)
{
    int64_t merged = 0;
    int32_t last = -1; /* exam as it was */
    j->exam_as = MEM_ARRAY(int32_t, j->exams.n ? j->exams.n : 1);
    for (int32_t i = 0; i < j->exams.n; i++)
        j->exam_as[i] = i;
    qsort_r(p, (size_t)j->n, sizeof *p, by_person_day, j);
    for (int64_t i = 0, first = 0; i < j->n; i++) {
        if (p[i]->day == RECORD_UNKNOWN || p[i]->day != p[first]->day ||
            j->group[p[i]->patient] != j->group[p[first]->patient])
            first = i;
        merged += first < i && p[i]->exam != last;
        last = p[i]->exam;
        p[i]->exam = j->exam_as[last] = p[first]->exam;
    }
    if (merged)
        log_info("exams_joined", "exams=%lld why=same_day", (long long)merged);
}

void split_identities(split_job *j)
{
    int32_t n = j->patients.n;
    joining u = {.up = MEM_ARRAY(int32_t, n ? n : 1)};
    item **p = MEM_ARRAY(item *, j->n ? j->n : 1);
    for (int32_t i = 0; i < n; i++)
        u.up[i] = i;
    for (int64_t i = 0; i < j->n; i++)
        p[i] = &j->it[i];
    join_equal(j, p, &u, by_exam, SPLIT_SAME_EXAM);
    join_equal(j, p, &u, by_image, SPLIT_SAME_IMAGE);
    join_equal(j, p, &u, by_pixels, SPLIT_SAME_PIXELS);
    join_equal(j, p, &u, by_label, SPLIT_SAME_LABEL);
    for (int64_t i = 0; i < j->n_link; i++)
        join(&u, j->link[i].a, j->link[i].b, j->link[i].why);
    make_people(j, u.up);
    j->merge = u.event;
    j->n_merge = u.n;
    int64_t across = 0;
    for (int32_t i = 0; i < j->n_who; i++)
        across += j->who[i].names - 1;
    if (across)
        log_warn("identities_joined", "patients=%lld reasons=split_merges.csv", (long long)across);
    if (j->c.merge_same_day)
        merge_days(j, p);
    mem_free(p);
    mem_free(u.up);
}
