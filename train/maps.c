/* Maps of a prediction (maps.h): one forward pass with a record for each image, its maps into the
 * file, and the pictures that are worth showing (token_reduction.md 8.4). No map is called a
 * probability of anything. */
#include "train/maps.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/fs.h"
#include "core/mem.h"
#include "train/maps_h5.h"
#include "train/overlay.h"
#include "train/picture.h"

#define RATIOS 4 /* classes of attention above an equal share: from 1, 2, 4, 8 times */
#define SIZES  4 /* classes of merged tokens: of 2, 3-4, 5-8, more patches */

struct maps {
    maps_spec s;
    run *tape;
    model_watch watch;
    maps_h5 *file; /* NULL before the first image */
    char *path, *folder;
    json_t *index;
    int64_t done;
};

static const char *const text_survival =
    "Tinted squares are regions whose own detail the network set aside on the way, the earliest in "
    "blue; what is untinted it read in detail to the end.";
static const char *const text_dropped =
    "Hatched squares are regions that the network no longer looked at, the earliest in blue; what "
    "is not hatched it read to the end.";
static const char *const text_fate =
    "Tinted squares were averaged with others and read together (touching squares of one group "
    "share an outline), hatched squares were left out, all others were read by themselves.";
static const char *const text_attention =
    "Tinted squares got more than an equal share of the network's attention at this step, where "
    "it decides what to read on; the outline is what it still had before it.";
static const char *const text_last =
    "Tinted squares got more than an equal share of the network's attention in the last step "
    "before the score.";
static const char *const text_rollout =
    "Tinted squares handed on more than an equal share of their content, through all steps, to "
    "the summary of the image that the score is made from.";

bool maps_check(const model *net, err *e)
{
    if (model_is_sequence(net))
        return true;
    return err_set(e, ERR_CONFIG,
                   "predict.maps: %s has none of these maps: survival and fate need tokens that "
                   "leave between blocks (model.reduction, on ViT and DeiT), attention and rollout "
                   "a class token that attends to all patches in every block, and this network "
                   "attends within windows or merges its patches from stage to stage",
                   model_config(net)->name);
}

bool maps_clear(const char *pred, err *e)
{
    char *folder = fs_join(pred, "maps"), *file = fs_join(pred, "maps.h5");
    bool ok = fs_remove_tree(folder, e) && fs_remove_tree(file, e);
    mem_free(folder);
    mem_free(file);
    return ok;
}

maps *maps_new(const maps_spec *s, err *e)
{
    maps *m = MEM_NEW(maps);
    m->s = *s;
    m->watch.attention = true;
    m->path = fs_join(s->out, "maps.h5");
    m->folder = fs_join(s->out, "maps");
    m->index = json_array();
    m->tape = run_new(s->be, RUN_INFER);
    if (maps_check(s->net, e) && maps_clear(s->out, e) && fs_mkdirs(m->folder, e))
        return m;
    maps_discard(m);
    return NULL;
}

void maps_discard(maps *m)
{
    if (!m)
        return;
    maps_h5_discard(m->file);
    run_free(m->tape);
    watch_release(&m->watch);
    json_decref(m->index);
    mem_free(m->path);
    mem_free(m->folder);
    mem_free(m);
}

/* ---- pictures -------------------------------------------------------------------------------- */

/* One image at hand. */
typedef struct shown {
    maps *m;
    const maps_image *image;
    const maps_trace *t;
    const char *subject;
    uint8_t *fill; /* [patches], scratch */
    int32_t *group;
} shown;

static overlay blank(const shown *s)
{
    const model_cfg *c = model_config(s->m->s.net);
    memset(s->fill, OVERLAY_PLAIN, (size_t)s->t->patches);
    memset(s->group, -1, (size_t)s->t->patches * sizeof *s->group);
    return (overlay){.image = s->image->pixels,
                     .h = (int)c->image_h,
                     .w = (int)c->image_w,
                     .rows = s->t->rows,
                     .cols = s->t->cols,
                     .fill = s->fill,
                     .plain = "",
                     .outline = "",
                     .subject = s->subject};
}

static const double left_out[3] = {0.835, 0.369, 0};

static overlay_class *add_class(overlay *o, const char *label)
{
    overlay_class *k = &o->class[o->classes++];
    text_copy(k->label, sizeof k->label, label);
    return k;
}

