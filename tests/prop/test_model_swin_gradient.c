/* A small Swin network: directional derivatives for every parameter tensor, square and rectangular,
 * dense and with structured PatchDropout in its three forms. A seed may be given as the only
 * argument. */
#include "tests/prop/gradient.h"

#include "tests/swin_small.h"

typedef struct swin_case {
    const char *name;
    int h, w, window, b;
    int sets;
    double rate; /* 1 = dense, no list */
} swin_case;

static const swin_case cases[] = {
    {"dense 32x32 px, window 2", 32, 32, 2, 2, SWIN_WINDOW, 1},
    {"dense 64x32 px, window 2", 64, 32, 2, 1, SWIN_WINDOW, 1},
    {"2 of 3 rows, a set for every window", 48, 96, 3, 1, SWIN_WINDOW, 0.67},
    {"3 of 4 rows, a set for every image", 64, 64, 4, 1, SWIN_IMAGE, 0.75},
    {"2 of 3 rows, tiled sets", 48, 48, 3, 3, SWIN_TILE, 0.67},
    {"2 of 4 rows, tiled sets", 64, 64, 4, 2, SWIN_TILE, 0.5},
};

static uint64_t seed = 20240919;
static gradient_worst worst = {.error = -1};

static tensor *build(void *ctx, run *r)
{
    small *n = ctx;
    return small_logits(n, r, &n->batch, false);
}

static void test_case(void **state)
{
    const swin_case *t = *state;
    small *n = small_new(0, t->h, t->w, t->window, t->sets);
    if (t->rate < 1)
        small_draw(n, t->b, t->rate, 1);
    n->batch.b = t->b;
    gradient_case c = {.name = t->name, .be = n->be, .set = n->set, .build = build, .ctx = n};
    c.probe = RUN_INFER;
    c.labels = (const int32_t[]){2, 0, 1};
    c.weights = (const float[]){1, 0.5f, 2};
    c.smoothing = 0.1f;
    c.directions = 2;
    gradient_check(&c, seed, NULL, &worst);
    small_free(n);
}

int main(int argc, char **argv)
{
    struct CMUnitTest tests[COUNT_OF(cases)] = {0};
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        tests[i] = (struct CMUnitTest){.name = cases[i].name,
                                       .test_func = test_case,
                                       .initial_state = (void *)(uintptr_t)&cases[i]};
    if (argc > 1)
        seed = strtoull(argv[1], NULL, 10);
    int failed = cmocka_run_group_tests_name("model_swin_gradient", tests, NULL, NULL);
    print_message("swin gradients: seed %llu, %d directions, worst error %.2e (%s)\n",
                  (unsigned long long)seed, worst.directions, worst.error, worst.where);
    return failed;
}
