/* Real files (DATA=DIR): pixels against the hashes of two other decoders, refusals by code, and
 * files cut at many places. Skips with a reason without DATA. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/csv.h"
#include "core/fs.h"
#include "core/mem.h"
#include "core/text.h"
#include "dicom/pixels.h"

#define CUTS 48

static const char *data_dir;
static arena *mem;
static record r;
static pixels px;

static const char *const supported[] = {
    "1.2.840.10008.1.2",      "1.2.840.10008.1.2.1",    "1.2.840.10008.1.2.1.99",
    "1.2.840.10008.1.2.2",    "1.2.840.10008.1.2.5",    "1.2.840.10008.1.2.4.50",
    "1.2.840.10008.1.2.4.51", "1.2.840.10008.1.2.4.53", "1.2.840.10008.1.2.4.55",
    "1.2.840.10008.1.2.4.57", "1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2.4.80",
    "1.2.840.10008.1.2.4.81", "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91"};

static bool is_supported(const char *ts)
{
    for (size_t i = 0; i < COUNT_OF(supported); i++)
        if (strcmp(ts, supported[i]) == 0)
            return true;
    return false;
}

/* The width in its JPEG 2000 header was overwritten (the bytes of a delimiter were put there): some
 * decoders make noise of it, ours refuses. */
static const char *const nonsense = "conformance/pydicom/JPEG2000-embedded-sequence-delimiter.dcm";

/* A second group 0002 names a syntax without compression, which other decoders believe. The stream
 * is whole: without that group DCMTK reads the samples whose hash this is. */
static const char *const two_syntaxes =
    "mg_dicom/fodicom_GH1376_Hologic_tomo_slice_as_CT_TRUNCATED.dcm";
static const char *const two_syntaxes_sha =
    "7c9065bee74c1f6918920d3468c846043229f687e5789e55bc9446bed51787a9";

static reason decode(const char *p, size_t n, bool all)
{
    arena_reset(mem);
    reason why = record_read(p, n, &r);
    if (why != REASON_NONE)
        return why;
    /* one sample of a palette or an unnamed grey is still a sample to compare */
    if (r.samples == 1 && strcmp(r.photometric, "PALETTE COLOR") == 0)
        text_copy(r.photometric, sizeof(r.photometric), "MONOCHROME2");
    return pixels_decode(p, n, &r, all, mem, &px);
}

static char *load(const char *name, size_t *n)
{
    err e = {0};
    char *path = fs_join(data_dir, name), *p = NULL;
    if (!fs_read(path, (size_t)1 << 30, &p, n, &e))
        fail_msg("%s", e.msg);
    mem_free(path);
    return p;
}

/* Decoders other than ours cannot decide these: the header describes no grey image of 8 or 16 bit.
 */
static bool no_grey(void)
{
    return r.samples != 1 || (r.bits_allocated != 8 && r.bits_allocated != 16);
}

static void hashes(void **state)
{
    err e = {0};
    int matched = 0, refused = 0, got;
    if (!data_dir) {
        print_message("skip: DATA=DIR with real images is not given\n");
        skip();
    }
    char *table = fs_join(data_dir, "EXPECTED_PIXELS.tsv");
    csv_reader *t = csv_open(table, &e);
    if (!t)
        fail_msg("%s", e.msg);
    while ((got = csv_next(t, &e)) == 1) {
        const char *file = csv_field(t, 0), *ts = csv_field(t, 1), *sha = csv_field(t, 7);
        size_t n;
        char *p = load(file, &n);
        reason why = decode(p, n, true);
        if (strcmp(file, two_syntaxes) == 0) {
            assert_int_equal(why, REASON_NONE);
            assert_true(reason_has(&px.notes, REASON_TS_LIES));
            assert_string_equal(px.sha256, two_syntaxes_sha);
            matched++;
        } else if (strlen(sha) != 64) {
            if (why == REASON_NONE)
                fail_msg("%s: no other decoder reads it, and it is not refused", file);
            refused++;
        } else if (!is_supported(ts) || strcmp(file, nonsense) == 0) {
            if (why == REASON_NONE)
                fail_msg("%s: '%s', wanted a refusal", file, reason_name(why));
            refused++;
        } else if (no_grey()) {
            if (why != REASON_PIX_GEOMETRY)
                fail_msg("%s: '%s', wanted PIX_GEOMETRY", file, reason_name(why));
            refused++;
        } else {
            if (why != REASON_NONE || strcmp(px.sha256, sha) != 0)
                fail_msg("%s: '%s', pixels %.16s, wanted %.16s", file, reason_name(why), px.sha256,
                         sha);
            matched++;
        }
        mem_free(p);
    }
    assert_int_equal(got, 0);
    print_message("%d files match, %d are refused\n", matched, refused);
    assert_true(matched >= 62);
    assert_true(refused >= 20);
    csv_close(t);
    mem_free(table);
}

