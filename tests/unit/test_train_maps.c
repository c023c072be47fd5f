/* Maps of a prediction: what the trace says against the record of the pass, areas by hand, the file
 * read back, pixels of the pictures, and predict --maps as a whole. */
#include "tests/unit/tiny_run.h"

#include <hdf5.h>
#include <math.h>
#include <png.h>

#include "core/json.h"
#include "model/rollout.h"
#include "tests/fixtures/deit/formula.h"
#include "train/maps.h"
#include "train/maps_h5.h"
#include "train/maps_trace.h"
#include "train/overlay.h"
#include "train/picture.h"

#define SIDE    48
#define PATCH   8
#define COLS    6
#define PATCHES (COLS * COLS)
#define LAYERS  3
#define IMAGES  6

static char dir[64];

typedef struct bench {
    pool *threads;
    backend *be;
    model *net;
    checkpoint_info info;
    uint16_t pixels[SIDE * SIDE];
} bench;

typedef struct kind {
    int reduction;
    bool fuse;
    double tau;
} kind;
static const kind kinds[] = {{MODEL_EVIT, true, 0},
                             {MODEL_EVIT, false, 0},
                             {MODEL_PPT, false, 1e9},
                             {MODEL_PPT, false, 0},
                             {MODEL_FULL, false, 0}};

static model_cfg config_of(const kind *k)
{
    return (model_cfg){.name = "deit_tiny_patch16_224",
                       .image_h = SIDE,
                       .image_w = SIDE,
                       .patch = PATCH,
                       .depth = 4,
                       .channels = 1,
                       .classes = 2,
                       .keep_rate = 1,
                       .reduction = k->reduction,
                       .reduction_layers = "0/1/2",
                       .evit_keep = 0.6,
                       .evit_fuse = k->fuse,
                       .ppt_tokens = 60,
                       .ppt_tau = k->tau,
                       .ppt_size_bias = true};
}

static void weights_by_formula(model *net)
{
    param_set *s = model_params(net);
    for (int i = 0; i < s->n; i++) {
        param *p = &s->p[i];
        float *x = MEM_ARRAY(float, p->n);
        formula_param(p->name, p->ndim, p->shape[0], p->n, 3, x);
        param_write(s, p, x);
        mem_free(x);
    }
}

static void open_bench(bench *b, const kind *k)
{
    model_cfg c = config_of(k);
    memset(b, 0, sizeof *b);
    b->threads = pool_new(2);
    OK((b->be = backend_new("cpu", b->threads, e)));
    OK((b->net = model_new(&c, b->be, 1, e)));
    weights_by_formula(b->net);
    b->info.mean = 0.5f;
    b->info.sd = 0.3f;
    snprintf(b->info.prepare_id, sizeof b->info.prepare_id, "00000000000000aa");
    memset(b->info.model_sha256, 'c', 64);
}

static void close_bench(bench *b)
{
    model_free(b->net);
    backend_free(b->be);
    pool_free(b->threads);
}

/* Noise with a ramp: no pixel is black, so that black in a picture was put there. */
static void image_of(int number, uint16_t *out)
{
    char name[16];
    snprintf(name, sizeof name, "maps%d", number);
    for (int i = 0; i < SIDE * SIDE; i++)
        out[i] =
            (uint16_t)(9000 + 400 * (i % SIDE) + formula_raw(formula_hash(name), i / 3) % 30000);
}

static void pass(bench *b, model_watch *w, const int32_t *keep, int n_keep, const uint8_t *mask,
                 maps_trace *t)
{
    const uint16_t *image = b->pixels;
    model_batch in = {.b = 1,
                      .h = SIDE,
                      .w = SIDE,
                      .image = &image,
                      .mean = b->info.mean,
                      .sd = b->info.sd,
                      .keep = keep,
                      .n_keep = n_keep,
                      .watch = w};
    run *r = run_new(b->be, RUN_INFER);
    w->attention = true;
    model_forward(b->net, r, &in);
    run_free(r);
    maps_trace_make(&(maps_look){b->net, b->be, w, keep, n_keep, mask}, t);
}

/* ---- the trace ------------------------------------------------------------------------------- */

/* Tokens as sets of patches, carried from layer to layer by the record alone. */
typedef struct tokens {
    int n;
    bool has[PATCHES + 2][PATCHES], fused[PATCHES + 2];
} tokens;

static void step(const watch_layer *l, const tokens *from, tokens *to)
{
    memset(to, 0, sizeof *to);
    to->n = l->n_out;
    for (int j = 0; j < from->n; j++) {
        if (l->dst[j] < 0)
            continue;
        for (int p = 0; p < PATCHES; p++)
            to->has[l->dst[j]][p] |= from->has[j][p];
        to->fused[l->dst[j]] |= from->fused[j] || l->dst[j] == l->fused;
    }
}

