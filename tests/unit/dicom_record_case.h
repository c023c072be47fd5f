/* One synthetic header per case: begin, put attributes, read back as a record. */
#ifndef TESTS_DICOM_RECORD_CASE_H
#define TESTS_DICOM_RECORD_CASE_H

#include "tests/unit/dicom_bytes.h"
#include "core/text.h"
#include "dicom/pixels.h"
#include "dicom/record.h"

static record r; /* of the last case */

static inline bytes begin(const char *ts)
{
    bytes b = {0};
    preamble(&b, ts);
    return b;
}
static inline reason read_and_free(bytes *b)
{
    reason why = record_read(b->p, b->n, &r);
    free(b->p);
    memset(b, 0, sizeof(*b));
    return why;
}
/* The image module and pixel data that end a file. */
static inline void finish(bytes *b)
{
    image m = IMAGE(.ts = TS_EXPLICIT);
    image_module(b, m);
    native_pixels(b, &m);
}
static inline void read_case(bytes *b)
{
    finish(b);
    assert_int_equal(read_and_free(b), REASON_NONE);
}
/* A functional group of the first frame (level 0) or of all frames (level 1) with one macro. */
static inline void in_group(bytes *b, int level, unsigned macro_g, unsigned macro_e, bytes *inner)
{
    bytes group = {0};
    seq1(&group, macro_g, macro_e, inner, level);
    seq1(b, 0x5200, level ? 0x9229 : 0x9230, &group, 1);
    free(group.p);
    free(inner->p);
    memset(inner, 0, sizeof(*inner));
}
/* One attribute per case. */
static inline void read_one(unsigned g, unsigned e, const char *vr, const char *value)
{
    bytes b = begin(TS_EXPLICIT);
    str(&b, g, e, vr, value);
    read_case(&b);
}
static inline int dictionary(void **state)
{
    (void)state;
    pixels_init();
    err e = {0};
    if (pixels_ready(&e))
        return 0;
    print_message("%s\n", e.msg);
    return -1;
}
#endif
