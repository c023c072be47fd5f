/* Private to record_read: the parts of a record that are filled by files of their own. */
#ifndef DICOM_RECORD_PART_H
#define DICOM_RECORD_PART_H

#include "dicom/header.h"
#include "dicom/quirk.h"
#include "dicom/walk.h"

/* record_view.c: view, modifiers, side, orientation, partial view. */
void record_view_read(const header *h, record *r);
/* record_pixel.c: what the header says of the pixels and of their display; after the magnification
 * is known. Notes of the file go to q. */
void record_pixel_read(const header *h, const walk *w, record *r, quirk_file *q);
#endif
