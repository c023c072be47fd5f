/* predict --dicom: the files of one exam -> the same preparation, the same network, the same rule
 * as the cohort, without a store. Nothing that identifies a person is written: images are numbered
 * in the order of their file names. */
#include "cli/exam.h"

#include "core/csv.h"
#include "core/fs.h"
#include "core/log.h"
#include "core/mem.h"
#include "dicom/scan.h"
#include "eval/exam.h"
#include "preprocess/split.h"
#include "train/maps.h"
#include "train/predict.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXAM_FILES_MAX 1000

typedef struct picture {
    int number; /* of the file, from 1 */
    prepared p;
    uint16_t *canvas;
    double score, logit;
    reason out;            /* REASON_NONE = used */
    bool prefer_displaced; /* exam.implant_displaced */
} picture;

typedef struct exam_job {
    cmd_args *a;
    cfg *prep; /* the checkpoint's preparation */
    sidecar *side;
    worker *w;
    picture *pic;
    int n;
} exam_job;

/* The header's facts completed by a sidecar; *facts is NULL without one. */
static bool complete_facts(worker *w, const sidecar *side, const char *path, const char *relative,
                           record *room, record **facts, err *e)
{
    const void *reply;
    size_t len = 0;
    *facts = NULL;
    if (!side || worker_call(w, SCAN_TASK, path, NULL, 0, NULL, 0, &reply, &len) != WORKER_OK)
        return true;
    *room = ((const scan_reply *)reply)->rec;
    *facts = room;
    return sidecar_apply(side, relative, room, e);
}

static reason worker_reason(worker_result r)
{
    return r == WORKER_CRASH   ? REASON_DECODER_CRASH
           : r == WORKER_LIMIT ? REASON_DECODER_LIMIT
                               : REASON_IO_UNREADABLE;
}

bool exam_prepare(worker *w, const cfg *prep, const sidecar *side, const char *path,
                  const char *relative, prepared *p, uint16_t **canvas, err *e)
{
    const void *reply;
    size_t len = 0, arg_len;
    record room, *facts;
    *canvas = NULL;
    memset(p, 0, sizeof *p);
    if (!complete_facts(w, side, path, relative, &room, &facts, e))
        return false;
    void *arg = prepare_request(prep, facts, &arg_len);
    worker_result r = worker_call(w, PREPARE_TASK, path, NULL, 0, arg, arg_len, &reply, &len);
    mem_free(arg);
    if (r != WORKER_OK) {
        p->primary = worker_reason(r);
        reason_add(&p->reasons, p->primary);
        return true;
    }
    if (len < sizeof *p)
        BUG("prepare replied %zu bytes", len);
    memcpy(p, reply, sizeof *p);
    if (p->primary == REASON_NONE) {
        size_t n = (size_t)p->h[0] * (size_t)p->w[0];
        *canvas = mem_alloc(n * (sizeof(uint16_t) + 1));
        memcpy(*canvas, (const char *)reply + p->image_at[0], n * sizeof(uint16_t));
        if (p->mask_at[0])
            memcpy(*canvas + n, (const char *)reply + p->mask_at[0], n);
    }
    return true;
}

bool exam_preview(worker *w, const cfg *prep, const sidecar *side, const char *path,
                  preview_stage stage, const preview **out, err *e)
{
    static preview failed;
    const void *reply;
    size_t len = 0, arg_len;
    record room, *facts;
    if (!complete_facts(w, side, path, fs_base(path), &room, &facts, e))
        return false;
    void *arg = preview_request(prep, facts, stage, &arg_len);
    worker_result r = worker_call(w, PREVIEW_TASK, path, NULL, 0, arg, arg_len, &reply, &len);
    mem_free(arg);
    *out = reply;
    if (r != WORKER_OK || !preview_ok(prep, reply, len)) {
        preview_failed(&failed, r == WORKER_OK ? REASON_DECODER_CRASH : worker_reason(r));
        *out = &failed;
    }
    return true;
}

