/* What single vendors do differently, one named row each: when it is met, what it changes, and who
 * says so. A record carries the names of the rows that fired. Rows without a change name a decision
 * that lives elsewhere, so that it can be seen on the image it was taken for. dicom.md 1, vendor
 * notes. */
#ifndef DICOM_QUIRK_H
#define DICOM_QUIRK_H

#include "dicom/dcmtk_shim.h"
#include "dicom/record.h"

/* What only the file itself shows. */
typedef struct quirk_file {
    const dcm_item *root; /* borrowed, may be NULL */
    bool explicit_length; /* encapsulated pixel data with an explicit length */
    bool uid_differs;     /* group 0002 names another instance than the data set */
    bool voi_unknown;     /* VOILUTFunction is none that DICOM knows */
    bool frames_unusable; /* NumberOfFrames is there and is no positive number */
} quirk_file;

typedef struct quirk {
    const char *name;
    const char *when, *what, *source; /* sentences for the documentation */
    bool (*met)(const record *r, const quirk_file *f);
    void (*change)(record *r); /* NULL: the decision lives elsewhere */
} quirk;

int quirk_count(void);
const quirk *quirk_at(int i);
/* Apply every row that is met and add its name to r->quirks. f is NULL where only the record is at
 * hand (its vendor came from a table): rows about the file then stay as they were. Applying twice
 * changes nothing. */
void quirk_apply(record *r, const quirk_file *f);
#endif
