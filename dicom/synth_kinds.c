/* The odd files of the demo archive: for every rule one that hits and, where there is an edge, one
 * just outside it. What must happen to each stands in tests/fixtures/expected_outcomes.csv, written
 * from the specification and not from this table. */
#include "dicom/synth_shot.h"

#include "core/rng.h"

#include <string.h>

#define CLASS_MG   "1.2.840.10008.5.1.4.1.1.1.2"
#define CLASS_PROC "1.2.840.10008.5.1.4.1.1.1.2.1"
#define CLASS_BTO  "1.2.840.10008.5.1.4.1.1.13.1.3"
#define CLASS_PROJ "1.2.840.10008.5.1.4.1.1.13.1.4"
#define CLASS_SC   "1.2.840.10008.5.1.4.1.1.7"
#define CLASS_SR   "1.2.840.10008.5.1.4.1.1.88.50"
#define CLASS_DX   "1.2.840.10008.5.1.4.1.1.1.1"
#define CLASS_DIR  "1.2.840.10008.1.3.10"

static size_t samples(const synth_shot *s)
{
    return (size_t)s->rows * (size_t)s->cols;
}

static void syntax(synth_shot *s, const char *ts)
{
    s->ts_said = s->ts_real = ts;
}

/* ---- scenes ---------------------------------------------------------------------------------- */

static void scene_oblique(synth_shot *s)
{
    s->oblique = s->scene.oblique = true;
    text_copy(s->scene.marker, sizeof(s->scene.marker), "LMLO");
}
static void scene_down(synth_shot *s)
{
    s->scene.upside_down = true;
}
static void scene_oblique_down(synth_shot *s)
{
    scene_oblique(s);
    scene_down(s);
}
static void scene_block(synth_shot *s)
{
    s->scene.content = SYNTH_BLOCK;
}
static void scene_blank(synth_shot *s)
{
    s->scene.content = SYNTH_EMPTY;
    s->scene.air_noise = 0;
    s->scene.marker[0] = '\0';
    s->scene.label = false;
}
static void scene_jll(synth_shot *s)
{
    syntax(s, SYNTH_JLL_SV1);
}
static void scene_rle(synth_shot *s)
{
    syntax(s, SYNTH_RLE);
}
static void scene_jls(synth_shot *s)
{
    syntax(s, SYNTH_JPEG_LS);
}
static void scene_j2k(synth_shot *s)
{
    syntax(s, SYNTH_J2K);
}
static void scene_explicit(synth_shot *s)
{
    syntax(s, SYNTH_EXPLICIT);
}
static void scene_implicit(synth_shot *s)
{
    syntax(s, SYNTH_IMPLICIT);
}
static void scene_big(synth_shot *s)
{
    syntax(s, SYNTH_BIG_ENDIAN);
}
static void scene_deflated(synth_shot *s)
{
    syntax(s, SYNTH_DEFLATED);
}

/* ---- headers --------------------------------------------------------------------------------- */