static json_t *layer_of(const overlay *o, const char *map, const char *plain)
{
    static const char letter[] = "0123456789abcdefghijklmnopqrstuvwxyzABCD";
    json_t *classes = json_array(), *patches = json_array();
    char *line = MEM_ARRAY(char, o->cols + 1);
    for (int k = 0; k < o->classes; k++) {
        const double *rgb = o->class[k].rgb;
        char colour[8];
        snprintf(colour, sizeof colour, "#%02x%02x%02x", (unsigned)(rgb[0] * 255 + 0.5),
                 (unsigned)(rgb[1] * 255 + 0.5), (unsigned)(rgb[2] * 255 + 0.5));
        json_array_append_new(classes,
                              json_pack("{s:s, s:s, s:b}", "label", o->class[k].label, "colour",
                                        colour, "hatched", (int)o->class[k].hatched));
    }
    for (int r = 0; r < o->rows; r++) {
        for (int c = 0; c < o->cols; c++) {
            int k = o->fill[r * o->cols + c];
            line[c] = k == OVERLAY_PLAIN ? '.' : letter[k];
        }
        json_array_append_new(patches, json_string(line));
    }
    mem_free(line);
    return json_pack("{s:s, s:s, s:s, s:s, s:o, s:o}", "map", map, "title", o->title, "shows",
                     o->says, "plain", plain, "classes", classes, "patches", patches);
}

/* The map as data for the image page; plain: what a patch without a class is. */
static void keep_layer(const shown *s, const overlay *o, const char *map, const char *plain)
{
    json_t *all = s->m->s.layers, *list = json_object_get(all, s->image->image);
    if (!all)
        return;
    if (!list)
        json_object_set_new(all, s->image->image, list = json_array());
    json_array_append_new(list, layer_of(o, map, plain));
}

/* Patches that were never given to the network, in a class of their own. */
static void mark_unseen(const shown *s, overlay *o)
{
    int k = -1;
    for (int p = 0; p < s->t->patches; p++) {
        if (s->t->survival[p] != MAPS_UNSEEN)
            continue;
        if (k < 0) {
            k = o->classes;
            overlay_class *c = add_class(o, "not looked at");
            memcpy(c->rgb, left_out, sizeof c->rgb);
            c->hatched = true;
        }
        s->fill[p] = (uint8_t)k;
    }
}

/* Draws it, and names it in the index. file: behind the image's name. */
static bool save(const shown *s, const overlay *o, const char *file, int block, err *e)
{
    text name;
    text_init(&name);
    text_addf(&name, "%s-%s", s->image->image, file);
    char *path = fs_join(s->m->folder, name.s);
    bool ok = overlay_write(o, path, e);
    json_t *entry =
        json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "image_id", s->image->image, "exam_id",
                  s->image->exam, "file", name.s, "map", file, "title", o->title, "shows", o->says);
    if (block >= 0)
        json_object_set_new(entry, "block", json_integer(block));
    json_array_append_new(s->m->index, entry);
    mem_free(path);
    text_release(&name);
    return ok;
}

static bool show_survival(const shown *s, err *e)
{
    overlay o = blank(s);
    const maps_trace *t = s->t;
    bool fused = model_config(s->m->s.net)->evit_fuse;
    for (int l = 0; l < t->layers; l++) {
        char label[64];
        snprintf(label, sizeof label,
                 fused ? "set aside after block %d" : "not looked at after block %d",
                 (int)t->block[l]);
        overlay_class *k = add_class(&o, label);
        overlay_ramp(l, t->layers, k->rgb);
        k->hatched = !fused;
    }
    for (int p = 0; p < t->patches; p++) {
        bool kept = t->survival[p] == t->layers;
        s->fill[p] = kept || t->survival[p] == MAPS_UNSEEN ? OVERLAY_PLAIN : t->survival[p];
        s->group[p] = kept ? 0 : -1;
    }
    mark_unseen(s, &o);
    o.group = s->group;
    o.outline = "read in detail to the end";
    o.title = "How long each region was read";
    o.says = fused ? text_survival : text_dropped;
    keep_layer(s, &o, "survival", o.outline);
    return save(s, &o, "survival", -1, e);
}

static bool show_fate(const shown *s, err *e)
{
    static const char *const size[SIZES] = {"read together with one other square",
                                            "in a group of 3 or 4", "in a group of 5 to 8",
                                            "in a larger group"};
    overlay o = blank(s);
    const maps_trace *t = s->t;
    size_t end = (size_t)(t->layers - 1) * (size_t)t->patches;
    for (int k = 0; k < SIZES; k++)
        overlay_ramp(k, SIZES, add_class(&o, size[k])->rgb);
    overlay_class *left = add_class(&o, "left out: not looked at to the end");
    memcpy(left->rgb, left_out, sizeof left->rgb);
    left->hatched = true;
    for (int p = 0; p < t->patches; p++) {
        double size_log2 = (double)t->log2_size[end + (size_t)p];
        uint8_t state = t->state[end + (size_t)p];
        if (state == MAPS_MERGED) {
            int k = (int)ceil(size_log2 - 1e-4) - 1;
            s->fill[p] = (uint8_t)(k < SIZES ? k : SIZES - 1);
            s->group[p] = t->group[end + (size_t)p];
        } else if (state == MAPS_GONE) {
            s->fill[p] = SIZES;
        }
    }
    mark_unseen(s, &o);
    o.group = s->group;
    o.plain = "read by itself";
    o.title = "What became of each region";
    o.says = text_fate;
    keep_layer(s, &o, "fate", o.plain);
    return save(s, &o, "fate", -1, e);
}

