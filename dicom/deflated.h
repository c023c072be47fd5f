/* Deflated Explicit VR Little Endian (PS3.5 annex A.5): the data set behind the meta header is one
 * raw deflate stream (RFC 1951). */
#ifndef DICOM_DEFLATED_H
#define DICOM_DEFLATED_H

#include <stddef.h>

#include "dicom/reason.h"
#include "dicom/walk.h"

/* The same file with its data set inflated and the syntax of its meta header changed to Explicit
 * VR Little Endian: a caller walks and reads it as any other. w: walk_file(data), status
 * WALK_DEFLATED. *out: owned by the caller (mem_free). IO_TRUNCATED: the stream ends early;
 * IO_UNREADABLE: it is none, or it unpacks to more than any mammogram needs. */
reason deflated_expand(const void *data, size_t len, const walk *w, void **out, size_t *out_len);
#endif