static bool add_file(void *ctx, const fs_entry *f, err *e)
{
    exam_job *j = ctx;
    if (j->n == EXAM_FILES_MAX)
        return err_set(e, ERR_INPUT, "more than %d files; predict --dicom takes one exam",
                       EXAM_FILES_MAX);
    picture *t = &j->pic[j->n++];
    t->number = j->n;
    t->prefer_displaced = split_prefers_displaced(j->a->config);
    if (f->bad) {
        t->out = REASON_IO_UNREADABLE;
        return true;
    }
    bool ok = exam_prepare(j->w, j->prep, j->side, f->path, f->relative, &t->p, &t->canvas, e);
    t->out = t->p.primary;
    return ok;
}

static split_choice choice(const picture *p)
{
    return (split_choice){.processing = p->p.rec.intent == INTENT_PROCESSING,
                          .synthetic = split_is_synthetic(&p->p.rec, &p->p.reasons),
                          .prefer_displaced = p->prefer_displaced,
                          .modifiers = p->p.rec.modifiers,
                          .breast_pixels = p->p.breast_pixels[0],
                          .time = p->p.rec.acquisition_time,
                          .pixel_hash = p->p.pixel_hash};
}

static int by_view(const void *a, const void *b)
{
    const picture *x = *(picture *const *)a, *y = *(picture *const *)b;
    int c = (int)x->p.rec.side - (int)y->p.rec.side;
    if (!c)
        c = (int)x->p.rec.view - (int)y->p.rec.view;
    if (!c) {
        split_choice u = choice(x), v = choice(y);
        c = split_better(&u, &v);
    }
    return c ? c : x->number - y->number;
}

static picture **usable(exam_job *j, int *n)
{
    picture **p = MEM_ARRAY(picture *, j->n ? j->n : 1);
    *n = 0;
    for (int i = 0; i < j->n; i++)
        if (j->pic[i].out == REASON_NONE)
            p[(*n)++] = &j->pic[i];
    qsort(p, (size_t)*n, sizeof *p, by_view);
    return p;
}

/* One exam only, one image per view: the rules of split that concern a single exam. */
static bool judge(exam_job *j, err *e)
{
    int n;
    picture **p = usable(j, &n);
    bool ok = true;
    for (int i = 1; i < n && ok; i++) {
        if (strcmp(p[i]->p.rec.study_uid, p[0]->p.rec.study_uid))
            ok = err_set(e, ERR_INPUT, "the files belong to more than one exam");
        else if (strcmp(p[i]->p.rec.patient_id, p[0]->p.rec.patient_id))
            ok = err_set(e, ERR_INPUT, "the files belong to more than one patient");
    }
    for (int i = 0; i < n && ok; i++)
        for (int k = 0; k < i; k++)
            if (p[k]->out == REASON_NONE && !strcmp(p[k]->p.pixel_hash, p[i]->p.pixel_hash))
                p[i]->out = strcmp(p[k]->p.rec.sop_uid, p[i]->p.rec.sop_uid) ? REASON_DUP_PIXEL
                                                                             : REASON_DUP_SOP;
    mem_free(p);
    if (!ok)
        return false;
    p = usable(j, &n);
    if (split_keeps_best_view(j->a->config))
        for (int i = 1, best = 0; i < n; i++) {
            if (p[i]->p.rec.side == p[best]->p.rec.side && p[i]->p.rec.view == p[best]->p.rec.view)
                p[i]->out = REASON_DUP_VIEW;
            else
                best = i;
        }
    mem_free(p);
    return true;
}