/* Shares as multiples of an equal one; NaN = nothing there. */
static void fill_shares(const shown *s, const float *share, overlay *o)
{
    static const char *const label[RATIOS] = {"1 to 2 times an equal share", "2 to 4 times",
                                              "4 to 8 times", "8 times and more"};
    for (int k = 0; k < RATIOS; k++)
        overlay_ramp(k, RATIOS, add_class(o, label[k])->rgb);
    for (int p = 0; p < s->t->patches; p++) {
        if (isnan(share[p]))
            continue;
        s->group[p] = 0;
        if (share[p] >= 1) {
            int k = (int)floor(log2((double)share[p]));
            s->fill[p] = (uint8_t)(k < RATIOS ? k : RATIOS - 1);
        }
    }
    o->plain = "less than an equal share";
    mark_unseen(s, o);
}

/* Attention; outlined: what is there, where some is not. */
static bool show_shares(const shown *s, const float *share, bool outlined, overlay *o,
                        const char *file, int block, err *e)
{
    fill_shares(s, share, o);
    if (outlined) {
        o->group = s->group;
        o->outline = "still read before this step";
    }
    return save(s, o, file, block, e);
}

static bool show_attention(const shown *s, err *e)
{
    const maps_trace *t = s->t;
    bool ok = true;
    for (int l = 0; l < t->layers && ok; l++) {
        overlay o = blank(s);
        char file[32], title[64];
        snprintf(file, sizeof file, "attention-%02d", (int)t->block[l]);
        snprintf(title, sizeof title, "What the network weighed in block %d", (int)t->block[l]);
        o.title = title;
        o.says = text_attention;
        ok = show_shares(s, t->attention + (size_t)l * (size_t)t->patches, l > 0, &o, file,
                         t->block[l], e);
    }
    overlay o = blank(s);
    o.title = "What the network weighed last";
    o.says = text_last;
    return ok && show_shares(s, t->last, t->layers > 0, &o, "last-attention", -1, e);
}

/* The rollout among the patches, as multiples of an equal share. */
static bool show_rollout(const shown *s, err *e)
{
    overlay o = blank(s);
    const maps_trace *t = s->t;
    float *share = MEM_ARRAY(float, t->patches);
    double sum = 0;
    int n = 0;
    for (int p = 0; p < t->patches; p++)
        if (!isnan(t->rollout[p])) {
            sum += (double)t->rollout[p];
            n++;
        }
    for (int p = 0; p < t->patches; p++)
        share[p] = sum > 0 ? (float)((double)t->rollout[p] * n / sum) : NAN;
    o.title = "What reached the score";
    o.says = text_rollout;
    fill_shares(s, share, &o);
    keep_layer(s, &o, "rollout", o.plain);
    mem_free(share);
    return save(s, &o, "rollout", -1, e);
}

/* EViT's own picture after layer l: patches that left are black. A token of fused patches is no
 * patch; as published it is patch 0 (token_reduction.md 2.6). */
static bool write_mask(const shown *s, int l, uint16_t *canvas, err *e)
{
    const model_cfg *c = model_config(s->m->s.net);
    const maps_trace *t = s->t;
    const uint8_t *state = t->state + (size_t)l * (size_t)t->patches;
    const int32_t *group = t->group + (size_t)l * (size_t)t->patches;
    int fused = s->m->watch.layer[l].fused - s->m->watch.prefix;
    bool first = state[0] == MAPS_ALONE;
    for (int p = 0; p < t->patches && s->m->s.evit_patch0; p++)
        first |= state[p] == MAPS_FUSED && group[p] != fused; /* one of an earlier layer, kept */
    for (int64_t y = 0; y < c->image_h; y++)
        for (int64_t x = 0; x < c->image_w; x++) {
            int64_t p = y / c->patch * t->cols + x / c->patch, at = y * c->image_w + x;
            bool on = p ? state[p] == MAPS_ALONE : first;
            canvas[at] = on ? s->image->pixels[at] : 0;
        }
    text name;
    text_init(&name);
    text_addf(&name, "%s-mask-l%d.png", s->image->image, l);
    char *path = fs_join(s->m->folder, name.s);
    bool ok = picture_png(path, canvas, (int)c->image_h, (int)c->image_w,
                          (int)(c->image_h > c->image_w ? c->image_h : c->image_w), e);
    mem_free(path);
    text_release(&name);
    return ok;
}