static int holder(const tokens *k, int patch)
{
    for (int j = 0; j < k->n; j++)
        if (k->has[j][patch])
            return j;
    return -1;
}

static int held(const tokens *k, int row)
{
    int n = 0;
    for (int p = 0; p < PATCHES; p++)
        n += k->has[row][p];
    return n;
}

static uint8_t state_of(const kind *k, const tokens *t, int row)
{
    if (row < 0)
        return MAPS_GONE;
    if (k->reduction == MODEL_PPT)
        return held(t, row) > 1 ? MAPS_MERGED : MAPS_ALONE;
    return t->fused[row] ? MAPS_FUSED : MAPS_ALONE;
}

static bool same(float a, double b)
{
    return isnan(b) ? isnan(a) : fabs((double)a - b) < 1e-5;
}

/* Attention of the last block and rollout stand at the right patches; last_tokens: after all
 * layers.
 */
static void check_attention(const bench *b, const model_watch *w, const maps_trace *t,
                            const bool *seen, const tokens *last_tokens)
{
    double start[PATCHES + 1], last[PATCHES + 1], sum = 0;
    int rows = rollout_rows(w, w->blocks - 1), at = 1;
    rollout_follow(w, b->be, 0, start, last);
    assert_int_equal(rows, last_tokens->n);
    for (int p = 0; p < PATCHES; p++) {
        uint8_t state = t->state[(LAYERS - 1) * PATCHES + p];
        bool stands = state == MAPS_ALONE || state == MAPS_MERGED;
        assert_true(same(t->last[p], stands ? last[holder(last_tokens, p)] * (rows - 1) : NAN));
        assert_true(same(t->rollout[p], seen[p] ? start[at] : NAN));
        sum += seen[p] ? start[at++] : 0;
    }
    assert_true(sum > 0.1 && sum < 1);
}

/* Returns how many patches are in a fused token of an earlier layer that was kept. */
static int check_layers(const kind *k, const model_watch *w, const maps_trace *t, const bool *seen,
                        tokens *last)
{
    tokens now = {.n = w->layer[0].n_in}, next;
    uint8_t before[PATCHES];
    int depth[PATCHES] = {0}, carried = 0;
    for (int p = 0, row = w->prefix; p < PATCHES; p++) {
        before[p] = seen[p] ? MAPS_ALONE : MAPS_UNSEEN;
        if (seen[p])
            now.has[row++][p] = true;
    }
    for (int l = 0; l < LAYERS; l++) {
        const watch_layer *r = &w->layer[l];
        step(r, &now, &next);
        for (int p = 0; p < PATCHES; p++) {
            size_t at = (size_t)(l * PATCHES + p);
            int from = holder(&now, p), row = holder(&next, p);
            uint8_t state = seen[p] ? state_of(k, &next, row) : MAPS_UNSEEN;
            bool stood = before[p] == MAPS_ALONE || before[p] == MAPS_MERGED;
            assert_int_equal(t->state[at], state);
            assert_int_equal(t->group[at], row < 0 ? -1 : row - 1);
            assert_true(same(t->log2_size[at], row < 0 ? NAN : log2(held(&next, row))));
            assert_true(
                same(t->attention[at], stood ? (double)r->score[from] * (r->n_in - 1) : NAN));
            if (k->reduction == MODEL_PPT && row >= 0 && k->tau > 0)
                assert_true(r->size[row] == (float)held(&next, row));
            depth[p] += state == MAPS_ALONE || state == MAPS_MERGED;
            carried += state == MAPS_FUSED && row != r->fused;
            before[p] = state;
        }
        assert_true(k->reduction == MODEL_PPT
                        ? t->branch[l] == (k->tau > 0) && t->spread[l] == r->spread[0]
                        : t->branch[l] == -1 && isnan(t->spread[l]));
        assert_int_equal(t->block[l], l);
        now = next;
    }
    for (int p = 0; p < PATCHES; p++)
        assert_int_equal(t->survival[p], seen[p] ? depth[p] : MAPS_UNSEEN);
    *last = now;
    return carried;
}

static void test_trace(void **state)
{
    int carried = 0, n_keep = 0;
    int32_t keep[PATCHES];
    bool all[PATCHES], some[PATCHES] = {0};
    memset(all, true, sizeof all);
    for (int p = 1; p < PATCHES; p += 1 + p % 2) {
        keep[n_keep++] = p;
        some[p] = true;
    }
    for (int k = 0; k < 4; k++) {
        bench b;
        open_bench(&b, &kinds[k]);
        for (int i = 0; i < 2 * IMAGES; i++) {
            maps_trace t;
            model_watch w = {0};
            bool part = i % 2;
            image_of(i, b.pixels);
            pass(&b, &w, part ? keep : NULL, part ? n_keep : 0, NULL, &t);
            assert_int_equal(t.layers, LAYERS);
            tokens last;
            carried += check_layers(&kinds[k], &w, &t, part ? some : all, &last);
            check_attention(&b, &w, &t, part ? some : all, &last);
            assert_true(isnan(t.kept[0]) && isnan(t.there[0]));
            maps_trace_release(&t);
            watch_release(&w);
        }
        close_bench(&b);
    }
    assert_true(carried > 0); /* a fused token that lived on was among what was compared */
}

