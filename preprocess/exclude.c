/* The criteria of exclude.h: one function and one row each. Pixel thresholds are the proposals of
 * dicom.md 4; they are config keys and flag by default until calibrated per vendor. */
#include "preprocess/exclude.h"

#define UID_IMAGE "1.2.840.10008.5.1.4.1.1."

/* ---- header criteria ------------------------------------------------------------------------- */

static bool sop_is(const record *r, const char *tail)
{
    size_t n = strlen(UID_IMAGE);
    return strncmp(r->sop_class, UID_IMAGE, n) == 0 && strcmp(r->sop_class + n, tail) == 0;
}

static bool sop_starts(const record *r, const char *tail)
{
    size_t n = strlen(UID_IMAGE);
    return strncmp(r->sop_class, UID_IMAGE, n) == 0 &&
           strncmp(r->sop_class + n, tail, strlen(tail)) == 0;
}

static bool sop_is_mammo(const record *r)
{
    return sop_is(r, "1.2") || sop_is(r, "1.2.1") || sop_is(r, "13.1.3") || sop_is(r, "13.1.4") ||
           sop_is(r, "13.1.5");
}

static bool type_is(const record *r, int value, const char *word)
{
    return strcmp(r->image_type[value - 1], word) == 0;
}

static bool type_starts(const record *r, int value, const char *word)
{
    return strncmp(r->image_type[value - 1], word, strlen(word)) == 0;
}

#define HEADER_HIT(row)                                                                            \
    static bool hit_##row(const exclude_cfg *c, const record *r, const pixel_facts *p UNUSED)

HEADER_HIT(NOT_MG)
{
    bool xray = sop_is_mammo(r) || sop_is(r, "1.1") || sop_is(r, "1.1.1") || sop_is(r, "1");
    bool capture = sop_is(r, "7") || sop_starts(r, "7."); /* has a reason of its own */
    if (!r->modality[0])
        return !sop_is_mammo(r);
    if (r->sop_class[0] && !xray && !capture)
        return true;
    if (strcmp(r->modality, "DX") == 0 || strcmp(r->modality, "CR") == 0)
        return !c->admit_dx_breast || strcmp(r->body_part, "BREAST") != 0;
    return strcmp(r->modality, "MG") != 0;
}
HEADER_HIT(FOR_PROCESSING)
{
    return r->intent == INTENT_PROCESSING;
}
HEADER_HIT(FOR_PRESENTATION)
{
    return c->want_processing && r->intent != INTENT_PROCESSING;
}
HEADER_HIT(SC_CAPTURE)
{
    return sop_is(r, "7") || sop_starts(r, "7.") || type_is(r, 2, "SECONDARY");
}
HEADER_HIT(SCO_PRIVATE)
{
    return r->text_flags & TEXT_PRIVATE_VOLUME;
}
HEADER_HIT(CAD_OVERLAY)
{
    return r->text_flags & TEXT_CAD;
}
HEADER_HIT(MF_PROJ)
{
    return sop_is(r, "13.1.4") || sop_is(r, "13.1.5") || type_is(r, 3, "TOMO_PROJ") ||
           type_is(r, 3, "TOMO_SCOUT");
}
HEADER_HIT(MF_TOMO)
{
    if (hit_MF_PROJ(c, r, p))
        return false;
    /* the synthetic image made from a volume names the volume, too */
    return r->frames > 1 || sop_is(r, "13.1.3") ||
           (type_is(r, 3, "TOMOSYNTHESIS") && !type_is(r, 4, "GENERATED_2D"));
}
HEADER_HIT(SYN_2D)
{
    return type_is(r, 4, "GENERATED_2D") || (r->text_flags & TEXT_SYNTHETIC);
}
HEADER_HIT(CESM)
{
    if (c->keep_low_energy && type_is(r, 5, "LOW_ENERGY"))
        return false;
    return type_is(r, 3, "PRE_CONTRAST") || type_is(r, 3, "POST_CONTRAST") ||
           type_is(r, 4, "SUBTRACTION") || type_is(r, 4, "ADDITION") ||
           type_is(r, 5, "LOW_ENERGY") || type_is(r, 5, "HIGH_ENERGY");
}
HEADER_HIT(QC_IMAGE)
{
    return r->qc == TRI_YES || (r->text_flags & TEXT_QC);
}
HEADER_HIT(PHANTOM)
{
    return r->text_flags & TEXT_PHANTOM;
}
HEADER_HIT(SPECIMEN)
{
    return r->view == VIEW_SPECIMEN || (r->text_flags & TEXT_SPECIMEN);
}
HEADER_HIT(BIOPSY_STEREO)
{
    return type_starts(r, 3, "STEREO") || type_starts(r, 3, "PREFIRE") ||
           type_starts(r, 3, "POSTFIRE") || type_starts(r, 3, "POSTBIOPSY") ||
           (r->text_flags & (TEXT_STEREO | TEXT_BIOPSY));
}
HEADER_HIT(WIRE_LOC)
{
    return r->text_flags & TEXT_WIRE;
}
HEADER_HIT(POST_CLIP)
{
    return type_starts(r, 3, "POSTMARKER") || (r->text_flags & TEXT_CLIP);
}
HEADER_HIT(EXPOSURE_ABORTED)
{
    return r->aborted == TRI_YES || r->kvp == 0 || r->exposure == 0;
}
HEADER_HIT(IMPLANT)
{
    /* views with the implant pushed back are judged by a row of their own */
    return r->implant == TRI_YES && !(r->modifiers & MODIFIER_IMPLANT_DISPLACED);
}
HEADER_HIT(IMPLANT_DISPLACED)
{
    return r->modifiers & MODIFIER_IMPLANT_DISPLACED;
}
HEADER_HIT(MAGNIFICATION)
{
    return (r->modifiers & MODIFIER_MAGNIFICATION) || (r->text_flags & TEXT_MAG) ||
           r->magnification > c->max_magnification;
}
HEADER_HIT(SPOT_COMPRESSION)
{
    return (r->modifiers & MODIFIER_SPOT) || (r->text_flags & TEXT_SPOT);
}
HEADER_HIT(VIEW_MODIFIER)
{
    return r->modifiers & MODIFIER_OTHER;
}
HEADER_HIT(VIEW_NONSTANDARD)
{
    return r->view != VIEW_CC && r->view != VIEW_MLO && r->view != VIEW_UNKNOWN;
}
HEADER_HIT(VIEW_UNKNOWN)
{
    return r->view == VIEW_UNKNOWN;
}
HEADER_HIT(LAT_UNKNOWN)
{
    return r->side != 'L' && r->side != 'R' && r->side != 'B';
}
HEADER_HIT(LAT_BOTH)
{
    return r->side == 'B';
}
HEADER_HIT(LAT_CONFLICT)
{
    return r->side_conflict == TRI_YES;
}
HEADER_HIT(PARTIAL_VIEW)
{
    return r->partial == TRI_YES;
}
HEADER_HIT(BURNED_IN)
{
    return r->burned_in == TRI_YES;
}
HEADER_HIT(LOSSY)
{
    return r->lossy == TRI_YES;
}
HEADER_HIT(NO_PATIENT_ID)
{
    return !r->patient_id[0];
}
HEADER_HIT(NO_STUDY)
{
    return !r->study_uid[0];
}
HEADER_HIT(NO_DATE)
{
    return r->exam_day == RECORD_UNKNOWN;
}