/* A cut file is refused, or (a byte of padding at its end) decodes to the same pixels. */
static void cuts(void **state)
{
    static const char *const files[] = {
        "mg_dicom/cbisddsm_crop2.dcm",
        "mg_dicom/omama_Hologic_DSM_MONO1_scout.dcm",
        "mg_dicom/fodicom_OutOfBoundsOverlay_Siemens_LCC.dcm",
        "conformance/pydicom/MR_small_RLE.dcm",
        "conformance/CTImage.dcm_RLELosslessTransferSyntax_1.2.840.10008.1.2.5.dcm",
        "conformance/pydicom-data/emri_small_RLE.dcm",
        "conformance/pydicom/MR_small_padded.dcm",
        "conformance/pydicom/MR_small_bigendian.dcm",
        "conformance/pydicom/image_dfl.dcm",
        "conformance/pydicom/MR_small_jp2klossless.dcm",
        "conformance/pydicom/MR_small_jpeg_ls_lossless.dcm",
        "conformance/pydicom/JPEGLSNearLossless_16.dcm",
        "conformance/pydicom/JPGExtended.dcm",
        "conformance/pydicom/JPEG2000.dcm",
        "conformance/CTImage.dcm_JPEGProcess1TransferSyntax_1.2.840.10008.1.2.4.50.dcm",
        "mg_dicom/medcog_tomo_4frames_J2K_noise.dcm",
    };
    if (!data_dir) {
        print_message("skip: DATA=DIR with real images is not given\n");
        skip();
    }
    for (size_t f = 0; f < COUNT_OF(files); f++) {
        size_t n;
        char whole[33], *p = load(files[f], &n);
        assert_int_equal(decode(p, n, false), REASON_NONE);
        memcpy(whole, px.hash, sizeof(whole));
        for (int k = 0; k < CUTS + 16; k++) {
            size_t len = k < CUTS ? n * (size_t)k / CUTS : n - (size_t)(k - CUTS) - 1;
            char *copy = mem_alloc(len + 1); /* so that a read beyond the cut is caught */
            memcpy(copy, p, len);
            reason why = decode(copy, len, false);
            if (why == REASON_NONE && strcmp(px.hash, whole) != 0)
                fail_msg("%s: cut at %zu of %zu gives other pixels silently", files[f], len, n);
            if (why == REASON_NONE && len + 4096 < n)
                fail_msg("%s: cut at %zu of %zu is accepted", files[f], len, n);
            mem_free(copy);
        }
        mem_free(p);
    }
}

/* The stripped files say nothing, and nothing is made up for them. */
static void stripped(void **state)
{
    static const char *const files[] = {"mg_dicom/odm_173423.dcm", "mg_dicom/odm_551744.dcm"};
    if (!data_dir) {
        print_message("skip: DATA=DIR with real images is not given\n");
        skip();
    }
    for (size_t f = 0; f < COUNT_OF(files); f++) {
        size_t n;
        char *p = load(files[f], &n);
        assert_int_equal(record_read(p, n, &r), REASON_NONE);
        assert_string_equal(r.patient_id, "");
        assert_string_equal(r.study_uid, "");
        assert_int_equal(r.side, 0);
        assert_int_equal(r.view, VIEW_UNKNOWN);
        assert_int_equal(r.exam_day, RECORD_UNKNOWN);
        assert_string_equal(r.vendor, "");
        mem_free(p);
    }
}

static void real_headers(void **state)
{
    if (!data_dir) {
        print_message("skip: DATA=DIR with real images is not given\n");
        skip();
    }
    static const struct {
        const char *file;
        char side;
        record_view view;
        const char *vendor, *intent_class;
        record_pls pls;
        int voi_luts, windows;
    } t[] = {
        {"mg_dicom/fodicom_GH133_GE_RMLO.dcm", 'R', VIEW_MLO, "GE", "MG", PLS_IDENTITY, 3, 3},
        {"mg_dicom/omama_GE_RCC_2294x1914.dcm", 'R', VIEW_CC, "GE", "MG", PLS_IDENTITY, 3, 3},
        {"mg_dicom/fodicom_OutOfBoundsOverlay_Siemens_LCC.dcm", 'L', VIEW_CC, "SIEMENS", "MG",
         PLS_IDENTITY, 0, 1},
        {"mg_dicom/omama_Hologic_DSM_MONO1_scout.dcm", 'L', VIEW_CC, "HOLOGIC", "MG", PLS_INVERSE,
         0, 1},
    };
    for (size_t i = 0; i < COUNT_OF(t); i++) {
        size_t n;
        char *p = load(t[i].file, &n);
        assert_int_equal(record_read(p, n, &r), REASON_NONE);
        if (r.side != t[i].side || r.view != t[i].view || strcmp(r.vendor, t[i].vendor) != 0 ||
            strcmp(r.modality, t[i].intent_class) != 0 || r.pls != t[i].pls ||
            r.n_voi_luts != t[i].voi_luts || r.n_windows != t[i].windows)
            fail_msg("%s: side %c view %s vendor %s modality %s pls %d luts %d windows %d",
                     t[i].file, r.side, record_view_name(r.view), r.vendor, r.modality, (int)r.pls,
                     r.n_voi_luts, r.n_windows);
        mem_free(p);
    }
}

static int setup(void **state)
{
    data_dir = getenv("DATA");
    if (data_dir && !data_dir[0])
        data_dir = NULL;
    if (!data_dir)
        print_message("skipped: DATA is not set, so there are no real files to read\n");
    pixels_init();
    mem = arena_new(1 << 20);
    return 0;
}
static int teardown(void **state)
{
    arena_free(mem);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hashes),
        cmocka_unit_test(cuts),
        cmocka_unit_test(stripped),
        cmocka_unit_test(real_headers),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
