/* Stored pixels of one file: decides by the bytes which decoder runs, checks every size in 64 bit
 * before memory is taken. dicom.md 2 and 3. */
#include "dicom/pixels.h"

#include "core/fs.h"
#include "core/text.h"
#include "dicom/codec.h"
#include "dicom/dcmtk_shim.h"
#include "dicom/deflated.h"
#include "dicom/lut.h"
#include "dicom/raster.h"
#include "dicom/walk.h"

#include <stdio.h>
#include <string.h>

#define SECTOR 512         /* bytes */
#define PIECE  (32 * 1024) /* samples */

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "samples are hashed as they lie in memory");

typedef enum coding {
    CODING_UNKNOWN,
    CODING_NATIVE,
    CODING_RLE,
    CODING_JLL,
    CODING_JPEG, /* lossy */
    CODING_JLS,
    CODING_J2K,
    CODING_OTHER /* a compression that is not supported */
} coding;

typedef struct slice {
    const uint8_t *p;
    size_t len;
} slice;

typedef struct job {
    const uint8_t *data;
    const record *r;
    arena *a;
    walk w;
    size_t n;          /* samples per frame */
    size_t frame_size; /* bytes of an uncompressed frame */
    slice *fragments;
    size_t n_fragments;
    slice table; /* basic offset table */
    coding how;
    int precision; /* of the code stream, 0 = native */
    unsigned all;  /* bits that occur in the words of frame 0 */
    bool inflated; /* data is a copy that lives as long as the call */
} job;

static coding declared_coding(const char *ts)
{
    static const struct {
        const char *tail; /* behind 1.2.840.10008.1.2 */
        coding how;
    } known[] = {
        {"", CODING_NATIVE},    {".1", CODING_NATIVE},  {".1.99", CODING_NATIVE},
        {".2", CODING_NATIVE},  {".4.50", CODING_JPEG}, {".4.51", CODING_JPEG},
        {".4.53", CODING_JPEG}, {".4.55", CODING_JPEG}, {".4.57", CODING_JLL},
        {".4.70", CODING_JLL},  {".4.80", CODING_JLS},  {".4.81", CODING_JLS},
        {".4.90", CODING_J2K},  {".4.91", CODING_J2K},  {".4.201", CODING_J2K},
        {".4.202", CODING_J2K}, {".4.203", CODING_J2K}, {".5", CODING_RLE},
    };
    for (size_t i = 0; i < COUNT_OF(known); i++)
        if (!strncmp(ts, "1.2.840.10008.1.2", 17) && !strcmp(ts + 17, known[i].tail))
            return known[i].how;
    return strcmp(ts, "1.2.840.113619.5.2") == 0 ? CODING_NATIVE : CODING_OTHER;
}

/* What the first bytes of compressed pixel data are. */
static coding sniff(const uint8_t *p, size_t len)
{
    jpeg_head head;
    if (j2k_sniff(p, len))
        return CODING_J2K;
    if (len >= 2 && p[0] == 0xFF && p[1] == 0xD8) {
        if (!jpeg_sniff(p, len, &head) || head.process == 0xC3)
            return CODING_JLL; /* or a damaged member of the family: its decoder will say so */
        return head.process == 0xF7                           ? CODING_JLS
               : head.process >= 0xC0 && head.process <= 0xC2 ? CODING_JPEG
                                                              : CODING_OTHER;
    }
    if (len >= 64 && p[0] >= 1 && p[0] <= 15 && !p[1] && !p[2] && !p[3] && p[4] == 64 && !p[5] &&
        !p[6] && !p[7])
        return CODING_RLE;
    return CODING_UNKNOWN;
}