/* Areas: every pixel of breast is counted where its patch ended up. */
static void test_breast(void **state)
{
    for (int k = 0; k < 4; k++) {
        bench b;
        maps_trace t;
        model_watch w = {0};
        uint8_t mask[SIDE * SIDE];
        int out = -1;
        open_bench(&b, &kinds[k]);
        image_of(3, b.pixels);
        for (int y = 0; y < SIDE; y++)
            for (int x = 0; x < SIDE; x++)
                mask[y * SIDE + x] = x < 5 + y / 2; /* cuts patches */
        pass(&b, &w, NULL, 0, mask, &t);
        for (int l = 0; l < LAYERS; l++) {
            int alone = 0, there = 0, area = 0;
            for (int y = 0; y < SIDE; y++)
                for (int x = 0; x < 5 + y / 2; x++, area++) {
                    uint8_t s = t.state[l * PATCHES + y / PATCH * COLS + x / PATCH];
                    alone += s == MAPS_ALONE;
                    there += s != MAPS_GONE;
                }
            assert_true(fabs(t.kept[l] - (double)alone / area) < 1e-12);
            assert_true(fabs(t.there[l] - (double)there / area) < 1e-12);
            assert_true(alone < area && t.kept[l] <= t.there[l]);
        }
        assert_true(t.there[2] == 1 || kinds[k].tau == 0);
        for (int p = 0; p < PATCHES; p++)
            out = t.state[2 * PATCHES + p] == MAPS_ALONE ? out : p;
        maps_trace_release(&t);
        /* a breast of one pixel, in a patch that left */
        memset(mask, 0, sizeof mask);
        mask[(out / COLS * PATCH + 7) * SIDE + out % COLS * PATCH] = 1;
        pass(&b, &w, NULL, 0, mask, &t);
        assert_true(t.kept[2] == 0);
        maps_trace_release(&t);
        memset(mask, 0, sizeof mask); /* none */
        pass(&b, &w, NULL, 0, mask, &t);
        assert_true(isnan(t.kept[0]) && isnan(t.there[0]));
        maps_trace_release(&t);
        watch_release(&w);
        close_bench(&b);
    }
}

/* ---- the file -------------------------------------------------------------------------------- */

static void add_images(bench *b, const char *out, const maps_spec *more)
{
    maps_spec s = *more;
    maps *m;
    s.out = out;
    s.net = b->net;
    s.be = b->be;
    s.info = &b->info;
    s.n = IMAGES;
    OK((m = maps_new(&s, e)));
    for (int i = 0; i < IMAGES; i++) {
        char name[16];
        uint8_t mask[SIDE * SIDE];
        memset(mask, 1, sizeof mask);
        image_of(i, b->pixels);
        snprintf(name, sizeof name, "image%d", i);
        OK(maps_add(m,
                    &(maps_image){.image = name,
                                  .exam = "exam-1",
                                  .side = i % 2 ? 'R' : 'L',
                                  .view = i % 3 ? "CC" : "MLO",
                                  .pixels = b->pixels,
                                  .mask = s.no_mask ? NULL : mask,
                                  .pictures = i < 5},
                    e));
    }
    OK(maps_commit(m, e));
}

/* All of a dataset; its number of values. */
static size_t read_set(hid_t f, const char *name, hid_t type, void *out, size_t cap)
{
    hid_t d = H5Dopen2(f, name, H5P_DEFAULT);
    if (d < 0)
        fail_msg("no dataset %s", name);
    hid_t s = H5Dget_space(d);
    size_t n = (size_t)H5Sget_simple_extent_npoints(s);
    assert_true(n <= cap);
    assert_true(H5Dread(d, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, out) >= 0);
    H5Sclose(s);
    H5Dclose(d);
    return n;
}

