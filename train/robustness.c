/* Scores with missing patches and views (robustness.h). One exam at a time: its images are inflated
 * once and scored under every mask. Every number but the times is a function of the inputs. A few
 * exams at a time become a small table in PRED/robustness.parts; the last step joins these, so that
 * a long job that was killed goes on from where it was. */
#include "train/robustness.h"

#include "core/csv.h"
#include "core/fs.h"
#include "core/kill.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/pool.h"
#include "core/rng.h"
#include "train/breast.h"
#include "train/mask.h"
#include "train/validate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define FORMAT "mammovit.robustness/1"
#define BATCH  16 /* images in one pass */
#define PART   16 /* exams of a part: what a kill may cost */

#define AT(f) offsetof(robustness_cfg, f)
static const cfg_option table[] = {
    {"robust.keep", CFG_REALS, AT(keep), "0.9, 0.75, 0.5, 0.25, 0.1, 0.05", 1e-6, 1, NULL, "",
     "shares of patches that stay; all of them are scored in any case"},
    {"robust.masks", CFG_TEXTS, AT(masks), "random, block, border, view", 0, 0, NULL, "",
     "what goes: random patches, a block, patches of the breast or of the background only (both "
     "need "
     "prepare.mask: true), border strips, a whole view"},
    {"robust.repeats", CFG_INT, AT(repeats), "5", 1, 100, NULL, "",
     "draws for each kind and share"},
    {"robust.seed", CFG_INT, AT(seed), "1", 0, 1e15, NULL, "",
     "seed of the draws, which go by exam, image, kind, share and number"},
    {"robust.exams", CFG_INT, AT(exams), "0", 0, 1e9, NULL, "exams",
     "exams that are scored, drawn by the seed; 0 = all"},
};
const cfg_group robust_options = {"Robustness", table, COUNT_OF(table)};

typedef struct exam {
    int64_t first, last;
    uint64_t lot;
    bool wanted;
} exam;

typedef struct study {
    const robustness_job *j;
    robustness_cfg c;
    bool kind[MASK_KINDS];
    int rows, cols, patches, classes;
    int64_t h, w;
    run *tape;
    char *parts;     /* folder */
    csv_writer *csv; /* the part at hand */
    /* of the exam at hand */
    int64_t first;
    int images, room;
    uint16_t *pixels;      /* [images, h, w] */
    uint8_t *mask;         /* [h, w] */
    uint8_t *breast;       /* [images, patches] */
    int32_t *keep;         /* [images, patches] */
    int *n_keep;           /* [images]; patches = all */
    double *score, *whole; /* [images] */
} study;

/* ---- what is asked --------------------------------------------------------------------------- */

static bool read_lists(study *s, err *e)
{
    for (int i = 0; i < s->c.masks.n; i++) {
        int k = mask_find(s->c.masks.v[i]);
        if (k < 0)
            return err_set(e, ERR_CONFIG,
                           "robust.masks: '%s' is none of random, block, breast, background, "
                           "border, view",
                           s->c.masks.v[i]);
        s->kind[k] = true;
    }
    for (int i = 0; i < s->c.keep.n; i++)
        for (int k = 0; k < i; k++)
            if (s->c.keep.v[i] == s->c.keep.v[k])
                return err_set(e, ERR_CONFIG, "robust.keep: %g stands there twice", s->c.keep.v[i]);
    return true;
}

static bool check(study *s, err *e)
{
    const char *lacking;
    bool drawn = false;
    for (int k = 0; k < MASK_VIEW; k++)
        drawn |= s->kind[k];
    if (drawn && !model_is_sequence(s->j->net))
        return err_set(
            e, ERR_CONFIG,
            "robust.masks: %s takes its patches in windows or stages, so no patch can be "
            "left out by itself; only view is possible",
            model_config(s->j->net)->name);
    if (!s->kind[MASK_BREAST] && !s->kind[MASK_BACKGROUND])
        return true;
    if (!loader_masks(s->j->load, &lacking, e))
        return false;
    return !lacking || err_set(e, ERR_CONFIG,
                               "robust.masks: breast and background need masks, and shard '%s' has "
                               "none; prepare the images with prepare.mask: true",
                               lacking);
}

