/* The only door to DCMTK for reading: a file in memory becomes a tree of data sets whose attributes
 * are asked for one by one. C types in and out, no exception leaves the C++ side, and DCMTK's own
 * messages (which quote values) are counted, never printed. Not thread-safe per file; different
 * files may be read by different processes or threads. */
#ifndef DICOM_DCMTK_SHIM_H
#define DICOM_DCMTK_SHIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Values longer than this are not read: no attribute we know comes near. */
#define DCM_VALUE_MAX ((size_t)64 * 1024)
#define DCM_LUT_MAX   ((size_t)256 * 1024)

void dcm_init(void); /* load the dictionary, replace the log; later calls do nothing */
bool dcm_dictionary_loaded(void);
const char *dcm_version(void); /* "DCMTK 3.6.7" */
unsigned dcm_warnings(void);   /* messages of level warning or worse, of this thread */

typedef struct dcm_file dcm_file;
typedef struct dcm_item dcm_item; /* a data set or sequence item, borrowed from its file */
typedef enum dcm_status {
    DCM_OK,
    DCM_CUT,   /* the bytes end before the data set does */
    DCM_BROKEN /* the bytes are no DICOM data set */
} dcm_status;

/* data stays borrowed until dcm_close; long values are read from it only when asked for. On
 * DCM_CUT and DCM_BROKEN the file is still returned (unless memory ran out) with what was read. */
dcm_status dcm_open(const void *data, size_t len, dcm_file **out);
void dcm_close(dcm_file *f);
const dcm_item *dcm_root(const dcm_file *f);
const dcm_item *dcm_meta(const dcm_file *f); /* group 0002; NULL = none */
/* UID of the syntax the data set was parsed as, for files without (0002,0010). */
const char *dcm_parsed_syntax(const dcm_file *f);

/* Direct members of the item only; nothing is searched in nested sequences. */
bool dcm_has(const dcm_item *item, uint16_t group, uint16_t element);
bool dcm_has_group(const dcm_item *item, uint16_t group); /* any element of it */
/* Value as text, components joined by '\', trailing padding removed, cut at cap-1. False: absent,
 * too long or not representable as text (then out is ""). Binary numbers become decimals. */
bool dcm_text(const dcm_item *item, uint16_t group, uint16_t element, char *out, size_t cap);
/* Sequence items: their number, and one of them (NULL = absent). */
int dcm_items(const dcm_item *item, uint16_t group, uint16_t element);
const dcm_item *dcm_child(const dcm_item *item, uint16_t group, uint16_t element, int index);
/* 16-bit words of a LUT. *words is borrowed until dcm_close; *bytes is its true length. */
bool dcm_words(const dcm_item *item, uint16_t group, uint16_t element, const uint16_t **words,
               size_t *bytes);

/* A whole file by DCMTK and its own codecs alone, as the measure of ours: dst[n] gets the first n
 * 16-bit samples. False when DCMTK cannot, or the image does not hold them. */
bool dcm_decode_all(const void *data, size_t len, uint16_t *dst, size_t n);

#ifdef __cplusplus
}
#endif
#endif
