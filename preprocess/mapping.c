/* Mappings in memory: fields, building, the check of the whole, and where the shipped ones are. */
#include "preprocess/mapping.h"

#include "core/fs.h"
#include "core/text.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>

#define YAML_MOST ((size_t)1 << 20)
#define WORD_MOST 128

typedef struct row {
    const char *name;
    mapping_kind kind;
} row;

static const row fields[FIELD_COUNT] = {
#define MAPPING_ROW(n, k, text) [FIELD_##n] = {#n, MAPPING_##k},
    MAPPING_FIELDS(MAPPING_ROW)
#undef MAPPING_ROW
        [FIELD_flag] = {"flag", MAPPING_FLAG}};

const char *mapping_field_name(mapping_field f)
{
    return fields[f].name;
}

mapping_kind mapping_field_kind(mapping_field f)
{
    return fields[f].kind;
}

bool mapping_has_word(const mapping_words *w, const char *word)
{
    double a, b;
    for (int i = 0; i < w->n; i++)
        if (text_ieq(w->v[i], word) || (text_f64(w->v[i], &a) && text_f64(word, &b) && a == b))
            return true;
    return false;
}

const mapping_use *mapping_find_use(const mapping_table *t, mapping_field f)
{
    for (int i = 0; i < t->n_uses; i++)
        if (t->use[i]->field == f)
            return t->use[i];
    return NULL;
}

const char *mapping_keep(mapping *m, const char *s)
{
    size_t n = strlen(s) + 1;
    return memcpy(arena_alloc(m->mem, n), s, n);
}

mapping *mapping_new(const char *name)
{
    mapping *m = MEM_NEW(mapping);
    m->mem = arena_new((size_t)1 << 16);
    m->name = mapping_keep(m, name);
    m->about = "";
    return m;
}

void mapping_free(mapping *m)
{
    if (!m)
        return;
    arena_free(m->mem);
    mem_free(m);
}

mapping_table *mapping_add_table(mapping *m, const char *name)
{
    if (m->n_tables == MAPPING_TABLES)
        return NULL;
    mapping_table *t = &m->table[m->n_tables++];
    t->name = mapping_keep(m, name);
    return t;
}

/* What a column speaks of where the mapping does not say, and how rows are put together. */
static void use_defaults(mapping_use *u)
{
    u->slot = -1;
    u->level = MAPPING_IMAGE;
    if (u->field == FIELD_flag)
        u->merge = MAPPING_MAX;
}

mapping_use *mapping_add(mapping *m, mapping_table *t, mapping_field f, const char *column)
{
    if (t->n_uses == MAPPING_USES)
        return NULL;
    mapping_use *u = arena_calloc(m->mem, sizeof *u);
    u->field = f;
    use_defaults(u);
    if (column)
        u->source.column = (mapping_words){1, {mapping_keep(m, column)}};
    t->use[t->n_uses++] = u;
    return u;
}

/* ---- the check of the whole
 * ------------------------------------------------------------------------------- */

static bool wrong(const mapping *m, const mapping_table *t, err *e, const char *what,
                  const char *which)
{
    return err_set(e, ERR_CONFIG, "mapping %s: table '%s': %s%s", m->name, t->name, what, which);
}

static bool check_source(const mapping *m, const mapping_table *t, const mapping_source *s,
                         const char *field, err *e)
{
    for (; s; s = s->otherwise)
        if (!s->column.n == !s->pattern)
            return wrong(m, t, e, "a column or a text is wanted for ", field);
    return true;
}

/* Which keys a level needs: a patient, an exam of hers, a side of that. */
static bool level_has_keys(const mapping_table *t, mapping_level l)
{
    bool patient = mapping_find_use(t, FIELD_patient) != NULL;
    bool exam = patient || mapping_find_use(t, FIELD_accession) || mapping_find_use(t, FIELD_study);
    switch (l) {
    case MAPPING_PATIENT:
        return patient;
    case MAPPING_EXAM:
        return exam;
    case MAPPING_BREAST:
        return exam && mapping_find_use(t, FIELD_side);
    case MAPPING_IMAGE:
        return true;
    }
    BUG("level");
}

static bool check_table(const mapping *m, const mapping_table *t, err *e)
{
    if (!t->n_join)
        return wrong(m, t, e, "'join' is missing: the keys that it shares with ",
                     t == m->table ? "the images" : "the first table");
    for (int i = 0; i < t->n_join; i++) {
        mapping_field f = t->join[i];
        if (!mapping_find_use(t, f))
            return wrong(m, t, e, "no column is named for the key ", fields[f].name);
        if (t != m->table && !mapping_find_use(m->table, f))
            return wrong(m, t, e, "the first table has no column for the key ", fields[f].name);
        if (f == FIELD_exam && t == m->table)
            return wrong(m, t, e, "images do not hold ", "exam; join by accession or study");
        if ((f == FIELD_path || f == FIELD_folder) && t->n_join > 1)
            return wrong(m, t, e, "a table is joined by path or folder alone", "");
    }
    for (int i = 0; i < t->n_uses; i++) {
        const mapping_use *u = t->use[i];
        if (!check_source(m, t, &u->source, fields[u->field].name, e))
            return false;
        if (u->field == FIELD_flag && !u->source.yes.n)
            return wrong(m, t, e, "'is' is missing: the words that mean ", reason_name(u->flag));
        if (!level_has_keys(t, u->level))
            return wrong(m, t, e, "too few keys for the level of ", fields[u->field].name);
        if (u->level < MAPPING_BREAST && t != m->table && !level_has_keys(m->table, u->level))
            return wrong(m, t, e, "the first table has too few keys for the level of ",
                         fields[u->field].name);
    }
    return !t->only || (check_source(m, t, t->only, "only", e) &&
                        (t->only->yes.n || wrong(m, t, e, "only: 'is' is missing", "")));
}

