/* Encoders of synth_file.h: our own for RLE (PS3.5 annex G) and lossless JPEG (ITU-T T.81, process
 * 14 with selection value 1), libraries for JPEG-LS and JPEG 2000. */
#include "dicom/synth_file.h"

#include <charls/charls.h>
#include <openjpeg.h>
#include <string.h>

/* ---- RLE ------------------------------------------------------------------------------------- */

/* One row of bytes, PackBits; runs never cross rows. */
static void pack_row(const uint8_t *b, int n, text *out)
{
    int i = 0;
    while (i < n) {
        int run = 1;
        while (i + run < n && run < 128 && b[i + run] == b[i])
            run++;
        if (run > 1) {
            char two[2] = {(char)(257 - run), (char)b[i]};
            text_addn(out, two, 2);
            i += run;
            continue;
        }
        int from = i;
        while (i < n && i - from < 128 && !(i + 1 < n && b[i + 1] == b[i]))
            i++;
        char count = (char)(i - from - 1);
        text_addn(out, &count, 1);
        text_addn(out, (const char *)b + from, (size_t)(i - from));
    }
}

void synth_rle(const uint16_t *px, int rows, int cols, text *out)
{
    uint32_t head[16] = {2, 64};
    size_t start = out->len;
    uint8_t *row = mem_alloc((size_t)cols);
    text_addn(out, (const char *)head, sizeof(head));
    for (int plane = 0; plane < 2; plane++) {
        head[1 + plane] = (uint32_t)(out->len - start);
        for (int y = 0; y < rows; y++) {
            const uint16_t *src = px + (size_t)y * (size_t)cols;
            for (int x = 0; x < cols; x++)
                row[x] = (uint8_t)(plane == 0 ? src[x] >> 8 : src[x] & 0xFF);
            pack_row(row, cols, out);
        }
        if ((out->len - start) & 1)
            text_addn(out, "", 1);
    }
    memcpy(out->s + start, head, sizeof(head));
    mem_free(row);
}

/* ---- lossless JPEG --------------------------------------------------------------------------- */

/* Code lengths of the difference categories 0..16; noise makes 3 to 6 the most frequent. The code
 * is incomplete, so that no word consists of ones only. */
static const uint8_t lengths[17] = {4, 4, 4, 3, 3, 3, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 12};

typedef struct bits {
    uint8_t *p; /* room for the worst case */
    size_t n;
    uint64_t acc;
    int have;
} bits;

static void bits_byte(bits *b, uint8_t v)
{
    b->p[b->n++] = v;
    if (v == 0xFF)
        b->p[b->n++] = 0;
}

static void bits_add(bits *b, uint32_t v, int n)
{
    b->acc = b->acc << n | v;
    b->have += n;
    for (; b->have >= 8; b->have -= 8)
        bits_byte(b, (uint8_t)(b->acc >> (b->have - 8)));
}

static void add_be(text *out, unsigned v)
{
    char two[2] = {(char)(v >> 8 & 0xFF), (char)(v & 0xFF)};
    text_addn(out, two, 2);
}

/* Canonical codes in order of length, then category; also the two lists of the DHT segment. */
static void make_codes(uint16_t code[17], uint8_t counts[16], uint8_t values[17])
{
    unsigned next = 0, n = 0;
    memset(counts, 0, 16);
    for (unsigned len = 1; len <= 16; len++, next <<= 1)
        for (unsigned c = 0; c <= 16; c++)
            if (lengths[c] == len) {
                code[c] = (uint16_t)next++;
                values[n++] = (uint8_t)c;
                counts[len - 1]++;
            }
}

static void jpeg_head(int rows, int cols, int precision, const uint8_t counts[16],
                      const uint8_t values[17], text *out)
{
    add_be(out, 0xFFD8);
    add_be(out, 0xFFC3);
    add_be(out, 11);
    char p = (char)precision;
    text_addn(out, &p, 1);
    add_be(out, (unsigned)rows);
    add_be(out, (unsigned)cols);
    text_addn(out, "\1\1\x11\0", 4);
    add_be(out, 0xFFC4);
    add_be(out, 2 + 1 + 16 + 17);
    text_addn(out, "\0", 1);
    text_addn(out, (const char *)counts, 16);
    text_addn(out, (const char *)values, 17);
    add_be(out, 0xFFDA);
    add_be(out, 8);
    text_addn(out, "\1\1\0\1\0\0", 6);
}