static void compare_file(bench *b, const kind *k, hid_t f)
{
    enum { GRID = IMAGES * PATCHES, ALL = GRID * LAYERS };
    static uint8_t survival[GRID], state[ALL];
    static int32_t group[ALL];
    static float attention[ALL], log2_size[ALL], rollout[GRID], last[GRID];
    double kept[IMAGES * LAYERS], there[IMAGES * LAYERS], spread[IMAGES * LAYERS];
    int8_t branch[IMAGES * LAYERS];
    bool ppt = k->reduction == MODEL_PPT, reduced = k->reduction != MODEL_FULL;
    assert_int_equal(read_set(f, "rollout", H5T_NATIVE_FLOAT, rollout, GRID), GRID);
    assert_int_equal(read_set(f, "last_attention", H5T_NATIVE_FLOAT, last, GRID), GRID);
    if (reduced) {
        read_set(f, "survival", H5T_NATIVE_UINT8, survival, GRID);
        assert_int_equal(read_set(f, "state", H5T_NATIVE_UINT8, state, ALL), ALL);
        read_set(f, "group", H5T_NATIVE_INT32, group, ALL);
        read_set(f, "attention", H5T_NATIVE_FLOAT, attention, ALL);
        read_set(f, "breast_kept", H5T_NATIVE_DOUBLE, kept, IMAGES * LAYERS);
        read_set(f, "breast_there", H5T_NATIVE_DOUBLE, there, IMAGES * LAYERS);
    }
    assert_true((H5Lexists(f, "survival", H5P_DEFAULT) > 0) == reduced);
    assert_true((H5Lexists(f, "log2_size", H5P_DEFAULT) > 0) == ppt);
    if (ppt) {
        read_set(f, "log2_size", H5T_NATIVE_FLOAT, log2_size, ALL);
        read_set(f, "spread", H5T_NATIVE_DOUBLE, spread, IMAGES * LAYERS);
        read_set(f, "branch", H5T_NATIVE_INT8, branch, IMAGES * LAYERS);
    }
    for (int i = 0; i < IMAGES; i++) {
        maps_trace t;
        model_watch w = {0};
        uint8_t mask[SIDE * SIDE];
        size_t g = (size_t)i * PATCHES, a = g * LAYERS, bytes = PATCHES * sizeof(float);
        memset(mask, 1, sizeof mask);
        image_of(i, b->pixels);
        pass(b, &w, NULL, 0, mask, &t);
        assert_memory_equal(t.rollout, rollout + g, bytes);
        assert_memory_equal(t.last, last + g, bytes);
        if (reduced) {
            assert_memory_equal(t.survival, survival + g, PATCHES);
            assert_memory_equal(t.state, state + a, PATCHES * LAYERS);
            assert_memory_equal(t.group, group + a, LAYERS * bytes);
            assert_memory_equal(t.attention, attention + a, LAYERS * bytes);
            assert_memory_equal(t.kept, kept + LAYERS * i, LAYERS * sizeof(double));
            assert_memory_equal(t.there, there + LAYERS * i, LAYERS * sizeof(double));
        }
        if (ppt) {
            assert_memory_equal(t.log2_size, log2_size + a, LAYERS * bytes);
            assert_memory_equal(t.spread, spread + LAYERS * i, LAYERS * sizeof(double));
            assert_memory_equal(t.branch, branch + LAYERS * i, LAYERS);
        }
        maps_trace_release(&t);
        watch_release(&w);
    }
}

/* Writes an attribute of the file again, as another text, or as a number where it is NULL. */
static void spoil(const char *path, const char *name, const char *to)
{
    hid_t f = H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT), space = H5Screate(H5S_SCALAR);
    hid_t t = H5Tcopy(to ? H5T_C_S1 : H5T_NATIVE_INT);
    int number = 7;
    if (to)
        H5Tset_size(t, strlen(to) + 1);
    assert_true(H5Adelete(f, name) >= 0);
    hid_t a = H5Acreate2(f, name, t, space, H5P_DEFAULT, H5P_DEFAULT);
    assert_true(H5Awrite(a, t, to ? (const void *)to : &number) >= 0);
    H5Aclose(a);
    H5Tclose(t);
    H5Sclose(space);
    H5Fclose(f);
}

/* What the file says of itself, and refusals of files that are not whole. */
static void head_of_file(const bench *b, const kind *k, const char *path)
{
    maps_h5_head h;
    err e = {0};
    assert_true(maps_h5_is(path));
    OK(maps_h5_read_head(path, &h, e));
    int rows, cols;
    model_grid(b->net, &rows, &cols);
    assert_true(h.n == IMAGES && h.rows == rows && h.cols == cols);
    assert_string_equal(h.model, model_config(b->net)->name);
    assert_int_equal(h.layers > 0, model_config(b->net)->reduction != MODEL_FULL);
    assert_int_equal(!strcmp(h.reduction, "none"), h.layers == 0);
    spoil(path, "model", NULL);
    assert_false(maps_h5_read_head(path, &h, &e));
    assert_string_equal(e.msg, "'maps.h5': no whole file of maps (mammovit.maps/1)");
    assert_int_equal(e.code, ERR_INPUT);
    spoil(path, "format", "mammovit.maps/9");
    assert_false(maps_h5_is(path) || maps_h5_is("/nowhere"));
}

