/* Runs a network over cohort rows without gradient and turns scores into exam-level AUC by the same
 * code as the report (eval/exam, eval/metric). patchdropout.md 5. */
#include "train/validate.h"

#include "core/mem.h"
#include "eval/exam.h"
#include "train/share.h"

#include <math.h>
#include <string.h>

void validate_probability(const float *logits, int classes, double *score, double *logit)
{
    double top = -INFINITY, rest = 0;
    for (int c = 0; c < classes; c++)
        if (c != 1)
            top = fmax(top, (double)logits[c]);
    for (int c = 0; c < classes; c++)
        if (c != 1)
            rest += exp((double)logits[c] - top);
    *logit = (double)logits[1] - (top + log(rest));
    *score = *logit >= 0 ? 1 / (1 + exp(-*logit)) : exp(*logit) / (1 + exp(*logit));
}

bool validate_score(const validate_rows *v, double *score, double *logit, err *e)
{
    const model_cfg *m = model_config(v->net);
    int classes = (int)m->classes, got;
    run *tape = run_new(model_params(v->net)->be, RUN_INFER);
    float *host = MEM_ARRAY(float, VALIDATE_BATCH *classes);
    loader_batch b;
    loader_plan p = {.row = v->row,
                     .n = v->n,
                     .batch = VALIDATE_BATCH,
                     .keep = v->keep,
                     .by_image = true,
                     .horizon = v->info->horizon};
    if (v->keep && m->window) /* the draws of windows may go by the place in the batch */
        p.batch = 1;
    int64_t batches = (v->n + p.batch - 1) / p.batch, *own = MEM_ARRAY(int64_t, batches + 1);
    for (int64_t i = ranks_rank(v->ranks); i < batches; i += ranks_size(v->ranks))
        own[p.n_only++] = i;
    p.only = own;
    loader_start(v->load, &p);
    while ((got = loader_next(v->load, &b, e)) > 0) {
        b.in.mean = v->info->mean;
        b.in.sd = v->info->sd;
        run_reset(tape);
        run_read(tape, model_forward(v->net, tape, &b.in), host);
        for (int i = 0; i < b.in.b; i++)
            validate_probability(host + i * classes, classes, &score[b.first_row + i],
                                 &logit[b.first_row + i]);
    }
    loader_stop(v->load);
    run_free(tape);
    mem_free(host);
    mem_free(own);
    if (!ranks_agree(v->ranks, got == 0, e))
        return false;
    share_scores(v->ranks, score, v->n, p.batch);
    share_scores(v->ranks, logit, v->n, p.batch);
    return true;
}

static bool exam_auc(const cohort *c, const int64_t *row, int64_t n, int horizon,
                     const double *score, metric_value *out, err *e)
{
    scores s;
    exam_table t;
    scores_init(&s);
    for (int64_t i = 0; i < n; i++) {
        const cohort_row *r = &c->row[row[i]];
        scores_row v = {.exam = r->exam,
                        .patient = r->patient,
                        .image = r->image,
                        .side = r->side,
                        .view = r->view,
                        .score = score[i],
                        .y = r->y[horizon],
                        .t_years = NAN,
                        .event = -1,
                        .weight = 1,
                        .age = r->age,
                        .split = "",
                        .vendor = r->vendor};
        scores_add(&s, &v);
    }
    bool ok = exam_build(&s, EXAM_MEAN_IMAGES, &t, e);
    if (ok) {
        double *x = MEM_ARRAY(double, t.n ? t.n : 1);
        int *y = MEM_ARRAY(int, t.n ? t.n : 1), *cluster = MEM_ARRAY(int, t.n ? t.n : 1);
        for (int64_t i = 0; i < t.n; i++) {
            x[i] = t.row[i].score;
            y[i] = t.row[i].y;
            cluster[i] = t.row[i].patient_index;
        }
        *out = metric_auc(&(metric_in){
            .score = x, .y = y, .cluster = cluster, .n = t.n, .n_clusters = t.n_patients});
        mem_free(x);
        mem_free(y);
        mem_free(cluster);
        exam_release(&t);
    }
    scores_release(&s);
    return ok;
}

/* Two machines may round the last digit differently, and must not decide differently. */
static void take_first(ranks *r, validate_result *v)
{
    double x[] = {v->loss, v->exam.value, v->exam.lo, v->exam.hi, v->image.value};
    ranks_bcast(r, x, sizeof x);
    v->loss = x[0];
    v->exam.value = x[1];
    v->exam.lo = x[2];
    v->exam.hi = x[3];
    v->image.value = x[4];
}

bool validate_run(const validate_rows *v, const cohort *c, validate_result *out, err *e)
{
    int64_t n = v->n;
    int horizon = v->info->horizon;
    double *score = MEM_ARRAY(double, n), *logit = MEM_ARRAY(double, n);
    int *y = MEM_ARRAY(int, n);
    bool ok = validate_score(v, score, logit, e);
    if (ok) {
        out->loss = 0;
        for (int64_t i = 0; i < n; i++) {
            y[i] = c->row[v->row[i]].y[horizon];
            double z = y[i] == 1 ? -logit[i] : logit[i]; /* -log p(y) = log(1 + exp(z)) */
            out->loss += (z > 0 ? z + log1p(exp(-z)) : log1p(exp(z))) / (double)n;
        }
        out->image = metric_auc(&(metric_in){.score = score, .y = y, .n = n});
        ok = ranks_agree(v->ranks, exam_auc(c, v->row, n, horizon, score, &out->exam, e), e);
    }
    if (ok)
        take_first(v->ranks, out);
    mem_free(score);
    mem_free(logit);
    mem_free(y);
    return ok;
}