void synth_jll(const uint16_t *px, int rows, int cols, int precision, text *out)
{
    uint16_t code[17];
    uint8_t counts[16], values[17];
    size_t w = (size_t)cols;
    make_codes(code, counts, values);
    jpeg_head(rows, cols, precision, counts, values, out);
    /* at most 28 bits a sample, every byte possibly stuffed */
    bits b = {.p = mem_alloc(w * (size_t)rows * 8 + 16)};
    for (int y = 0; y < rows; y++)
        for (int x = 0; x < cols; x++) {
            const uint16_t *s = px + (size_t)y * w + x;
            int guess = x ? s[-1] : y ? *(s - w) : 1 << (precision - 1);
            int diff = (int16_t)(uint16_t)(*s - guess);
            int cat = 0;
            for (int m = abs(diff); m; m >>= 1)
                cat++;
            bits_add(&b, code[cat], lengths[cat]);
            if (cat > 0 && cat < 16) {
                uint32_t low = (uint32_t)(diff > 0 ? diff : diff - 1) & ((1u << cat) - 1);
                bits_add(&b, low, cat);
            }
        }
    if (b.have)
        bits_byte(&b, (uint8_t)(b.acc << (8 - b.have) | ((1u << (8 - b.have)) - 1)));
    text_addn(out, (const char *)b.p, b.n);
    mem_free(b.p);
    add_be(out, 0xFFD9);
}

/* ---- JPEG-LS --------------------------------------------------------------------------------- */

void synth_jls(const uint16_t *px, int rows, int cols, int precision, text *out)
{
    charls_frame_info info = {(uint32_t)cols, (uint32_t)rows, precision, 1};
    size_t room = 0, n = 0;
    charls_jpegls_encoder *e = charls_jpegls_encoder_create();
    if (!e || charls_jpegls_encoder_set_frame_info(e, &info) ||
        charls_jpegls_encoder_get_estimated_destination_size(e, &room))
        BUG("demo archive: JPEG-LS of %d x %d, %d bits", rows, cols, precision);
    uint8_t *to = mem_alloc(room);
    if (charls_jpegls_encoder_set_destination_buffer(e, to, room) ||
        charls_jpegls_encoder_encode_from_buffer(
            e, px, (size_t)rows * (size_t)cols * sizeof(uint16_t), 0) ||
        charls_jpegls_encoder_get_bytes_written(e, &n))
        BUG("demo archive: JPEG-LS of %d x %d, %d bits", rows, cols, precision);
    text_addn(out, (const char *)to, n);
    mem_free(to);
    charls_jpegls_encoder_destroy(e);
}

/* ---- JPEG 2000 ------------------------------------------------------------------------------- */

typedef struct sink {
    text *out;
    size_t start, at; /* the library goes back to fill in lengths */
} sink;

static OPJ_SIZE_T sink_write(void *from, OPJ_SIZE_T n, void *user)
{
    sink *s = user;
    size_t have = s->out->len - s->start, over = s->at < have ? have - s->at : 0;
    over = over < n ? over : n;
    memcpy(s->out->s + s->start + s->at, from, over);
    text_addn(s->out, (const char *)from + over, n - over);
    s->at += n;
    return n;
}

static OPJ_BOOL sink_seek(OPJ_OFF_T at, void *user)
{
    sink *s = user;
    if (at < 0 || (uint64_t)at > s->out->len - s->start)
        return OPJ_FALSE;
    s->at = (size_t)at;
    return OPJ_TRUE;
}

static OPJ_OFF_T sink_skip(OPJ_OFF_T n, void *user)
{
    sink *s = user;
    return sink_seek((OPJ_OFF_T)s->at + n, user) ? n : -1;
}

void synth_j2k(const uint16_t *px, int rows, int cols, int precision, text *out)
{
    opj_image_cmptparm_t grey = {.dx = 1,
                                 .dy = 1,
                                 .w = (OPJ_UINT32)cols,
                                 .h = (OPJ_UINT32)rows,
                                 .prec = (OPJ_UINT32)precision};
    opj_cparameters_t how;
    sink to = {out, out->len, 0};
    opj_set_default_encoder_parameters(&how); /* reversible wavelet, one layer without loss */
    opj_image_t *im = opj_image_create(1, &grey, OPJ_CLRSPC_GRAY);
    opj_codec_t *codec = opj_create_compress(OPJ_CODEC_J2K);
    opj_stream_t *stream = opj_stream_create((OPJ_SIZE_T)1 << 16, OPJ_FALSE);
    if (!im || !codec || !stream)
        BUG("demo archive: no JPEG 2000 encoder");
    im->x1 = (OPJ_UINT32)cols;
    im->y1 = (OPJ_UINT32)rows;
    for (size_t i = 0; i < (size_t)rows * (size_t)cols; i++)
        im->comps[0].data[i] = px[i];
    opj_stream_set_write_function(stream, sink_write);
    opj_stream_set_skip_function(stream, sink_skip);
    opj_stream_set_seek_function(stream, sink_seek);
    opj_stream_set_user_data(stream, &to, NULL);
    if (!opj_setup_encoder(codec, &how, im) || !opj_start_compress(codec, im, stream) ||
        !opj_encode(codec, stream) || !opj_end_compress(codec, stream))
        BUG("demo archive: JPEG 2000 of %d x %d, %d bits", rows, cols, precision);
    opj_stream_destroy(stream);
    opj_destroy_codec(codec);
    opj_image_destroy(im);
}