static bool grey_geometry(const record *r)
{
    return r->samples == 1 && r->rows >= 1 && r->rows <= PIXELS_SIDE_MAX && r->cols >= 1 &&
           r->cols <= PIXELS_SIDE_MAX && (int64_t)r->rows * r->cols <= PIXELS_FRAME_MAX &&
           (r->bits_allocated == 8 || r->bits_allocated == 16) && r->bits_stored >= 1 &&
           r->bits_stored <= r->bits_allocated && r->high_bit >= r->bits_stored - 1 &&
           r->high_bit < r->bits_allocated && r->frames >= 1 &&
           (strcmp(r->photometric, "MONOCHROME1") == 0 ||
            strcmp(r->photometric, "MONOCHROME2") == 0);
}

static void list_fragments(job *j)
{
    size_t cursor = 0, len;
    const uint8_t *p;
    if (!j->w.pixel_items) { /* compressed bytes with an explicit length, without items */
        j->fragments = arena_alloc(j->a, sizeof(slice));
        j->fragments[0] = (slice){j->data + j->w.pixel_at, j->w.pixel_len};
        j->n_fragments = 1;
        return;
    }
    j->fragments = arena_alloc(j->a, (j->w.pixel_fragments + 1) * sizeof(slice));
    for (bool first = true; walk_fragment(j->data, &j->w, &cursor, &p, &len); first = false) {
        if (first)
            j->table = (slice){p, len};
        else
            j->fragments[j->n_fragments++] = (slice){p, len};
    }
}

/* Believe the bytes: which decoder runs, and whether the header lied about it. */
static reason choose(job *j, pixels *out)
{
    const char *ts = j->w.transfer_syntax[0] ? j->w.transfer_syntax : j->r->transfer_syntax;
    coding declared = declared_coding(ts);
    if (declared == CODING_OTHER)
        return REASON_TS_UNSUPPORTED;
    size_t whole = j->frame_size * (size_t)j->r->frames; /* both were bounded: no overflow */
    bool fits_native =
        !j->w.pixel_items && j->w.pixel_len >= whole && j->w.pixel_len - whole < j->frame_size;
    list_fragments(j);
    if (j->n_fragments == 0)
        return REASON_DEC_FAILED;
    coding seen = sniff(j->fragments[0].p, j->fragments[0].len);
    if (declared == CODING_NATIVE && !j->w.pixel_items &&
        (fits_native || seen == CODING_UNKNOWN || seen == CODING_RLE))
        seen = CODING_NATIVE;
    else if (declared != CODING_NATIVE && seen == CODING_UNKNOWN && fits_native)
        seen = CODING_NATIVE;
    if (seen == CODING_UNKNOWN && declared == CODING_RLE)
        return REASON_DEC_FAILED; /* RLE has no signature: a damaged header looks like anything */
    if (seen != declared)
        reason_add(&out->notes, REASON_TS_LIES);
    j->how = seen;
    return seen == CODING_UNKNOWN ? REASON_TS_LIES
           : seen == CODING_OTHER ? REASON_TS_UNSUPPORTED
                                  : REASON_NONE;
}

static uint64_t little_endian(const uint8_t *p, size_t n)
{
    uint64_t v = 0;
    while (n-- > 0)
        v = v << 8 | p[n];
    return v;
}

/* An offset table gives the start of each frame, counted from the first fragment, in entries of
 * `width` bytes. Valid when every entry is the start of a fragment, in order. */
static bool frame_starts_by_table(const job *j, slice table, size_t width, size_t *start)
{
    size_t frames = (size_t)j->r->frames, frame = 0, offset = 0;
    if (table.len / width != frames || table.len % width)
        return false;
    for (size_t i = 0; i < j->n_fragments; i++) {
        if (frame < frames && little_endian(table.p + width * frame, width) == offset)
            start[frame++] = i;
        offset += 8 + j->fragments[i].len;
    }
    return frame == frames && start[0] == 0;
}