/* Maps of all images, under their numbers. */
static bool map(exam_job *j, model *m, const checkpoint_info *info, picture **p, int n, err *e)
{
    predict_cfg c;
    cfg_bind(j->a->config, &predict_options, &c);
    if (!maps_clear(j->a->out, e))
        return false;
    if (c.maps == MAPS_NONE)
        return true;
    maps *to = maps_new(&(maps_spec){.out = j->a->out,
                                     .net = m,
                                     .be = model_params(m)->be,
                                     .info = info,
                                     .n = n,
                                     .no_mask = p[0]->p.mask_at[0] ? NULL
                                                                   : "the checkpoint's preparation "
                                                                     "makes no masks "
                                                                     "(prepare.mask)",
                                     .evit_mask = c.evit_mask,
                                     .evit_patch0 = c.evit_patch0},
                        e);
    bool ok = to != NULL;
    for (int i = 0; i < n && ok; i++) {
        const prepared *k = &p[i]->p;
        size_t area = (size_t)k->h[0] * (size_t)k->w[0];
        char number[16];
        snprintf(number, sizeof number, "%d", p[i]->number);
        ok = maps_add(to,
                      &(maps_image){
                          .image = number,
                          .exam = "exam",
                          .side = k->rec.side,
                          .view = record_view_name(k->rec.view),
                          .pixels = p[i]->canvas,
                          .mask = k->mask_at[0] ? (uint8_t *)(p[i]->canvas + area) : NULL,
                          .pictures = true,
                      },
                      e);
    }
    if (ok)
        return maps_commit(to, e);
    maps_discard(to);
    return false;
}

static bool score(exam_job *j, const char *dir, const checkpoint_info *info, picture **p, int n,
                  err *e)
{
    pool *threads = pool_new(j->a->threads);
    backend *be = backend_new(j->a->device, threads, e);
    backend_how how = {0};
    cfg_bind(j->a->config, &backend_options, &how);
    bool opened = be && backend_compute(be, &how, e);
    model *m = opened ? checkpoint_load(dir, info, be, e) : NULL;
    const uint16_t **image = MEM_ARRAY(const uint16_t *, n);
    double *s = MEM_ARRAY(double, 2 * n);
    for (int i = 0; i < n; i++)
        image[i] = p[i]->canvas;
    bool ok = m && predict_images(m, be, info, image, n, s, s + n, e);
    for (int i = 0; i < n && ok; i++) {
        p[i]->score = s[i];
        p[i]->logit = s[n + i];
    }
    ok = ok && map(j, m, info, p, n, e);
    mem_free(image);
    mem_free(s);
    model_free(m);
    backend_free(be);
    pool_free(threads);
    return ok;
}

static bool write_predictions(const cmd_args *a, picture **p, int n, err *e)
{
    static const char *const head[] = {"exam_id", "patient_id", "image_id", "laterality",
                                       "view",    "score",      "logit"};
    char *path = fs_join(a->out, "predictions.csv"), number[16], side[2] = {0};
    csv_writer *w = csv_create(path, e);
    mem_free(path);
    for (size_t i = 0; i < COUNT_OF(head) && w; i++)
        csv_put(w, head[i]);
    if (w)
        csv_end_row(w);
    for (int i = 0; i < n && w; i++) {
        snprintf(number, sizeof number, "%d", p[i]->number);
        side[0] = p[i]->p.rec.side;
        csv_put(w, "exam");
        csv_put(w, "patient");
        csv_put(w, number);
        csv_put(w, side);
        csv_put(w, record_view_name(p[i]->p.rec.view));
        csv_put_f64(w, p[i]->score);
        csv_put_f64(w, p[i]->logit);
        csv_end_row(w);
    }
    return w && csv_commit(w, e);
}

static bool write_excluded(const exam_job *j, err *e)
{
    char *path = fs_join(j->a->out, "excluded.csv");
    csv_writer *w = csv_create(path, e);
    mem_free(path);
    if (!w)
        return false;
    csv_put(w, "image_id");
    csv_put(w, "reason");
    csv_put(w, "sentence");
    csv_end_row(w);
    for (int i = 0; i < j->n; i++)
        if (j->pic[i].out != REASON_NONE) {
            csv_put_i64(w, j->pic[i].number);
            csv_put(w, reason_name(j->pic[i].out));
            csv_put(w, reason_sentence(j->pic[i].out));
            csv_end_row(w);
        }
    return csv_commit(w, e);
}