static json_t *make_inputs(const robustness_job *j)
{
    json_t *o = json_deep_copy(j->inputs);
    for (size_t i = 0; i < robust_options.n; i++) {
        const char *key = robust_options.options[i].key;
        json_object_set_new(o, key, json_words(cfg_text(j->config, key)));
    }
    return o;
}

bool robustness_made(const robustness_job *j)
{
    char *csv = fs_join(j->out, "robustness.csv"), *books = fs_join(j->out, "robustness.json");
    json_t *was = NULL, *now = make_inputs(j);
    err none = {0};
    bool made = fs_exists(csv) && fs_exists(books) && json_read(books, &was, &none) &&
                json_equal(json_object_get(was, "inputs"), now);
    json_decref(was);
    json_decref(now);
    mem_free(csv);
    mem_free(books);
    return made;
}

bool robustness_clear(const char *pred, err *e)
{
    static const char *const names[] = {"robustness.csv", "robustness.json", "robustness.parts"};
    bool ok = true;
    for (size_t i = 0; i < COUNT_OF(names) && ok; i++) {
        char *path = fs_join(pred, names[i]);
        ok = fs_remove_tree(path, e);
        mem_free(path);
    }
    return ok;
}

/* ---- parts ----------------------------------------------------------------------------------- */

static const char *const head[] = {"exam_id", "mask", "keep", "repeat", "score", "tokens", "ms"};

static void put_head(csv_writer *w)
{
    for (size_t i = 0; i < COUNT_OF(head); i++)
        csv_put(w, head[i]);
    csv_end_row(w);
}

static char *part_path(const study *s, int64_t k)
{
    char name[32];
    snprintf(name, sizeof name, "%08lld.csv", (long long)k);
    return fs_join(s->parts, name);
}

/* Parts of other inputs go; what is left was made by the same call. */
static bool open_parts(study *s, err *e)
{
    char *books = fs_join(s->parts, "inputs.json");
    json_t *was = NULL, *now = make_inputs(s->j);
    err none = {0};
    bool ok = true;
    if (!fs_exists(books) || !json_read(books, &was, &none) || !json_equal(was, now))
        ok = robustness_clear(s->j->out, e) && fs_mkdirs(s->parts, e) &&
             json_write(books, now, true, e);
    json_decref(was);
    json_decref(now);
    mem_free(books);
    return ok;
}

static bool copy_part(const study *s, int64_t k, csv_writer *to, err *e)
{
    int at[COUNT_OF(head)], got = 0;
    char *path = part_path(s, k);
    csv_reader *r = csv_open(path, e);
    bool ok = r != NULL;
    for (size_t i = 0; i < COUNT_OF(head) && ok; i++)
        ok = csv_require(r, head[i], &at[i], e);
    while (ok && (got = csv_next(r, e)) > 0) {
        for (size_t i = 0; i < COUNT_OF(head); i++)
            csv_put(to, csv_field(r, at[i]));
        csv_end_row(to);
    }
    if (r)
        csv_close(r);
    mem_free(path);
    return (ok && got == 0) || err_wrap(e, "robustness.parts");
}

static bool join_parts(const study *s, int64_t parts, err *e)
{
    char *path = fs_join(s->j->out, "robustness.csv");
    csv_writer *w = csv_create(path, e);
    bool ok = w != NULL;
    mem_free(path);
    if (!ok)
        return false;
    put_head(w);
    for (int64_t k = 0; k < parts && ok; k++)
        ok = copy_part(s, k, w, e);
    if (ok)
        return csv_commit(w, e);
    csv_discard(w);
    return false;
}

/* ---- exams ----------------------------------------------------------------------------------- */

static const cohort_row *row_at(const study *s, int64_t i)
{
    return &s->j->data->row[s->j->row[i]];
}