static bool frame_starts_by_image(const job *j, size_t *start)
{
    size_t frames = (size_t)j->r->frames, frame = 0;
    for (size_t i = 0; i < j->n_fragments; i++)
        if (sniff(j->fragments[i].p, j->fragments[i].len) == j->how) {
            if (frame == frames)
                return false;
            start[frame++] = i;
        }
    return frame == frames && start[0] == 0;
}

/* start[frames + 1]: first fragment of each frame. */
static bool frame_starts(job *j, size_t **out)
{
    size_t frames = (size_t)j->r->frames;
    if (frames > j->n_fragments)
        return false;
    size_t *start = arena_alloc(j->a, (frames + 1) * sizeof(*start));
    *out = start;
    start[frames] = j->n_fragments;
    if (frames == 1) {
        start[0] = 0;
        return true;
    }
    slice extended = {j->data + j->w.offsets_at, j->w.offsets_len};
    if (frame_starts_by_table(j, extended, 8, start) ||
        frame_starts_by_table(j, j->table, 4, start))
        return true;
    if (frames == j->n_fragments) {
        for (size_t i = 0; i < frames; i++)
            start[i] = i;
        return true;
    }
    return j->how != CODING_RLE && frame_starts_by_image(j, start);
}

static slice joined(job *j, size_t from, size_t to)
{
    if (to - from == 1)
        return j->fragments[from];
    size_t total = 0, at = 0;
    for (size_t i = from; i < to; i++)
        total += j->fragments[i].len; /* pieces of one file: no overflow */
    uint8_t *p = arena_alloc(j->a, total);
    for (size_t i = from; i < to; i++) {
        memcpy(p + at, j->fragments[i].p, j->fragments[i].len);
        at += j->fragments[i].len;
    }
    return (slice){p, total};
}

static reason of_codec(codec_status s)
{
    static const reason map[] = {
        [CODEC_OK] = REASON_NONE,
        [CODEC_DAMAGED] = REASON_DEC_WARNED,
        [CODEC_BROKEN] = REASON_DEC_FAILED,
        [CODEC_GEOMETRY] = REASON_PIX_GEOMETRY,
        [CODEC_UNSUPPORTED] = REASON_TS_UNSUPPORTED,
    };
    return map[s];
}

/* Can `len` compressed bytes hold a frame at all? Refuses bombs before memory is taken. */
static bool enough_bytes(const job *j, size_t len)
{
    uint64_t n = j->n, have = len;
    if (j->how == CODING_JLL)
        return have * 8 >= n; /* a code has at least one bit */
    if (j->how == CODING_RLE)
        return have * 64 >= j->frame_size; /* two bytes make at most 128 */
    /* flat areas cost almost nothing; only an image larger than any mammogram must be worth it */
    return j->frame_size <= FRAME_LARGE || have * FRAME_RATIO >= j->frame_size;
}

/* Words that lie in the file as a processor reads them need no copy; NULL where they do not. An
 * inflated data set does not outlive the call. */
static const uint16_t *in_place(const job *j, slice s)
{
    const uint16_t one = 1;
    bool usable = j->how == CODING_NATIVE && j->r->bits_allocated == 16 && !j->w.pixel_big &&
                  !j->inflated && *(const uint8_t *)&one == 1 && (uintptr_t)s.p % sizeof one == 0;
    return usable ? (const uint16_t *)(const void *)s.p : NULL;
}

/* Uncompressed samples. Big-endian files swap the bytes of every word, also where a word holds two
 * samples of 8 bit (PS3.5 8.1.1, OW). */
static void copy_native(const job *j, slice s, uint16_t *dst)
{
    if (j->r->bits_allocated == 16 && !j->w.pixel_big) {
        memcpy(dst, s.p, j->frame_size);
    } else if (j->r->bits_allocated == 16) {
        for (size_t i = 0; i < j->n; i++)
            dst[i] = (uint16_t)(s.p[2 * i] << 8 | s.p[2 * i + 1]);
    } else {
        /* pairs count from the start of the pixel data, whatever the size of a frame */
        const uint8_t *all = j->data + j->w.pixel_at;
        size_t at = (size_t)(s.p - all), flip = j->w.pixel_big && j->w.pixel_words ? 1 : 0;
        for (size_t i = 0; i < j->n; i++) {
            size_t k = (at + i) ^ flip;
            dst[i] = all[k < j->w.pixel_len ? k : at + i]; /* a missing byte of padding */
        }
    }
}

