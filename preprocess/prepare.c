/* prepare, the pure half: options, the config id, and one file -> facts, verdict, canvases. The
 * stage driver is prepare_run.c. Nothing here knows a store or a path. */
#include "preprocess/prepare.h"

#include "core/fs.h"
#include "dicom/pixels.h"
#include "dicom/quirk.h"
#include "dicom/raster.h"
#include "preprocess/opencv_shim.h"
#include "preprocess/prepare_steps.h"

#define PREPARE_VERSION  2 /* of the pixel chain; a change that alters pixels raises it */
#define PREPARE_MAX_SIDE 8192
#define PREPARE_ALIGN    64
#define PREPARE_MAGIC    0x50524550u

typedef struct bound { /* what cfg_bind fills */
    prepare_cfg pod;
    cfg_texts sizes;
    const char *voi_item;
} bound;

#define AT(field) offsetof(bound, pod.field)
static const cfg_option options[] = {
    {"prepare.sizes", CFG_TEXTS, offsetof(bound, sizes), "896x896", 0, 0, NULL, "HxW pixels",
     "canvas sizes to write, 1 to 4 of them"},
    {"prepare.fit", CFG_ENUM, AT(fit), "letterbox", 0, 0, "squash|letterbox|long|mm", "",
     "squash to the canvas; letterbox: keep the aspect, pad right and bottom; long: longest side "
     "fills; mm: fixed pixel size"},
    {"prepare.mm", CFG_REAL, AT(mm), "0.2", 0.02, 10, NULL, "mm/pixel",
     "pixel size on the canvas when prepare.fit is mm"},
    {"prepare.voi", CFG_ENUM, AT(voi), "header", 0, 0, "header|minmax|window|percentile|raw", "",
     "how stored values become grey levels"},
    {"prepare.voi_prefer", CFG_ENUM, AT(voi_prefer), "lut", 0, 0, "lut|window", "",
     "which one to use where a header holds both a VOI LUT and a window"},
    {"prepare.voi_item", CFG_TEXT, offsetof(bound, voi_item), "", 0, 0, NULL, "",
     "which VOI LUT item or window of a header: its explanation (HARDER) or its number from 1; "
     "empty, or not in the header: the one called NORMAL, else the first"},
    {"prepare.window_function", CFG_ENUM, AT(window_function), "linear", 0, 0,
     "linear|linear_exact|sigmoid", "", "shape of the curve when prepare.voi is window"},
    {"prepare.window_center", CFG_REAL, AT(window_center), "2048", -1e6, 1e6, NULL,
     "modality units", "centre when prepare.voi is window; after the header's rescale"},
    {"prepare.window_width", CFG_REAL, AT(window_width), "4096", 1e-6, 1e6, NULL, "modality units",
     "width when prepare.voi is window; at least 1 where the function is linear"},
    {"prepare.percentile_low", CFG_REAL, AT(percentile_low), "1", 0, 100, NULL, "percent",
     "black point in the breast when prepare.voi is percentile"},
    {"prepare.percentile_high", CFG_REAL, AT(percentile_high), "99.5", 0, 100, NULL, "percent",
     "white point in the breast when prepare.voi is percentile"},
    {"prepare.processing", CFG_ENUM, AT(processing), "refuse", 0, 0, "refuse|deeplibra", "",
     "images for processing: refuse, or deeplibra: prepare them and no others, by the recipe of "
     "DeepLIBRA in place of prepare.voi; needs exclude.for_processing flag or off"},
    {"prepare.polarity", CFG_ENUM, AT(polarity), "fix", 0, 0, "fix|header", "",
     "fix: invert where the pixels prove the header wrong; header: believe it, flag the conflict"},
    {"prepare.crop", CFG_BOOL, AT(crop), "true", 0, 0, NULL, "", "crop to the breast"},
    {"prepare.margin_mm", CFG_REAL, AT(margin_mm), "3", 0, 50, NULL, "mm",
     "air kept around the breast where the pixel size is known"},
    {"prepare.margin", CFG_REAL, AT(margin), "0.02", 0, 0.5, NULL, "share",
     "air kept around the breast otherwise, of its longer side"},
    {"prepare.erase_outside", CFG_BOOL, AT(erase_outside), "true", 0, 0, NULL, "",
     "replace everything outside the breast (markers, labels) by the level of air"},
    {"prepare.mask", CFG_BOOL, AT(mask), "false", 0, 0, NULL, "",
     "also keep the breast mask of every canvas in the shards (/mask, 0 and 1)"},
    {"prepare.shard_mib", CFG_INT, AT(shard_mib), "512", 1, 65536, NULL, "MiB",
     "uncompressed size of one shard of the largest canvas; a killed run does one shard again"},
    {"prepare.seconds", CFG_REAL, AT(seconds), "60", 1, 3600, NULL, "seconds",
     "time limit of one image in its isolated process"},
    {"prepare.memory_mib", CFG_INT, AT(memory_mib), "2048", 256, 65536, NULL, "MiB",
     "memory limit of one isolated process"},
};
const cfg_group prepare_options = {"Preparation of images", options, COUNT_OF(options)};

