/* The table of quirk.h. */
#include "dicom/quirk.h"

#include "core/text.h"
#include "dicom/tags.h"

#include <stdio.h>
#include <string.h>

#define HOLOGIC_PITCH   0.07 /* mm, of both detectors */
#define MICRODOSE_PITCH 0.05 /* mm */
#define CVIEW_CENTER    540  /* of ten bits */
#define CVIEW_WIDTH     580

#define MET(name)    static bool met_##name(const record *r UNUSED, const quirk_file *f UNUSED)
#define CHANGE(name) static void change_##name(record *r)

static bool vendor_is(const record *r, const char *vendor)
{
    return strcmp(r->vendor, vendor) == 0;
}

static bool type_is(const record *r, int value, const char *word)
{
    return strcmp(r->image_type[value - 1], word) == 0;
}

static void spacing_from_table(record *r, double mm)
{
    r->row_mm = r->col_mm = mm;
    if (r->magnification > 1)
        r->row_mm = r->col_mm = mm / r->magnification;
    text_copy(r->spacing_source, sizeof(r->spacing_source), RECORD_VENDOR_TABLE);
}

/* ---- any vendor ------------------------------------------------------------------------------ */

MET(explicit_length_encapsulated)
{
    return f && f->explicit_length;
}
MET(meta_uid_differs)
{
    return f && f->uid_differs;
}
MET(voi_function_unknown)
{
    return f && f->voi_unknown;
}
MET(frames_unusable)
{
    return f && f->frames_unusable;
}
MET(fov_already_applied)
{
    return r->fov_rotation > 0 || r->fov_flip == TRI_YES;
}
MET(conversion_type_on_mg)
{
    return r->conversion_type[0] && strcmp(r->modality, "MG") == 0 &&
           strncmp(r->sop_class, "1.2.840.10008.5.1.4.1.1.1.", 26) == 0;
}
MET(cr_cassette)
{
    return strcmp(r->modality, "CR") == 0 || strcmp(r->detector_type, "STORAGE") == 0 ||
           vendor_is(r, "AGFA") || vendor_is(r, "CARESTREAM");
}

/* ---- Hologic --------------------------------------------------------------------------------- */

/* The block that the creator reserved is where the elements are. */
MET(hologic_sco)
{
    if (!f || !dcm_has_group(f->root, TAG_VOLUME_GROUP))
        return false;
    for (uint16_t block = 0x10; block <= 0xFF; block++) {
        char creator[65];
        if (dcm_text(f->root, TAG_VOLUME_GROUP, block, creator, sizeof(creator)) &&
            strncmp(creator, "HOLOGIC", 7) == 0 &&
            dcm_has(f->root, TAG_VOLUME_GROUP, (uint16_t)(block << 8 | 0x10)))
            return true;
    }
    return false;
}
CHANGE(hologic_sco)
{
    r->text_flags |= TEXT_PRIVATE_VOLUME;
}
MET(hologic_cview)
{
    return vendor_is(r, "HOLOGIC") && r->bits_stored == 10 && r->n_windows == 0 &&
           r->n_voi_luts == 0 &&
           (type_is(r, 4, "GENERATED_2D") || (r->text_flags & TEXT_SYNTHETIC));
}
CHANGE(hologic_cview)
{
    r->n_windows = 1;
    r->window_center[0] = CVIEW_CENTER;
    r->window_width[0] = CVIEW_WIDTH;
    r->window_name[0][0] = '\0';
    r->voi = VOI_LINEAR;
}
MET(hologic_pitch)
{
    bool large = r->cols == 3328 && r->rows == 4096, small = r->cols == 2560 && r->rows == 3328;
    return vendor_is(r, "HOLOGIC") && r->row_mm <= 0 && (large || small);
}
CHANGE(hologic_pitch)
{
    spacing_from_table(r, HOLOGIC_PITCH);
}

/* ---- GE, Fuji, Planmed, IMS, Philips --------------------------------------------------------- */

MET(ge_voi_items)
{
    return vendor_is(r, "GE") && (r->n_windows > 1 || r->n_voi_luts > 1);
}
MET(ge_padding_range)
{
    return vendor_is(r, "GE") && r->has_padding && r->has_padding_limit;
}
MET(fuji_fdr3000_synthetic)
{
    return strcmp(record_model_public(r), "FDR 3000AWS") == 0 && type_is(r, 1, "DERIVED") &&
           type_is(r, 2, "PRIMARY") && !type_is(r, 3, "POST_CONTRAST");
}
CHANGE(fuji_fdr3000_synthetic)
{
    r->text_flags |= TEXT_SYNTHETIC;
}
MET(fuji_planmed_polarity)
{
    return (vendor_is(r, "FUJI") || vendor_is(r, "PLANMED")) &&
           (strcmp(r->photometric, "MONOCHROME1") == 0 || r->pls == PLS_INVERSE);
}
MET(ims_voi_function)
{
    bool metaltronica = strncmp(r->manufacturer, "Metaltronica", 12) == 0 ||
                        strncmp(r->manufacturer, "METALTRONICA", 12) == 0;
    return (vendor_is(r, "IMS") || metaltronica) && r->voi != VOI_LINEAR;
}
MET(philips_pitch)
{
    return vendor_is(r, "PHILIPS") && r->row_mm <= 0 &&
           strncmp(record_model_public(r), "MICRODOSE", 9) == 0;
}
CHANGE(philips_pitch)
{
    spacing_from_table(r, MICRODOSE_PITCH);
}

