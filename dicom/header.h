/* The attributes of one header by name: where each may stand, trimmed and typed. An attribute of a
 * multi-frame image is looked for in the functional groups of its first frame, then in the shared
 * groups, then at top level, and nowhere else: icons and source images repeat the same attributes
 * one level down. dicom.md 1. */
#ifndef DICOM_HEADER_H
#define DICOM_HEADER_H

#include "dicom/dcmtk_shim.h"
#include "dicom/record.h"
#include "dicom/tags.h"

#define HEADER_VALUE_MAX 1024 /* longer values are cut: nothing that is read comes near */

typedef struct header {
    const dcm_item *root, *meta, *frame, *shared; /* borrowed; frame, shared: groups, or NULL */
} header;

header header_of(const dcm_file *f);
/* Only the item's own attributes: for values that must come from one place. */
header header_alone(const dcm_item *item);
/* The items that may hold the attribute, best first. */
#define HEADER_PLACES 3
int header_places(const header *h, tag_id id, const dcm_item *out[HEADER_PLACES]);
/* Item i of a sequence at top level, NULL = none. */
const dcm_item *header_child(const header *h, tag_id id, int i);

/* The raw value from the first place that has one. All text functions: false = absent, out is "".*/
bool header_value(const header *h, tag_id id, char *out, size_t cap);
/* Component i of the value, trimmed; CS in upper case. */
bool header_part(const header *h, tag_id id, int i, char *out, size_t cap);
/* The whole value, trimmed: text that may hold backslashes. */
bool header_line(const header *h, tag_id id, char *out, size_t cap);
/* The same for what names a person, an exam or an image: a value that does not fit is absent, never
 * cut, because two numbers that begin alike would become one. */
bool header_identifier(const header *h, tag_id id, char *out, size_t cap);
/* Component i of a value that is at hand. */
bool header_component(const char *value, int i, bool upper, char *out, size_t cap);

/* Numbers as they are written in the wild: blanks, a plus sign, a decimal comma, "1.0" for 1. */
bool header_number_of(const char *s, double *out);
bool header_number(const header *h, tag_id id, int i, double *out);
int header_int(const header *h, tag_id id, int absent); /* absent also when it is no integer */
double header_positive(const header *h, tag_id id);     /* -1 = absent or negative */
bool header_is(const header *h, tag_id id, const char *wanted);
record_tri header_yes_no(const header *h, tag_id id);
#endif
