/* Every multiply-add and parameter figure of the papers and of their authors' READMEs beside what
 * this program counts: the figure as printed, our exact integer, and whether they agree. Where a
 * printed figure is not what its own network costs, the reason stands in the row, and the row fails
 * if the two begin to agree. patchdropout.md 3 and 8, token_reduction.md 4 and 6. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/cfg.h"
#include "model/model.h"

typedef enum measure { FVCORE, TORCHPROFILE, CORE, PARAMS } measure;
static const char *const measures[] = {"fvcore", "torchprofile", "core", "parameters"};

typedef struct figure {
    const char *source;  /* table or file */
    const char *config;  /* model.* options without "model.", blank-separated */
    const char *printed; /* as the source prints it; "" = it prints none */
    double unit;         /* of the printed figure */
    measure what;
    int64_t exact;   /* the specification's exact integer, 0 = it has none */
    const char *why; /* why the printed figure differs, NULL = it must agree */
} figure;

#define G      1e9
#define M      1e6
#define B16    "name=vit_base_patch16_224 "
#define B8     "name=vit_base_patch8_224 "
#define SWIN_B "name=swin_base_patch4_window7_224 "
#define EVIT   "name=deit_small_patch16_224 reduction=evit evit_keep="
#define PPT    "name=deit_small_patch16_224 reduction=ppt "