static void test_file(void **state)
{
    for (size_t k = 0; k < COUNT_OF(kinds); k++) {
        char name[IMAGES][32];
        bench b;
        open_bench(&b, &kinds[k]);
        add_images(&b, dir, &(maps_spec){0});
        char *path = fs_join(dir, "maps.h5");
        hid_t f = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT), text = H5Tcopy(H5T_C_S1);
        assert_true(f >= 0);
        compare_file(&b, &kinds[k], f);
        H5Tset_size(text, 32);
        assert_int_equal(read_set(f, "image_id", text, name, IMAGES), IMAGES);
        assert_string_equal(name[4], "image4");
        read_set(f, "view", text, name, IMAGES);
        assert_string_equal(name[3], "MLO");
        H5Tclose(text);
        H5Fclose(f);
        head_of_file(&b, &kinds[k], path);
        mem_free(path);
        close_bench(&b);
    }
}

/* ---- pictures -------------------------------------------------------------------------------- */

static uint8_t *read_png(const char *name, int *h, int *w)
{
    char *path = fs_join(dir, name);
    png_image image = {.version = PNG_IMAGE_VERSION};
    if (!png_image_begin_read_from_file(&image, path))
        fail_msg("%s: %s", path, image.message);
    image.format = PNG_FORMAT_RGB;
    uint8_t *rgb = MEM_ARRAY(uint8_t, PNG_IMAGE_SIZE(image));
    assert_int_not_equal(png_image_finish_read(&image, NULL, rgb, 0, NULL), 0);
    *h = (int)image.height;
    *w = (int)image.width;
    mem_free(path);
    return rgb;
}

static void image_trace(bench *b, int i, model_watch *w, maps_trace *t)
{
    image_of(i, b->pixels);
    pass(b, w, NULL, 0, NULL, t);
}

/* Survival: inside of patches, away from lines, the image's own grey where it was kept; a tint
 * through which the image is seen elsewhere. */
static void test_overlay(void **state)
{
    bench b;
    maps_trace t;
    model_watch w = {0};
    int h, width, plain = 0, tinted = 0;
    open_bench(&b, &kinds[0]);
    add_images(&b, dir, &(maps_spec){0});
    image_trace(&b, 2, &w, &t);
    uint8_t *rgb = read_png("maps/image2-survival.png", &h, &width);
    assert_true(h > SIDE + 60 && width >= 440);
    for (int y = 0; y < SIDE; y++)
        for (int x = 0; x < SIDE; x++) {
            int depth = t.survival[y / PATCH * COLS + x / PATCH];
            uint8_t grey = picture_grey(b.pixels[y * SIDE + x]), *at = rgb + 3 * (y * width + x);
            double tint[3];
            if (x % PATCH < 1 || x % PATCH > 6 || y % PATCH < 1 || y % PATCH > 6)
                continue; /* outlines are here */
            if (depth == LAYERS) {
                assert_true(at[0] == grey && at[1] == grey && at[2] == grey);
                plain++;
                continue;
            }
            overlay_ramp(depth, LAYERS, tint);
            for (int c = 0; c < 3; c++)
                assert_true(fabs(at[c] - (0.42 * 255 * tint[c] + 0.58 * grey)) < 2.5);
            tinted++;
        }
    assert_true(plain > 20 && tinted > 20);
    mem_free(rgb);
    maps_trace_release(&t);
    watch_release(&w);
    close_bench(&b);
}

static size_t count_of(const char *s, const char *what)
{
    size_t n = 0;
    for (; (s = strstr(s, what)); s++)
        n++;
    return n;
}

/* Every entry of the index has both pictures; the SVG holds the same bytes of the picture as a
 * page, and paths; no sentence calls the map a probability. */
static void test_index(void **state)
{
    static const size_t maps_of[] = {6, 6, 6, 6, 2};
    for (size_t k = 0; k < COUNT_OF(kinds); k++) {
        bench b;
        json_t *index;
        text png;
        text_init(&png);
        open_bench(&b, &kinds[k]);
        add_images(&b, dir, &(maps_spec){0});
        char *path = fs_join(dir, "maps/index.json");
        OK(json_read(path, &index, e));
        mem_free(path);
        assert_int_equal(json_array_size(index), 5 * maps_of[k]); /* image 5: numbers only */
        for (size_t i = 0; i < json_array_size(index); i++) {
            const char *file, *shows;
            char name[96], *svg;
            size_t len;
            OK(json_get_text(json_array_get(index, i), "file", &file, e));
            OK(json_get_text(json_array_get(index, i), "shows", &shows, e));
            assert_null(strstr(shows, "robab"));
            assert_null(strstr(shows, "lesion"));
            snprintf(name, sizeof name, "maps/%s.svg", file);
            path = fs_join(dir, name);
            OK(fs_read(path, 1 << 24, &svg, &len, e));
            mem_free(path);
            text own; /* image by image: its number stands in the name */
            text_init(&own);
            image_of(file[5] - '0', b.pixels);
            OK(picture_encode(b.pixels, SIDE, SIDE, SIDE, &png, e));
            text_base64(&own, png.s, png.len);
            assert_int_equal(count_of(svg, own.s), 1);
            text_release(&own);
            text_clear(&png);
            assert_int_equal(count_of(svg, "<image "), 1);
            assert_true(count_of(svg, "<path ") >= 1);
            assert_int_equal(count_of(svg, "not a map of suspicion"), 1);
            mem_free(svg);
            snprintf(name, sizeof name, "maps/%s.png", file);
            path = fs_join(dir, name);
            assert_true(fs_exists(path));
            mem_free(path);
        }
        json_decref(index);
        text_release(&png);
        close_bench(&b);
    }
}