/* ---- the table ------------------------------------------------------------------------------- */

#define ROW(name, when, what, source)                                                              \
    {                                                                                              \
#name, when, what, source, met_##name, NULL                                                \
    }
#define ACTS(name, when, what, source)                                                             \
    {                                                                                              \
#name, when, what, source, met_##name, change_##name                                       \
    }
/* Rows that say what an image is come before rows that ask it. */
static const quirk quirks[] = {
    ROW(explicit_length_encapsulated, "compressed pixel data with an explicit length",
        "the value is read as one code stream (dicom/dcmtk_shim.cpp, dicom/pixels.c)",
        "Konica and others write Pixel Data with explicit length in an encapsulated syntax"),
    ROW(meta_uid_differs, "group 0002 and the data set name different instances",
        "the data set's SOP instance UID is the image's", "SOP instance row: the data set wins"),
    ROW(voi_function_unknown, "VOILUTFunction has an undefined value", "read as LINEAR",
        "VOI function row: unknown is LINEAR with a warning"),
    ROW(frames_unusable, "NumberOfFrames is \"None\", \"0\" or no number",
        "one frame, if the pixel data is as long as one; else no frame count is believed",
        "general rules: treat as 1 only if the pixel data fits one frame"),
    ROW(fov_already_applied, "FieldOfViewRotation or FieldOfViewHorizontalFlip is set",
        "nothing is turned or flipped for it",
        "it says what was already done to reach the stored pixels"),
    ROW(conversion_type_on_mg, "ConversionType in a mammogram's SOP class",
        "no reason by itself: SOP class and ImageType decide",
        "GE MG For Presentation carried ConversionType WSD"),
    ROW(cr_cassette, "modality CR, DetectorType STORAGE, Agfa or Carestream",
        "edges and collimation borders are trimmed before the breast is sought "
        "(preprocess/segment.c)",
        "CR: cassette edges, MONOCHROME1 common, collimation borders"),
    ACTS(hologic_sco, "private creator HOLOGIC with the sequence (7E01,xx10)",
         "SCO_PRIVATE; not decoded",
         "tomosynthesis hidden in Secondary Capture, private creator \"HOLOGIC, Inc.\""),
    ACTS(fuji_fdr3000_synthetic, "model FDR-3000AWS, ImageType DERIVED\\PRIMARY, not POST_CONTRAST",
         "SYN_2D", "Synthetic 2D row: Fuji model FDR-3000AWS"),
    ACTS(hologic_cview, "Hologic, ten bits, a synthetic image without window or LUT",
         "window 540/580, LINEAR", "C-View: 10-bit, OncoData uses fixed window 540/580"),
    ACTS(hologic_pitch, "Hologic, 3328x4096 or 2560x3328 (w x h), no pixel size",
         "0.07 mm at the detector", "detector frames 3328x4096 and 2560x3328, 70 um"),
    ACTS(philips_pitch, "Philips or Sectra MicroDose, no pixel size", "0.05 mm at the detector",
         "Philips/Sectra MicroDose: 50 um"),
    ROW(ge_voi_items, "GE, several windows or VOI LUTs",
        "the item named NORMAL is used, else the first (preprocess/window.c)",
        "several VOI items (NORMAL, HARDER, SOFTER, USER), as windows and as LUT sequence"),
    ROW(ge_padding_range, "GE, PixelPaddingRangeLimit is set",
        "every value of the range is padding (preprocess/window.c)",
        "GE example 0..658: a large range, not just one value"),
    ROW(fuji_planmed_polarity, "Fuji or Planmed, MONOCHROME1 or LUT shape INVERSE",
        "inverted in every window mode, minmax too (preprocess/window.c)",
        "Fuji and Planmed need polarity handling that min-max conversion omits"),
    ROW(ims_voi_function, "IMS or Metaltronica, a VOI function other than LINEAR",
        "the function of the header is used (preprocess/window.c)",
        "Giotto/IMS, Metaltronica: follow VOI function in header"),
};

int quirk_count(void)
{
    return (int)COUNT_OF(quirks);
}

const quirk *quirk_at(int i)
{
    if (i < 0 || i >= quirk_count())
        BUG("there is no quirk %d", i);
    return &quirks[i];
}

static bool named(const record *r, const char *name)
{
    size_t n = strlen(name);
    for (const char *p = r->quirks; (p = strstr(p, name)); p += n)
        if ((p == r->quirks || p[-1] == ' ') && (p[n] == ' ' || p[n] == '\0'))
            return true;
    return false;
}

void quirk_apply(record *r, const quirk_file *f)
{
    for (size_t i = 0; i < COUNT_OF(quirks); i++) {
        if (named(r, quirks[i].name) || !quirks[i].met(r, f))
            continue;
        size_t at = strlen(r->quirks), n = strlen(quirks[i].name);
        if (at + 1 + n >= sizeof(r->quirks))
            BUG("record.quirks cannot hold %s, too", quirks[i].name);
        snprintf(r->quirks + at, sizeof(r->quirks) - at, "%s%s", at ? " " : "", quirks[i].name);
        if (quirks[i].change)
            quirks[i].change(r);
    }
}
