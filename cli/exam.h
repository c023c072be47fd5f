/* predict --dicom: composed here because it needs dicom, preprocess and train together. */
#ifndef CLI_EXAM_H
#define CLI_EXAM_H

#include "cli/cmd.h"

/* Score the DICOM files below `dir` with one checkpoint; writes OUT/predictions.csv (one row per
 * usable image, pseudonyms by a throw-away key) and OUT/excluded.csv, prints the exam's score.
 * Fails ERR_INPUT when the files are of more than one exam or none is usable. */
MUST_CHECK bool exam_predict(cmd_args *a, const char *checkpoint, const char *dir, err *e);
#endif