static bool size_parse(const char *s, int *h, int *w)
{
    const char *x = strchr(s, 'x');
    char left[16];
    int64_t a, b;
    if (!x || x == s || (size_t)(x - s) >= sizeof left)
        return false;
    memcpy(left, s, (size_t)(x - s));
    left[x - s] = 0;
    if (!text_i64(left, &a) || !text_i64(x + 1, &b))
        return false;
    if (a < 16 || b < 16 || a > PREPARE_MAX_SIDE || b > PREPARE_MAX_SIDE)
        return false;
    *h = (int)a;
    *w = (int)b;
    return true;
}

/* Images for processing and for presentation live in different domains: never both in one store. */
static bool check_processing(prepare_cfg *p, err *e)
{
    bool wanted = p->processing != PREPARE_PROCESSING_REFUSE;
    bool dropped = p->exclude.action[EXCLUDE_FOR_PROCESSING] == EXCLUDE_DROP;
    if (wanted && dropped)
        return err_set(e, ERR_CONFIG,
                       "prepare.processing asks for images that exclude.for_processing excludes; "
                       "set it to flag or off");
    if (!wanted && !dropped)
        return err_set(e, ERR_CONFIG,
                       "exclude.for_processing must be exclude while prepare.processing is refuse");
    if (wanted && p->exclude.action[EXCLUDE_FOR_PRESENTATION] != EXCLUDE_DROP)
        return err_set(e, ERR_CONFIG,
                       "exclude.for_presentation must be exclude while prepare.processing asks for "
                       "images for processing");
    p->exclude.want_processing = wanted;
    return true;
}

bool prepare_bind(const cfg *c, prepare_cfg *out, err *e)
{
    bound b;
    memset(&b, 0, sizeof b);
    cfg_bind(c, &prepare_options, &b);
    cfg_bind(c, &exclude_options, &b.pod.exclude);
    if (b.sizes.n < 1 || b.sizes.n > PREPARE_SIZES)
        return err_set(e, ERR_CONFIG, "prepare.sizes: %d sizes given, wanted 1 to %d", b.sizes.n,
                       PREPARE_SIZES);
    b.pod.n_sizes = b.sizes.n;
    for (int i = 0; i < b.sizes.n; i++) {
        if (!size_parse(b.sizes.v[i], &b.pod.h[i], &b.pod.w[i]))
            return err_set(e, ERR_CONFIG,
                           "prepare.sizes: '%s' is no size; wanted HxW such as 256x208, each "
                           "16 to %d",
                           b.sizes.v[i], PREPARE_MAX_SIDE);
        for (int k = 0; k < i; k++)
            if (b.pod.h[k] == b.pod.h[i] && b.pod.w[k] == b.pod.w[i])
                return err_set(e, ERR_CONFIG, "prepare.sizes: %dx%d is given twice", b.pod.h[i],
                               b.pod.w[i]);
    }
    if (b.pod.percentile_low >= b.pod.percentile_high)
        return err_set(e, ERR_CONFIG, "prepare.percentile_low %g is not below percentile_high %g",
                       b.pod.percentile_low, b.pod.percentile_high);
    if (strlen(b.voi_item) >= sizeof b.pod.voi_item)
        return err_set(e, ERR_CONFIG, "prepare.voi_item '%s' is longer than %zu letters",
                       b.voi_item, sizeof b.pod.voi_item - 1);
    memcpy(b.pod.voi_item, b.voi_item, strlen(b.voi_item) + 1);
    if (b.pod.window_function == VOI_LINEAR && b.pod.window_width < 1)
        return err_set(e, ERR_CONFIG,
                       "prepare.window_width %g is below 1, which prepare.window_function linear "
                       "does not know",
                       b.pod.window_width);
    if (!check_processing(&b.pod, e))
        return false;
    *out = b.pod;
    return true;
}

