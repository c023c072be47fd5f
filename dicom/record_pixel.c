/* What a header says of its pixels: their size in mm, how they are stored and how they are shown.
 * dicom.md 1. */
#include "core/text.h"
#include "dicom/record_part.h"

#include <math.h>
#include <string.h>

#define SPACING_MIN 0.04 /* mm: no detector of mammography is finer or coarser */
#define SPACING_MAX 0.2
#define SIDE_MAX    65535 /* of Rows and Columns */

/* Sizes at the detector are divided by the magnification; PixelSpacing is calibrated already. A
 * size that no detector has says nothing about this image, and the next source is asked. */
static void read_spacing(const header *h, record *r)
{
    static const struct {
        tag_id id;
        bool at_detector;
    } sources[] = {{TAG_ImagerPixelSpacing, true},
                   {TAG_PixelSpacing, false},
                   {TAG_DetectorElementSpacing, true}};
    double a, b, high, wide;
    if (header_number(h, TAG_PixelAspectRatio, 0, &high) && high >= 1 && high <= SIDE_MAX &&
        header_number(h, TAG_PixelAspectRatio, 1, &wide) && wide >= 1 && wide <= SIDE_MAX)
        r->aspect = high / wide;
    for (size_t i = 0; i < COUNT_OF(sources); i++) {
        if (!header_number(h, sources[i].id, 0, &a))
            continue;
        if (!header_number(h, sources[i].id, 1, &b))
            b = r->aspect > 0 ? a / r->aspect : a;
        if (a < SPACING_MIN || a > SPACING_MAX || b < SPACING_MIN || b > SPACING_MAX)
            continue;
        double m = sources[i].at_detector && r->magnification > 1 ? r->magnification : 1;
        r->row_mm = a / m;
        r->col_mm = b / m;
        text_copy(r->spacing_source, sizeof(r->spacing_source), tag_of(sources[i].id)->keyword);
        return;
    }
}

static void read_field_of_view(const header *h, record *r)
{
    int turned = header_int(h, TAG_FieldOfViewRotation, -1);
    r->fov_rotation = turned == 0 || turned == 90 || turned == 180 || turned == 270 ? turned : -1;
    r->fov_flip = header_yes_no(h, TAG_FieldOfViewHorizontalFlip);
    double row, col;
    if (header_number(h, TAG_FieldOfViewOrigin, 0, &row) &&
        header_number(h, TAG_FieldOfViewOrigin, 1, &col)) {
        r->fov_origin_row = row;
        r->fov_origin_col = col;
    }
}

/* Slope and intercept of one place, the first that has both. */
static void read_rescale(const header *h, record *r)
{
    const dcm_item *place[HEADER_PLACES];
    int n = header_places(h, TAG_RescaleSlope, place);
    for (int i = 0; i < n; i++) {
        header here = header_alone(place[i]);
        double slope, intercept;
        if (!header_number(&here, TAG_RescaleSlope, 0, &slope) || slope == 0 ||
            !header_number(&here, TAG_RescaleIntercept, 0, &intercept))
            continue;
        r->has_rescale = 1;
        r->slope = slope;
        r->intercept = intercept;
        header_part(&here, TAG_RescaleType, 0, r->rescale_type, sizeof(r->rescale_type));
        return;
    }
}

static record_voi voi_of(const header *h, bool *unknown)
{
    char part[64];
    *unknown = false;
    if (!header_part(h, TAG_VOILUTFunction, 0, part, sizeof(part)) || strcmp(part, "LINEAR") == 0)
        return VOI_LINEAR;
    if (strcmp(part, "SIGMOID") == 0)
        return VOI_SIGMOID;
    if (strcmp(part, "LINEAR_EXACT") == 0)
        return VOI_LINEAR_EXACT;
    *unknown = true;
    return VOI_LINEAR;
}

