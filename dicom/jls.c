/* JPEG-LS frames (ITU-T T.87) through CharLS. DCMTK's own JPEG-LS module is not linked: it exports
 * the same symbols. */
#include "dicom/codec.h"

#include "core/mem.h"

#include <charls/charls.h>
#include <string.h>

static codec_status of_error(charls_jpegls_errc e)
{
    switch (e) {
    case CHARLS_JPEGLS_ERRC_SUCCESS:
        return CODEC_OK;
    case CHARLS_JPEGLS_ERRC_ENCODING_NOT_SUPPORTED:
    case CHARLS_JPEGLS_ERRC_PARAMETER_VALUE_NOT_SUPPORTED:
    case CHARLS_JPEGLS_ERRC_COLOR_TRANSFORM_NOT_SUPPORTED:
        return CODEC_UNSUPPORTED;
    case CHARLS_JPEGLS_ERRC_SOURCE_BUFFER_TOO_SMALL:
    case CHARLS_JPEGLS_ERRC_INVALID_ENCODED_DATA:
    case CHARLS_JPEGLS_ERRC_TOO_MUCH_ENCODED_DATA:
    case CHARLS_JPEGLS_ERRC_END_OF_IMAGE_MARKER_NOT_FOUND:
        return CODEC_DAMAGED;
    default:
        return CODEC_BROKEN;
    }
}

static codec_status decode(const uint8_t *src, size_t len, int rows, int cols, uint16_t *dst,
                           int *precision)
{
    charls_jpegls_decoder *d = charls_jpegls_decoder_create();
    charls_frame_info info;
    size_t n = (size_t)rows * (size_t)cols;
    if (!d)
        return CODEC_BROKEN;
    charls_jpegls_errc e = charls_jpegls_decoder_set_source_buffer(d, src, len);
    if (!e)
        e = charls_jpegls_decoder_read_header(d);
    if (!e)
        e = charls_jpegls_decoder_get_frame_info(d, &info);
    codec_status s = of_error(e);
    if (s == CODEC_OK && (info.width != (uint32_t)cols || info.height != (uint32_t)rows ||
                          info.component_count != 1 || info.bits_per_sample > 16))
        s = CODEC_GEOMETRY;
    if (s == CODEC_OK) {
        *precision = info.bits_per_sample;
        size_t width = info.bits_per_sample > 8 ? 2 : 1;
        s = of_error(charls_jpegls_decoder_decode_to_buffer(d, dst, n * width, 0));
        if (s == CODEC_OK && width == 1) /* widen in place, from the end */
            for (size_t i = n; i-- > 0;)
                dst[i] = ((const uint8_t *)dst)[i];
    }
    charls_jpegls_decoder_destroy(d);
    return s;
}

/* Archives put a zero before the end marker, or zeros behind it; the library takes neither. */
codec_status jls_decode(const uint8_t *src, size_t len, int rows, int cols, uint16_t *dst,
                        int *precision)
{
    size_t n = len;
    while (n > 2 && len - n < 16 && src[n - 1] == 0)
        n--;
    /* no code holds the end marker's bytes, and without one the library reads on for ever longer
     * runs of zeros behind the data, many seconds, before it complains */
    if (!memmem(src, n, "\xFF\xD9", 2))
        return CODEC_DAMAGED;
    codec_status s = decode(src, n, rows, cols, dst, precision);
    if ((s != CODEC_DAMAGED && s != CODEC_BROKEN) || n < 4 || src[n - 3] || src[n - 2] != 0xFF ||
        src[n - 1] != 0xD9)
        return s;
    uint8_t *copy = mem_alloc(n - 1);
    memcpy(copy, src, n - 3);
    memcpy(copy + n - 3, src + n - 2, 2);
    s = decode(copy, n - 1, rows, cols, dst, precision);
    mem_free(copy);
    return s;
}

const char *jls_version(void)
{
    return charls_get_version_string();
}
