/* predict --dicom: composed here because it needs dicom, preprocess and train together. */
#ifndef CLI_EXAM_H
#define CLI_EXAM_H

#include "cli/cmd.h"
#include "core/worker.h"
#include "preprocess/preview.h"

/* Prepare one file in the worker; side may be NULL. A worker that dies is a reason in out->primary,
 * not a failure. *canvas: [h[0], w[0]], and behind it the u8 mask where out->mask_at[0] is set;
 * owned by the caller (mem_free), NULL when left out. */
MUST_CHECK bool exam_prepare(worker *w, const cfg *prep, const sidecar *side, const char *path,
                             const char *relative, prepared *out, uint16_t **canvas, err *e);

/* The same with its pictures; the reply is borrowed from the worker until its next call. */
MUST_CHECK bool exam_preview(worker *w, const cfg *prep, const sidecar *side, const char *path,
                             preview_stage stage, const preview **out, err *e);

/* Score the DICOM files below `dir` with one checkpoint; writes OUT/predictions.csv (one row per
 * usable image, pseudonyms by a throw-away key) and OUT/excluded.csv, with predict.maps also maps;
 * prints the exam's score.
 * Fails ERR_INPUT when the files are of more than one exam or none is usable. */
MUST_CHECK bool exam_predict(cmd_args *a, const char *checkpoint, const char *dir, err *e);
#endif
