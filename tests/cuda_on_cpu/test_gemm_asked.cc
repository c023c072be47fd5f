/* Every matrix product of every network, put to the real cuBLASLt in the descriptors of
 * model/cuda/gemm_cublaslt.c (its own file): shape-only runs give the ops, model/cuda/linear.cu
 * makes their products, no value is computed. Without a card the library judges the descriptions,
 * not whether it has an algorithm (cublaslt_door.c); with one it says that too. */
#include <csetjmp>
#include <cstdarg>
#include <cstddef>
#include <cstdint>

extern "C" {
#include <cmocka.h>
}
#include "model/cuda/cuda.cuh"

extern "C" {
#include "model/model.h"
#include "tests/cuda_on_cpu/cublaslt_door.h"
}
#include <dlfcn.h>

extern "C" op_fn cuda_linear_forward, cuda_linear_backward;

/* ---- what linear.cu calls, in place of the emulator's (the linker takes these) ----------------
 */

/* Addresses that nobody reads, each a multiple of `of` and of no larger power of two. */
static char *made_up(size_t of)
{
    static uintptr_t next = (uintptr_t)1 << 40;
    next += (uintptr_t)1 << 36;
    return (char *)(next + of);
}

enum {
    IN_ARENA = 256, /* tensors (RUN_ALIGN), bf16 weights and scratch (cudaMalloc) */
    IN_PARAMS = 64  /* float32 parameters and their gradients (PARAM_ALIGN) */
};

const void *cuda_param(cuda *, param *p, tensor_type type)
{
    return type == TENSOR_F32 ? (const void *)p->x : made_up(IN_ARENA);
}

void *cuda_scratch_get(cuda *, cuda_scratch *, size_t)
{
    return made_up(IN_ARENA);
}

cudaError_t shim_submit(cudaStream_t, const shim_node &)
{
    return cudaSuccess;
}

/* ---- from an op to its products ---------------------------------------------------------------
 */

static cuda card; /* a backend with products and nothing else */
static door_book *book;
static char missing[1024];

/* A tensor of a shape-only run with addresses. */
static tensor placed(const tensor *t)
{
    tensor own = *t;
    own.x = (float *)(void *)made_up(IN_ARENA);
    own.g = (float *)(void *)made_up(IN_ARENA);
    return own;
}

/* Parameters lie in one block, some at multiples of more: drawn. */
static float *in_block()
{
    static uint64_t drawn = 1;
    drawn = drawn * 6364136223846793005u + 1442695040888963407u;
    return (float *)(void *)made_up((size_t)IN_PARAMS << (drawn >> 60) % 3);
}

static param placed(const param *p)
{
    param own = *p;
    own.x = in_block();
    own.g = in_block();
    return own;
}

static void ask(const op_args *given, bool training)
{
    op_args a = *given;
    tensor y = placed(a.y), x = placed(a.x), y2, x2;
    param w = placed(a.w), b;
    a.y = &y;
    a.x = &x;
    a.w = &w;
    if (a.y2) {
        y2 = placed(a.y2);
        y2.x = training ? y2.x : y.x; /* inference writes GELU over its argument */
        a.y2 = &y2;
    }
    if (a.x2) {
        x2 = placed(a.x2);
        a.x2 = &x2;
    }
    if (a.b) {
        b = placed(a.b);
        a.b = &b;
    }
    cuda_linear_forward(&card.base, &a);
    for (int add = 0; training && add < 2; add++) {
        a.add_x = add;
        if (!add || !a.x2)
            cuda_linear_backward(&card.base, &a);
    }
}

static void plan(const backend *, const op_args *a, bool training, backend_plan *)
{
    if (a->kind == OP_LINEAR)
        ask(a, training);
}

/* ---- networks ---------------------------------------------------------------------------------
 */

struct wish {
    const char *name;
    int64_t edge; /* px */
    double keep;
    tensor_type type;
    bool tanh; /* bf16_fast */
    int b;
};

