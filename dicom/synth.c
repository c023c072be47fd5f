/* The driver of demo-archive: plans women, exams and odd files from the seed alone, then draws and
 * writes exam by exam in parallel, and at last the two tables. Nothing depends on the order. */
#include "dicom/synth.h"

#include "core/csv.h"
#include "core/fs.h"
#include "core/log.h"
#include "core/pool.h"
#include "core/rng.h"
#include "dicom/synth_shot.h"

#include <stdio.h>
#include <string.h>

#define EXAMS_MAX   3
#define DAY_2008    13879   /* 2008-01-01 */
#define SHARE_CASES 0.40    /* enriched, as in a case-control sample */
#define FILES_MAX   8       /* in one exam */
#define KIND_WOMEN  1000000 /* first index of the women of the odd files */

/* What the clinical table says about a woman; days since 1970-01-01, SYNTH_NEVER = empty. */
typedef struct woman {
    synth_exam exam[EXAMS_MAX];
    int exams;
    int32_t diagnosis, last_negative, prior;
    char side;
    int rows; /* as synth_kind.rows_in_csv */
} woman;

typedef struct made { /* one written file */
    char path[64];
    const char *kind;
} made;

typedef struct plan {
    const synth_opts *o;
    char *archive;
    woman *women;
    int n;
    struct work {
        const synth_exam *exam;
        made file[FILES_MAX];
        int files;
        err e;
        bool ok;
    } * work;
    int64_t n_work;
    arena **arenas; /* one per thread */
} plan;

/* ---- the plan -------------------------------------------------------------------------------- */

static void plan_person(woman *w, rng *r, uint64_t seed, int index)
{
    int age = 40 + (int)rng_below(r, 33);
    int32_t day = DAY_2008 + (int32_t)rng_below(r, 1800);
    int32_t birth = day - age * 365 - age / 4 - (int32_t)rng_below(r, 300);
    int vendor = (int)rng_below(r, (uint32_t)synth_vendors());
    for (int i = 0; i < w->exams; i++) {
        synth_exam *x = &w->exam[i];
        *x = (synth_exam){.seed = seed, .woman = index, .number = i, .birth = birth, .kind = -1};
        x->name = "ordinary";
        /* ten digits with leading zeros, as registries have them */
        snprintf(x->patient_id, sizeof(x->patient_id), "0%09llu",
                 (unsigned long long)index * 487 % 1000000000ull);
        if (i)
            day += 548 + (int32_t)rng_below(r, 180);
        x->day = day;
        x->vendor = rng_below(r, 4) ? vendor : (int)rng_below(r, (uint32_t)synth_vendors());
        x->days_to_cancer = SYNTH_NEVER;
    }
}

static void plan_outcome(woman *w, rng *r)
{
    int32_t last = w->exam[w->exams - 1].day;
    double kind = rng_f64(r);
    w->diagnosis = w->last_negative = w->prior = SYNTH_NEVER;
    w->side = rng_below(r, 2) ? 'L' : 'R';
    if (kind < SHARE_CASES - 0.04) { /* found between two rounds or at the next one */
        w->diagnosis = last + 70 + (int32_t)rng_below(r, 640);
    } else if (kind < SHARE_CASES - 0.01) { /* found at the last round */
        w->diagnosis = last + (int32_t)rng_below(r, 61);
    } else if (kind < SHARE_CASES && w->exams > 1) { /* came back after the treatment */
        w->diagnosis = w->exam[w->exams - 2].day + 100 + (int32_t)rng_below(r, 300);
    } else if (kind > 0.97) { /* moved away */
        w->last_negative = last + 100 + (int32_t)rng_below(r, 600);
    } else {
        w->last_negative = last + 760 + (int32_t)rng_below(r, 900);
    }
}

/* The clinical category of each ordinary exam by plain arithmetic. */
static void plan_names(woman *w)
{
    for (int i = 0; i < w->exams; i++) {
        synth_exam *x = &w->exam[i];
        if (w->diagnosis != SYNTH_NEVER) {
            x->days_to_cancer = w->diagnosis - x->day;
            if (x->days_to_cancer < 0)
                x->name = "ordinary_after_cancer";
            else if (x->days_to_cancer <= 60)
                x->name = "ordinary_at_detection";
        } else if (w->last_negative != SYNTH_NEVER && w->last_negative - x->day < 730) {
            x->name = "ordinary_short_followup";
        }
    }
}

static void plan_woman(const synth_opts *o, woman *w, int i)
{
    rng r;
    rng_init(&r, o->seed, RNG_SYNTH, (uint64_t)i, 100);
    w->exams = 1 + (int)rng_below(&r, EXAMS_MAX);
    plan_person(w, &r, o->seed, i);
    plan_outcome(w, &r);
    plan_names(w);
}