/* The exam's score by the headline rule, from the same table code as the report. */
static bool print_exam(const exam_job *j, picture **p, int n, err *e)
{
    scores s;
    exam_table t;
    scores_init(&s);
    for (int i = 0; i < n; i++)
        scores_add(&s, &(scores_row){.exam = "exam",
                                     .patient = "patient",
                                     .image = "",
                                     .side = p[i]->p.rec.side,
                                     .view = p[i]->p.rec.view == VIEW_CC    ? 'C'
                                             : p[i]->p.rec.view == VIEW_MLO ? 'M'
                                                                            : '?',
                                     .score = p[i]->score,
                                     .y = -1,
                                     .event = -1,
                                     .weight = 1,
                                     .age = -1,
                                     .split = "",
                                     .vendor = ""});
    bool ok = exam_build(&s, EXAM_MEAN_IMAGES, &t, e);
    text files;
    text_init(&files);
    for (int i = 0; i < n; i++)
        text_addf(&files, "file %-4d %c %-4s score %.6f\n", p[i]->number, p[i]->p.rec.side,
                  record_view_name(p[i]->p.rec.view), p[i]->score);
    if (ok)
        cmd_result(j->a,
                   json_pack("{s:f, s:i, s:i, s:i}", "score", t.row[0].score, "images",
                             t.row[0].n_images, "views", t.row[0].n_views, "left_out", j->n - n),
                   "%sexam score %.6f (mean of %d images, %d of 4 views; %d files left out: %s/"
                   "excluded.csv)\nresearch use only: not a diagnosis\n",
                   files.s, t.row[0].score, n, t.row[0].n_views, j->n - n, j->a->out);
    text_release(&files);
    if (ok)
        exam_release(&t);
    scores_release(&s);
    return ok;
}

static bool load_preparation(exam_job *j, const checkpoint_info *info, err *e)
{
    char id[17];
    scan_cfg sc;
    j->prep = args_schema();
    if (!cfg_load_text(j->prep, info->prepare_yaml, strlen(info->prepare_yaml), "checkpoint", e))
        return false;
    prepare_id(j->prep, id);
    if (strcmp(id, info->prepare_id))
        return err_set(e, ERR_INPUT,
                       "the checkpoint's preparation %s is not what this version makes of its "
                       "config (%s); predict with the version that trained it",
                       info->prepare_id, id);
    cfg_bind(j->a->config, &scan_options, &sc);
    if (sc.sidecar[0])
        j->side = sidecar_open(sc.sidecar, e);
    return !sc.sidecar[0] || j->side;
}

bool exam_predict(cmd_args *a, const char *checkpoint, const char *dir, err *e)
{
    exam_job j = {.a = a};
    checkpoint_info info;
    char ckpt[4096];
    int n = 0;
    picture **p = NULL;
    bool ok = false;
    if (!checkpoint_read_info(checkpoint, &info, ckpt, e))
        return false;
    j.pic = MEM_ARRAY(picture, EXAM_FILES_MAX);
    if (!load_preparation(&j, &info, e))
        goto done;
    j.w = worker_new(
        &(worker_limits){60, (size_t)2 << 30, prepare_reply_cap(j.prep) + sizeof(scan_reply)});
    if (!fs_walk(dir, add_file, &j, e) || !judge(&j, e) || !fs_mkdirs(a->out, e) ||
        !write_excluded(&j, e))
        goto done;
    p = usable(&j, &n);
    if (!n) {
        err_set(e, ERR_INPUT, "none of the %d files can be used; reasons: %s/excluded.csv", j.n,
                a->out);
        goto done;
    }
    ok =
        score(&j, ckpt, &info, p, n, e) && write_predictions(a, p, n, e) && print_exam(&j, p, n, e);
done:
    for (int i = 0; i < j.n; i++)
        mem_free(j.pic[i].canvas);
    mem_free(p);
    mem_free(j.pic);
    worker_free(j.w);
    sidecar_free(j.side);
    cfg_free(j.prep);
    checkpoint_release(&info);
    return ok;
}