/* A JPEG 2000 stream declares a sign of its own; the header's wins, from the stream's precision on.
 * dicom.md 3. */
static void settle_sign(const job *j, uint16_t *dst)
{
    int shift = 16 - j->precision;
    if (j->r->pixel_signed)
        for (size_t i = 0; i < j->n; i++)
            dst[i] = (uint16_t)((int16_t)(uint16_t)(dst[i] << shift) >> shift);
    else
        for (size_t i = 0; i < j->n; i++)
            dst[i] &= (uint16_t)(0xFFFFu >> shift);
    if (j->r->bits_allocated == 8)
        for (size_t i = 0; i < j->n; i++)
            dst[i] &= 0xFF;
}

static reason decode_frame(job *j, slice s, uint16_t *dst)
{
    static codec_status (*const decoder[])(const uint8_t *, size_t, int, int, uint16_t *, int *) = {
        [CODING_JLL] = jll_decode,
        [CODING_JPEG] = jpeg_lossy_decode,
        [CODING_JLS] = jls_decode,
        [CODING_J2K] = j2k_decode,
    };
    const record *r = j->r;
    if (j->how == CODING_NATIVE) {
        copy_native(j, s, dst);
        return REASON_NONE;
    }
    if (j->how == CODING_RLE)
        return of_codec(rle_decode(s.p, s.len, r->rows, r->cols, r->bits_allocated, dst));
    reason why = of_codec(decoder[j->how](s.p, s.len, r->rows, r->cols, dst, &j->precision));
    if (why == REASON_NONE && j->precision > r->bits_allocated)
        return REASON_PIX_GEOMETRY;
    if (why == REASON_NONE && j->how == CODING_J2K)
        settle_sign(j, dst);
    return why;
}

/* Samples as bytes of their allocated width. */
static const void *sample_bytes(job *j, const uint16_t *samples, uint8_t **scratch)
{
    if (j->r->bits_allocated == 16)
        return samples;
    if (!*scratch)
        *scratch = arena_alloc(j->a, j->n);
    for (size_t i = 0; i < j->n; i++)
        (*scratch)[i] = (uint8_t)samples[i];
    return *scratch;
}

/* What lies behind the samples: less than a row, or zeros up to the end of a sector. More than
 * that, and the header describes another image. */
static bool is_padding(const job *j, size_t whole)
{
    const uint8_t *p = j->data + j->w.pixel_at;
    size_t left = j->w.pixel_len - whole;
    if (left < j->frame_size / (size_t)j->r->rows)
        return true;
    for (size_t i = 0; i < left && left < SECTOR; i++)
        if (p[whole + i])
            return false;
    return left < SECTOR;
}

/* All bits that occur in words other than `but` (-1: in any). */
WIDE_LOOPS static unsigned union_of(const uint16_t *v, size_t n, int but)
{
    uint16_t all = 0;
    if (but < 0)
        for (size_t i = 0; i < n; i++)
            all |= v[i];
    else
        for (size_t i = 0; i < n; i++)
            all |= v[i] == but ? 0 : v[i];
    return all;
}

/* Frame 0, in pieces that are still near when they are looked at again. */
static void first_frame(job *j, const uint16_t *samples, const void *bytes, pixels *out)
{
    const size_t width = (size_t)j->r->bits_allocated / 8;
    fs_xxh128 *h = fs_xxh128_new();
    out->stored = samples;
    for (size_t at = 0, n; at < j->n; at += n) {
        n = j->n - at < PIECE ? j->n - at : PIECE;
        fs_xxh128_add(h, (const char *)bytes + at * width, n * width);
        j->all |= union_of(samples + at, n, -1);
    }
    fs_xxh128_end(h, out->hash);
}

