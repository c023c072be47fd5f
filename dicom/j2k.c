/* JPEG 2000 and HTJ2K frames through OpenJPEG: bare code streams and JP2 boxes. Strict: a stream
 * that ends early, and any warning of the library, is damage. */
#include "dicom/codec.h"

#include <openjpeg.h>
#include <string.h>

typedef struct source {
    const uint8_t *p;
    size_t len, at;
} source;

static OPJ_SIZE_T source_read(void *to, OPJ_SIZE_T n, void *user)
{
    source *s = user;
    size_t left = s->len - s->at;
    if (!left)
        return (OPJ_SIZE_T)-1;
    n = n < left ? n : left;
    memcpy(to, s->p + s->at, n);
    s->at += n;
    return n;
}

static OPJ_OFF_T source_skip(OPJ_OFF_T n, void *user)
{
    source *s = user;
    size_t left = s->len - s->at;
    if (n < 0 || (uint64_t)n > left) {
        s->at = s->len;
        return -1;
    }
    s->at += (size_t)n;
    return n;
}

static OPJ_BOOL source_seek(OPJ_OFF_T at, void *user)
{
    source *s = user;
    if (at < 0 || (uint64_t)at > s->len)
        return OPJ_FALSE;
    s->at = (size_t)at;
    return OPJ_TRUE;
}

static void count(const char *message, void *user)
{
    (void)message; /* may quote the stream */
    ++*(int *)user;
}

static void ignore(const char *message, void *user)
{
    (void)message;
    (void)user;
}

static bool is_box(const uint8_t *p, size_t len)
{
    static const uint8_t box[] = {0, 0, 0, 0x0C, 0x6A, 0x50, 0x20, 0x20};
    return len >= sizeof box && !memcmp(p, box, sizeof box);
}

bool j2k_sniff(const uint8_t *p, size_t len)
{
    static const uint8_t stream[] = {0xFF, 0x4F, 0xFF, 0x51};
    return (len >= sizeof stream && !memcmp(p, stream, sizeof stream)) || is_box(p, len);
}

/* The library insists on the end marker and on nothing behind it; archives write zeros there. */
static size_t without_padding(const uint8_t *p, size_t len)
{
    size_t n = len;
    while (n > 2 && len - n < 16 && p[n - 1] == 0 && !(p[n - 2] == 0xFF && p[n - 1] == 0xD9))
        n--;
    return n >= 2 && p[n - 2] == 0xFF && p[n - 1] == 0xD9 ? n : len;
}

/* Only grey images of the promised size are worth memory. */
static codec_status check_header(const opj_image_t *im, int rows, int cols)
{
    const opj_image_comp_t *c = im->numcomps == 1 ? im->comps : NULL;
    if (!c || c->dx != 1 || c->dy != 1 || c->prec < 1 || c->prec > 16 ||
        im->x1 - im->x0 != (OPJ_UINT32)cols || im->y1 - im->y0 != (OPJ_UINT32)rows ||
        c->w != (OPJ_UINT32)cols || c->h != (OPJ_UINT32)rows)
        return CODEC_GEOMETRY;
    return CODEC_OK;
}

static codec_status decode(opj_codec_t *codec, opj_stream_t *stream, int rows, int cols,
                           const int *complaints, opj_image_t **image)
{
    opj_dparameters_t how;
    opj_set_default_decoder_parameters(&how);
    if (!opj_setup_decoder(codec, &how) || !opj_decoder_set_strict_mode(codec, OPJ_TRUE) ||
        !opj_read_header(stream, codec, image))
        return CODEC_BROKEN;
    codec_status s = check_header(*image, rows, cols);
    if (s != CODEC_OK)
        return s;
    if (!opj_decode(codec, stream, *image) || !opj_end_decompress(codec, stream))
        return CODEC_DAMAGED;
    if (*complaints || !(*image)->comps[0].data)
        return CODEC_DAMAGED;
    return check_header(*image, rows, cols);
}

codec_status j2k_decode(const uint8_t *src, size_t len, int rows, int cols, uint16_t *dst,
                        int *precision)
{
    source from = {src, without_padding(src, len), 0};
    int complaints = 0;
    opj_image_t *image = NULL;
    opj_codec_t *codec = opj_create_decompress(is_box(src, len) ? OPJ_CODEC_JP2 : OPJ_CODEC_J2K);
    opj_stream_t *stream = opj_stream_create((OPJ_SIZE_T)1 << 16, OPJ_TRUE);
    codec_status s = CODEC_BROKEN;
    if (codec && stream) {
        opj_set_info_handler(codec, ignore, NULL);
        opj_set_warning_handler(codec, count, &complaints);
        opj_set_error_handler(codec, count, &complaints);
        opj_stream_set_read_function(stream, source_read);
        opj_stream_set_skip_function(stream, source_skip);
        opj_stream_set_seek_function(stream, source_seek);
        opj_stream_set_user_data(stream, &from, NULL);
        opj_stream_set_user_data_length(stream, from.len);
        s = decode(codec, stream, rows, cols, &complaints, &image);
    }
    if (s == CODEC_OK) {
        const opj_image_comp_t *c = image->comps;
        size_t n = (size_t)rows * (size_t)cols;
        *precision = (int)c->prec;
        for (size_t i = 0; i < n; i++)
            dst[i] = (uint16_t)((uint32_t)c->data[i] & 0xFFFFu);
    }
    opj_image_destroy(image);
    if (codec)
        opj_destroy_codec(codec);
    if (stream)
        opj_stream_destroy(stream);
    return s;
}

const char *j2k_version(void)
{
    return opj_version();
}