static const figure figures[] = {
    {"PatchDropout T1", B16 "keep_rate=1", "17.58", G, FVCORE, 17582740224, NULL},
    {"PatchDropout T1", B16 "image=896 keep_rate=0.05", "15.65", G, FVCORE, 15654599424, NULL},
    {"PatchDropout T1", B16 "image=896 keep_rate=0.1", "30.37", G, FVCORE, 30367403520, NULL},
    {"PatchDropout T1", B16 "image=896 keep_rate=0.25", "79.96", G, FVCORE, 79957780224, NULL},
    {"PatchDropout T1", B16 "image=896 keep_rate=0.5", "180.64", G, FVCORE, 180638734080, NULL},
    {"PatchDropout T1", B16 "image=896 keep_rate=1", "449.98", G, FVCORE, 449976678144, NULL},
    {"PatchDropout T3", B16 "image=64", "1.46", G, FVCORE, 1461053184, NULL},
    {"PatchDropout T3", B8 "image=64 keep_rate=0.25", "1.46", G, FVCORE, 1461053184, NULL},
    {"PatchDropout T3", B16 "image=128 keep_rate=0.25", "1.49", G, FVCORE, 1489364736, NULL},
    {"PatchDropout T3", B16 "image=112", "4.33", G, FVCORE, 4327282176, NULL},
    {"PatchDropout T3", B8 "image=112 keep_rate=0.25", "4.33", G, FVCORE, 4327282176, NULL},
    {"PatchDropout T3", B16 "keep_rate=0.25", "4.41", G, FVCORE, 4413986304, NULL},
    {"PatchDropout T3", B16 "keep_rate=1", "17.58", G, FVCORE, 17582740224, NULL},
    {"PatchDropout T3", B8 "keep_rate=0.25", "17.58", G, FVCORE, 17582740224, NULL},
    {"PatchDropout T3", B16 "image=448 keep_rate=0.25", "17.93", G, FVCORE, 17929556736, NULL},
    {"PatchDropout T3", B16 "image=448", "78.57", G, FVCORE, 78570514176, NULL},
    {"PatchDropout T3", B8 "image=448 keep_rate=0.25", "78.57", G, FVCORE, 78570514176, NULL},
    {"PatchDropout T3", B16 "image=896 keep_rate=0.25", "79.96", G, FVCORE, 79957780224, NULL},
    {"PatchDropout T4", "name=vit_tiny_patch16_224", "1.26", G, FVCORE, 1258411200, NULL},
    {"PatchDropout T4", "name=vit_small_patch16_224 keep_rate=0.25", "1.15", G, FVCORE, 1145309952,
     NULL},
    {"PatchDropout T4", "name=vit_small_patch16_224", "4.61", G, FVCORE, 4608338304, NULL},
    {"PatchDropout T4", B16 "keep_rate=0.25", "4.41", G, FVCORE, 4413986304, NULL},
    {"PatchDropout T4", B16, "17.58", G, FVCORE, 17582740224, NULL},
    {"PatchDropout T4", "name=vit_large_patch16_224 keep_rate=0.25", "15.39", G, FVCORE,
     15390083072, NULL},
    {"PatchDropout T5", B16, "17.58", G, FVCORE, 17582740224, NULL},
    {"PatchDropout T5", B16 "depth=24 keep_rate=0.5", "17.31", G, FVCORE, 17313367296, NULL},
    {"PatchDropout T5", B16 "depth=48 keep_rate=0.25", "17.31", G, FVCORE, 17306248704, NULL},
    /* relative figures: the unit is the network with all its patches */
    {"PatchDropout T2", B16 "keep_rate=0.9", ".90", 17582740224., FVCORE, 0, NULL},
    {"PatchDropout T2", B16 "keep_rate=0.8", ".79", 17582740224., FVCORE, 0, NULL},
    {"PatchDropout T2", B16 "keep_rate=0.7", ".69", 17582740224., FVCORE, 0, NULL},
    {"PatchDropout T2", B16 "keep_rate=0.6", ".59", 17582740224., FVCORE, 0, NULL},
    {"PatchDropout T2", B16 "keep_rate=0.5", ".50", 17582740224., FVCORE, 8715060480, NULL},
    {"PatchDropout T2", B16 "keep_rate=0.4", ".40", 17582740224., FVCORE, 0, NULL},
    {"PatchDropout T2", B16 "keep_rate=0.3", ".40", 17582740224., FVCORE, 0,
     "the entry repeats the one for 0.4; it must read .30"},
    {"PatchDropout T2", B16 "keep_rate=0.2", ".20", 17582740224., FVCORE, 0, NULL},
    {"PatchDropout T2", B16 "keep_rate=0.1", ".10", 17582740224., FVCORE, 0, NULL},
    /* ensembles: the unit is one of their members */
    {"PatchDropout T6", B16 "keep_rate=0.5", "17.44", G / 2, FVCORE, 8715060480,
     "2 x 8.72: the member was rounded before it was doubled; 17.43 is right"},
    {"PatchDropout T6", B16 "keep_rate=0.25", "17.66", G / 4, FVCORE, 4413986304, NULL},
    {"DeiT in EViT, PPT", "name=deit_tiny_patch16_224", "1.3", G, TORCHPROFILE, 0, NULL},
    {"DeiT in EViT, PPT", "name=deit_small_patch16_224", "4.6", G, TORCHPROFILE, 0, NULL},
    {"DeiT in EViT, PPT", "name=deit_base_patch16_224", "17.6", G, TORCHPROFILE, 0, NULL},
    {"ViT parameters", "name=vit_tiny_patch16_224", "", M, PARAMS, 5717416, NULL},
    {"ViT parameters", "name=vit_tiny_patch16_224 classes=2", "", M, PARAMS, 5524802, NULL},
    {"ViT parameters", "name=vit_tiny_patch16_224 classes=2 image=896", "", M, PARAMS, 6089282,
     NULL},
    {"EViT README", "name=deit_small_patch16_224", "22.1", M, PARAMS, 22050664, NULL},
    {"ViT parameters", "name=vit_small_patch16_224 classes=2", "", M, PARAMS, 21666434, NULL},
    {"ViT parameters", "name=vit_small_patch16_224 classes=2 image=896", "", M, PARAMS, 22795394,
     NULL},
    {"ViT parameters", B16, "", M, PARAMS, 86567656, NULL},
    {"ViT parameters", B16 "classes=2", "", M, PARAMS, 85800194, NULL},
    {"ViT parameters", B16 "classes=2 image=896", "", M, PARAMS, 88058114, NULL},
    {"ViT parameters", B8 "classes=2", "", M, PARAMS, 85809410, NULL},
    {"ViT parameters", B16 "depth=24", "", M, PARAMS, 171622120, NULL},
    {"ViT parameters", B16 "depth=24 classes=2", "", M, PARAMS, 170854658, NULL},
    {"ViT parameters", B16 "depth=48", "", M, PARAMS, 341731048, NULL},
    {"ViT parameters", B16 "depth=48 classes=2", "", M, PARAMS, 340963586, NULL},
    {"ViT parameters", "name=vit_large_patch16_224", "", M, PARAMS, 304326632, NULL},
    {"ViT parameters", "name=vit_large_patch16_224 classes=2", "", M, PARAMS, 303303682, NULL},
    {"ViT parameters", "name=vit_large_patch16_224 classes=2 image=896", "", M, PARAMS, 306314242,
     NULL},
    {"EViT README", EVIT "0.9", "4.0", G, TORCHPROFILE, 4025801396, NULL},
    {"EViT README", EVIT "0.8", "3.5", G, TORCHPROFILE, 3480450218, NULL},
    {"EViT README", EVIT "0.7", "3.0", G, TORCHPROFILE, 3032105162, NULL},
    {"EViT README", EVIT "0.6", "2.6", G, TORCHPROFILE, 2637750292, NULL},
    {"EViT README", EVIT "0.5", "2.3", G, TORCHPROFILE, 2311015474, NULL},
    {"EViT README, not fused", EVIT "0.9 evit_fuse=false", "4.0", G, TORCHPROFILE, 3991992275,
     NULL},
    {"EViT README, not fused", EVIT "0.8 evit_fuse=false", "3.5", G, TORCHPROFILE, 3447432641,
     "3.447 reads 3.4; the README repeats the row of the fused network"},
    {"EViT README, not fused", EVIT "0.7 evit_fuse=false", "3.0", G, TORCHPROFILE, 2999739005,
     NULL},
    {"EViT README, not fused", EVIT "0.6 evit_fuse=false", "2.6", G, TORCHPROFILE, 2610805579,
     NULL},
    {"EViT README, not fused", EVIT "0.5 evit_fuse=false", "2.3", G, TORCHPROFILE, 2284472521,
     NULL},
    {"EViT parameters", EVIT "0.7", "22.1", M, PARAMS, 22050664, NULL},
    {"EViT-B, core", "name=deit_base_patch16_224 reduction=evit evit_keep=0.9", "15.395", G, CORE,
     0, NULL},
    {"EViT-B, core", "name=deit_base_patch16_224 reduction=evit evit_keep=0.8", "13.327", G, CORE,
     0, NULL},
    {"EViT-B, core", "name=deit_base_patch16_224 reduction=evit evit_keep=0.7", "11.610", G, CORE,
     0, NULL},
    {"EViT-B, core", "name=deit_base_patch16_224 reduction=evit evit_keep=0.6", "10.088", G, CORE,
     0, NULL},
    {"EViT-B, core", "name=deit_base_patch16_224 reduction=evit evit_keep=0.5", "8.820", G, CORE, 0,
     NULL},
    {"EViT, core", EVIT "0.9", "4.022", G, CORE, 0, NULL},
    {"EViT, core", EVIT "0.8", "3.477", G, CORE, 0, NULL},
    {"EViT, core", EVIT "0.7", "3.029", G, CORE, 0, NULL},
    {"EViT, core", EVIT "0.6", "2.635", G, CORE, 0, NULL},
    {"EViT, core", EVIT "0.5", "2.309", G, CORE, 0, NULL},
    {"EViT at other sizes", EVIT "0.7 image=272", "4.56", G, CORE, 0, NULL},
    {"EViT at other sizes", EVIT "0.6 image=272", "3.97", G, CORE, 0, NULL},
    {"EViT at other sizes", EVIT "0.5 image=272", "3.48", G, CORE, 0, NULL},
    {"EViT at other sizes", "name=deit_small_patch16_224 image=272", "7.02", G, CORE, 0, NULL},
    {"EViT at other sizes", EVIT "0.7 image=288", "5.16", G, CORE, 0, NULL},
    {"EViT at other sizes", EVIT "0.6 image=288", "4.50", G, CORE, 0, NULL},
    {"EViT at other sizes", EVIT "0.5 image=288", "3.94", G, CORE, 0, NULL},
    {"EViT at other sizes", "name=deit_small_patch16_224 image=288", "7.97", G, CORE, 0, NULL},
    {"EViT at other sizes", EVIT "0.7 image=304", "5.81", G, CORE, 0, NULL},
    {"EViT at other sizes", EVIT "0.6 image=304", "5.06", G, CORE, 0, NULL},
    {"EViT at other sizes", EVIT "0.5 image=304", "4.44", G, CORE, 0, NULL},
    {"EViT at other sizes", "name=deit_small_patch16_224 image=304", "9.00", G, CORE, 0, NULL},
    {"EViT at other sizes", EVIT "0.7 image=384", "9.85", G, CORE, 0, NULL},
    {"EViT at other sizes", EVIT "0.6 image=384", "8.57", G, CORE, 0, NULL},
    {"EViT at other sizes", EVIT "0.5 image=384", "7.52", G, CORE, 0, NULL},
    {"EViT at other sizes", "name=deit_small_patch16_224 image=384", "15.49", G, CORE, 0, NULL},
    {"PPT README", PPT "path=MPP", "2.944411999", G, TORCHPROFILE, 2944411999, NULL},
    {"PPT, other paths", PPT "path=PPP", "", G, TORCHPROFILE, 2943702819, NULL},
    {"PPT, other paths", PPT "path=PPM", "", G, TORCHPROFILE, 2943896799, NULL},
    {"PPT, other paths", PPT "path=PMP", "", G, TORCHPROFILE, 2944114399, NULL},
    {"PPT, other paths", PPT "path=PMM", "", G, TORCHPROFILE, 2944308379, NULL},
    {"PPT, other paths", PPT "path=MPM", "", G, TORCHPROFILE, 2944605979, NULL},
    {"PPT, other paths", PPT "path=MMP", "", G, TORCHPROFILE, 2944823579, NULL},
    {"PPT, other paths", PPT "path=MMM", "", G, TORCHPROFILE, 2945017559, NULL},
    {"PPT, core", PPT "path=MPP", "2.942221", G, CORE, 2941600128,
     "that figure holds the one matching of 620,928 twice; the whole count beside it holds it "
     "once"},
    {"DeiT, core", "name=deit_tiny_patch16_224", "1.2537", G, CORE, 0, NULL},
    {"DeiT, core", "name=deit_small_patch16_224", "4.5989", G, CORE, 0, NULL},
    {"DeiT, core", "name=deit_base_patch16_224", "17.5638", G, CORE, 0, NULL},
    {"Swin-B, n of 7", SWIN_B "keep_rate=1/7", "0.33142", G, FVCORE, 331418624, NULL},
    {"Swin-B, n of 7", SWIN_B "keep_rate=2/7", "1.26030", G, FVCORE, 1260302336, NULL},
    {"Swin-B, n of 7", SWIN_B "keep_rate=3/7", "2.81352", G, FVCORE, 2813520896, NULL},
    {"Swin-B, n of 7", SWIN_B "keep_rate=4/7", "4.99869", G, FVCORE, 4998692864, NULL},
    {"Swin-B, n of 7", SWIN_B "keep_rate=5/7", "7.82648", G, FVCORE, 7826484224, NULL},
    {"Swin-B, n of 7", SWIN_B "keep_rate=6/7", "11.31061", G, FVCORE, 11310608384, NULL},
    {"Swin-B, n of 7", SWIN_B "keep_rate=1", "15.46783", G, FVCORE, 15467826176, NULL},
    {"Swin parameters", SWIN_B, "", M, PARAMS, 87768224, NULL},
    {"ViT-reg parameters", "name=vit_tiny_patch16_reg4_224", "", M, PARAMS, 5717416 + 8 * 192,
     NULL},
    {"ViT-reg parameters", "name=vit_small_patch16_reg4_224", "", M, PARAMS, 22050664 + 8 * 384,
     NULL},
    {"ViT-reg parameters", "name=vit_base_patch16_reg4_224", "", M, PARAMS, 86567656 + 8 * 768,
     NULL},
    {"PiT README", "name=pit_ti_224", "4.9", M, PARAMS, 4847272, "4.847 M reads 4.8"},
    {"PiT README", "name=pit_xs_224", "10.6", M, PARAMS, 10618888, NULL},
    {"PiT README", "name=pit_s_224", "23.5", M, PARAMS, 23461912, NULL},
    {"PiT README", "name=pit_b_224", "73.8", M, PARAMS, 73764840, NULL},
    {"PiT parameters", "name=pit_ti_distilled_224", "", M, PARAMS, 5104336, NULL},
    {"PiT parameters", "name=pit_xs_distilled_224", "", M, PARAMS, 11003984, NULL},
    {"PiT parameters", "name=pit_s_distilled_224", "", M, PARAMS, 24039056, NULL},
    {"PiT parameters", "name=pit_b_distilled_224", "", M, PARAMS, 74790096, NULL},
    {"DeiT parameters", "name=deit_tiny_distilled_patch16_224", "", M, PARAMS, 5910800, NULL},
    {"DeiT parameters", "name=deit_small_distilled_patch16_224", "", M, PARAMS, 22436432, NULL},
    {"DeiT parameters", "name=deit_base_distilled_patch16_224", "", M, PARAMS, 87338192, NULL},
    {"PiT README", "name=pit_ti_224", "0.71", G, TORCHPROFILE, 702794600,
     "the distilled network costs 0.71, and so would one more count for softmax"},
    {"PiT README", "name=pit_xs_224", "1.4", G, TORCHPROFILE, 1398730344, NULL},
    {"PiT README", "name=pit_s_224", "2.9", G, TORCHPROFILE, 2876842908, NULL},
    {"PiT README", "name=pit_b_224", "12.5", G, TORCHPROFILE, 12420053152,
     "the distilled network costs 12.5, and so would one more count for softmax"},
    {"PiT README, distilled", "name=pit_ti_distilled_224", "0.71", G, TORCHPROFILE, 708725476,
     NULL},
    {"PiT README, distilled", "name=pit_xs_distilled_224", "1.4", G, TORCHPROFILE, 1410965860,
     NULL},
    {"PiT README, distilled", "name=pit_s_distilled_224", "2.9", G, TORCHPROFILE, 2902730262, NULL},
    {"PiT README, distilled", "name=pit_b_distilled_224", "12.5", G, TORCHPROFILE, 12500565036,
     NULL},
    {"PiT, products", "name=pit_ti_224", "0.699059", G, CORE, 0, NULL},
    {"PiT, products", "name=pit_ti_distilled_224", "0.704968", G, CORE, 0, NULL},
    {"PiT, products", "name=pit_xs_224", "1.3947", G, CORE, 0, NULL},
    {"PiT, products", "name=pit_s_224", "2.8708", G, CORE, 0, NULL},
    {"PiT, products", "name=pit_b_224", "12.4019", G, CORE, 0, NULL},
    {"PiT-S at 896 px", "name=pit_s_224 image=896 channels=1", "162", G, CORE, 0, NULL},
    {"PiT-S at 1024 px", "name=pit_s_224 image=1024 channels=1", "262", G, CORE, 0, NULL},
    {"PiT-S at 2048 px", "name=pit_s_224 image=2048 channels=1", "3639", G, CORE, 0, NULL},
    {"PiT, products", "name=pit_b_distilled_224", "12.4824", G, CORE, 0, NULL},
};