static void head_modifier(synth_shot *s, const char *value, const char *meaning)
{
    synth_set *view = synth_set_new(s->a), *mod = synth_set_new(s->a);
    synth_str(view, 0x00080100u, "SH", "399162004");
    synth_str(view, 0x00080102u, "SH", "SCT");
    synth_str(view, 0x00080104u, "LO", "cranio-caudal");
    synth_str(mod, 0x00080100u, "SH", "%s", value);
    synth_str(mod, 0x00080102u, "SH", "SCT");
    synth_str(mod, 0x00080104u, "LO", "%s", meaning);
    synth_item(view, 0x00540222u, mod);
    synth_drop(s->set, 0x00540220u);
    synth_item(s->set, 0x00540220u, view);
}
static void head_displaced(synth_shot *s)
{
    head_modifier(s, "399209000", "implant displaced");
}
static void head_magnified(synth_shot *s)
{
    head_modifier(s, "399163009", "magnification");
}
static void head_spot(synth_shot *s)
{
    head_modifier(s, "399055006", "spot compression");
}
static void head_cleavage(synth_shot *s)
{
    head_modifier(s, "399161006", "cleavage");
}
static void head_view(synth_shot *s, const char *value, const char *meaning, const char *word)
{
    synth_set *view = synth_set_new(s->a);
    synth_str(view, 0x00080100u, "SH", "%s", value);
    synth_str(view, 0x00080102u, "SH", "SCT");
    synth_str(view, 0x00080104u, "LO", "%s", meaning);
    synth_drop(s->set, 0x00540220u);
    synth_item(s->set, 0x00540220u, view);
    synth_str(s->set, 0x00185101u, "CS", "%s", word);
    synth_str(s->set, 0x0008103Eu, "LO", "L %s", word);
}
static void head_ml(synth_shot *s)
{
    head_view(s, "399260004", "medio-lateral", "ML");
}
static void head_xccl(synth_shot *s)
{
    head_view(s, "399192008", "exaggerated cranio-caudal laterally", "XCCL");
}
static void head_specimen(synth_shot *s)
{
    head_view(s, "127457009", "tissue specimen from breast", "SPECIMEN");
}
static void head_no_view(synth_shot *s)
{
    static const uint32_t tags[] = {0x00540220u, 0x00185101u, 0x0008103Eu, 0x00200020u};
    for (size_t i = 0; i < COUNT_OF(tags); i++)
        synth_drop(s->set, tags[i]);
}
static void head_view_by_word(synth_shot *s)
{
    synth_drop(s->set, 0x00540220u);
}
static void head_no_side(synth_shot *s)
{
    static const uint32_t tags[] = {0x00200062u, 0x0008103Eu, 0x00200020u};
    for (size_t i = 0; i < COUNT_OF(tags); i++)
        synth_drop(s->set, tags[i]);
}
static void head_side_by_series(synth_shot *s)
{
    head_no_side(s);
    synth_str(s->set, 0x00200060u, "CS", "L");
}
static void head_side_conflict(synth_shot *s)
{
    synth_str(s->set, 0x00200060u, "CS", "R");
}
static void head_class(synth_shot *s, const char *uid)
{
    synth_str(s->set, 0x00080016u, "UI", "%s", uid);
}
static void head_processing(synth_shot *s)
{
    head_class(s, CLASS_PROC);
    synth_str(s->set, 0x00080068u, "CS", "FOR PROCESSING");
    for (size_t i = 0; i < samples(s); i++) /* the raw image has another curve */
        s->px[i] = (uint16_t)(s->px[i] / 2 + 100);
    synth_drop(s->set, 0x00281050u);
    synth_drop(s->set, 0x00281051u);
    synth_drop(s->set, 0x00281055u);
    synth_drop(s->set, 0x00281056u);
    synth_drop(s->set, 0x00283010u);
}
static void head_secondary(synth_shot *s)
{
    head_class(s, CLASS_SC);
    synth_str(s->set, 0x00080064u, "CS", "WSD");
}
static void head_private_volume(synth_shot *s)
{
    head_secondary(s);
    synth_set *chunk = synth_set_new(s->a);
    synth_put(chunk, 0x7E011012u, "OB", "not a volume", 12);
    synth_str(s->set, 0x7E010010u, "LO", "HOLOGIC, Inc.");
    synth_item(s->set, 0x7E011010u, chunk);
}
static void head_tomo(synth_shot *s)
{
    head_class(s, CLASS_BTO);
    syntax(s, SYNTH_EXPLICIT);
    synth_str(s->set, 0x00280008u, "IS", "3");
    synth_str(s->set, 0x00080008u, "CS", "ORIGINAL\\PRIMARY\\TOMOSYNTHESIS\\NONE");
    size_t n = samples(s);
    uint16_t *three = arena_alloc(s->a, 3 * n * sizeof(*three));
    for (int f = 0; f < 3; f++)
        memcpy(three + (size_t)f * n, s->px, n * sizeof(*three));
    s->px = three;
    s->body = (synth_pixels){.bytes = three, .len = 3 * n * sizeof(*three), .bits = 16};
}
static void head_projection(synth_shot *s)
{
    head_class(s, CLASS_PROJ);
    synth_str(s->set, 0x00080008u, "CS", "ORIGINAL\\PRIMARY\\TOMO_PROJ\\RIGHT");
}
static void head_dx_breast(synth_shot *s)
{
    head_class(s, CLASS_DX);
    synth_str(s->set, 0x00080060u, "CS", "DX");
    synth_str(s->set, 0x00180015u, "CS", "CHEST");
}
static void head_no_pixels(synth_shot *s, const char *uid, const char *modality)
{
    head_class(s, uid);
    synth_str(s->set, 0x00080060u, "CS", "%s", modality);
    s->body = (synth_pixels){.bits = 1}; /* none: bytes stay NULL */
}
static void head_report(synth_shot *s)
{
    head_no_pixels(s, CLASS_SR, "SR");
}
static void head_directory(synth_shot *s)
{
    head_no_pixels(s, CLASS_DIR, "OT");
}
static void head_stub(synth_shot *s, const char *ts, const void *bytes, size_t len)
{
    syntax(s, ts);
    uint8_t *p = arena_calloc(s->a, 4096);
    rng r;
    rng_init(&r, s->exam->seed, RNG_SYNTH, s->scene.id, 91);
    for (size_t i = 0; i < 4096; i++)
        p[i] = (uint8_t)(rng_u32(&r) & 0x7F);
    memcpy(p, bytes, len);
    p[4094] = 0xFF;
    p[4095] = 0xD9;
    s->body = (synth_pixels){.bytes = p, .len = 4096, .items = true, .fragments = 1, .bits = 16};
}
static void head_baseline(synth_shot *s)
{
    static const uint8_t b[] = {0xFF, 0xD8, 0xFF, 0xC0, 0, 11, 8, 2, 0x26, 1, 0x90, 1, 1, 17, 0};
    head_stub(s, SYNTH_BASELINE, b, sizeof(b));
}
static void head_jpeg_xl(synth_shot *s)
{
    static const uint8_t b[] = {0xFF, 0x0A};
    head_stub(s, SYNTH_JPEG_XL, b, sizeof(b));
}
static void head_lies_items(synth_shot *s) /* native syntax, yet pixel data in items */
{
    synth_shot_pixels(s);
    syntax(s, SYNTH_EXPLICIT);
}
static void head_lies_rle(synth_shot *s) /* declared as lossless JPEG, written as RLE */
{
    syntax(s, SYNTH_RLE);
    synth_shot_pixels(s);
    s->ts_said = SYNTH_JLL_SV1;
}
static void head_rgb(synth_shot *s)
{
    syntax(s, SYNTH_EXPLICIT);
    size_t n = samples(s);
    uint8_t *rgb = arena_alloc(s->a, 3 * n);
    for (size_t i = 0; i < 3 * n; i++)
        rgb[i] = (uint8_t)(s->px[i / 3] >> (s->bits - 8));
    synth_us(s->set, 0x00280002u, 3);
    synth_us(s->set, 0x00280006u, 0);
    synth_us(s->set, 0x00280100u, 8);
    synth_us(s->set, 0x00280101u, 8);
    synth_us(s->set, 0x00280102u, 7);
    synth_str(s->set, 0x00280004u, "CS", "RGB");
    s->body = (synth_pixels){.bytes = rgb, .len = 3 * n, .bits = 8};
}
static void head_eight_bits(synth_shot *s)
{
    syntax(s, SYNTH_EXPLICIT);
    size_t n = samples(s);
    uint8_t *grey = arena_alloc(s->a, n);
    for (size_t i = 0; i < n; i++)
        grey[i] = (uint8_t)(s->px[i] >> (s->bits - 8));
    synth_us(s->set, 0x00280100u, 8);
    synth_us(s->set, 0x00280101u, 8);
    synth_us(s->set, 0x00280102u, 7);
    static const uint32_t display[] = {0x00281050u, 0x00281051u, 0x00281055u, 0x00281056u,
                                       0x00283010u, 0x00280120u, 0x00280121u};
    for (size_t i = 0; i < COUNT_OF(display); i++)
        synth_drop(s->set, display[i]);
    s->body = (synth_pixels){.bytes = grey, .len = n, .bits = 8};
}
/* The header says the opposite of what the stored values show. */
static void head_inverted(synth_shot *s)
{
    unsigned top = (1u << s->bits) - 1;
    for (size_t i = 0; i < samples(s); i++)
        s->px[i] = (uint16_t)(top - s->px[i]);
    synth_drop(s->set, 0x00280120u);
    synth_drop(s->set, 0x00280121u);
    synth_drop(s->set, 0x00283010u);
    synth_drop(s->set, 0x00281055u);
    synth_drop(s->set, 0x00281056u);
    synth_str(s->set, 0x00281050u, "DS", "%u", (top + 1) / 2);
    synth_str(s->set, 0x00281051u, "DS", "%u", top + 1);
}
static void
head_shape_conflict(synth_shot *s) /* an illegal pair; the pixels agree with the shape */
{
    synth_elem *shape = synth_find(s->set, 0x20500020u);
    bool inverse = shape && shape->value[1] == 'N'; /* INVERSE, not IDENTITY */
    synth_str(s->set, 0x00280004u, "CS", "%s", inverse ? "MONOCHROME2" : "MONOCHROME1");
}
static void head_rescaled(synth_shot *s)
{
    synth_elem *lut = synth_find(s->set, 0x00283010u);
    if (lut) {
        synth_drop(s->set, 0x00283010u);
        synth_str(s->set, 0x00281050u, "DS", "2300");
        synth_str(s->set, 0x00281051u, "DS", "4200");
    }
    synth_str(s->set, 0x00281052u, "DS", "0");
    synth_str(s->set, 0x00281053u, "DS", "1");
    synth_str(s->set, 0x00281054u, "LO", "US");
}
static void head_short(synth_shot *s) /* fewer pixels than rows x columns, yet a whole file */
{
    syntax(s, SYNTH_EXPLICIT);
    s->body = (synth_pixels){.bytes = s->px, .len = samples(s), .bits = 16};
}
static void head_cut_rle(synth_shot *s)
{
    synth_shot_pixels(s);
    s->body.len = s->body.len * 6 / 10 & ~(size_t)1;
}
/* Cut in the middle of the scan, yet ended properly. */
static void head_cut_jll(synth_shot *s)
{
    synth_shot_pixels(s);
    size_t n = s->body.len * 6 / 10;
    while ((uint8_t)s->stream.s[n - 1] == 0xFF)
        n--;
    s->stream.s[n] = (char)0xFF;
    s->stream.s[n + 1] = (char)0xD9;
    s->body.len = n + 2;
    s->body.fragments = 1;
}
static void head_no_date(synth_shot *s)
{
    static const uint32_t tags[] = {0x00080020u, 0x00080022u, 0x00080023u};
    for (size_t i = 0; i < COUNT_OF(tags); i++)
        synth_drop(s->set, tags[i]);
}
static void head_sentinel_date(synth_shot *s)
{
    synth_str(s->set, 0x00080020u, "DA", "20990909");
    synth_str(s->set, 0x00080022u, "DA", "19000101");
    synth_str(s->set, 0x00080023u, "DA", "00000000");
}
static void head_study_date_only(synth_shot *s)
{
    synth_str(s->set, 0x00080022u, "DA", "20990909");
    synth_drop(s->set, 0x00080023u);
}
static void head_no_spacing(synth_shot *s)
{
    synth_drop(s->set, 0x00181164u);
}
static void head_plain_spacing(synth_shot *s)
{
    head_no_spacing(s);
    synth_str(s->set, 0x00280030u, "DS", "%g\\%g", s->scene.mm, s->scene.mm);
}