bool prepare_check(const cfg *c, err *e)
{
    prepare_cfg unused;
    return prepare_bind(c, &unused, e);
}

/* For callers behind prepare_check. */
static prepare_cfg must_bind(const cfg *c)
{
    prepare_cfg out;
    err e = {0};
    if (!prepare_bind(c, &out, &e))
        BUG("prepare config was not checked: %s", e.msg);
    return out;
}

bool prepare_sizes(const cfg *c, int *n, int *h, int *w, err *e)
{
    prepare_cfg p;
    if (!prepare_bind(c, &p, e))
        return false;
    *n = p.n_sizes;
    memcpy(h, p.h, sizeof p.h);
    memcpy(w, p.w, sizeof p.w);
    return true;
}

char *prepare_shard_path(const char *store, const char *id, int h, int w, int number)
{
    text t;
    text_init(&t);
    text_addf(&t, "%s%sprep/%s/%dx%d/%05d.h5", store, store[0] ? "/" : "", id, h, w, number);
    return text_take(&t);
}

char *prepare_shard_in(const char *folder, int h, int w, int number)
{
    text t;
    text_init(&t);
    text_addf(&t, "%s/%dx%d/%05d.h5", folder, h, w, number);
    return text_take(&t);
}

void prepare_yaml(const cfg *c, text *out)
{
    const cfg_group *groups[] = {&prepare_options, &exclude_options, NULL};
    cfg_dump(c, groups, false, out);
}

void prepare_id(const cfg *c, char out[17])
{
    char hash[65];
    text t;
    text_init(&t);
    text_addf(&t, "mammovit prepare %d\n", PREPARE_VERSION);
    prepare_yaml(c, &t);
    fs_sha256_of(t.s, t.len, hash);
    text_release(&t);
    text_copy(out, 17, hash);
}

/* ---- one image ------------------------------------------------------------------------------- */

static size_t align_up(size_t n)
{
    return (n + PREPARE_ALIGN - 1) / PREPARE_ALIGN * PREPARE_ALIGN;
}

size_t prepare_layout(const prepare_cfg *c, size_t head, prepared *out)
{
    size_t end = align_up(head);
    for (int i = 0; i < c->n_sizes; i++) {
        out->image_at[i] = end;
        end += align_up((size_t)c->h[i] * (size_t)c->w[i] * 2);
        out->mask_at[i] = c->mask ? end : 0;
        end += c->mask ? align_up((size_t)c->h[i] * (size_t)c->w[i]) : 0;
    }
    return end;
}

size_t prepare_reply_cap(const cfg *c)
{
    prepare_cfg p = must_bind(c);
    prepared unused;
    return prepare_layout(&p, sizeof(prepared), &unused);
}

void *prepare_request(const cfg *c, const record *override_or_null, size_t *len)
{
    prepare_arg *a = MEM_NEW(prepare_arg);
    a->magic = PREPARE_MAGIC;
    a->cfg = must_bind(c);
    a->has_override = override_or_null != NULL;
    if (override_or_null)
        a->override = *override_or_null;
    *len = sizeof *a;
    return a;
}

/* Facts that a sidecar or the scan may have completed; the description of the pixels stays that of
 * a DICOM file itself. */
static void override_apply(record *r, const record *o)
{
#define TAKE(field) memcpy(&r->field, &o->field, sizeof r->field)
    TAKE(sop_uid);
    TAKE(study_uid);
    TAKE(patient_id);
    TAKE(issuer);
    TAKE(accession);
    TAKE(exam_day);
    TAKE(date_source);
    TAKE(age);
    TAKE(sex);
    TAKE(modality);
    TAKE(intent);
    TAKE(implant);
    TAKE(view);
    TAKE(view_source);
    TAKE(side);
    TAKE(side_source);
    TAKE(side_conflict);
    TAKE(manufacturer);
    TAKE(vendor);
    TAKE(row_mm);
    TAKE(col_mm);
    TAKE(spacing_source);
    quirk_apply(r, NULL); /* of a vendor that the header did not tell */
    TAKE(quirks);
    if (!raster_is(r)) /* a picture does not say what its samples mean */
        return;
    TAKE(bits_stored);
    TAKE(high_bit);
    TAKE(photometric);
    TAKE(n_windows);
    TAKE(window_center);
    TAKE(window_width);
#undef TAKE
}