/* Options as the sources have them: three channels, 1000 classes. A word path=MPP is kept apart. */
static void configure(cfg *c, const char *words, char path[8])
{
    char copy[256], *save = NULL;
    err e = {0};
    snprintf(copy, sizeof copy, "channels=3 classes=1000 %s", words);
    for (char *w = strtok_r(copy, " ", &save); w; w = strtok_r(NULL, " ", &save)) {
        char key[128];
        if (strncmp(w, "path=", 5) == 0) {
            snprintf(path, 8, "%s", w + 5);
            continue;
        }
        bool side = strncmp(w, "image=", 6) == 0;
        snprintf(key, sizeof key, side ? "model.image_h=%s" : "model.%s", side ? w + 6 : w);
        if (!cfg_set(c, key, &e))
            fail_msg("%s", e.msg);
        snprintf(key, sizeof key, "model.image_w=%s", w + 6);
        if (side && !cfg_set(c, key, &e))
            fail_msg("%s", e.msg);
    }
}

static int64_t count(const figure *f)
{
    const cfg_group *groups[] = {&model_options};
    cfg *c = cfg_new(groups, 1);
    model_cfg m;
    model_counts n;
    err e = {0};
    char path[8] = "";
    configure(c, f->config, path);
    cfg_bind(c, &model_options, &m);
    if (!(*path ? model_count_path(&m, path, &n, &e) : model_count(&m, &n, &e)))
        fail_msg("%s: %s", f->config, e.msg);
    cfg_free(c);
    return f->what == PARAMS ? n.params : model_macs(&n.published, (model_convention)f->what);
}