/* EViT's own picture; as published, a fused token that is kept lights up patch 0. */
static void test_mask_picture(void **state)
{
    int spurious = 0;
    for (int published = 0; published < 2; published++) {
        bench b;
        open_bench(&b, &kinds[0]);
        add_images(&b, dir, &(maps_spec){.evit_mask = true, .evit_patch0 = published});
        for (int i = 0; i < 5; i++) {
            maps_trace t;
            model_watch w = {0};
            image_trace(&b, i, &w, &t);
            for (int l = 0; l < LAYERS; l++) {
                char name[48];
                int h, width;
                bool fused_kept = false;
                snprintf(name, sizeof name, "maps/image%d-mask-l%d.png", i, l);
                uint8_t *rgb = read_png(name, &h, &width);
                assert_true(h == SIDE && width == SIDE);
                for (int p = 0; p < PATCHES; p++)
                    fused_kept |= t.state[l * PATCHES + p] == MAPS_FUSED &&
                                  t.group[l * PATCHES + p] != w.layer[l].fused - 1;
                for (int at = 0; at < SIDE * SIDE; at++) {
                    int p = at / SIDE / PATCH * COLS + at % SIDE / PATCH;
                    bool on = t.state[l * PATCHES + p] == MAPS_ALONE;
                    if (!p && published && fused_kept) {
                        spurious += !on && at == 0;
                        on = true;
                    }
                    assert_int_equal(rgb[3 * at], on ? picture_grey(b.pixels[at]) : 0);
                }
                mem_free(rgb);
            }
            maps_trace_release(&t);
            watch_release(&w);
        }
        close_bench(&b);
    }
    assert_true(spurious > 0); /* the published fault is seen */
}

/* ---- layers of the image page ---------------------------------------------------------------- */

static const json_t *layer_named(const json_t *layers, const char *image, const char *map)
{
    size_t i;
    json_t *v;
    json_array_foreach(json_object_get(layers, image), i, v)
    {
        if (!strcmp(json_string_value(json_object_get(v, "map")), map))
            return v;
    }
    fail_msg("no layer '%s' of %s", map, image);
    return NULL;
}

/* The class of a patch, -1 = none; *label and *hatched of it. */
static int class_of(const json_t *layer, int p, const char **label, bool *hatched)
{
    const char *row =
        json_string_value(json_array_get(json_object_get(layer, "patches"), (size_t)(p / COLS)));
    assert_int_equal(strlen(row), COLS);
    if (row[p % COLS] == '.')
        return -1;
    const json_t *k =
        json_array_get(json_object_get(layer, "classes"), (size_t)(row[p % COLS] - '0'));
    *label = json_string_value(json_object_get(k, "label"));
    *hatched = json_is_true(json_object_get(k, "hatched"));
    assert_int_equal(strlen(json_string_value(json_object_get(k, "colour"))), 7);
    return row[p % COLS] - '0';
}

/* What left is tinted where it was fused and hatched where it was dropped, by its block. */
static void test_layers(void **state)
{
    for (int fused = 0; fused < 2; fused++) {
        bench b;
        model_watch w = {0};
        maps_trace t;
        json_t *layers = json_object();
        const char *label;
        bool hatched;
        int left = 0;
        open_bench(&b, &kinds[fused ? 0 : 1]);
        add_images(&b, dir, &(maps_spec){.layers = layers});
        assert_int_equal(json_object_size(layers), 5); /* those with pictures */
        image_of(3, b.pixels);
        pass(&b, &w, NULL, 0, NULL, &t);
        const json_t *l = layer_named(layers, "image3", "survival");
        for (int p = 0; p < PATCHES; p++) {
            char want[40];
            if (t.survival[p] == t.layers) {
                assert_int_equal(class_of(l, p, &label, &hatched), -1);
                continue;
            }
            assert_int_equal(class_of(l, p, &label, &hatched), t.survival[p]);
            snprintf(want, sizeof want,
                     fused ? "set aside after block %d" : "not looked at after block %d",
                     (int)t.block[t.survival[p]]);
            assert_string_equal(label, want);
            assert_true(hatched == !fused);
            left++;
        }
        assert_true(left > 20);
        json_decref(layers);
        maps_trace_release(&t);
        watch_release(&w);
        close_bench(&b);
    }
}

