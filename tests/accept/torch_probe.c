/* Helper of test_torch_export.sh.
 * torch_probe export MODEL CLASSES FILE timm|timm0.4: a network with weights from formula.h, saved
 * as safetensors in that layout. torch_probe import MODEL CLASSES FILE: a fresh network, FILE
 * loaded; counts of the report. Both then print one line per number: the features and the logits of
 * two formula-made images. */
#include <stdio.h>
#include <stdlib.h>

#include "core/mem.h"
#include "tests/fixtures/deit/formula.h"
#include "train/weights.h"

enum { SIDE = 224, BATCH = 2 };

static void print_numbers(model *m, backend *be)
{
    uint16_t *image[BATCH];
    for (int b = 0; b < BATCH; b++) {
        image[b] = mem_alloc((size_t)3 * SIDE * SIDE * sizeof(uint16_t));
        formula_image(b, 3, SIDE, SIDE, image[b]);
    }
    model_batch batch = {.b = BATCH,
                         .h = SIDE,
                         .w = SIDE,
                         .image = (const uint16_t *const *)image,
                         .mean = 0.4375F,
                         .sd = 0.28125F};
    run *r = run_new(be, RUN_INFER);
    for (int k = 0; k < 2; k++) {
        run_reset(r);
        tensor *t = k ? model_forward(m, r, &batch) : model_features(m, r, &batch);
        float *x = mem_alloc((size_t)tensor_count(t) * sizeof(float));
        run_read(r, t, x);
        for (int64_t i = 0; i < tensor_count(t); i++)
            printf("%s %.9g\n", k ? "logit" : "feature", x[i]);
        mem_free(x);
    }
    run_free(r);
    for (int b = 0; b < BATCH; b++)
        mem_free(image[b]);
}

int main(int argc, char **argv)
{
    err e = {0};
    if (argc != 5 && argc != 6)
        return 2;
    model_cfg mc = {.name = argv[2],
                    .image_h = SIDE,
                    .image_w = SIDE,
                    .channels = 3,
                    .classes = strtol(argv[3], NULL, 10),
                    .keep_rate = 1.0,
                    .head_init = 0.02};
    pool *pl = pool_new(0);
    backend *be = backend_new("cpu", pl, &e);
    model *m = be ? model_new(&mc, be, 3, &e) : NULL;
    bool ok = m != NULL;
    if (ok && !strcmp(argv[1], "export")) {
        param_set *s = model_params(m);
        for (int i = 0; i < s->n; i++) {
            float *x = mem_alloc((size_t)s->p[i].n * sizeof(float));
            formula_param(s->p[i].name, s->p[i].ndim, s->p[i].shape[0], s->p[i].n, 1.4, x);
            param_write(s, &s->p[i], x);
            mem_free(x);
        }
        bool old = argc == 6 && !strcmp(argv[5], "timm0.4");
        ok = weights_export(m, argv[4], old ? NAMES_TIMM04 : NAMES_TIMM, NULL, &e);
    } else if (ok) {
        weights_report report = {0};
        weights_opts opts = {.resample = RESAMPLE_BILINEAR};
        text_init(&report.table);
        ok = weights_load(m, argv[4], &opts, &report, &e);
        printf("report %d %d %d %d\n", report.loaded, report.resized, report.kept, report.unused);
        text_release(&report.table);
    }
    if (ok)
        print_numbers(m, be);
    else
        fprintf(stderr, "%s\n", e.msg);
    model_free(m);
    backend_free(be);
    pool_free(pl);
    return ok ? 0 : 1;
}