static bool write_masks(const shown *s, err *e)
{
    const model_cfg *c = model_config(s->m->s.net);
    uint16_t *canvas = MEM_ARRAY(uint16_t, c->image_h * c->image_w);
    bool ok = true;
    for (int l = 0; l < s->t->layers && ok; l++)
        ok = write_mask(s, l, canvas, e);
    mem_free(canvas);
    return ok;
}

static bool draw_all(maps *m, const maps_image *image, const maps_trace *t, err *e)
{
    shown s = {.m = m, .image = image, .t = t};
    text subject;
    text_init(&subject);
    text_addf(&subject, "image %s, %s%s", image->image, image->side == 'R' ? "R" : "L",
              image->view);
    for (int l = 0; l < t->layers; l++)
        if (!isnan(t->there[l]))
            text_addf(
                &subject,
                ". Area of the breast after block %d: %.0f %% by itself, %.0f %% in averages, "
                "%.0f %% gone",
                (int)t->block[l], 100 * t->kept[l], 100 * (t->there[l] - t->kept[l]),
                100 * (1 - t->there[l]));
    s.subject = subject.s;
    s.fill = MEM_ARRAY(uint8_t, t->patches);
    s.group = MEM_ARRAY(int32_t, t->patches);
    bool ok = t->reduction != MODEL_EVIT || show_survival(&s, e);
    ok = ok && (t->reduction != MODEL_PPT || show_fate(&s, e));
    ok = ok && show_attention(&s, e) && show_rollout(&s, e);
    if (m->s.evit_mask && t->reduction == MODEL_EVIT)
        ok = ok && write_masks(&s, e);
    mem_free(s.fill);
    mem_free(s.group);
    text_release(&subject);
    return ok;
}

/* ---- images ---------------------------------------------------------------------------------- */

/* The name becomes that of a file. */
static bool check_name(const char *s, err *e)
{
    size_t n = strspn(s, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_");
    return (n && !s[n] && n <= 32) ||
           err_set(e, ERR_INPUT, "maps: an image's name is not a pseudonym of letters and digits");
}

static bool create_file(maps *m, const maps_trace *like, err *e)
{
    maps_h5_spec f = {.path = m->path,
                      .n = m->s.n,
                      .model = model_config(m->s.net),
                      .checkpoint = m->s.info->model_sha256,
                      .prepare_id = m->s.info->prepare_id,
                      .no_mask = m->s.no_mask ? m->s.no_mask : ""};
    m->file = maps_h5_create(&f, like, e);
    return m->file != NULL;
}

bool maps_add(maps *m, const maps_image *image, err *e)
{
    const model_cfg *c = model_config(m->s.net);
    maps_trace t;
    if (!check_name(image->image, e) || !check_name(image->exam, e))
        return false;
    model_batch in = {.b = 1,
                      .h = (int)c->image_h,
                      .w = (int)c->image_w,
                      .image = &image->pixels,
                      .grey = true,
                      .mean = m->s.info->mean,
                      .sd = m->s.info->sd,
                      .keep = image->keep,
                      .n_keep = image->n_keep,
                      .watch = &m->watch};
    run_reset(m->tape);
    model_forward(m->s.net, m->tape, &in);
    maps_trace_make(&(maps_look){.net = m->s.net,
                                 .be = m->s.be,
                                 .watch = &m->watch,
                                 .keep = image->keep,
                                 .n_keep = image->n_keep,
                                 .mask = image->mask},
                    &t);
    const char side[2] = {image->side, 0};
    maps_h5_names who = {image->image, image->exam, side, image->view};
    bool ok = (m->file || create_file(m, &t, e)) && maps_h5_put(m->file, m->done++, &who, &t, e) &&
              (!image->pictures || draw_all(m, image, &t, e));
    maps_trace_release(&t);
    return ok;
}

bool maps_commit(maps *m, err *e)
{
    char *path = fs_join(m->folder, "index.json");
    if (m->done != m->s.n)
        BUG("maps: %lld images of %lld", (long long)m->done, (long long)m->s.n);
    maps_h5 *file = m->file;
    m->file = NULL;
    bool ok = (!file || maps_h5_commit(file, e)) && json_write(path, m->index, true, e);
    mem_free(path);
    maps_discard(m);
    return ok;
}