/* ---- whole files ----------------------------------------------------------------------------- */

static void file_random(synth_shot *s, text *out)
{
    rng r;
    rng_init(&r, s->exam->seed, RNG_SYNTH, s->scene.id, 92);
    for (size_t i = 0; i < out->len; i++)
        out->s[i] = (char)(uint8_t)rng_u32(&r);
}
static void file_cut(synth_shot *s, text *out)
{
    out->len = out->len * 6 / 10;
}
/* The file ends inside the value of StudyInstanceUID (0020,000D). */
static void file_cut_header(synth_shot *s, text *out)
{
    static const char head[] = "\x20\x00\x0d\x00UI";
    const char *at = memmem(out->s, out->len, head, sizeof head - 1);
    if (!at)
        BUG("demo archive: a file without StudyInstanceUID is to be cut");
    out->len = (size_t)(at - out->s) + 8 + 5; /* tag, VR and length; five of the characters */
}
static void file_empty(synth_shot *s, text *out)
{
    text_clear(out);
}
static void file_words(synth_shot *s, text *out)
{
    text_clear(out);
    for (int i = 0; i < 40; i++)
        text_add(out, "This is a note that somebody left between the images.\n");
}
static void file_zip(synth_shot *s, text *out)
{
    memcpy(out->s, "PK\3\4\x14\0\0\0\10\0", 10);
    memset(out->s + 10, 7, out->len < 4096 ? out->len - 10 : 4086);
    out->len = out->len < 4096 ? out->len : 4096;
}
static void file_headerless(synth_shot *s, text *out) /* no preamble, no meta header */
{
    const uint8_t *p = (const uint8_t *)out->s;
    size_t skip = 132 + 12 + (p[140] | (size_t)p[141] << 8);
    memmove(out->s, out->s + skip, out->len - skip);
    out->len -= skip;
}