static void plan_kind(const synth_opts *o, woman *w, int kind)
{
    const synth_kind *k = &synth_kinds[kind];
    rng r;
    rng_init(&r, o->seed, RNG_SYNTH, (uint64_t)(KIND_WOMEN + kind), 100);
    w->exams = 1;
    plan_person(w, &r, o->seed, KIND_WOMEN + kind);
    synth_exam *x = &w->exam[0];
    x->kind = kind;
    w->side = 'L';
    w->diagnosis = w->last_negative = w->prior = SYNTH_NEVER;
    if (k->role != SYNTH_EXAM) {
        if (rng_f64(&r) < SHARE_CASES)
            w->diagnosis = x->day + 70 + (int32_t)rng_below(&r, 640);
        else
            w->last_negative = x->day + 760 + (int32_t)rng_below(&r, 900);
        plan_names(w);
        return;
    }
    x->name = k->name;
    w->rows = k->rows_in_csv;
    if (k->days_to_cancer != SYNTH_NEVER)
        w->diagnosis = x->day + k->days_to_cancer;
    if (k->followup > 0)
        w->last_negative = x->day + k->followup;
    if (k->prior)
        w->prior = x->day - k->prior;
    x->days_to_cancer = k->days_to_cancer;
}

/* ---- one exam -------------------------------------------------------------------------------- */

/* Folders and names tell nothing; every second file has no suffix. */
static void name_file(const synth_exam *x, int number, char out[64])
{
    uint32_t h = (uint32_t)x->woman * 2654435761u ^ (uint32_t)x->number * 40503u;
    snprintf(out, 64, "%02X/%08X/%d/IM%04d%s", h >> 24, h, x->number + 1, number + 1,
             (h >> 5) % 2 ? ".dcm" : "");
}

static bool write_file(plan *p, struct work *k, int number, const char *kind, const text *file)
{
    made *m = &k->file[k->files++];
    name_file(k->exam, number, m->path);
    m->kind = kind;
    char *path = fs_join(p->archive, m->path), *dir = mem_strdup(path);
    *(char *)(dir + (fs_base(dir) - dir) - 1) = '\0';
    bool ok = fs_mkdirs(dir, &k->e) && fs_write(path, file->s, file->len, &k->e);
    mem_free(dir);
    mem_free(path);
    return ok;
}

static bool finish(plan *p, struct work *k, synth_shot *s, const char *name, const synth_kind *odd)
{
    text file;
    text_init(&file);
    if (!s->body.bytes && !s->body.bits)
        synth_shot_pixels(s);
    synth_shot_encode(s, &file);
    if (odd && odd->file)
        odd->file(s, &file);
    bool ok = write_file(p, k, s->number, name, &file);
    text_release(&file);
    return ok;
}

static bool ordinary(plan *p, struct work *k, int number, char side, bool oblique, arena *a)
{
    synth_shot s;
    synth_shot_init(&s, k->exam, number, side, oblique, a);
    synth_shot_draw(&s);
    bool ok = finish(p, k, &s, k->exam->name, NULL);
    synth_shot_release(&s);
    arena_reset(a);
    return ok;
}

/* The odd left view of kind `odd`. */
static bool strange(plan *p, struct work *k, const synth_kind *odd, int number, arena *a)
{
    synth_shot s;
    synth_shot_init(&s, k->exam, number, 'L', false, a);
    if (odd->scene)
        odd->scene(&s);
    synth_shot_draw(&s);
    if (odd->tag && odd->value)
        synth_str(s.set, odd->tag, odd->vr, "%s", odd->value);
    else if (odd->tag)
        synth_drop(s.set, odd->tag);
    if (odd->header)
        odd->header(&s);
    bool ok = finish(p, k, &s, odd->name, odd);
    if (ok && odd->twin) {
        odd->twin(&s);
        int keep = s.number;
        s.body = (synth_pixels){0};
        s.number = number + 1;
        (void)keep;
        ok = finish(p, k, &s, odd->name, odd);
    }
    synth_shot_release(&s);
    arena_reset(a);
    return ok;
}

static void make_exam(void *ctx, int64_t i, int thread)
{
    plan *p = ctx;
    struct work *k = &p->work[i];
    arena *a = p->arenas[thread];
    if (pool_stop_asked())
        return;
    if (k->exam->kind < 0) {
        k->ok = ordinary(p, k, 0, 'R', false, a) && ordinary(p, k, 1, 'L', false, a) &&
                ordinary(p, k, 2, 'R', true, a) && ordinary(p, k, 3, 'L', true, a);
        return;
    }
    const synth_kind *odd = &synth_kinds[k->exam->kind];
    k->ok = ordinary(p, k, 0, 'R', false, a) &&
            (odd->role == SYNTH_REPLACES || odd->role == SYNTH_TWINS ||
             ordinary(p, k, 1, 'L', false, a)) &&
            (odd->role == SYNTH_EXAM || strange(p, k, odd, 4, a));
}

/* ---- the tables ------------------------------------------------------------------------------ */

static void put_day(csv_writer *w, int32_t day)
{
    char iso[11] = "";
    if (day != SYNTH_NEVER)
        text_from_days(day, iso);
    csv_put(w, iso);
}