static void give_up(prepared *out, reason why)
{
    out->primary = why;
    reason_add(&out->reasons, why);
}

static void notes_add(prepared *out, const reason_set *notes)
{
    out->reasons.bits[0] |= notes->bits[0];
    out->reasons.bits[1] |= notes->bits[1];
}

void prepare_init(void)
{
    pixels_init();
    opencv_init();
}

static void judge_phase(prepare_steps *s, exclude_phase phase, reason_set *set)
{
    prepared *out = s->out;
    exclude_judge(&s->q->cfg.exclude, phase, &out->rec, phase == EXCLUDE_PIXELS ? &s->facts : NULL,
                  set, &out->primary);
    notes_add(out, set);
}

/* Header, verdict, pixels, verdict. */
bool prepare_judge(prepare_steps *s, const void *data, size_t len)
{
    prepared *out = s->out;
    reason why = record_read(data, len, &out->rec);
    if (why != REASON_NONE) {
        reason_add(&s->by_decoder, why);
        give_up(out, why);
        return false;
    }
    if (s->q->has_override)
        override_apply(&out->rec, &s->q->override);
    judge_phase(s, EXCLUDE_HEADER, &s->by_header);
    if (out->primary != REASON_NONE && !s->look)
        return false;
    why = pixels_decode(data, len, &out->rec, false, s->a, &s->px);
    if (why != REASON_NONE) {
        s->by_decoder = s->px.notes;
        reason_add(&s->by_decoder, why);
        notes_add(out, &s->by_decoder);
        if (out->primary == REASON_NONE)
            out->primary = why;
        return false;
    }
    s->decoded = true;
    memcpy(out->pixel_hash, s->px.hash, sizeof out->pixel_hash);
    s->chain = (chain){.c = &s->q->cfg, .p = &s->px, .a = s->a, .out = out, .facts = &s->facts};
    chain_run(&s->chain, s->reply);
    judge_phase(s, EXCLUDE_PIXELS, &s->by_pixels);
    return out->primary == REASON_NONE;
}

void prepare_open(const prepare_arg *q, size_t arg_len, const void *data, size_t len, prepared *out)
{
    if (arg_len != sizeof *q || q->magic != PREPARE_MAGIC)
        BUG("prepare: the request is not one of prepare_request");
    memset(out, 0, sizeof *out);
    fs_xxh128_of(data, len, out->file_hash);
    out->n_sizes = q->cfg.n_sizes;
    memcpy(out->h, q->cfg.h, sizeof out->h);
    memcpy(out->w, q->cfg.w, sizeof out->w);
}

size_t prepare_image_task(const void *data, size_t len, const void *arg, size_t arg_len,
                          void *reply, size_t reply_cap)
{
    static arena *kept; /* a worker handles one image after the other */
    prepare_steps s = {.q = arg, .out = reply, .reply = reply};
    prepare_open(s.q, arg_len, data, len, s.out);
    size_t end = prepare_layout(&s.q->cfg, sizeof *s.out, s.out);
    if (reply_cap < end)
        BUG("prepare_image_task: reply of %zu bytes, needs %zu", reply_cap, end);
    kept = kept ? kept : arena_new((size_t)1 << 20);
    arena_reset(kept);
    s.a = kept;
    bool ok = prepare_judge(&s, data, len);
    if (ok)
        return end;
    s.out->n_sizes = 0;
    return sizeof *s.out;
}

bool prepare_failed(reason r)
{
    switch (r) {
    case REASON_IO_UNREADABLE:
    case REASON_IO_TRUNCATED:
    case REASON_IO_LOST:
    case REASON_DECODER_CRASH:
    case REASON_DECODER_LIMIT:
    case REASON_TS_UNSUPPORTED:
    case REASON_DEC_FAILED:
    case REASON_DEC_WARNED:
    case REASON_PIX_GEOMETRY:
        return true;
    default:
        return false;
    }
}