/* ---- twins ----------------------------------------------------------------------------------- */

static void twin_same(synth_shot *s)
{
}
static void twin_new_uid(synth_shot *s)
{
    synth_shot_renumber(s, 60);
}
static void twin_other_pixels(synth_shot *s) /* another exposure of the same view */
{
    synth_shot_renumber(s, 61);
    unsigned top = (1u << s->bits) - 1;
    for (size_t i = 0; i < samples(s); i++)
        if (s->px[i] > 50 && s->px[i] < top)
            s->px[i] = (uint16_t)(s->px[i] + 1);
}

/* ---- the table ------------------------------------------------------------------------------- */

#define PUT(name, tag, vr, value)                                                                  \
    {                                                                                              \
        name, SYNTH_REPLACES, tag, vr, value, NULL, NULL, NULL, NULL, 0, 0, 0, 0                   \
    }
#define DROP(name, tag) PUT(name, tag, NULL, NULL)
#define HEAD(name, fn)                                                                             \
    {                                                                                              \
        name, SYNTH_REPLACES, 0, NULL, NULL, NULL, fn, NULL, NULL, 0, 0, 0, 0                      \
    }
#define BOTH(name, scene, fn)                                                                      \
    {                                                                                              \
        name, SYNTH_REPLACES, 0, NULL, NULL, scene, fn, NULL, NULL, 0, 0, 0, 0                     \
    }