static int by_lot(const void *a, const void *b)
{
    const exam *x = *(exam *const *)a, *y = *(exam *const *)b;
    return x->lot != y->lot ? (x->lot > y->lot) - (x->lot < y->lot)
                            : (x->first > y->first) - (x->first < y->first);
}

/* The exams in their order; robust.exams of them are wanted. */
static exam *list_exams(const study *s, int64_t *n, int64_t *wanted)
{
    exam *x = MEM_ARRAY(exam, s->j->n ? s->j->n : 1);
    *n = 0;
    for (int64_t a = 0, b; a < s->j->n; a = b) {
        const char *id = row_at(s, a)->exam;
        uint64_t name[2];
        rng r;
        for (b = a; b < s->j->n && !strcmp(row_at(s, b)->exam, id); b++)
            ;
        fs_xxh128_raw(id, strlen(id), name);
        rng_init(&r, (uint64_t)s->c.seed, RNG_MASK, name[0], name[1]);
        x[(*n)++] = (exam){.first = a, .last = b, .lot = rng_u64(&r)};
    }
    exam **order = MEM_ARRAY(exam *, *n ? *n : 1);
    for (int64_t i = 0; i < *n; i++)
        order[i] = &x[i];
    qsort(order, (size_t)*n, sizeof *order, by_lot);
    *wanted = s->c.exams && s->c.exams < *n ? s->c.exams : *n;
    for (int64_t i = 0; i < *wanted; i++)
        order[i]->wanted = true;
    mem_free(order);
    return x;
}

static void free_room(study *s)
{
    mem_free(s->pixels);
    mem_free(s->breast);
    mem_free(s->keep);
    mem_free(s->n_keep);
    mem_free(s->score);
    mem_free(s->whole);
}

static void make_room(study *s)
{
    size_t n = (size_t)s->images, all = n * (size_t)s->patches;
    if (s->images <= s->room)
        return;
    free_room(s);
    s->room = s->images;
    s->pixels = MEM_ARRAY(uint16_t, n * (size_t)s->h * (size_t)s->w);
    s->breast = MEM_ARRAY(uint8_t, all);
    s->keep = MEM_ARRAY(int32_t, all);
    s->n_keep = MEM_ARRAY(int, n);
    s->score = MEM_ARRAY(double, n);
    s->whole = MEM_ARRAY(double, n);
}

static bool load_exam(study *s, const exam *x, err *e)
{
    s->first = x->first;
    s->images = (int)(x->last - x->first);
    make_room(s);
    for (int i = 0; i < s->images; i++) {
        int64_t row = s->j->row[x->first + i];
        if (!loader_image(s->j->load, row, s->pixels + (size_t)i * (size_t)(s->h * s->w), e))
            return false;
        if (!s->kind[MASK_BREAST] && !s->kind[MASK_BACKGROUND])
            continue;
        if (!loader_mask(s->j->load, row, s->mask, e))
            return false;
        breast_patches(s->mask, (int)s->h, (int)s->w, &model_view_identity, s->rows, s->cols,
                       s->breast + (size_t)i * (size_t)s->patches);
    }
    return true;
}

/* ---- scores ---------------------------------------------------------------------------------- */

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Images from..from+b-1, which keep the same number of patches, in one pass. */
static bool pass(study *s, int from, int b, err *e)
{
    const uint16_t *image[BATCH];
    int32_t *keep = MEM_ARRAY(int32_t, (size_t)b * (size_t)s->patches);
    float *host = MEM_ARRAY(float, (size_t)b *(size_t)s->classes);
    int n = s->n_keep[from];
    double logit;
    bool ok = true;
    for (int i = 0; i < b; i++) {
        image[i] = s->pixels + (size_t)(from + i) * (size_t)(s->h * s->w);
        memcpy(keep + (size_t)i * (size_t)n, s->keep + (size_t)(from + i) * (size_t)s->patches,
               (size_t)n * sizeof *keep);
    }
    model_batch in = {.b = b,
                      .h = (int)s->h,
                      .w = (int)s->w,
                      .image = image,
                      .grey = true,
                      .mean = s->j->info->mean,
                      .sd = s->j->info->sd,
                      .keep = n == s->patches ? NULL : keep,
                      .n_keep = n == s->patches ? 0 : n};
    run_reset(s->tape);
    run_read(s->tape, model_forward(s->j->net, s->tape, &in), host);
    for (int i = 0; i < b && ok; i++) {
        validate_probability(host + i * s->classes, s->classes, &s->score[from + i], &logit);
        ok = isfinite(logit) ||
             err_set(e, ERR_RANGE, "the network's output is not finite with %d of %d patches", n,
                     s->patches);
    }
    mem_free(keep);
    mem_free(host);
    return ok;
}

