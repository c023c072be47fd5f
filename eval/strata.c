/* The variables by which exams are grouped, and the grouping. */
#include "eval/strata.h"
#include "core/mem.h"
#include "core/text.h"
#include <limits.h>

#define UNKNOWN "unknown"

/* Free text has one rank, so that levels sort by name; unknown comes last. */
static int level_text(const char *v, char *out, size_t cap)
{
    text_copy(out, cap, v && v[0] ? v : UNKNOWN);
    return v && v[0] ? 0 : INT_MAX;
}

static int level_age(const exam_row *x, char *out, size_t cap)
{
    static const char *const bands[] = {"under 50", "50-59", "60-69", "70 or older"};
    if (x->age < 0)
        return level_text(NULL, out, cap);
    int k = x->age < 50 ? 0 : x->age < 60 ? 1 : x->age < 70 ? 2 : 3;
    text_copy(out, cap, bands[k]);
    return k;
}

static int level_vendor(const exam_row *x, char *out, size_t cap)
{
    return level_text(x->vendor, out, cap);
}

static int level_device(const exam_row *x, char *out, size_t cap)
{
    return level_text(x->device_model, out, cap);
}

static int level_site(const exam_row *x, char *out, size_t cap)
{
    return level_text(x->site, out, cap);
}

static int level_density(const exam_row *x, char *out, size_t cap)
{
    return level_text(x->density, out, cap);
}

static int level_views(const exam_row *x, char *out, size_t cap)
{
    text_copy(out, cap, x->n_views == 4 ? "all four views" : "incomplete");
    return x->n_views ? x->n_views == 4 ? 0 : 1 : level_text(NULL, out, cap);
}

static const strata_var vars[] = {
    {"age", "Age", level_age},
    {"vendor", "Manufacturer", level_vendor},
    {"device_model", "Device model", level_device},
    {"site", "Site", level_site},
    {"density", "Breast density", level_density},
    {"views", "Views", level_views},
};

const strata_var *strata_find(const char *name, err *e)
{
    text known;
    text_init(&known);
    for (size_t i = 0; i < COUNT_OF(vars); i++) {
        if (!strcmp(vars[i].name, name)) {
            text_release(&known);
            return &vars[i];
        }
        text_addf(&known, "%s%s", i ? ", " : "", vars[i].name);
    }
    err_set(e, ERR_CONFIG, "eval.subgroups: '%s' is not a subgroup (known: %s)", name, known.s);
    text_release(&known);
    return NULL;
}

typedef struct labelled {
    char level[64];
    int rank;
    int64_t row;
} labelled;

static int cmp_labelled(const void *x, const void *y)
{
    const labelled *a = x, *b = y;
    int c = (a->rank > b->rank) - (a->rank < b->rank);
    c = c ? c : strcmp(a->level, b->level);
    return c ? c : (a->row > b->row) - (a->row < b->row);
}

void strata_split(const strata_var *v, const exam_table *t, strata_groups *out)
{
    labelled *l = MEM_ARRAY(labelled, t->n + 1);
    for (int64_t i = 0; i < t->n; i++) {
        l[i].rank = v->level(&t->row[i], l[i].level, sizeof l[i].level);
        l[i].row = i;
    }
    qsort(l, (size_t)t->n, sizeof *l, cmp_labelled);
    int n = 0;
    for (int64_t i = 0; i < t->n; i++)
        n += !i || strcmp(l[i].level, l[i - 1].level);
    out->g = MEM_ARRAY(strata_group, n + 1);
    out->n = 0;
    for (int64_t i = 0; i < t->n;) {
        strata_group *g = &out->g[out->n++];
        int64_t end = i;
        while (end < t->n && !strcmp(l[end].level, l[i].level))
            end++;
        text_copy(g->level, sizeof g->level, l[i].level);
        g->n = end - i;
        g->row = MEM_ARRAY(int64_t, g->n);
        for (int64_t k = 0; k < g->n; k++)
            g->row[k] = l[i + k].row;
        i = end;
    }
    mem_free(l);
}

void strata_release(strata_groups *s)
{
    for (int i = 0; i < s->n; i++)
        mem_free(s->g[i].row);
    mem_free(s->g);
    memset(s, 0, sizeof *s);
}