/* ---- pixel criteria -------------------------------------------------------------------------- */

#define PIXELS_HIT(row)                                                                            \
    static bool hit_##row(const exclude_cfg *c, const record *r UNUSED, const pixel_facts *p)

PIXELS_HIT(TS_LIES)
{
    return reason_has(&p->notes, REASON_TS_LIES);
}
PIXELS_HIT(BITS_LIE)
{
    return reason_has(&p->notes, REASON_BITS_LIE);
}
PIXELS_HIT(GREY_AS_COLOUR)
{
    return reason_has(&p->notes, REASON_GREY_AS_COLOUR);
}
PIXELS_HIT(NO_SPACING)
{
    return p->mm_wanted && !p->mm_known;
}
PIXELS_HIT(BLANK)
{
    return p->range < c->blank_range || p->top_share > c->blank_share;
}
PIXELS_HIT(POLARITY_CONFLICT)
{
    return p->polarity_conflict;
}
PIXELS_HIT(POLARITY_FIXED)
{
    return p->polarity_fixed;
}
PIXELS_HIT(POLARITY_UNCERTAIN)
{
    return p->polarity_uncertain;
}
PIXELS_HIT(SEG_FAILED)
{
    return !p->breast_found;
}
PIXELS_HIT(ORIENT_CONFLICT)
{
    return p->orient_conflict;
}
PIXELS_HIT(LOW_BREAST_AREA)
{
    bool small = p->breast_mm2 > 0 && p->breast_mm2 < c->min_breast_mm2;
    return p->breast_found && (p->breast_area < c->min_breast_area || small);
}
PIXELS_HIT(HIGH_BREAST_AREA)
{
    bool large = p->breast_mm2 > c->max_breast_mm2;
    return p->breast_found && (p->breast_area > c->max_breast_area || large);
}
PIXELS_HIT(UNDEREXPOSED)
{
    return p->breast_found && p->breast_median < c->min_median;
}
PIXELS_HIT(OVEREXPOSED)
{
    return p->breast_found && p->breast_saturated > c->max_saturated;
}
PIXELS_HIT(NOISE)
{
    return p->breast_found && (p->breast_noise > c->max_noise || p->air_noise > c->max_air_noise);
}
PIXELS_HIT(EXPOSURE_ABORTED_PIXELS)
{
    return p->range < c->aborted_range && p->noise > c->aborted_noise;
}
PIXELS_HIT(PHANTOM_PIXELS)
{
    return !p->breast_found && p->object_extent > c->phantom_extent &&
           p->object_flat > c->phantom_flat && p->object_spread < c->phantom_spread &&
           p->object_area < c->qc_area;
}
PIXELS_HIT(QC_IMAGE_PIXELS)
{
    return !p->breast_found && p->object_area >= c->qc_area && p->object_flat > c->qc_flat;
}
PIXELS_HIT(SPECIMEN_PIXELS)
{
    return !p->breast_found && p->object_free && p->object_area < c->specimen_area &&
           p->object_level > c->specimen_level;
}
PIXELS_HIT(LAT_CONFLICT_PIXELS)
{
    return p->side_conflict;
}
PIXELS_HIT(PARTIAL_VIEW_PIXELS)
{
    double other = p->border_top > p->border_bottom ? p->border_top : p->border_bottom;
    return p->breast_found && p->border_front > c->partial_border && other > c->partial_border;
}
static bool is_implant(const exclude_cfg *c, const pixel_facts *p)
{
    return p->blob_share > c->implant_share && p->blob_solidity > c->implant_solidity;
}
PIXELS_HIT(IMPLANT_PIXELS)
{
    return p->breast_found && is_implant(c, p);
}
PIXELS_HIT(METAL_CLIP)
{
    return p->metal_least_mm2 > 0 && p->metal_least_mm2 < c->metal_mm2;
}
PIXELS_HIT(PACEMAKER)
{
    return p->metal_most_mm2 >= c->metal_mm2 && !is_implant(c, p);
}
PIXELS_HIT(BURNED_IN_PIXELS)
{
    return c->letters && p->letters >= c->letters;
}
PIXELS_HIT(CANVAS_CUT)
{
    return p->canvas_cut;
}