typedef struct outcome {
    const char *mask;
    double keep, score, ms;
    int repeat;
    int64_t tokens;
} outcome;

static void put(const study *s, const outcome *o)
{
    csv_put(s->csv, row_at(s, s->first)->exam);
    csv_put(s->csv, o->mask);
    csv_put_f64(s->csv, o->keep);
    csv_put_i64(s->csv, o->repeat);
    csv_put_f64(s->csv, o->score);
    csv_put_i64(s->csv, o->tokens);
    csv_put_f64(s->csv, floor(o->ms * 1000 + 0.5) / 1000);
    csv_end_row(s->csv);
}

/* All images of the exam, as many at once as keep the same number of patches. */
static bool score_exam(study *s, outcome *o, err *e)
{
    double start = seconds(), sum = 0;
    o->tokens = 0;
    for (int a = 0, b; a < s->images; a = b) {
        for (b = a; b < s->images && b - a < BATCH && s->n_keep[b] == s->n_keep[a]; b++)
            o->tokens += s->n_keep[b];
        if (!pass(s, a, b - a, e))
            return false;
    }
    for (int i = 0; i < s->images; i++)
        sum += s->score[i];
    o->score = sum / s->images;
    o->ms = 1000 * (seconds() - start);
    put(s, o);
    return true;
}

static bool score_mask(study *s, mask_kind kind, double keep, int repeat, err *e)
{
    for (int i = 0; i < s->images; i++) {
        mask_draw d = {.rows = s->rows,
                       .cols = s->cols,
                       .keep = keep,
                       .breast = s->breast + (size_t)i * (size_t)s->patches,
                       .seed = (uint64_t)s->c.seed,
                       .exam = row_at(s, s->first)->exam,
                       .image = row_at(s, s->first + i)->image,
                       .repeat = repeat};
        s->n_keep[i] = mask_patches(kind, &d, s->keep + (size_t)i * (size_t)s->patches);
    }
    outcome o = {.mask = mask_name(kind), .keep = keep, .repeat = repeat};
    return score_exam(s, &o, e);
}

/* The exam without each of the four views that it has; nothing is computed again. */
static void score_views(const study *s, const outcome *whole)
{
    static const struct {
        const char *mask;
        char side, view;
    } four[] = {{"view_RCC", 'R', 'C'},
                {"view_LCC", 'L', 'C'},
                {"view_RMLO", 'R', 'M'},
                {"view_LMLO", 'L', 'M'}};
    for (size_t k = 0; k < COUNT_OF(four); k++) {
        double sum = 0;
        int left = 0;
        for (int i = 0; i < s->images; i++) {
            const cohort_row *r = row_at(s, s->first + i);
            if (r->side == four[k].side && r->view == four[k].view)
                continue;
            sum += s->whole[i];
            left++;
        }
        if (left == 0 || left == s->images)
            continue;
        double share = (double)left / s->images;
        put(s, &(outcome){.mask = four[k].mask,
                          .keep = share,
                          .repeat = 0,
                          .score = sum / left,
                          .tokens = (int64_t)left * s->patches,
                          .ms = whole->ms * share});
    }
}