/* Patches that the network never got are hatched in every map, whatever their share would be. */
static void test_layer_unseen(void **state)
{
    bench b;
    maps *m;
    json_t *layers = json_object();
    int32_t keep[PATCHES / 2];
    open_bench(&b, &kinds[4]);
    image_of(0, b.pixels);
    for (int i = 0; i < PATCHES / 2; i++)
        keep[i] = 2 * i + i % 2;
    OK((m = maps_new(
            &(maps_spec){
                .out = dir, .net = b.net, .be = b.be, .info = &b.info, .n = 1, .layers = layers},
            e)));
    OK(maps_add(m,
                &(maps_image){.image = "a",
                              .exam = "x",
                              .side = 'L',
                              .view = "CC",
                              .pixels = b.pixels,
                              .keep = keep,
                              .n_keep = PATCHES / 2,
                              .pictures = true},
                e));
    OK(maps_commit(m, e));
    const json_t *l = layer_named(layers, "a", "rollout");
    for (int p = 0; p < PATCHES; p++) {
        const char *label = "";
        bool hatched = false, seen = false;
        for (int i = 0; i < PATCHES / 2; i++)
            seen |= keep[i] == p;
        int k = class_of(l, p, &label, &hatched);
        assert_true(seen ? !hatched : k >= 0 && hatched && !strcmp(label, "not looked at"));
    }
    json_decref(layers);
    close_bench(&b);
}

/* A map that does not depend on the weights explains nothing: other weights, another rollout. */
static void test_weights_matter(void **state)
{
    bench b;
    model_watch w = {0};
    maps_trace t, u;
    double most = 0;
    open_bench(&b, &kinds[4]);
    image_of(0, b.pixels);
    pass(&b, &w, NULL, 0, NULL, &t);
    watch_release(&w);
    model_free(b.net);
    model_cfg c = config_of(&kinds[4]);
    OK((b.net = model_new(&c, b.be, 2, e)));
    w = (model_watch){0};
    pass(&b, &w, NULL, 0, NULL, &u);
    for (int p = 0; p < PATCHES; p++)
        most = fmax(most, fabs((double)t.rollout[p] - (double)u.rollout[p]) * PATCHES);
    assert_true(most > 0.02);
    maps_trace_release(&t);
    maps_trace_release(&u);
    watch_release(&w);
    close_bench(&b);
}

/* ---- refusals -------------------------------------------------------------------------------- */

static void test_refusals(void **state)
{
    bench b;
    maps *m;
    err e = {0};
    open_bench(&b, &kinds[0]);
    OK((m = maps_new(&(maps_spec){.out = dir, .net = b.net, .be = b.be, .info = &b.info, .n = 2},
                     e)));
    image_of(0, b.pixels);
    maps_image bad = {.image = "../../x", .exam = "1", .side = 'L', .view = "", .pixels = b.pixels};
    maps_image good = bad;
    good.image = "1";
    OK(maps_add(m, &good, e));
    assert_false(maps_add(m, &bad, &e));
    assert_int_equal(e.code, ERR_INPUT);
    assert_non_null(strstr(e.msg, "not a pseudonym"));
    maps_discard(m);
    char *file = fs_join(dir, "maps.h5"), *half = fs_join(dir, "maps.h5.partial");
    assert_false(fs_exists(file) || fs_exists(half)); /* half a file has no name */
    mem_free(file);
    mem_free(half);
    uint16_t *large = MEM_ARRAY(uint16_t, 32768);
    const uint8_t fill = OVERLAY_PLAIN;
    overlay o = {.image = large,
                 .h = 32768,
                 .w = 1,
                 .rows = 1,
                 .cols = 1,
                 .fill = &fill,
                 .plain = "",
                 .outline = "",
                 .title = "",
                 .says = "",
                 .subject = ""};
    e = (err){0};
    assert_false(overlay_write(&o, dir, &e));
    assert_int_equal(e.code, ERR_RANGE);
    mem_free(large);
    close_bench(&b);
    static const char *const others[] = {"pit_ti_224", "swin_tiny_patch4_window7_224"};
    for (size_t i = 0; i < COUNT_OF(others); i++) {
        model_cfg c = {.name = others[i],
                       .channels = 1,
                       .classes = 2,
                       .keep_rate = 1,
                       .reduction_layers = "3/6/9"};
        b.threads = pool_new(1);
        OK((b.be = backend_new("cpu", b.threads, e)));
        OK((b.net = model_new(&c, b.be, 1, e)));
        e = (err){0};
        assert_false(maps_check(b.net, &e));
        assert_int_equal(e.code, ERR_CONFIG);
        assert_non_null(strstr(e.msg, others[i]));
        assert_non_null(strstr(e.msg, " has none of these maps: survival and fate need"));
        close_bench(&b);
    }
}

/* ---- predict --------------------------------------------------------------------------------- */

typedef struct call {
    const char *cohort, *out;
    int threads;
    bool force;
} call;

