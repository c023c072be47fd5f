/* One iterative pass over the bytes of a DICOM file before any library sees them: finds the
 * transfer syntax and the pixel data, and proves that every declared length lies inside the file
 * and that sequences are not nested too deep. Allocates nothing, reads no values but the transfer
 * syntax. DICOM PS3.5 chapter 7 and annex A.4, PS3.10 chapter 7. */
#ifndef DICOM_WALK_H
#define DICOM_WALK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WALK_DEPTH 64 /* nested sequences; deeper files are refused */

typedef enum walk_status {
    WALK_OK,
    WALK_NOT_DICOM, /* neither "DICM" at 128 nor a plausible first element */
    WALK_CUT,       /* an element, item or sequence goes on beyond the last byte */
    WALK_DEEP,
    WALK_ODD,     /* the grammar is broken */
    WALK_DEFLATED /* the data set is compressed as a whole and was not entered */
} walk_status;

typedef struct walk {
    walk_status status;
    char transfer_syntax[65]; /* (0002,0010), "" = absent */
    bool explicit_vr, big_endian;
    bool pixel_big; /* words of the pixel data are big-endian: also in GE's private syntax */
    size_t dataset_at;
    size_t data_len;   /* bytes without the zeros that pad the file behind its last element */
    bool has_pixels;   /* (7FE0,0010) at top level; the fields below are set */
    size_t header_len; /* bytes before the pixel data element, or the file's length */
    size_t pixel_at;   /* first byte of the value */
    size_t pixel_len;  /* native: declared length; encapsulated: up to the end of the last item */
    bool pixel_words;  /* its value representation is OW, or implicit */
    bool pixel_items;  /* the value is a sequence of items */
    bool pixel_cut;    /* the pixel data itself goes on beyond the last byte */
    size_t pixel_fragments;         /* items after the offset table */
    size_t offsets_at, offsets_len; /* Extended Offset Table (7FE0,0001) at top level; 0 = none */
} walk;

void walk_file(const void *data, size_t len, walk *out);
/* The same, and `visit` is called for every whole element of the top level of the data set, in
 * order and without the pixel data: bytes at..end-1 of the file, its header first. */
typedef void walk_visit(void *ctx, uint32_t tag, size_t at, size_t end);
void walk_elements(const void *data, size_t len, walk *out, walk_visit *visit, void *ctx);
/* A syntax whose pixels are not in the file but at an address (JPIP). */
bool walk_is_reference(const char *transfer_syntax);
/* Visit the items of encapsulated pixel data in order, the offset table first. *cursor starts at 0;
 * returns false after the last one. */
bool walk_fragment(const void *data, const walk *w, size_t *cursor, const uint8_t **item,
                   size_t *item_len);
#endif