#define ADD(name, fn)                                                                              \
    {                                                                                              \
        name, SYNTH_ADDS, 0, NULL, NULL, NULL, fn, NULL, NULL, 0, 0, 0, 0                          \
    }
#define FILE_(name, scene, fn)                                                                     \
    {                                                                                              \
        name, SYNTH_ADDS, 0, NULL, NULL, scene, NULL, fn, NULL, 0, 0, 0, 0                         \
    }
#define TWIN(name, fn)                                                                             \
    {                                                                                              \
        name, SYNTH_TWINS, 0, NULL, NULL, NULL, NULL, NULL, fn, 0, 0, 0, 0                         \
    }
#define CLINIC(name, cancer, follow, prior, rows)                                                  \
    {                                                                                              \
        name, SYNTH_EXAM, 0, NULL, NULL, NULL, NULL, NULL, NULL, cancer, follow, prior, rows       \
    }

const synth_kind synth_kinds[] = {
    /* pixels and their description */
    BOTH("syntax_explicit", scene_explicit, NULL),
    BOTH("syntax_implicit", scene_implicit, NULL),
    BOTH("syntax_rle", scene_rle, NULL),
    BOTH("syntax_jpeg_lossless", scene_jll, NULL),
    BOTH("flipped_vertically", scene_down, NULL),
    BOTH("flipped_vertically_oblique", scene_oblique_down, NULL),
    HEAD("rescale_identity", head_rescaled),
    HEAD("eight_bits", head_eight_bits),
    HEAD("rgb", head_rgb),
    BOTH("blank", scene_blank, NULL),
    BOTH("polarity_lie", scene_oblique, head_inverted),
    HEAD("polarity_conflict", head_shape_conflict),
    HEAD("no_spacing", head_no_spacing),
    HEAD("spacing_in_pixel_spacing", head_plain_spacing),
    PUT("lossy_flag", 0x00282110u, "CS", "01"),
    PUT("burned_in_yes", 0x00280301u, "CS", "YES"),
    /* transfer syntaxes */
    BOTH("big_endian", scene_big, NULL),
    BOTH("deflated", scene_deflated, NULL),
    HEAD("jpeg_baseline", head_baseline),
    BOTH("jpeg_ls", scene_jls, NULL),
    BOTH("jpeg2000", scene_j2k, NULL),
    HEAD("jpeg_xl", head_jpeg_xl),
    BOTH("lies_native_in_items", scene_jll, head_lies_items),
    HEAD("lies_rle_as_jpeg", head_lies_rle),
    /* damage */
    FILE_("random_bytes", NULL, file_random),
    FILE_("cut_native", scene_explicit, file_cut),
    FILE_("cut_in_header", scene_explicit, file_cut_header),
    ADD("short_pixel_data", head_short),
    {"cut_rle", SYNTH_ADDS, 0, NULL, NULL, scene_rle, head_cut_rle, NULL, NULL, 0, 0, 0, 0},
    {"cut_jpeg_with_eoi", SYNTH_ADDS, 0, NULL, NULL, scene_jll, head_cut_jll, NULL, NULL, 0, 0, 0,
     0},
    FILE_("empty_file", NULL, file_empty),
    FILE_("text_file", NULL, file_words),
    FILE_("zip_file", NULL, file_zip),
    {"headerless", SYNTH_REPLACES, 0, NULL, NULL, scene_implicit, NULL, file_headerless, NULL, 0, 0,
     0, 0},
    ADD("structured_report", head_report),
    ADD("dicomdir", head_directory),
    /* what kind of image */
    PUT("implant_yes", 0x00281300u, "CS", "YES"),
    PUT("implant_no", 0x00281300u, "CS", "NO"),
    DROP("implant_absent", 0x00281300u),
    HEAD("implant_displaced", head_displaced),
    PUT("exposure_aborted", 0x00187064u, "CS", "ABORTED"),
    PUT("exposure_normal", 0x00187064u, "CS", "NORMAL"),
    DROP("exposure_status_absent", 0x00187064u),
    PUT("exposure_zero", 0x00181152u, "IS", "0"),
    PUT("kvp_zero", 0x00180060u, "DS", "0"),
    PUT("magnified_1_5", 0x00181114u, "DS", "1.5"),
    PUT("magnified_1_07", 0x00181114u, "DS", "1.07"),
    HEAD("magnification_modifier", head_magnified),
    HEAD("spot_modifier", head_spot),
    PUT("spot_paddle", 0x001811A4u, "LO", "10CM SPOT"),
    PUT("standard_paddle", 0x001811A4u, "LO", "18X24CM FLEX"),
    HEAD("cleavage_modifier", head_cleavage),
    PUT("stereo_scout", 0x00080008u, "CS", "ORIGINAL\\PRIMARY\\STEREO_SCOUT"),
    PUT("post_biopsy", 0x00080008u, "CS", "ORIGINAL\\PRIMARY\\POSTBIOPSY"),
    PUT("post_marker", 0x00080008u, "CS", "ORIGINAL\\PRIMARY\\POSTMARKER"),
    PUT("biopsy_words", 0x00081030u, "LO", "Stereotactic biopsy left"),
    PUT("wire_words", 0x00081030u, "LO", "Wire localisation left"),
    PUT("screening_words", 0x00081030u, "LO", "Mammography screening round 3"),
    HEAD("specimen", head_specimen),
    ADD("for_processing_twin", head_processing),
    HEAD("tomosynthesis", head_tomo),
    HEAD("tomo_projection", head_projection),
    PUT("synthetic_generated_2d", 0x00080008u, "CS",
        "DERIVED\\PRIMARY\\TOMOSYNTHESIS\\GENERATED_2D"),
    PUT("synthetic_words", 0x0008103Eu, "LO", "L CC C-View"),
    PUT("contrast_subtracted", 0x00080008u, "CS",
        "DERIVED\\PRIMARY\\POST_CONTRAST\\SUBTRACTION\\RECOMBINED"),
    PUT("contrast_low_energy", 0x00080008u, "CS",
        "ORIGINAL\\PRIMARY\\POST_CONTRAST\\NONE\\LOW_ENERGY"),
    PUT("qc_image", 0x00280300u, "CS", "YES"),
    PUT("qc_words", 0x00081030u, "LO", "QC weekly"),
    PUT("qc_no", 0x00280300u, "CS", "NO"),
    {"phantom_block", SYNTH_REPLACES, 0x00081030u, "LO", "PHANTOM weekly", scene_block, NULL, NULL,
     NULL, 0, 0, 0, 0},
    HEAD("secondary_capture", head_secondary),
    PUT("secondary_image_type", 0x00080008u, "CS", "DERIVED\\SECONDARY"),
    PUT("conversion_type_only", 0x00080064u, "CS", "WSD"),
    HEAD("private_volume", head_private_volume),
    HEAD("chest_radiograph", head_dx_breast),
    PUT("modality_us", 0x00080060u, "CS", "US"),
    PUT("partial_view", 0x00281350u, "CS", "YES"),
    PUT("partial_view_no", 0x00281350u, "CS", "NO"),
    /* view and side */
    HEAD("view_ml", head_ml),
    HEAD("view_xccl", head_xccl),
    HEAD("view_unknown", head_no_view),
    HEAD("view_by_word", head_view_by_word),
    PUT("side_both", 0x00200062u, "CS", "B"),
    HEAD("side_missing", head_no_side),
    HEAD("side_in_laterality", head_side_by_series),
    HEAD("side_conflict", head_side_conflict),
    /* identity */
    DROP("no_patient_id", 0x00100020u),
    PUT("blank_patient_id", 0x00100020u, "LO", "   "),
    DROP("no_study_uid", 0x0020000Du),
    HEAD("no_date", head_no_date),
    HEAD("sentinel_dates", head_sentinel_date),
    HEAD("study_date_only", head_study_date_only),
    DROP("no_accession", 0x00080050u),
    /* relations */
    TWIN("same_file_twice", twin_same),
    TWIN("same_pixels_twice", twin_new_uid),
    TWIN("same_view_twice", twin_other_pixels),
    /* clinical: diagnosis, follow-up, prior cancer in days; clinical rows */
    CLINIC("cancer_on_the_day", 0, 0, 0, 0),
    CLINIC("cancer_after_30_days", 30, 0, 0, 0),
    CLINIC("cancer_after_60_days", 60, 0, 0, 0),
    CLINIC("cancer_after_61_days", 61, 0, 0, 0),
    CLINIC("cancer_after_730_days", 730, 0, 0, 0),
    CLINIC("cancer_after_731_days", 731, 0, 0, 0),
    CLINIC("cancer_before_exam", -200, 0, 0, 0),
    CLINIC("prior_cancer_column", SYNTH_NEVER, 1100, 900, 0),
    CLINIC("prior_date_after_exam", SYNTH_NEVER, 1100, -300, 0),
    CLINIC("followup_729_days", SYNTH_NEVER, 729, 0, 0),
    CLINIC("followup_730_days", SYNTH_NEVER, 730, 0, 0),
    CLINIC("followup_unknown", SYNTH_NEVER, -1, 0, 0),
    CLINIC("no_clinical_row", SYNTH_NEVER, 1100, 0, -1),
    CLINIC("two_equal_rows", SYNTH_NEVER, 1100, 0, 1),
    CLINIC("contradicting_rows", 200, 1100, 0, 2),
};
const int synth_kinds_n = (int)COUNT_OF(synth_kinds);