static reason decode_all(job *j, bool want_sha256, pixels *out)
{
    size_t frames = (size_t)j->r->frames, todo = want_sha256 ? frames : 1, *start = NULL;
    bool native = j->how == CODING_NATIVE;
    if (native && j->w.pixel_len < (uint64_t)frames * j->frame_size)
        return REASON_IO_TRUNCATED;
    if (native && !is_padding(j, frames * j->frame_size))
        return REASON_PIX_GEOMETRY;
    if (!native && !frame_starts(j, &start))
        return REASON_DEC_FAILED;
    fs_sha256 *sha = NULL;
    uint16_t *own[2] = {NULL, NULL}; /* frame 0, and one for all that follow */
    uint8_t *scratch = NULL;
    reason why = REASON_NONE;
    for (size_t f = 0; f < todo && why == REASON_NONE; f++) {
        slice s = native ? (slice){j->data + j->w.pixel_at + f * j->frame_size, j->frame_size}
                         : joined(j, start[f], start[f + 1]);
        if (!enough_bytes(j, s.len)) {
            why = REASON_DEC_WARNED;
            break;
        }
        const uint16_t *samples = in_place(j, s);
        if (!samples) {
            uint16_t **to = &own[f > 0];
            if (!*to)
                *to = arena_alloc(j->a, j->n * sizeof(uint16_t));
            why = decode_frame(j, s, *to);
            samples = *to;
        }
        if (why != REASON_NONE)
            break;
        const void *bytes = sample_bytes(j, samples, &scratch);
        if (f == 0)
            first_frame(j, samples, bytes, out);
        if (want_sha256) {
            sha = sha ? sha : fs_sha256_new();
            fs_sha256_add(sha, bytes, j->frame_size);
        }
    }
    if (sha)
        fs_sha256_end(sha, out->sha256);
    return why;
}

/* Overlays of old files live in the bits above BitsStored. */
static bool has_embedded_overlay(const dcm_item *root)
{
    for (unsigned g = 0x6000; g <= 0x601E; g += 2) {
        char position[16];
        if (dcm_text(root, (uint16_t)g, 0x0102, position, sizeof(position)) && position[0] &&
            strcmp(position, "0") != 0)
            return true;
    }
    return false;
}

/* BitsStored against what the samples hold: the code stream's precision wins, and unexplained bits
 * above BitsStored mean that the header is wrong. */
static void settle_bits(job *j, const dcm_item *root, pixels *out)
{
    const record *r = j->r;
    out->bits_stored = r->bits_stored;
    out->high_bit = r->high_bit;
    out->is_signed = r->pixel_signed;
    if (j->precision && j->precision < r->bits_stored) {
        out->bits_stored = j->precision;
        out->high_bit = j->precision - 1;
    }
    unsigned all = j->all;
    out->words = 1;
    while (out->words <= (int)all)
        out->words *= 2;
    if (r->has_padding && all >> (out->high_bit + 1)) /* padding may lie outside of the bits */
        all = union_of(out->stored, j->n, r->padding & 0xFFFF);
    unsigned above = all >> (out->high_bit + 1);
    if (out->is_signed && above) { /* copies of the sign are no data */
        const int shift = 31 - out->high_bit;
        const uint32_t width = (1u << (j->precision ? j->precision : r->bits_allocated)) - 1;
        above = 0;
        for (size_t i = 0; i < j->n && !above; i++) {
            int32_t v = (int32_t)((uint32_t)out->stored[i] << shift) >> shift;
            above = (((uint32_t)v ^ out->stored[i]) & width) != 0;
        }
    }
    if (!above || has_embedded_overlay(root))
        return;
    reason_add(&out->notes, REASON_BITS_LIE);
    int top = 0;
    while (all >> top)
        top++;
    out->bits_stored = j->precision > out->bits_stored ? j->precision
                       : out->is_signed                ? r->bits_allocated
                                                       : top;
    out->high_bit = out->bits_stored - 1;
}

