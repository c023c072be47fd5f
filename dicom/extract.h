/* The elements of a file that we read (tags.h), as a small DICOM file of its own. DCMTK's time
 * grows with every element it is given, and most of a header is never asked for. */
#ifndef DICOM_EXTRACT_H
#define DICOM_EXTRACT_H

#include <stddef.h>

#include "dicom/walk.h"

/* Walk the file and copy its meta header and the elements we read. The copy has no pixel data: the
 * walk has told all about it. NULL when the file is better read as it is: its structure is broken
 * before the pixel data, it does not name a little-endian syntax, or the elements are very large.
 * *out_len bytes, owned by the caller (mem_free). */
void *extract_known(const void *data, size_t len, walk *w, size_t *out_len);
#endif