static void put_woman(csv_writer *f, const woman *w, bool contradict)
{
    bool sick = w->diagnosis != SYNTH_NEVER && !contradict;
    csv_put(f, w->exam[0].patient_id);
    put_day(f, w->exam[0].birth);
    put_day(f, sick ? w->diagnosis : SYNTH_NEVER);
    csv_put(f, !sick ? "" : w->side == 'L' ? "Left" : "Right");
    put_day(f, w->last_negative);
    put_day(f, w->prior);
    csv_end_row(f);
}

static bool write_clinical(const plan *p, err *e)
{
    static const char *const columns[] = {"patient_id",         "birth_date",
                                          "diagnosis_date",     "cancer_laterality",
                                          "last_negative_date", "prior_cancer_date"};
    char *path = fs_join(p->o->dir, "clinical.csv");
    csv_writer *f = csv_create(path, e);
    mem_free(path);
    if (!f)
        return false;
    for (size_t i = 0; i < COUNT_OF(columns); i++)
        csv_put(f, columns[i]);
    csv_end_row(f);
    for (int i = 0; i < p->n; i++) {
        if (p->women[i].rows >= 0)
            put_woman(f, &p->women[i], false);
        if (p->women[i].rows > 0)
            put_woman(f, &p->women[i], p->women[i].rows == 2);
    }
    return csv_commit(f, e);
}

static bool write_kinds(const plan *p, err *e)
{
    char *path = fs_join(p->o->dir, "kinds.csv");
    csv_writer *f = csv_create(path, e);
    mem_free(path);
    if (!f)
        return false;
    csv_put(f, "file");
    csv_put(f, "kind");
    csv_end_row(f);
    for (int64_t i = 0; i < p->n_work; i++)
        for (int k = 0; k < p->work[i].files; k++) {
            csv_put(f, p->work[i].file[k].path);
            csv_put(f, p->work[i].file[k].kind);
            csv_end_row(f);
        }
    return csv_commit(f, e);
}

/* ---- the driver ------------------------------------------------------------------------------ */

static bool clear_place(const synth_opts *o, const char *archive, err *e)
{
    if (!fs_exists(archive))
        return fs_mkdirs(archive, e);
    if (!o->force)
        return err_set(e, ERR_USAGE, "'%s' exists already; --force replaces it", archive);
    return fs_remove_tree(archive, e) && fs_mkdirs(archive, e);
}

static void make_plan(plan *p)
{
    p->n = p->o->patients + synth_kinds_n;
    p->women = MEM_ARRAY(woman, p->n);
    for (int i = 0; i < p->n; i++) {
        if (i < p->o->patients)
            plan_woman(p->o, &p->women[i], i);
        else
            plan_kind(p->o, &p->women[i], i - p->o->patients);
        p->n_work += p->women[i].exams;
    }
    p->work = MEM_ARRAY(struct work, p->n_work);
    int64_t at = 0;
    for (int i = 0; i < p->n; i++)
        for (int k = 0; k < p->women[i].exams; k++)
            p->work[at++].exam = &p->women[i].exam[k];
}

static bool make_all(plan *p, err *e)
{
    pool *threads = pool_new(p->o->threads);
    int n = pool_threads(threads);
    p->arenas = MEM_ARRAY(arena *, n);
    for (int i = 0; i < n; i++)
        p->arenas[i] = arena_new((size_t)16 << 20);
    log_progress progress;
    log_progress_init(&progress, "demo-archive", "exams", (uint64_t)p->n_work);
    bool ok = true;
    for (int64_t from = 0; from < p->n_work && ok; from += 64) {
        struct work *all = p->work;
        int64_t count = p->n_work - from < 64 ? p->n_work - from : 64;
        p->work = all + from; /* make_exam counts from the start of the batch */
        pool_for(threads, count, make_exam, p);
        p->work = all;
        for (int64_t i = from; i < from + count && ok; i++) {
            ok = all[i].ok;
            if (!ok && all[i].e.code)
                *e = all[i].e;
            else if (!ok)
                err_set(e, ERR_STOPPED, "demo-archive was stopped; run it again with --force");
        }
        log_progress_step(&progress, (uint64_t)(from + count), NULL);
    }
    log_progress_end(&progress);
    for (int i = 0; i < n; i++)
        arena_free(p->arenas[i]);
    mem_free(p->arenas);
    pool_free(threads);
    return ok;
}

bool synth_write(const synth_opts *o, err *e)
{
    plan p = {.o = o};
    if (o->patients < 1 || o->patients >= KIND_WOMEN)
        return err_set(e, ERR_RANGE, "%d patients: wanted 1..%d", o->patients, KIND_WOMEN - 1);
    p.archive = fs_join(o->dir, "archive");
    bool ok = clear_place(o, p.archive, e);
    if (ok) {
        make_plan(&p);
        ok = make_all(&p, e) && write_clinical(&p, e) && write_kinds(&p, e);
    }
    mem_free(p.work);
    mem_free(p.women);
    mem_free(p.archive);
    return ok || err_wrap(e, "demo-archive");
}