bool mapping_finish(mapping *m, err *e)
{
    if (!m->n_tables)
        return err_set(e, ERR_CONFIG, "mapping %s: 'tables' is missing", m->name);
    for (int i = 0; i < m->n_tables; i++) {
        mapping_table *t = &m->table[i];
        if (!check_table(m, t, e))
            return false;
        for (int k = 0; k < t->n_uses; k++)
            if (mapping_field_kind(t->use[k]->field) > MAPPING_VIEW ||
                t->use[k]->field == FIELD_cancer_side) {
                t->use[k]->slot = m->n_slots;
                m->slot[m->n_slots++] = t->use[k];
            }
    }
    return !m->table[0].optional || wrong(m, m->table, e, "the first table cannot be optional", "");
}

void mapping_coarsen(mapping *m, mapping_field f, mapping_level level)
{
    for (int t = 0; t < m->n_tables; t++)
        for (int k = 0; k < m->table[t].n_uses; k++) {
            mapping_use *u = m->table[t].use[k];
            if (u->field == f && u->level > level && level_has_keys(&m->table[t], level) &&
                level_has_keys(m->table, level)) {
                u->level = level;
                u->merge = MAPPING_MAX;
            }
        }
}

mapping_level mapping_reach(const mapping_table *t, const mapping_use *u)
{
    mapping_level l = MAPPING_PATIENT;
    if (u->level != MAPPING_IMAGE)
        return u->level;
    for (int i = 0; i < t->n_join; i++) {
        mapping_level of = t->join[i] == FIELD_patient                             ? MAPPING_PATIENT
                           : t->join[i] >= FIELD_exam && t->join[i] <= FIELD_study ? MAPPING_EXAM
                           : t->join[i] == FIELD_side                              ? MAPPING_BREAST
                                                                                   : MAPPING_IMAGE;
        l = of > l ? of : l;
    }
    return l;
}

/* configs/import: beside the program's folder, installed under share, or in the working folder. */
static char *shipped_dir(void)
{
    static const char *const places[] = {"../configs/import", "../share/mammovit/import"};
    char *exe = mem_strdup((const char *)getauxval(AT_EXECFN)), *found = NULL;
    *(char *)fs_base(exe) = 0;
    for (size_t i = 0; i < COUNT_OF(places) && !found; i++) {
        found = fs_join(exe, places[i]);
        if (!fs_exists(found)) {
            mem_free(found);
            found = NULL;
        }
    }
    mem_free(exe);
    return found ? found : mem_strdup("configs/import");
}

static bool is_path(const char *name)
{
    size_t n = strlen(name);
    return strchr(name, '/') || (n > 5 && !strcmp(name + n - 5, ".yaml"));
}

static void unknown_name(const char *dir, const char *name, err *e)
{
    DIR *d = opendir(dir);
    char best[WORD_MOST] = "";
    int distance = 1000;
    for (struct dirent *f; d && (f = readdir(d));) {
        char stem[WORD_MOST];
        size_t n = strlen(f->d_name);
        if (n < 6 || n >= sizeof stem || strcmp(f->d_name + n - 5, ".yaml"))
            continue;
        text_copy(stem, n - 4, f->d_name);
        int k = text_distance(name, stem);
        if (k < distance || (k == distance && strcmp(stem, best) < 0)) {
            distance = k;
            text_copy(best, sizeof best, stem);
        }
    }
    if (d)
        closedir(d);
    err_set(e, ERR_CONFIG,
            "labels.mapping is '%s', which is neither a YAML file nor one of configs/import%s%s%s",
            name, best[0] ? "; the nearest known one is '" : " (which was not found)", best,
            best[0] ? "'" : "");
}

mapping *mapping_load(const char *name, err *e)
{
    char file[WORD_MOST + 8], *path, *dir = NULL, *yaml = NULL;
    size_t len;
    mapping *m = NULL;
    if (is_path(name)) {
        path = mem_strdup(name);
    } else {
        dir = shipped_dir();
        snprintf(file, sizeof file, "%.*s.yaml", WORD_MOST, name);
        path = fs_join(dir, file);
    }
    if (dir && !fs_exists(path))
        unknown_name(dir, name, e);
    else if (fs_read(path, YAML_MOST, &yaml, &len, e))
        m = mapping_parse(yaml, len, fs_base(path), e);
    mem_free(yaml);
    mem_free(path);
    mem_free(dir);
    return m;
}