/* False: the network is not to be had so, and *e says why. */
static bool walk(const wish &k, err *e)
{
    backend_ops ops = {};
    backend be = {};
    ops.plan = plan;
    be.ops = &ops;
    be.type = k.type;
    model_cfg c = {};
    c.name = k.name;
    c.image_h = c.image_w = k.edge;
    c.channels = 1;
    c.classes = 2;
    c.keep_rate = k.keep;
    c.gelu = k.tanh ? MODEL_GELU_TANH : MODEL_GELU_ERF;
    model *m = model_new(&c, NULL, 1, e);
    if (!m)
        return false;
    bool ok = model_check_rate(m, "keep", k.keep, e);
    static const int32_t some = 0; /* a shape-only run reads no index */
    model_batch batch = {};
    batch.b = k.b;
    batch.h = batch.w = (int)model_config(m)->image_h;
    batch.sd = 1;
    if (ok && k.keep < 1) {
        batch.keep = &some;
        batch.n_keep = model_kept(m, k.keep);
    }
    for (int training = 0; ok && training < 2; training++) {
        run *r = run_new_shape(&be, training ? RUN_TRAIN : RUN_INFER);
        model_forward(m, r, &batch);
        run_free(r);
    }
    model_free(m);
    return ok;
}

static int walk_all(const char *const *name, size_t names, int64_t unit)
{
    static const double keep[] = {1, 0.25, 0.05};
    static const int64_t edge[] = {224, 896, 2304, 4096};
    static const int batch[] = {1, 64};
    int had = 0;
    for (size_t i = 0; i < names * COUNT_OF(edge) * COUNT_OF(keep) * COUNT_OF(batch) * 3; i++) {
        size_t j = i / 3;
        wish k = {};
        k.type = i % 3 ? TENSOR_BF16 : TENSOR_F32;
        k.tanh = i % 3 == 2;
        k.b = batch[j % COUNT_OF(batch)];
        j /= COUNT_OF(batch);
        k.keep = keep[j % COUNT_OF(keep)];
        j /= COUNT_OF(keep);
        k.edge = edge[j % COUNT_OF(edge)] / unit * unit;
        k.name = name[j / COUNT_OF(edge)];
        err e = {};
        bool ok = walk(k, &e);
        if (!ok && (e.code != ERR_CONFIG || k.keep == 1))
            fail_msg("%s at %d px, keep %g: %s", k.name, (int)k.edge, k.keep, e.msg);
        had += ok;
    }
    return had;
}

/* ---- what the library said --------------------------------------------------------------------
 */

static const char *word(uint32_t epilogue)
{
    switch (epilogue) {
    case 1:
        return "plain";
    case 4:
        return "bias";
    case 36:
        return "bias, GELU";
    case 164:
        return "bias, GELU, its argument";
    case 192:
        return "slope of GELU";
    case 512:
        return "row sums";
    }
    return "?";
}

enum { WANTS_A_CARD = 15, REFUSED = 7 }; /* NOT_SUPPORTED, INVALID_VALUE */

/* Questions that differ in sizes only. */
struct kind {
    const door_question *first;
    int n, none; /* in all; without an algorithm */
    size_t workspace;
};

static bool alike(const door_question *a, const door_question *b)
{
    return a->epilogue == b->epilogue && a->in == b->in && a->out == b->out &&
           a->trans_a == b->trans_a && a->trans_b == b->trans_b;
}

static void tell_kinds()
{
    kind kinds[32] = {};
    int n = 0;
    for (int i = 0; i < book->n; i++) {
        const door_question *q = &book->asked[i];
        int j = 0;
        while (j < n && !alike(kinds[j].first, q))
            j++;
        assert_true(j < (int)COUNT_OF(kinds));
        n = j == n ? n + 1 : n;
        kind *k = &kinds[j];
        k->first = q;
        k->n++;
        k->none += !q->found;
        k->workspace = q->workspace > k->workspace ? q->workspace : k->workspace;
    }
    for (int i = 0; i < n; i++) {
        const door_question *q = kinds[i].first;
        print_message("  %s%s, %s: %d questions", q->in ? "bf16" : "float32",
                      q->in == q->out ? "" : " to float32", word(q->epilogue), kinds[i].n);
        if (book->card)
            print_message(", %d without an algorithm, workspace at most %zu", kinds[i].none,
                          kinds[i].workspace);
        print_message("\n");
    }
}

/* Questions that the library or the manual refuses. */
static int refused()
{
    int bad = 0;
    for (int i = 0; i < book->n; i++) {
        const door_question *q = &book->asked[i];
        bool sound = book->card ? q->status != REFUSED : q->status == WANTS_A_CARD;
        if (sound && !q->fault)
            continue;
        if (bad++ < 10)
            print_message("%s %dx%dx%d, types %d %d, turned %d %d: status %d, %s\n",
                          word(q->epilogue), (int)q->m, (int)q->n, (int)q->k, q->in, q->out,
                          q->trans_a, q->trans_b, q->status, q->fault ? q->fault : "refused");
    }
    return bad;
}