static bool study_exam(study *s, const exam *x, err *e)
{
    outcome whole = {.mask = "none", .keep = 1};
    if (!load_exam(s, x, e))
        return false;
    for (int i = 0; i < s->images; i++)
        s->n_keep[i] = s->patches;
    if (!score_exam(s, &whole, e))
        return false;
    memcpy(s->whole, s->score, (size_t)s->images * sizeof *s->score);
    for (int kind = 0; kind < MASK_VIEW; kind++)
        for (int r = 0; r < s->c.keep.n && s->kind[kind]; r++)
            for (int k = 1; k <= s->c.repeats && s->c.keep.v[r] < 1; k++)
                if (!score_mask(s, (mask_kind)kind, s->c.keep.v[r], k, e))
                    return false;
    if (s->kind[MASK_VIEW])
        score_views(s, &whole);
    return true;
}

/* Exams x[n] as part k, unless it is there. */
static bool study_part(study *s, exam *const *x, int64_t n, int64_t k, err *e)
{
    char *path = part_path(s, k);
    bool there = fs_exists(path), ok = true;
    if (!there && (s->csv = csv_create(path, e)) == NULL)
        ok = false;
    mem_free(path);
    if (there || !ok)
        return ok;
    put_head(s->csv);
    for (int64_t i = 0; i < n && ok; i++)
        ok = (i == 0 || !pool_stop_asked() || err_set(e, ERR_STOPPED, "stopped")) &&
             study_exam(s, x[i], e);
    if (ok)
        ok = csv_commit(s->csv, e);
    else
        csv_discard(s->csv);
    kill_point("robustness_part");
    return ok;
}

static bool study_all(study *s, int64_t *wanted, int64_t *parts, err *e)
{
    int64_t n, at = 0;
    exam *x = list_exams(s, &n, wanted), **list = MEM_ARRAY(exam *, *wanted + 1);
    log_progress p;
    bool ok = true;
    for (int64_t i = 0; i < n; i++)
        if (x[i].wanted)
            list[at++] = &x[i];
    log_progress_init(&p, "robustness", "exams", (uint64_t)*wanted);
    *parts = 0;
    for (at = 0; at < *wanted && ok; ++*parts) {
        int64_t len = *wanted - at < PART ? *wanted - at : PART;
        ok = study_part(s, list + at, len, *parts, e);
        at += ok ? len : 0;
        log_progress_step(&p, (uint64_t)at, NULL);
        if (ok && at < *wanted && pool_stop_asked())
            ok = err_set(e, ERR_STOPPED, "stopped");
    }
    if (!ok && e && e->code == ERR_STOPPED)
        err_set(e, ERR_STOPPED,
                "stopped after %lld of %lld exams of --robustness; the same call does the others",
                (long long)at, (long long)*wanted);
    log_progress_end(&p);
    mem_free(list);
    mem_free(x);
    return ok;
}

static bool write_books(const study *s, int64_t exams, err *e)
{
    char *path = fs_join(s->j->out, "robustness.json");
    json_t *o = json_pack("{s:s, s:o, s:[i, i], s:I}", "format", FORMAT, "inputs",
                          make_inputs(s->j), "grid", s->rows, s->cols, "exams", (json_int_t)exams);
    bool ok = json_write(path, o, true, e);
    json_decref(o);
    mem_free(path);
    return ok;
}

bool robustness_write(const robustness_job *j, err *e)
{
    const model_cfg *m = model_config(j->net);
    study s = {.j = j, .h = m->image_h, .w = m->image_w, .classes = (int)m->classes};
    int64_t exams = 0, parts = 0;
    cfg_bind(j->config, &robust_options, &s.c);
    model_grid(j->net, &s.rows, &s.cols);
    s.patches = model_patches(j->net);
    s.parts = fs_join(j->out, "robustness.parts");
    bool ok = read_lists(&s, e) && check(&s, e) && open_parts(&s, e);
    if (ok) {
        s.tape = run_new(j->be, RUN_INFER);
        s.mask = MEM_ARRAY(uint8_t, s.h * s.w);
        ok = study_all(&s, &exams, &parts, e) && write_books(&s, exams, e) &&
             join_parts(&s, parts, e) && fs_remove_tree(s.parts, e);
        run_free(s.tape);
    }
    free_room(&s);
    mem_free(s.mask);
    mem_free(s.parts);
    return ok;
}