/* Windows of one place with their function and names, paired by index. */
static void read_windows(const header *h, record *r, quirk_file *q)
{
    const dcm_item *place[HEADER_PLACES];
    char part[64];
    int n = header_places(h, TAG_WindowCenter, place);
    header here = *h;
    for (int i = 0; i < n; i++) {
        here = header_alone(place[i]);
        if (header_part(&here, TAG_WindowCenter, 0, part, sizeof(part)) &&
            header_part(&here, TAG_WindowWidth, 0, part, sizeof(part)))
            break;
    }
    r->voi = voi_of(&here, &q->voi_unknown);
    for (int i = 0; i < RECORD_WINDOWS; i++) {
        double c, w;
        if (!header_number(&here, TAG_WindowCenter, i, &c) ||
            !header_number(&here, TAG_WindowWidth, i, &w))
            break;
        if (w <= 0)
            continue;
        int k = r->n_windows++;
        r->window_center[k] = c;
        r->window_width[k] = w;
        if (header_part(&here, TAG_WindowCenterWidthExplanation, i, part, sizeof(part)))
            for (char *p = part; *p; p++)
                if (*p == ':' || *p == ';')
                    *p = ' ';
        text_copy(r->window_name[k], sizeof(r->window_name[k]), part);
    }
}

/* Items of the sequence in the first place that has any. */
static int items_of(const header *h, tag_id id)
{
    const tag *t = tag_of(id);
    const dcm_item *place[HEADER_PLACES];
    int n = header_places(h, id, place), items = 0;
    for (int i = 0; i < n && items == 0; i++)
        items = dcm_items(place[i], t->group, t->element);
    return items;
}

static void read_display(const header *h, record *r, quirk_file *q)
{
    r->pls = header_is(h, TAG_PresentationLUTShape, "INVERSE")    ? PLS_INVERSE
             : header_is(h, TAG_PresentationLUTShape, "IDENTITY") ? PLS_IDENTITY
                                                                  : PLS_ABSENT;
    r->has_modality_lut = items_of(h, TAG_ModalityLUTSequence) > 0;
    r->n_voi_luts = items_of(h, TAG_VOILUTSequence);
    read_rescale(h, r);
    read_windows(h, r, q);
}

/* A padding value written with the other sign than the pixels is turned into theirs. */
static int32_t like_pixels(const record *r, int v)
{
    if (r->bits_allocated == 16 && r->pixel_signed && v > INT16_MAX && v <= UINT16_MAX)
        return v - 65536;
    if (r->bits_allocated == 16 && !r->pixel_signed && v < 0 && v >= INT16_MIN)
        return v + 65536;
    return v;
}

/* "None", "0" and the like stand for one frame if the pixel data is no longer than that. */
static int frames_of(const header *h, const walk *w, const record *r, bool *unusable)
{
    char part[64];
    double v, frame = (double)r->rows * r->cols * r->samples * r->bits_allocated / 8;
    *unusable = false;
    if (!header_part(h, TAG_NumberOfFrames, 0, part, sizeof(part)))
        return 1;
    if (header_number_of(part, &v) && v >= 1)
        return v <= INT32_MAX ? (int)v : 0;
    *unusable = true;
    return w->has_pixels && !w->pixel_items && (double)w->pixel_len >= 2 * frame ? 0 : 1;
}

static int side_of(const header *h, tag_id id)
{
    int n = header_int(h, id, 0);
    return n >= 1 && n <= SIDE_MAX ? n : 0;
}

static void read_stored(const header *h, const walk *w, record *r, quirk_file *q)
{
    double v;
    r->rows = side_of(h, TAG_Rows);
    r->cols = side_of(h, TAG_Columns);
    r->samples = header_int(h, TAG_SamplesPerPixel, 1);
    r->bits_allocated = header_int(h, TAG_BitsAllocated, 0);
    r->bits_stored = header_int(h, TAG_BitsStored, r->bits_allocated);
    r->high_bit = header_int(h, TAG_HighBit, r->bits_stored - 1);
    r->pixel_signed = header_int(h, TAG_PixelRepresentation, 0) == 1;
    r->frames = frames_of(h, w, r, &q->frames_unusable);
    header_part(h, TAG_PhotometricInterpretation, 0, r->photometric, sizeof(r->photometric));
    if (header_number(h, TAG_PixelPaddingValue, 0, &v) && fabs(v) <= UINT16_MAX) {
        r->has_padding = 1;
        r->padding = like_pixels(r, (int)v);
        if (header_number(h, TAG_PixelPaddingRangeLimit, 0, &v) && fabs(v) <= UINT16_MAX) {
            r->has_padding_limit = 1;
            r->padding_limit = like_pixels(r, (int)v);
        }
    }
}

void record_pixel_read(const header *h, const walk *w, record *r, quirk_file *q)
{
    read_spacing(h, r);
    read_field_of_view(h, r);
    read_stored(h, w, r, q);
    read_display(h, r, q);
}
