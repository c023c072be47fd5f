/* The tables of a header that map sample values: Modality LUT and VOI LUT items of frame 1. Only
 * reads and checks them; what is done with them is decided in preprocess. DICOM PS3.3 C.11.1 and
 * C.11.2, functional groups C.7.6.16.2.9 and 10. */
#ifndef DICOM_LUT_H
#define DICOM_LUT_H

#include "dicom/dcmtk_shim.h"
#include "dicom/pixels.h"

/* Fills modality, voi, n_voi and odd_function of out, whose bits are settled. Memory from a. The
 * functional groups of frame 1 win over the shared ones, these over the top level, and the first of
 * them that says anything about a step (a table, a rescale slope, a window) decides it. */
void lut_read(const dcm_item *root, const record *r, arena *a, pixels *out);
#endif