/* Does v, written with as many decimals as the printed figure has, read like it? */
static bool agrees(double v, const char *printed)
{
    const char *dot = strchr(printed, '.');
    int decimals = dot ? (int)strlen(dot + 1) : 0;
    double step = pow(10, -decimals);
    return fabs(round(v / step) - round(strtod(printed, NULL) / step)) < 0.5;
}

static void published_figures(void **state)
{
    (void)state;
    int wrong = 0, matched = 0, explained = 0;
    for (size_t i = 0; i < COUNT_OF(figures); i++) {
        const figure *f = &figures[i];
        int64_t ours = count(f);
        bool same = !*f->printed || agrees((double)ours / f->unit, f->printed);
        bool exact = !f->exact || ours == f->exact;
        bool fine = exact && same == !f->why;
        print_message("%-21s %-58s %8s %13lld %-12s %s%s%s\n", f->source, f->config,
                      *f->printed ? f->printed : "-", (long long)ours, measures[f->what],
                      !exact   ? "NOT THE EXACT INTEGER"
                      : same   ? f->why ? "AGREES, BUT IS EXPLAINED AWAY" : "match"
                      : f->why ? "differs: "
                               : "DIFFERS",
                      !same && f->why ? f->why : "", f->exact ? " (exact)" : "");
        wrong += !fine;
        matched += fine && same;
        explained += fine && !same;
    }
    print_message("%d figures agree, %d differ for a known reason, %d wrong\n", matched, explained,
                  wrong);
    assert_int_equal(wrong, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(published_figures)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