/* ---- the table ------------------------------------------------------------------------------- */

static const struct {
    reason code;
    const char *key, *action;
    exclude_phase phase;
    bool (*hit)(const exclude_cfg *c, const record *r, const pixel_facts *p);
} criteria[EXCLUDE_ROWS] = {
#define EXCLUDE_ROW(row, code, key, phase, action, source)                                         \
    {REASON_##code, #key, #action, EXCLUDE_##phase, hit_##row},
    EXCLUDE_LIST(EXCLUDE_ROW)
#undef EXCLUDE_ROW
};

#define ACTION_CHOICES "exclude|flag|off"
#define NUMBER(field, def, lo, hi, unit, help)                                                     \
    {                                                                                              \
        "exclude." #field, CFG_REAL, offsetof(exclude_cfg, field), def, lo, hi, NULL, unit, help   \
    }
static const cfg_option options[] = {
#define EXCLUDE_OPTION(row, code, key, phase, act, source)                                         \
    {"exclude." #key,                                                                              \
     CFG_ENUM,                                                                                     \
     offsetof(exclude_cfg, action[EXCLUDE_##row]),                                                 \
     #act,                                                                                         \
     0,                                                                                            \
     0,                                                                                            \
     ACTION_CHOICES,                                                                               \
     "",                                                                                           \
     "action for " #code ": " source},
    EXCLUDE_LIST(EXCLUDE_OPTION)
#undef EXCLUDE_OPTION
        {"exclude.keep_low_energy", CFG_BOOL, offsetof(exclude_cfg, keep_low_energy), "false", 0, 0,
         NULL, "", "treat low-energy images of contrast-enhanced exams as ordinary mammograms"},
    {"exclude.admit_dx_breast", CFG_BOOL, offsetof(exclude_cfg, admit_dx_breast), "false", 0, 0,
     NULL, "", "NOT_MG: admit modality DX and CR where BodyPartExamined is BREAST"},
    NUMBER(max_magnification, "1.2", 1, 10, "",
           "magnification factor above which MAGNIFICATION hits"),
    NUMBER(blank_range, "0.02", 0, 1, "full scale", "BLANK: smallest spread of the display values"),
    NUMBER(blank_share, "0.995", 0, 1, "share", "BLANK: largest share of one display value"),
    NUMBER(aborted_range, "0.1", 0, 1, "full scale",
           "EXPOSURE_ABORTED by pixels: spread below which an image is judged by its noise"),
    NUMBER(aborted_noise, "0.1", 0, 10, "", "EXPOSURE_ABORTED by pixels: noise / spread, above"),
    NUMBER(min_breast_area, "0.04", 0, 1, "share", "LOW_BREAST_AREA: smallest breast / image"),
    NUMBER(max_breast_area, "0.9", 0, 1, "share", "HIGH_BREAST_AREA: largest breast / image"),
    NUMBER(min_breast_mm2, "1500", 0, 1e6, "mm2",
           "LOW_BREAST_AREA: smallest breast where the pixel size is known"),
    NUMBER(max_breast_mm2, "60000", 0, 1e6, "mm2",
           "HIGH_BREAST_AREA: largest breast where the pixel size is known"),
    NUMBER(min_median, "0.03", 0, 1, "full scale", "UNDEREXPOSED: smallest median of the breast"),
    NUMBER(max_saturated, "0.2", 0, 1, "share", "OVEREXPOSED: largest share of full-scale pixels"),
    NUMBER(max_noise, "0.05", 0, 10, "", "NOISE: largest residual noise / contrast of the breast"),
    NUMBER(max_air_noise, "0.02", 0, 1, "full scale", "NOISE: largest noise of the air"),
    NUMBER(implant_share, "0.15", 0, 1, "share",
           "IMPLANT by pixels: bright smooth part / breast, above"),
    NUMBER(implant_solidity, "0.9", 0, 1, "share",
           "IMPLANT by pixels: bright smooth part / its convex hull, above"),
    NUMBER(metal_contrast, "0.4", 0, 1, "full scale",
           "METAL_CLIP, PACEMAKER: smallest step at the edge of a saturated part"),
    NUMBER(metal_mm2, "100", 1, 1e6, "mm2",
           "saturated parts below are METAL_CLIP, others PACEMAKER"),
    NUMBER(partial_border, "0.05", 0, 1, "share",
           "PARTIAL_VIEW by pixels: reached share of the front and of the top or bottom border, "
           "above"),
    NUMBER(phantom_extent, "0.9", 0, 1, "share",
           "PHANTOM by pixels: object / its bounding box, above"),
    NUMBER(phantom_flat, "0.5", 0, 1, "share", "PHANTOM by pixels: smooth share, above"),
    NUMBER(phantom_spread, "0.35", 0, 1, "full scale",
           "PHANTOM by pixels: spread of its levels, below"),
    NUMBER(qc_area, "0.8", 0, 1, "share", "QC_IMAGE by pixels: smallest uniform field / image"),
    NUMBER(qc_flat, "0.9", 0, 1, "share", "QC_IMAGE by pixels: smooth share of the field, above"),
    NUMBER(specimen_area, "0.15", 0, 1, "share", "SPECIMEN by pixels: object / image, below"),
    NUMBER(specimen_level, "0.3", 0, 1, "full scale",
           "SPECIMEN by pixels: median of the object, above"),
    {"exclude.letters", CFG_INT, offsetof(exclude_cfg, letters), "6", 0, 100, NULL, "letters",
     "BURNED_IN by pixels: shortest row of letters beside the breast; 0: off"},
};
const cfg_group exclude_options = {"Technical exclusion", options, COUNT_OF(options)};

void exclude_judge(const exclude_cfg *c, exclude_phase phase, const record *r,
                   const pixel_facts *px, reason_set *set, reason *primary)
{
    if ((phase == EXCLUDE_PIXELS) != (px != NULL))
        BUG("exclude_judge: pixel facts and phase disagree");
    for (int i = 0; i < EXCLUDE_ROWS; i++) {
        if (criteria[i].phase != phase || c->action[i] == EXCLUDE_OFF)
            continue;
        if (!criteria[i].hit(c, r, px))
            continue;
        reason_add(set, criteria[i].code);
        if (c->action[i] == EXCLUDE_DROP && *primary == REASON_NONE)
            *primary = criteria[i].code;
        if (criteria[i].code == REASON_BLANK)
            return; /* what the rows below look at is not there */
    }
}

bool exclude_drops(const exclude_cfg *c, reason r)
{
    for (int i = 0; i < EXCLUDE_ROWS; i++)
        if (exclude_code(i) == r)
            return c->action[i] == 0;
    return true;
}

reason exclude_code(int row)
{
    return criteria[row].code;
}

const char *exclude_key(int row)
{
    return criteria[row].key;
}

exclude_phase exclude_row_phase(int row)
{
    return criteria[row].phase;
}

const char *exclude_default(int row)
{
    return criteria[row].action;
}