static bool predict(const cfg *c, const call *k, const char *const *run, int n, err *e)
{
    predict_opts o = {.checkpoint = run,
                      .n_checkpoints = n,
                      .cohort = k->cohort,
                      .split = "test",
                      .out = k->out,
                      .config = c,
                      .device = "cpu",
                      .threads = k->threads,
                      .force = k->force};
    predict_result r;
    return predict_run(&o, &r, e);
}

static bool no_trace_of_people(void *ctx, const fs_entry *f, err *e)
{
    char *s;
    size_t len;
    (*(int *)ctx)++;
    OK(fs_read(f->path, 1 << 24, &s, &len, e));
    assert_null(memmem(s, len, dir, strlen(dir)));
    assert_null(memmem(s, len, "patient", 7));
    mem_free(s);
    return true;
}

static hsize_t images_in(const char *pred)
{
    char *path = fs_join(pred, "maps.h5");
    hsize_t n;
    hid_t f = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT), d = H5Dopen2(f, "state", H5P_DEFAULT);
    assert_true(d >= 0);
    hid_t s = H5Dget_space(d);
    hsize_t dim[4];
    assert_int_equal(H5Sget_simple_extent_dims(s, dim, NULL), 4);
    assert_true(dim[1] == 2 && dim[2] == 4 && dim[3] == 4);
    n = dim[0];
    H5Sclose(s);
    H5Dclose(d);
    H5Fclose(f);
    mem_free(path);
    return n;
}

static void test_predict(void **state)
{
    char *cohort = fs_join(dir, "COHORT.h5"), *run = fs_join(dir, "run"),
         *one = fs_join(dir, "one"), *four = fs_join(dir, "four"), *h5 = fs_join(one, "maps.h5"),
         *folder = fs_join(one, "maps");
    int files = 0;
    err e = {0};
    text a, b;
    text_init(&a);
    text_init(&b);
    tiny_write(dir, "COHORT.h5", &(tiny_spec){.train = 3, .val = 3, .test = 3, .masks = true});
    assert_int_equal(TRAIN(NULL, run, cohort, "train.epochs=1", "model.depth=3",
                           "model.reduction=evit", "model.reduction_layers=0/1"),
                     0);
    cfg *c = tiny_config();
    OK(cfg_set(c, "predict.pages=1", e));
    OK(cfg_set(c, "predict.maps=pages", e));
    OK(predict(c, &(call){cohort, one, 1, false}, (const char *[]){run}, 1, e));
    OK(predict(c, &(call){cohort, four, 4, false}, (const char *[]){run}, 1, e));
    tiny_hash(one, &a);
    tiny_hash(four, &b);
    assert_string_equal(a.s, b.s); /* for any number of threads */
    assert_int_equal(count_of(a.s, "maps/"), 4 * 5 * 2 + 1);
    assert_int_equal(images_in(one), 4);
    OK(fs_walk(folder, no_trace_of_people, &files, e));
    OK(fs_walk(h5, no_trace_of_people, &files, e));
    assert_int_equal(files, 4 * 5 * 2 + 2);
    OK(cfg_set(c, "predict.maps=all", e)); /* all numbers, the same pictures */
    OK(cfg_set(c, "predict.keep_rate=0.5", e));
    OK(predict(c, &(call){cohort, one, 2, true}, (const char *[]){run}, 1, e));
    assert_int_equal(images_in(one), 12);
    tiny_hash(one, &a);
    assert_int_equal(count_of(a.s, "maps/"), 4 * 5 * 2 + 1);
    assert_false(predict(c, &(call){cohort, one, 1, true}, (const char *[]){run, run}, 2, &e));
    assert_string_equal(e.msg, "maps show one network; give one checkpoint");
    OK(cfg_set(c, "predict.maps=none", e)); /* nothing old stays */
    OK(predict(c, &(call){cohort, one, 2, true}, (const char *[]){run}, 1, e));
    assert_false(fs_exists(h5) || fs_exists(folder));
    cfg_free(c);
    text_release(&a);
    text_release(&b);
    mem_free(cohort);
    mem_free(run);
    mem_free(one);
    mem_free(four);
    mem_free(h5);
    mem_free(folder);
}

static int setup(void **state)
{
    return store_tmp("maps", dir) ? 0 : -1;
}

static int teardown(void **state)
{
    err e = {0};
    return fs_remove_tree(dir, &e) ? 0 : -1;
}

int main(int argc, char **argv)
{
    if (argc > 2)
        return tiny_main(argc, argv);
    log_set_level(LOG_ERROR);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_trace),          cmocka_unit_test(test_breast),
        cmocka_unit_test(test_file),           cmocka_unit_test(test_overlay),
        cmocka_unit_test(test_index),          cmocka_unit_test(test_mask_picture),
        cmocka_unit_test(test_layers),         cmocka_unit_test(test_layer_unseen),
        cmocka_unit_test(test_weights_matter), cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_predict),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
