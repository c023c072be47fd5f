/* show, the part about what predict and report made. */
#ifndef CLI_SHOW_MADE_H
#define CLI_SHOW_MADE_H

#include "cli/cmd.h"

/* A PRED folder: what was scored, by which network, what lies there. */
MUST_CHECK bool show_made_prediction(const cmd_args *a, const char *dir, err *e);
/* A REPORT folder or its eval.json: the metrics of all exams. */
MUST_CHECK bool show_made_report(const cmd_args *a, const char *path, err *e);
/* A .json file of ours: eval.json, or predictions.json for its folder. */
MUST_CHECK bool show_made_json(const cmd_args *a, const char *path, err *e);
/* maps.h5. */
MUST_CHECK bool show_made_maps(const cmd_args *a, const char *path, err *e);
#endif