/* With a card: products that neither way of theirs has an algorithm for. */
static int impossible()
{
    int bad = 0;
    for (int i = 0; book->card && i < book->n; i++) {
        const door_question *q = &book->asked[i];
        bool any = false;
        for (int j = i; j < book->n && book->asked[j].product == q->product; i = j++)
            any = any || book->asked[j].found;
        if (!any)
            print_message("no way: %s %dx%dx%d, types %d %d\n", word(q->epilogue), (int)q->m,
                          (int)q->n, (int)q->k, q->in, q->out);
        bad += !any;
    }
    return bad;
}

static int card_open(void **)
{
    err e = {};
    void *door = dlopen(DOOR "/libcublasLt.so.13", RTLD_NOW | RTLD_LOCAL);
    void *at = door ? dlsym(door, "door_book_of") : NULL;
    if (!at) {
        snprintf(missing, sizeof missing, "%s", dlerror());
        return 0;
    }
    book = reinterpret_cast<door_book *(*)(void)>(at)();
    setenv("MAMMOVIT_CUDA_LIBS", DOOR, 1);
    memset(static_cast<void *>(&card), 0, sizeof card);
    card.gemm = cuda_gemm_open(NULL, cuda_linear_finish, &card, &e);
    snprintf(missing, sizeof missing, "%s",
             book->closed ? "no card, and another cuBLASLt than 13.1" : e.msg);
    cuda_gemm_choice both = {}; /* ways of a product are asked for; none is timed in a capture */
    both.timed = true;
    both.card = "";
    if (card.gemm)
        cuda_gemm_choose(card.gemm, &both);
    return 0;
}

static int card_close(void **)
{
    cuda_gemm_close(card.gemm);
    card.gemm = NULL;
    return 0;
}

static void judge(int had, int wanted)
{
    if (had != wanted)
        fail_msg("%d networks, not %d", had, wanted);
    assert_true(book->n > 0 && book->ran > book->n / 2);
    tell_kinds();
    int bad = refused();
    if (bad)
        fail_msg("%d of %d questions are refused", bad, book->n);
    if (book->fault)
        fail_msg("%s", book->fault);
    assert_int_equal(impossible(), 0);
}

static void want_library(void)
{
    if (!card.gemm) {
        print_message("skip: %s\n", missing);
        skip();
    }
}

#define WALK(unit, wanted, ...)                                                                    \
    static const char *const names[] = {__VA_ARGS__};                                              \
    want_library();                                                                                \
    judge(walk_all(names, COUNT_OF(names), unit), wanted)

/* Were a wrong description answered like a sound one, the tests below would say nothing. */
static void wrong_descriptions_are_refused(void **)
{
    static const cuda_gemm sound = {8,     16,   32,    32,          32,          16,
                                    false, true, false, TENSOR_BF16, TENSOR_BF16, CUDA_GEMM_BIAS};
    want_library();
    for (int wrong = 0; wrong < 3; wrong++) {
        cuda_gemm g = sound;
        cuda_gemm_call call = {};
        call.a = made_up(IN_ARENA);
        call.b = made_up(IN_ARENA);
        call.d = made_up(IN_ARENA);
        call.bias = made_up(wrong == 1 ? 1 : IN_ARENA);
        g.ldd = wrong == 2 ? 8 : g.ldd;
        cuda_gemm_run(card.gemm, &g, &call);
        const door_question *q = &book->asked[book->n - 1];
        assert_int_equal(book->n, wrong + 1);
        assert_int_equal(q->status == REFUSED, wrong > 0);
        assert_int_equal(refused(), wrong);
    }
}

static void products_of_deit(void **)
{
    WALK(32, 360, "deit_tiny_patch16_224", "deit_small_patch16_224", "deit_base_patch16_224",
         "deit_tiny_distilled_patch16_224", "vit_small_patch16_reg4_224");
}

static void products_of_pit(void **)
{
    WALK(112, 96, "pit_ti_224", "pit_xs_224", "pit_s_224", "pit_b_224");
}

static void products_of_swin(void **)
{
    WALK(224, 96, "swin_tiny_patch4_window7_224", "swin_base_patch4_window7_224");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(wrong_descriptions_are_refused, card_open, card_close),
        cmocka_unit_test_setup_teardown(products_of_deit, card_open, card_close),
        cmocka_unit_test_setup_teardown(products_of_pit, card_open, card_close),
        cmocka_unit_test_setup_teardown(products_of_swin, card_open, card_close),
    };
    return cmocka_run_group_tests_name("gemm_asked", tests, NULL, NULL);
}