/* j->w is set. */
static reason decode(job *j, bool want_sha256, pixels *out)
{
    static const reason by_walk[] = {
        [WALK_OK] = REASON_NONE,           [WALK_NOT_DICOM] = REASON_IO_UNREADABLE,
        [WALK_CUT] = REASON_IO_TRUNCATED,  [WALK_DEEP] = REASON_IO_UNREADABLE,
        [WALK_ODD] = REASON_IO_UNREADABLE, [WALK_DEFLATED] = REASON_IO_UNREADABLE,
    };
    const record *r = j->r;
    if (j->w.status != WALK_OK)
        return by_walk[j->w.status];
    if (!j->w.has_pixels)
        return REASON_NOT_IMAGE;
    const char *ts = j->w.transfer_syntax[0] ? j->w.transfer_syntax : r->transfer_syntax;
    if (declared_coding(ts) == CODING_OTHER)
        return REASON_TS_UNSUPPORTED;
    if (!grey_geometry(r))
        return REASON_PIX_GEOMETRY;
    j->n = (size_t)r->rows * (size_t)r->cols;
    j->frame_size = j->n * (size_t)(r->bits_allocated / 8);
    if ((uint64_t)j->frame_size > UINT64_MAX / 2 / (uint64_t)r->frames)
        return REASON_PIX_GEOMETRY;
    reason why = choose(j, out);
    if (why == REASON_NONE)
        why = decode_all(j, want_sha256, out);
    if (why != REASON_NONE)
        return why;
    dcm_file *f;
    if (dcm_open(j->data, j->w.data_len, &f) != DCM_OK) {
        dcm_close(f);
        return REASON_IO_UNREADABLE;
    }
    settle_bits(j, dcm_root(f), out);
    lut_read(dcm_root(f), r, j->a, out);
    dcm_close(f);
    return REASON_NONE;
}

reason pixels_decode(const void *data, size_t len, const record *r, bool want_sha256, arena *a,
                     pixels *out)
{
    if (raster_sniff(data, len))
        return raster_pixels(data, len, r, want_sha256, a, out);
    memset(out, 0, sizeof(*out));
    job j = {.data = data, .r = r, .a = a};
    void *plain = NULL;
    reason why = REASON_NONE;
    walk_file(data, len, &j.w);
    if (j.w.status == WALK_DEFLATED)
        why = deflated_expand(data, len, &j.w, &plain, &len);
    if (plain) {
        j.data = plain;
        j.inflated = true;
        walk_file(plain, len, &j.w);
    }
    if (why == REASON_NONE)
        why = decode(&j, want_sha256, out);
    mem_free(plain); /* what was decoded lies in the arena */
    if (why != REASON_NONE)
        out->stored = NULL;
    out->rows = r->rows;
    out->cols = r->cols;
    if (r->lossy == TRI_YES)
        reason_add(&out->notes, REASON_LOSSY);
    return why;
}

void pixels_init(void)
{
    dcm_init();
}

bool pixels_ready(err *e)
{
    dcm_init();
    if (dcm_dictionary_loaded())
        return true;
    return err_set(e, ERR_IO,
                   "DCMTK's data dictionary was not found; install the package libdcmtk17 or set "
                   "DCMDICTPATH to the file dicom.dic");
}

const char *pixels_libraries(void)
{
    static char line[192];
    if (!line[0])
        snprintf(line, sizeof(line), "%s, OpenJPEG %s, CharLS %s, %s", dcm_version(), j2k_version(),
                 jls_version(), raster_libraries());
    return line;
}
